"""Class labels as stored, turned into class indices and names."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpsearch.data.files import quoted
from hpsearch.errors import DataError


def encode_labels(
    values: NDArray[Any], place: str, *, limit: int | None = None
) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Class indices (N,) and the sorted class names of stored labels (N,).

    Integers sort as numbers, text as text. DataError for labels that are not whole numbers or
    text, for numbers with more than `limit` distinct values (a regression target), and for fewer
    than two classes.
    """
    stored = _whole(values, place) if values.dtype.kind == "f" else _text(values)
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
    return y.reshape(-1).astype(np.int64), tuple(str(level) for level in levels)


def _whole(values: NDArray[Any], place: str) -> NDArray[Any]:
    if not np.isfinite(values).all():
        odd = values[~np.isfinite(values)][0]
        raise DataError(f"{place}: labels must be finite, got {odd}; fill it, or drop the row")
    if not ((values == np.floor(values)) & (np.abs(values) < 2**53)).all():
        raise _continuous(np.unique(values), place)
    return values.astype(np.int64)


def _text(values: NDArray[Any]) -> NDArray[Any]:
    return np.char.decode(values, "utf-8", "replace") if values.dtype.kind == "S" else values


def _continuous(levels: NDArray[Any], place: str) -> DataError:
    some = ", ".join(f"{level:.6g}" for level in levels[:3])
    return DataError(
        f"{place}: looks like a regression target ({len(levels)} distinct values, e.g. {some}); "
        "hpsearch trains classifiers: choose another column, or bin it"
    )
