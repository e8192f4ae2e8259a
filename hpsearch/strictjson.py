"""JSON that every reader accepts: a number that JSON has no word for becomes null."""

import json
import math
from collections.abc import Mapping
from typing import Any


def plain(value: Any) -> Any:
    """The value in JSON's own types; NaN and the infinities become None."""
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def dumps(value: Any, indent: int | None = 1) -> str:
    return json.dumps(plain(value), indent=indent, allow_nan=False, ensure_ascii=False)
