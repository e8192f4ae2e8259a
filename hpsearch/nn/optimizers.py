"""Optimizers: each a function or two with the equation of its paper, and a row in OPTIMIZERS.

A linear one (sgd, momentum, nesterov) is a matrix: its new weights and velocities are linear in
the old ones and the gradient, so that an update is one product instead of six passes over the
weights. The others are in-place passes. Both go block by block, so that a block stays in cache.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpsearch.nn.activations import Array
from hpsearch.nn.params import Memory

RATES = (
    "learning_rate", "weight_decay", "momentum", "beta1", "beta2", "epsilon",
    "decay_factor", "decay_epochs",
)  # fmt: skip
BLOCK = 32_768  # numbers per block: w, g, state and scratch together stay in the L2 cache
TINY = 1e-25

Numbers = NDArray[np.float64]
State = tuple[Array, ...]


class CohortRates(NamedTuple):
    """The numbers in which trials of a cohort differ, each (K,) in float64.

    `learning_rate` is the one in force at this step, the schedule already applied.
    """

    learning_rate: Numbers
    weight_decay: Numbers
    momentum: Numbers
    beta1: Numbers
    beta2: Numbers
    epsilon: Numbers
    decay_factor: Numbers
    decay_epochs: Numbers


@dataclass(frozen=True)
class Linear:
    """`rows(rates, decay)` are the rows of the update's matrix, one for the weights and one for
    each array of state: the new ones from the old ones and the gradient, each entry (K,). The
    `decay` (K,) is the factor of 0.5 sum(W^2) in the loss; for biases it is 0.
    """

    slots: int
    reads: tuple[str, ...]
    rows: Callable[[CohortRates, Numbers], list[list[Numbers]]]

    def step(self, memory: Memory, rates: CohortRates, t: int) -> None:
        """One update of the cohort; gradients stay as they are."""
        scratch = np.empty((self.slots + 1) * BLOCK, memory.tensors[0].dtype)
        for tensor, matrix in zip(memory.tensors, self._matrices(memory, rates), strict=True):
            for trials, columns in blocks(*tensor.shape[1:]):
                old = tensor[:, trials, columns].swapaxes(0, 1)
                new = scratch[: old[:, 1:].size].reshape(old[:, 1:].shape)
                np.matmul(matrix[trials], old, out=new)
                old[:, :-1] = new

    def _matrices(self, memory: Memory, rates: CohortRates) -> list[Array]:
        """The matrix of every tensor, (K, S + 1, S + 2); made anew only when the rates are new."""
        if memory.prepared[0] is not rates:
            none = np.zeros_like(rates.weight_decay)
            found = {
                decays: np.array(self.rows(rates, decay), memory.tensors[0].dtype)
                for decays, decay in ((True, rates.weight_decay), (False, none))
            }
            matrices = [np.moveaxis(found[decays], 2, 0).copy() for decays in memory.decaying]
            memory.prepared = rates, matrices
        return memory.prepared[1]


@dataclass(frozen=True)
class Elementwise:
    """`coefficients(rates, t)` at step t = 1, 2, ..., each (K,); `update(w, g, state,
    coefficients, scratch)` is the equation on a block, in place: all arrays are (R, B), R trials
    by B consecutive numbers each, the coefficients (R, 1); `g` and `scratch` may be overwritten.
    """

    slots: int
    reads: tuple[str, ...]
    coefficients: Callable[[CohortRates, int], tuple[Numbers, ...]]
    update: Callable[[Array, Array, State, State, Array], None]

    def step(self, memory: Memory, rates: CohortRates, t: int) -> None:
        """One update of the cohort; the gradient of 0.5 weight_decay sum(W^2) is added first."""
        dtype = memory.tensors[0].dtype
        coefficients = [c.astype(dtype)[:, None] for c in self.coefficients(rates, t)]
        decay, scratch = rates.weight_decay.astype(dtype)[:, None], np.empty(BLOCK, dtype)
        for tensor, decays in zip(memory.tensors, memory.decaying, strict=True):
            for trials, columns in blocks(*tensor.shape[1:]):
                w, *state, g = tensor[:, trials, columns]
                scratch_ = scratch[: w.size].reshape(w.shape)
                if decays:
                    np.multiply(w, decay[trials], out=scratch_)
                    g += scratch_
                self.update(w, g, tuple(state), tuple(c[trials] for c in coefficients), scratch_)


Optimizer = Linear | Elementwise


def _sgd(rates: CohortRates, decay: Numbers) -> list[list[Numbers]]:
    """w <- w - lr (g + decay w)."""
    lr = rates.learning_rate
    return [[1 - lr * decay, -lr]]


def _momentum(rates: CohortRates, decay: Numbers) -> list[list[Numbers]]:
    """v' <- mu v - lr (g + decay w);  w <- w + v' (CS231n)."""
    lr, mu = rates.learning_rate, rates.momentum
    v = [-lr * decay, mu, -lr]
    return [[1 + v[0], v[1], v[2]], v]


def _nesterov(rates: CohortRates, decay: Numbers) -> list[list[Numbers]]:
    """v' <- mu v - lr (g + decay w);  w <- w - mu v + (1 + mu) v' (CS231n)."""
    lr, mu = rates.learning_rate, rates.momentum
    v = [-lr * decay, mu, -lr]
    return [[1 + (1 + mu) * v[0], (1 + mu) * v[1] - mu, (1 + mu) * v[2]], v]


def _adam_coefficients(rates: CohortRates, t: int) -> tuple[Numbers, ...]:
    beta1, beta2 = rates.beta1, rates.beta2
    rate = rates.learning_rate / (1 - beta1**t)
    return beta1, 1 - beta1, beta2, 1 - beta2, rate, (1 - beta2**t) ** -0.5, rates.epsilon


def _adam(w: Array, g: Array, state: State, coefficients: State, scratch: Array) -> None:
    """m <- b1 m + (1-b1) g;  v <- b2 v + (1-b2) g^2;  w <- w - lr m^ / (sqrt(v^) + eps).

    m^ = m / (1 - b1^t) and v^ = v / (1 - b2^t) (Kingma & Ba 2015).
    """
    (m, v), (b1, one_b1, b2, one_b2, rate, unbias_v, eps) = state, coefficients
    m *= b1
    np.multiply(g, one_b1, out=scratch)
    m += scratch
    v *= b2
    g *= g
    g *= one_b2
    v += g
    np.sqrt(v, out=g)
    g *= unbias_v
    g += eps
    np.divide(m, g, out=scratch)
    scratch *= rate
    w -= scratch


OPTIMIZERS: dict[str, Optimizer] = {
    "sgd": Linear(0, (), _sgd),
    "momentum": Linear(1, ("momentum",), _momentum),
    "nesterov": Linear(1, ("momentum",), _nesterov),
    "adam": Elementwise(2, ("beta1", "beta2", "epsilon"), _adam_coefficients, _adam),
}


def blocks(trials: int, length: int) -> Iterator[tuple[slice, slice]]:
    """Rows and columns that cut (K, n) into pieces of about BLOCK."""
    width = min(length, BLOCK)
    rows = BLOCK // width
    for row in range(0, trials, rows):
        for column in range(0, length, width):
            yield slice(row, min(row + rows, trials)), slice(column, min(column + width, length))


def flush(memory: Memory) -> None:
    """Sets numbers below TINY to 0, in place. Strong decay shrinks weights geometrically into
    the denormal numbers, on which matrix products are thirty times slower; so far below the
    others they have no effect.
    """
    for array in (row for rows in memory.tensors for row in rows[:-1]):
        for rows, columns in blocks(*array.shape):
            part = array[rows, columns]
            small = np.abs(part) < TINY
            if small.any():
                part[small] = 0
