"""Columns of a few rows, some at a time, so that wide data need little memory."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpsearch.data.rows import Rows

CELLS = 2**20  # numbers held at once, at most
Seen = Callable[[NDArray[Any]], NDArray[Any]]


def column_blocks(splits: Sequence[Rows], seen: Seen) -> Iterator[list[NDArray[Any]]]:
    """For one block of columns after the other, that part (n, width) of each split's rows.

    `seen` makes of raw rows (n, D) those that are looked at, (n, D).
    """
    width = max(1, CELLS // max(1, sum(map(len, splits))))
    for at in range(0, splits[0].columns, width):
        block = slice(at, at + width)
        yield [
            np.concatenate([seen(part)[:, block].copy() for part in rows.chunks()])
            for rows in splits
        ]
