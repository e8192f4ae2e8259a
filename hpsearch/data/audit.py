"""Plain statistics for the data audit; what they mean is judged elsewhere."""

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpsearch.data.dataset import Dataset
from hpsearch.data.preprocess import moments
from hpsearch.data.rows import Rows


@dataclass(frozen=True)
class NonFinite:
    """How many cells are NaN or infinite, and the (row, column) of the first."""

    count: int
    first: tuple[int, int] | None


@dataclass(frozen=True, eq=False)
class FeatureStatistics:
    """Per column of the training rows, as the network sees them; each (D,) float64."""

    mean: NDArray[np.float64]
    sd: NDArray[np.float64]
    min: NDArray[np.float64]
    max: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ConstantFeatures:
    """Column indices, ascending."""

    in_train: NDArray[np.intp]
    only_in_train: NDArray[np.intp]  # those that do vary, or differ, in validation


@dataclass(frozen=True)
class Duplicates:
    leaked: int  # validation rows that also occur in train
    conflicting: int  # rows of train and validation with an identical row of another class


@dataclass(frozen=True, eq=False)
class Preview:
    """The first training rows as the network sees them."""

    values: NDArray[np.float32]  # (n, D)
    classes: tuple[str, ...]  # (n,)


def non_finite(rows: Rows) -> NonFinite:
    """NaN and infinite cells of the rows, addressed by their position in them."""
    if rows.base.dtype.kind != "f":
        return NonFinite(0, None)
    order = rows.stored_order()
    count, start, firsts = 0, 0, []
    for part in rows.part(order).chunks():
        bad = ~np.isfinite(part)
        if cells := int(np.count_nonzero(bad)):
            holed = np.flatnonzero(bad.any(axis=1))
            row = holed[np.argmin(order[start + holed])]
            firsts.append((int(order[start + row]), int(np.argmax(bad[row]))))
            count += cells
        start += len(part)
    return NonFinite(count, min(firsts, default=None))


def feature_statistics(dataset: Dataset) -> FeatureStatistics:
    """Statistics of the preprocessed training rows, found from the rows themselves."""
    low = np.full(dataset.inputs, np.inf)
    high = np.full(dataset.inputs, -np.inf)
    apply = dataset.preprocess.apply

    def seen(part: NDArray[Any]) -> NDArray[Any]:
        values = apply(part)
        np.minimum(low, values.min(axis=0), out=low)
        np.maximum(high, values.max(axis=0), out=high)
        return values

    parts = dataset.train.as_stored().chunks()
    first = dataset.batch(dataset.train, slice(1))[0]
    found = moments((seen(part) for part in parts), first)
    return FeatureStatistics(found.mean, found.sd, low, high)


def constant_features(dataset: Dataset) -> ConstantFeatures:
    """Columns with one raw value in train, and which of them have another one in validation."""
    (low, high), others = _extremes(dataset.train), _extremes(dataset.validation)
    constant = np.flatnonzero(low == high)
    differs = np.any([end[constant] != low[constant] for end in others], axis=0)
    return ConstantFeatures(constant, constant[differs])


def _extremes(rows: Rows) -> tuple[NDArray[Any], NDArray[Any]]:
    """The least and the largest raw value of each column, (D,) each; NaN where it has NaN."""
    low = rows.gather(slice(1))[0].copy()
    high = low.copy()
    for part in rows.as_stored().chunks():
        np.minimum(low, part.min(axis=0), out=low)
        np.maximum(high, part.max(axis=0), out=high)
    return low, high


def class_counts(rows: Rows, n_classes: int) -> NDArray[np.int64]:
    """Rows per class (n_classes,)."""
    return np.bincount(rows.y, minlength=n_classes).astype(np.int64)


def duplicates(train: Rows, validation: Rows) -> Duplicates:
    """Identical raw rows across the two splits, and identical rows of different classes."""
    train, validation = train.as_stored(), validation.as_stored()
    train_keys, validation_keys = _row_keys(train), _row_keys(validation)
    leaked = int(np.isin(validation_keys, train_keys).sum())
    keys = np.concatenate([train_keys, validation_keys])
    labelled = np.unique(np.stack([keys, np.concatenate([train.y, validation.y])], 1), axis=0)
    distinct, labels = np.unique(labelled[:, 0], return_counts=True)
    conflicting = int(np.isin(keys, distinct[labels > 1]).sum())
    return Duplicates(leaked, conflicting)


def _row_keys(rows: Rows) -> NDArray[np.int64]:
    """One 64-bit hash per row (N,); equal rows have equal hashes, -0.0 counting as 0.0."""
    hashes = bytearray()
    for part in rows.chunks():
        unsigned_zero = part + part.dtype.type(0) if part.dtype.kind == "f" else part
        for row in unsigned_zero:
            hashes += hashlib.blake2b(row.data, digest_size=8).digest()
    return np.frombuffer(bytes(hashes), np.int64)


def preview(dataset: Dataset, n: int = 5) -> Preview:
    """The first `n` training rows as fed to the network, with their classes."""
    values = dataset.batch(dataset.train, slice(0, n))
    return Preview(values, tuple(dataset.classes[k] for k in dataset.train.y[:n]))
