"""JSON that every reader accepts: a number that JSON has no word for becomes null. And that every
terminal can show: a character that would act is written by its number. And what is read is looked
at before it is used.
"""

import json
import math
import re
import sys
from array import array
from collections.abc import Callable, Mapping
from functools import cache
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

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


def fitting(record: Mapping[str, Any], shape: type | Mapping[str, Any]) -> dict[str, Any]:
    """The record as it is, if its values are what the annotations of `shape` say: of a class, or
    annotations by name, which must all be there. ValueError, with the key, where they are not. A
    `float` may be null, as which what is not finite is written.
    """
    for key, fits in _fits_of(shape) if isinstance(shape, type) else _needed(record, shape):
        if key in record and not fits(record[key]):
            raise ValueError(f"{key} cannot be {record[key]!r:.40}")
    return dict(record)


def _needed(record: Any, shape: Mapping[str, Any]) -> list[tuple[str, Callable[[Any], bool]]]:
    if not isinstance(record, Mapping):
        raise ValueError(f"{record!r:.40} cannot have {', '.join(shape)}")
    if missing := [key for key in shape if key not in record]:
        raise ValueError(f"{missing[0]} is missing")
    return [(key, _fits(annotation)) for key, annotation in shape.items()]


@cache
def _fits_of(shape: type) -> list[tuple[str, Callable[[Any], bool]]]:
    return [(name, _fits(hint)) for name, hint in get_type_hints(shape).items()]


@cache
def _fits(hint: Any) -> Callable[[Any], bool]:
    """Whether a value is what an annotation says."""
    origin, args = get_origin(hint), get_args(hint)
    if hint is Any:
        return lambda value: True
    if hint in (int, float):
        kinds = (int,) if hint is int else (int, float, type(None))
        return lambda value: _number(value, kinds)
    if origin in (Union, UnionType):
        some = [_fits(arg) for arg in args]
        return lambda value: any(fits(value) for fits in some)
    if origin is None:
        return lambda value: isinstance(value, hint)
    if issubclass(origin, Mapping):
        each = _fits(args[1])
        return lambda value: isinstance(value, Mapping) and all(map(each, value.values()))
    if origin is tuple and args[-1] is not Ellipsis:
        parts = [_fits(arg) for arg in args]
        return lambda value: _listed(value) and len(value) == len(parts) and all(
            fits(item) for fits, item in zip(parts, value, strict=True)
        )  # fmt: skip
    item_fits = _fits(args[0])
    return lambda value: _listed(value) and all(map(item_fits, value))


def _number(value: Any, kinds: tuple[type, ...]) -> bool:
    """Of an int, that a float can hold it."""
    if type(value) is int:
        return -sys.float_info.max <= value <= sys.float_info.max
    return isinstance(value, kinds) and not isinstance(value, bool)


def _listed(value: Any) -> bool:
    return isinstance(value, list | tuple)
