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
    """Column indices, ascending; in how many validation rows each has another value."""

    in_train: NDArray[np.intp]
    otherwise: NDArray[np.intp]


@dataclass(frozen=True)
class Duplicates:
    leaked: int  # validation rows that also occur in train, with their label
    conflicting: int  # rows of train and validation with an identical row of another class
    points: int  # how many rows those are, counting equal ones once


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
    """Columns with one raw value in train, and how often validation has another one."""
    low, high = _extremes(dataset.train)
    constant = np.flatnonzero(low == high)
    differing = np.zeros(len(constant), np.intp)
    for part in dataset.validation.as_stored().chunks():
        differing += (part[:, constant] != low[constant]).sum(axis=0)
    return ConstantFeatures(constant, differing)


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
    splits = [rows.as_stored() for rows in (train, validation)]
    y = np.concatenate([rows.y for rows in splits])
    keys = np.concatenate([_row_keys(rows) for rows in splits])
    _, point = np.unique(keys, return_inverse=True)
    classes = int(y.max()) + 1
    labelled = point * classes + y
    seen, held_out = np.split(labelled, [len(train)])
    contradicted = np.bincount(np.unique(labelled) // classes) > 1
    return Duplicates(
        leaked=int(np.isin(held_out, seen).sum()),
        conflicting=int(contradicted[point].sum()),
        points=int(contradicted.sum()),
    )


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
