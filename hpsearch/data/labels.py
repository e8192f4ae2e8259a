"""Class labels as stored, turned into class indices and names."""

import sys
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpsearch.data.files import is_utf8, quoted
from hpsearch.errors import DataError


def encode_labels(
    values: NDArray[Any], place: str, *, limit: int | None = None
) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Class indices (N,) and the sorted class names of stored labels (N,).

    Integers sort as numbers, text as text. DataError for labels that are not whole numbers or
    text, for numbers with more than `limit` distinct values (a regression target), and for fewer
    than two classes.
    """
    stored = _whole(values, place) if values.dtype.kind == "f" else _text(values, place)
    if stored.dtype.kind not in "biuU":
        raise DataError(
            f"{place}: labels must be whole numbers or text, got {values.dtype}; "
            "store one class per row"
        )
    levels, y = np.unique(stored, return_inverse=True)
    if limit is not None and stored.dtype.kind in "iu" and len(levels) > limit:
        raise _continuous(levels, place)
    if len(levels) < 2:
        found = ", ".join(quoted(level) for level in levels) or "none"
        raise DataError(
            f"{place}: a classifier needs at least 2 classes, found {len(levels)} ({found}); "
            "choose another target or add rows of other classes"
        )
    return y.reshape(-1).astype(np.int64), class_names(levels, place)


def class_names(names: Iterable[Any], place: str) -> tuple[str, ...]:
    """The names as text, which records and models can hold; DataError where UTF-8 cannot."""
    texts = tuple(map(str, names))
    for text in texts:
        if not is_utf8(text):
            raise DataError(
                f"{place}: class names must be UTF-8, got {quoted(text)}; rename that class"
            )
    return texts


def _whole(values: NDArray[Any], place: str) -> NDArray[Any]:
    if not np.isfinite(values).all():
        odd = values[~np.isfinite(values)][0]
        raise DataError(f"{place}: labels must be finite, got {odd}; fill it, or drop the row")
    if not ((values == np.floor(values)) & (np.abs(values) < 2**53)).all():
        raise _continuous(np.unique(values), place)
    return values.astype(np.int64)


def _text(values: NDArray[Any], place: str) -> NDArray[Any]:
    if values.dtype.kind == "U" and values.dtype.itemsize:
        native = np.ascontiguousarray(values, values.dtype.newbyteorder("="))
        if (native.view(np.uint32) > sys.maxunicode).any():
            raise DataError(
                f"{place}: labels must be text, got characters that do not exist; save them again"
            )
    return np.char.decode(values, "utf-8", "replace") if values.dtype.kind == "S" else values


def _continuous(levels: NDArray[Any], place: str) -> DataError:
    some = ", ".join(f"{level:.6g}" for level in levels[:3])
    return DataError(
        f"{place}: looks like a regression target ({len(levels)} distinct values, e.g. {some}); "
        "hpsearch trains classifiers: choose another column, or bin it"
    )
