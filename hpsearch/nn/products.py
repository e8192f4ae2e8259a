"""The products of the first layer, whose input all trials of a cohort share.

They are most of the arithmetic. Trial by trial, the library prepares the same minibatch K times;
as one wide matrix (K O, D), once: a third faster where D is large. But a product's bits depend on
which of its kernels the library takes, and that on the matrix's size; so the wide form is used
only for sizes at which it has been seen to give every trial the bits that it gets alone.
"""

from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from hpsearch.nn.activations import Array

SMALL = 1_000_000  # multiplications: up to here the library has a fast path for small matrices
MINIBATCH = 512  # rows, at most, for which it is worth finding out; evaluations have more
COPIED = 100_000  # numbers of a minibatch that are cheap to turn into columns; else it is a view


class Batch(NamedTuple):
    """A minibatch as rows `x` (N, D) and as columns `xt` (D, N)."""

    x: Array
    xt: Array


def batch(x: Array) -> Batch:
    """The minibatch of the rows `x` (N, D)."""
    return Batch(x, _columns(x))


def _columns(x: Array) -> Array:
    return np.ascontiguousarray(x.T) if x.size <= COPIED else x.T


def project(w: Array, x: Batch, out: Array) -> None:
    """out (K, O, N) = w (K, O, D) times the minibatch."""
    if _contiguous(w, out) and wide(_sizes(w, x), w.dtype):
        np.matmul(_flat(w), x.xt, out=_flat(out))
    else:
        np.matmul(w, x.xt, out=out)


def correlate(dz: Array, x: Batch, out: Array) -> None:
    """out (K, O, D) = dz (K, O, N) times the rows of the minibatch."""
    if _contiguous(dz, out) and wide(_sizes(dz, x), dz.dtype):
        np.matmul(_flat(dz), x.x, out=_flat(out))
    else:
        np.matmul(dz, x.x, out=out)


class Sizes(NamedTuple):
    """K, O, N and D of a first layer's products."""

    trials: int
    outputs: int
    rows: int
    inputs: int


def _sizes(array: Array, x: Batch) -> Sizes:
    return Sizes(*array.shape[:2], *x.x.shape)


def _contiguous(*arrays: Array) -> bool:
    return all(array.flags.c_contiguous for array in arrays)


def _flat(array: Array) -> Array:
    """(K, O, n) as (K O, n): a view, since it is contiguous."""
    return array.reshape(-1, array.shape[-1])


@cache
def wide(sizes: Sizes, dtype: DTypeLike) -> bool:
    """Whether the wide forms give each of the trials the bits of its own products."""
    trials, outputs, rows, inputs = sizes
    if trials == 1 or rows > MINIBATCH or outputs * rows * inputs <= SMALL:
        return False
    rng = np.random.default_rng(0)
    w, dz, x = (_noise(rng, shape, dtype) for shape in
                ((trials, outputs, inputs), (trials, outputs, rows), (rows, inputs)))  # fmt: skip
    return _same(w, _columns(x)) and _same(dz, x)


def _noise(rng: np.random.Generator, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
    """Numbers whose every product has to be rounded, so that another order of sums shows."""
    return np.asarray(rng.random(shape) - 0.5, dtype)


def _same(left: Array, right: Array) -> bool:
    together = (_flat(left) @ right).reshape(*left.shape[:2], -1)
    return all(np.array_equal(mine, one @ right) for mine, one in zip(together, left, strict=True))
