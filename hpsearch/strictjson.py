"""JSON that every reader accepts: a number that JSON has no word for becomes null. And that every
terminal can show: a character that would act is written by its number.
"""

import json
import math
import re
from array import array
from collections.abc import Mapping
from functools import cache
from typing import Any

_OTHERS = re.compile("[^\n -~]")


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
        text = _encoder(indent).encode(value)
    except (TypeError, ValueError):  # what JSON has no word for, or a mapping that is no dict
        text = _encoder(indent).encode(plain(value))
    return text if text.isascii() and "\x7f" not in text else _shown(text)


def _shown(text: str) -> str:
    """The encoder itself has done this with all below a blank; what is left of them is layout."""
    return _OTHERS.sub(lambda m: m[0] if m[0].isprintable() else json.dumps(m[0])[1:-1], text)


@cache
def _encoder(indent: int | None) -> json.JSONEncoder:
    return json.JSONEncoder(indent=indent, allow_nan=False, ensure_ascii=False)
