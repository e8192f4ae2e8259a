"""The order of minibatches: decided by (order seed, epoch) and nothing else."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray


def order(n: int, order_seed: int, epoch: int) -> NDArray[np.intp]:
    """A permutation (n,) of the row indices for this epoch."""
    return np.random.default_rng([order_seed, epoch]).permutation(n)


def minibatches(
    n: int, batch_size: int, order_seed: int, epoch: int
) -> Iterator[NDArray[np.intp]]:
    """The indices of one epoch, `batch_size` at a time; the last ones may be fewer."""
    rows = order(n, order_seed, epoch)
    return (rows[start : start + batch_size] for start in range(0, n, batch_size))
