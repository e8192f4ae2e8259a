"""The records of this package: what a source is asked for, what it hands over, the dataset."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from hpsearch.data.preprocess import Preprocess

Progress = Callable[[int, int], None]
Share = float | int | str | None
ImageShape = tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class Rows:
    """One split, raw as stored."""

    x: NDArray[Any]  # (N, D) uint8, float32 or float64, C-contiguous
    y: NDArray[np.int64]  # (N,) class indices

    def __len__(self) -> int:
        return len(self.y)

    def take(self, index: NDArray[np.intp]) -> "Rows":
        """The rows at `index` (n,), copied."""
        return Rows(np.ascontiguousarray(self.x[index]), self.y[index])


@dataclass(frozen=True)
class Source:
    """Where the data comes from, in plain values.

    `validation` and `test` are a fraction (below 1), a count, or a path; None takes the source's
    own split, else 0.1. Relative split paths start at `base`.
    """

    source: str
    path: Path | None = None
    target: str | int | None = None
    drop: tuple[str | int, ...] = ()
    missing: str = "error"
    seed: int = 0
    validation: Share = None
    test: Share = None
    base: Path = Path()


@dataclass(frozen=True, eq=False)
class Loaded:
    """What a source hands over; `validation` and `test` only where they are given, not drawn."""

    x: NDArray[Any]  # (N, D): the rows to split, or to train on
    y: NDArray[np.int64]  # (N,)
    classes: tuple[str, ...]
    features: tuple[str, ...]
    image_shape: ImageShape | None = None  # (height, width, channels)
    validation: Rows | None = None
    test: Rows | None = None


@dataclass(frozen=True, eq=False)
class Dataset:
    """Three splits and the preprocessing fitted on the first of them."""

    train: Rows
    validation: Rows
    test: Rows | None
    classes: tuple[str, ...]
    features: tuple[str, ...]
    image_shape: ImageShape | None  # (height, width, channels)
    preprocess: Preprocess
    fingerprint: str  # sha256 hex over all of the above

    @property
    def inputs(self) -> int:
        """D, the number of columns that the network sees."""
        return len(self.features)

    @property
    def n_classes(self) -> int:
        return len(self.classes)

    def batch(
        self,
        rows: Rows,
        index: NDArray[np.intp] | slice,
        dtype: DTypeLike = np.float32,
        *,
        out: NDArray[Any] | None = None,
    ) -> NDArray[Any]:
        """The minibatch (n, D) as the network sees it; a row's numbers depend on no other row."""
        return self.preprocess.apply(rows.x[index], dtype, out=out)


def fingerprint(splits: tuple[Rows | None, ...], names: list[Any]) -> str:
    """The sha256 of the arrays and labels of all splits, and of `names` (JSON values)."""
    digest = hashlib.sha256(json.dumps(["hpsearch data 1", *names]).encode())
    for rows in splits:
        arrays = () if rows is None else (rows.x, rows.y)
        digest.update(json.dumps([[a.dtype.str, *a.shape] for a in arrays]).encode())
        for array in arrays:
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
