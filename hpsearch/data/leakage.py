"""Features that say too much: the class as one feature alone tells it, and row numbers."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpsearch.data.blocks import column_blocks
from hpsearch.data.dataset import Dataset

FOLDS = 5
NEIGHBOURS = 5
CELLS = 2**16  # sorted at once: they stay in the cache
LEAST = 2 * NEIGHBOURS  # rows without which nothing can be said
COUNTED = 100  # rows, at most, that must be numbered

Labels = NDArray[np.int64]


@dataclass(frozen=True)
class Leak:
    """The feature that tells most, and how often it and the majority's class are right."""

    column: int
    accuracy: float
    majority: float
    rows: int


def telling_feature(dataset: Dataset, most: int) -> Leak | None:
    """The column from which alone the class is guessed best, among `most` rows that are no test
    rows; None where they are too few to tell.
    """
    train = dataset.train.part(slice(most))  # they are in random order
    room = dataset.validation.part(slice(most - len(train)))
    splits = [rows for rows in (train, room) if len(rows)]
    y = np.concatenate([rows.y for rows in splits])
    if len(y) < LEAST:
        return None
    blocks = column_blocks(splits, lambda raw: raw)
    found = np.concatenate([accuracies(np.concatenate(block), y) for block in blocks])
    best = int(found.argmax())
    return Leak(best, float(found[best]), float(np.bincount(y).max() / len(y)), len(y))


def accuracies(x: NDArray[Any], y: Labels) -> NDArray[np.float64]:
    """How often each column of `x` (n, D) alone tells `y` (n,): the share (D,) of rows whose five
    nearest rows of the other folds, of five, are mostly of their class. Columns with numbers that
    are not finite count as constant.
    """
    width = max(1, CELLS // len(y))
    parts = (x[:, at : at + width] for at in range(0, x.shape[1], width))
    return np.concatenate([_accuracies(part, y) for part in parts])


def _accuracies(x: NDArray[Any], y: Labels) -> NDArray[np.float64]:
    values = x.T.astype(np.float64 if x.dtype == np.float64 else np.float32)
    values[~np.isfinite(values).all(axis=1)] = 0
    order = values.argsort(axis=1, kind="stable")
    values, labels = np.take_along_axis(values, order, axis=1), y[order]
    folds = order % FOLDS
    right = sum(_right(values, labels, folds == fold) for fold in range(FOLDS))
    return np.asarray(right / len(y))


def _right(
    values: NDArray[Any], labels: Labels, held_out: NDArray[np.bool_]
) -> NDArray[np.intp]:
    """How many of the rows `held_out` (D, n) the others' neighbours name rightly, (D,).

    `values` (D, n) ascend along each column, so that the nearest lie side by side.
    """
    columns, shape = np.arange(len(values))[:, None], (len(values), -1)
    known, asked = values[~held_out].reshape(shape), values[held_out].reshape(shape)
    known_labels = labels[~held_out].reshape(shape)
    before = np.cumsum(~held_out, axis=1)[held_out].reshape(shape)  # known rows below each
    last = known.shape[1] - NEIGHBOURS
    start = np.clip(before - NEIGHBOURS, 0, last)
    for _ in range(NEIGHBOURS):
        beyond = known[columns, np.minimum(start + NEIGHBOURS, known.shape[1] - 1)]
        nearer = beyond - asked < asked - known[columns, start]
        start = np.where(nearer & (start < last), start + 1, start)
    window = np.stack([known_labels[columns, start + k] for k in range(NEIGHBOURS)])
    votes = np.stack([(window == each).sum(axis=0, dtype=np.int8) for each in window])
    elected = np.take_along_axis(window, votes.argmax(axis=0)[None], axis=0)[0]
    return np.asarray((elected == labels[held_out].reshape(shape)).sum(axis=1))


def row_numbers(dataset: Dataset) -> NDArray[np.intp]:
    """The columns of a table, ascending, that only number its rows: whole numbers that rise from
    each of a hundred training rows, as they are stored, to the next.
    """
    rows = dataset.train.part(slice(COUNTED)).as_stored()
    if dataset.image_shape is not None or len(rows) < LEAST:
        return np.empty(0, np.intp)
    x = rows.gather()
    rises = (x[1:] > x[:-1]).all(axis=0)
    return np.flatnonzero(rises & np.isfinite(x).all(axis=0) & (x == np.floor(x)).all(axis=0))
