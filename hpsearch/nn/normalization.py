"""Normalization between a layer's product and its activation: z <- gamma (z - mean)/sd + beta.

Batch normalization (Ioffe & Szegedy 2015) takes mean and sd of each unit over the minibatch, layer
normalization (Ba et al. 2016) of each row over the units. Beta is the layer's bias: a bias before
the normalization would be subtracted with the mean.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from hpsearch.nn.activations import Array

EPSILON = 1e-5
PACE = 0.1  # of the running statistics; the first ten minibatches count alike


@dataclass(frozen=True)
class Normalized:
    """What forward leaves for backward: `hat` (K, O, N), the normalised z; `mean`, `variance` and
    `inverse`, that is 1 / sd, (K, O, 1) of the batch's units or (K, 1, N) of the layer's rows.
    """

    hat: Array
    mean: Array
    variance: Array
    inverse: Array

    @classmethod
    def for_(cls, z: Array, kind: str) -> "Normalized":
        trials, units, rows = z.shape
        shape = (trials, units, 1) if kind == "batch" else (trials, 1, rows)
        return cls(np.empty_like(z), *(np.empty(shape, z.dtype) for _ in range(3)))


class Normalization(NamedTuple):
    """`mean(array, out)` fills `out` with the means along what it normalises; `backward(grad,
    normalized, gamma, summed)` turns `grad` (K, O, N), the gradient with respect to gamma hat +
    beta, into that with respect to z. `summed` are the gradients with respect to gamma and beta,
    each (K, O, 1): grad times hat and grad, summed over the rows. `hat` is spent.
    """

    mean: Callable[[Array, Array], None]
    backward: Callable[[Array, Normalized, Array, tuple[Array, Array]], None]


def normalize(kind: str, z: Array, found: Normalized) -> None:
    """Fills `found` from z (K, O, N), which is spent. The variance is that of the differences
    from the mean: the mean square less the squared mean would cancel.
    """
    mean = NORMALIZATIONS[kind].mean
    mean(z, found.mean)
    np.subtract(z, found.mean, out=found.hat)
    np.multiply(found.hat, found.hat, out=z)
    mean(z, found.variance)
    np.add(found.variance, EPSILON, out=found.inverse)
    np.sqrt(found.inverse, out=found.inverse)
    np.divide(1, found.inverse, out=found.inverse)
    np.multiply(found.hat, found.inverse, out=found.hat)


def standardize(z: Array, mean: Array, variance: Array) -> None:
    """z (K, O, N) <- (z - mean) / sd in place, with the running statistics (K, O, 1)."""
    z -= mean
    z /= np.sqrt(variance + EPSILON)


def track(running: tuple[Array, Array], found: Normalized, t: int) -> None:
    """Moves the running mean and variance (K, O, 1) towards those of minibatch t = 1, 2, ...; the
    variance is the unbiased one. A minibatch of one row has none, and is passed over.
    """
    rows = found.hat.shape[2]
    if rows == 1:
        return
    pace = max(PACE, 1 / t)
    for seen, now, correction in zip(
        running, (found.mean, found.variance), (1.0, rows / (rows - 1)), strict=True
    ):
        seen += pace * (correction * now - seen)


def _over_rows(array: Array, out: Array) -> None:
    np.matmul(array, np.ones((array.shape[2], 1), array.dtype), out=out)
    out /= array.shape[2]


def _over_units(array: Array, out: Array) -> None:
    np.matmul(np.ones((1, array.shape[1]), array.dtype), array, out=out)
    out /= array.shape[1]


def _batch_backward(
    grad: Array, found: Normalized, gamma: Array, summed: tuple[Array, Array]
) -> None:
    """dz = gamma (dy - mean(dy) - hat mean(dy hat)) / sd, the means over the rows."""
    dots, sums = summed
    rows = grad.shape[2]
    np.multiply(found.hat, dots / rows, out=found.hat)
    grad -= found.hat
    grad -= sums / rows
    grad *= gamma * found.inverse


def _layer_backward(
    grad: Array, found: Normalized, gamma: Array, summed: tuple[Array, Array]
) -> None:
    """dz = (dhat - mean(dhat) - hat mean(dhat hat)) / sd, dhat = gamma dy, the means over the
    units, which `summed` are not.
    """
    grad *= gamma
    _over_units(grad, found.mean)
    _over_units(grad * found.hat, found.variance)
    np.multiply(found.hat, found.variance, out=found.hat)
    grad -= found.hat
    grad -= found.mean
    grad *= found.inverse


NORMALIZATIONS = {
    "batch": Normalization(_over_rows, _batch_backward),
    "layer": Normalization(_over_units, _layer_backward),
}
