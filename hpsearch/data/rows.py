"""Rows of one array: the view that every split, part of a split and minibatch is taken from."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Positions = NDArray[np.intp] | slice

# The squares of 256 differences of bytes sum to at most 256 * 255**2 < 2**24, so that float32
# adds them without rounding.
CHUNK = 256
CELLS = 2**23  # of a chunk, at most


@dataclass(frozen=True, eq=False)
class Rows:
    """N rows of `base`, raw as stored. Splits share their base, which may be a read-only map of a
    file larger than the memory: nothing here copies more of it than it is asked for.
    """

    base: NDArray[Any]  # (M, D) uint8, float32 or float64, C-contiguous
    y: NDArray[np.int64]  # (N,) class indices
    index: NDArray[np.intp] | None = None  # (N,) the rows of `base`; None: all, as they lie

    def __len__(self) -> int:
        return len(self.y)

    @property
    def columns(self) -> int:
        """D."""
        return int(self.base.shape[1])

    def gather(self, positions: Positions = slice(None)) -> NDArray[Any]:
        """The rows at `positions`, (n, D): to be read, as they may be a view of the base."""
        where = positions if self.index is None else self.index[positions]
        if isinstance(where, slice):
            return self.base[where]
        if self.base.flags.aligned:
            return self.base.take(where, axis=0)
        # As bytes: `take` would first make an aligned copy of the whole base (in a zip file, say).
        return self.base.view(np.uint8).take(where, axis=0).view(self.base.dtype)

    def part(self, positions: Positions) -> "Rows":
        """The rows at `positions` as a view of the same base."""
        if self.index is not None:
            return Rows(self.base, self.y[positions], self.index[positions])
        if isinstance(positions, slice):
            return Rows(self.base[positions], self.y[positions])
        return Rows(self.base, self.y[positions], np.asarray(positions, np.intp))

    def stored_order(self) -> NDArray[np.intp]:
        """The positions (N,) as the rows lie in the base: so a file is read from front to back."""
        if self.index is None:
            return np.arange(len(self))
        return np.argsort(self.index, kind="stable")

    def as_stored(self) -> "Rows":
        """The same rows, in the order in which they lie in the base."""
        return self if self.index is None else self.part(self.stored_order())

    def chunks(self) -> Iterator[NDArray[Any]]:
        """All rows in order, (n, D) at a time, n at most 256 and fewer where they are wide."""
        size = max(1, min(CHUNK, CELLS // max(1, self.columns)))
        return (self.gather(slice(at, at + size)) for at in range(0, len(self), size))
