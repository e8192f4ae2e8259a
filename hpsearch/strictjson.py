"""JSON that every reader accepts: a number that JSON has no word for becomes null."""

import json
import math
from array import array
from collections.abc import Mapping
from functools import cache
from typing import Any


def plain(value: Any) -> Any:
    """The value in JSON's own types; NaN and the infinities become None."""
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | array):
        return [plain(item) for item in value]
    return value


def dumps(value: Any, indent: int | None = 1) -> str:
    try:
        return _encoder(indent).encode(value)
    except (TypeError, ValueError):  # what JSON has no word for, or a mapping that is no dict
        return _encoder(indent).encode(plain(value))


@cache
def _encoder(indent: int | None) -> json.JSONEncoder:
    return json.JSONEncoder(indent=indent, allow_nan=False, ensure_ascii=False)
