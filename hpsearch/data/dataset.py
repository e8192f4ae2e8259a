"""The records of this package: what a source is asked for, what it hands over, the dataset."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from hpsearch.data.augment import Augment, stream
from hpsearch.data.preprocess import Preprocess
from hpsearch.data.rows import Positions, Rows

Progress = Callable[[int, int], None]
Share = float | int | str | None
ImageShape = tuple[int, int, int]


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
    """Three splits, and the preprocessing fitted on the first of them."""

    train: Rows
    validation: Rows
    test: Rows | None
    classes: tuple[str, ...]
    features: tuple[str, ...]
    image_shape: ImageShape | None  # (height, width, channels)
    preprocess: Preprocess
    fingerprint: str  # sha256 hex over all else, and how all trials alter the training rows
    unaltered: str = ""  # the same, but for that

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
        positions: Positions,
        dtype: DTypeLike = np.float32,
        *,
        out: NDArray[Any] | None = None,
    ) -> NDArray[Any]:
        """The minibatch (n, D) as the network sees it; a row's numbers depend on no other row
        (whitened, their last bits on how many there are).

        `out` (n, D) of that dtype is filled and returned.
        """
        return self.preprocess.apply(rows.gather(positions), dtype, out=out)

    def augmented(
        self, rows: Rows, positions: Positions, augment: Augment, draw: tuple[int, int, int]
    ) -> NDArray[np.float32]:
        """The minibatch (n, D) to train on; `draw` (order seed, epoch, number) decides how its
        images are flipped and shifted, where `augment` says so.
        """
        if self.image_shape is None or not augment.alters:
            return self.batch(rows, positions)
        raw = augment.apply(rows.gather(positions), self.image_shape, stream(*draw))
        return self.preprocess.apply(raw)


def fingerprint(splits: tuple[Rows | None, ...], names: list[Any]) -> str:
    """The sha256 of the rows and labels of all splits, in order, and of `names` (JSON values)."""
    digest = hashlib.sha256(json.dumps(["hpsearch data 1", *names]).encode())
    for rows in splits:
        if rows is None:
            digest.update(b"[]")
            continue
        x, y = [rows.base.dtype.str, len(rows), rows.columns], [rows.y.dtype.str, len(rows)]
        digest.update(json.dumps([x, y]).encode())
        for part in rows.chunks():
            digest.update(np.ascontiguousarray(part).data)
        digest.update(np.ascontiguousarray(rows.y).data)
    return digest.hexdigest()
