"""Optimizers: each a pair of functions, its coefficients and its update, and a row in OPTIMIZERS.

The update is the equation of the paper on a block of the flat weights, in place: `w` and its
gradient `g` are (R, B), R trials by B consecutive numbers each; `state` are the optimizer's own
arrays of that shape; the coefficients are (R, 1); `g` and `scratch` (R, B) may be overwritten.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpsearch.nn.activations import Array

RATES = (
    "learning_rate", "weight_decay", "momentum", "beta1", "beta2", "epsilon",
    "decay_factor", "decay_epochs",
)  # fmt: skip
BLOCK = 16_384  # numbers per block: w, g, state and scratch together stay in the L2 cache
TINY = 1e-25

Coefficients = tuple[NDArray[np.float64], ...]
State = tuple[Array, ...]


class CohortRates(NamedTuple):
    """The numbers in which trials of a cohort differ, each (K,) in float64.

    `learning_rate` is the one in force at this step, the schedule already applied.
    """

    learning_rate: NDArray[np.float64]
    weight_decay: NDArray[np.float64]
    momentum: NDArray[np.float64]
    beta1: NDArray[np.float64]
    beta2: NDArray[np.float64]
    epsilon: NDArray[np.float64]
    decay_factor: NDArray[np.float64]
    decay_epochs: NDArray[np.float64]


class Optimizer(NamedTuple):
    """`coefficients(rates, t)` at step t = 1, 2, ...; `slots` is how many arrays of state;
    `reads` are the rates it uses besides the learning rate and the weight decay.
    """

    slots: int
    reads: tuple[str, ...]
    coefficients: Callable[[CohortRates, int], Coefficients]
    update: Callable[[Array, Array, State, State, Array], None]


def _sgd(w: Array, g: Array, state: State, coefficients: State, scratch: Array) -> None:
    """w <- w - lr g."""
    (lr,) = coefficients
    g *= lr
    w -= g


def _with_momentum(rates: CohortRates, t: int) -> Coefficients:
    return rates.momentum, rates.learning_rate


def _momentum(w: Array, g: Array, state: State, coefficients: State, scratch: Array) -> None:
    """v <- mu v - lr g;  w <- w + v (CS231n)."""
    (v,), (mu, lr) = state, coefficients
    v *= mu
    g *= lr
    v -= g
    w += v


def _nesterov(w: Array, g: Array, state: State, coefficients: State, scratch: Array) -> None:
    """v' <- mu v - lr g;  w <- w - mu v + (1 + mu) v' = w + mu v' - lr g (CS231n)."""
    (v,), (mu, lr) = state, coefficients
    v *= mu
    g *= lr
    v -= g
    np.multiply(v, mu, out=scratch)
    w += scratch
    w -= g


def _adam_coefficients(rates: CohortRates, t: int) -> Coefficients:
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


OPTIMIZERS = {
    "sgd": Optimizer(0, (), lambda rates, t: (rates.learning_rate,), _sgd),
    "momentum": Optimizer(1, ("momentum",), _with_momentum, _momentum),
    "nesterov": Optimizer(1, ("momentum",), _with_momentum, _nesterov),
    "adam": Optimizer(2, ("beta1", "beta2", "epsilon"), _adam_coefficients, _adam),
}


def blocks(trials: int, start: int, stop: int) -> Iterator[tuple[slice, slice]]:
    """Rows and columns that cut columns start..stop of (K, P) into pieces of about BLOCK."""
    width = max(1, min(stop - start, BLOCK))
    rows = BLOCK // width
    for row in range(0, trials, rows):
        for column in range(start, stop, width):
            yield slice(row, min(row + rows, trials)), slice(column, min(column + width, stop))


def flush(*arrays: Array) -> None:
    """Sets numbers below TINY to 0, in place. Strong decay shrinks weights geometrically into
    the denormal numbers, on which matrix products are thirty times slower; so far below the
    others they have no effect.
    """
    for array in arrays:
        for rows, columns in blocks(len(array), 0, array.shape[1]):
            part = array[rows, columns]
            small = np.abs(part) < TINY
            if small.any():
                part[small] = 0


def step(
    optimizer: Optimizer, w: Array, g: Array, state: State, rates: CohortRates, *,
    t: int, n_weights: int,
) -> None:  # fmt: skip
    """One update of a whole cohort, in place; `g` (K, P) is spent.

    The gradient of 0.5 weight_decay sum(W^2) is added to the first `n_weights` columns, the
    weights; the rest are biases, which do not decay.
    """
    coefficients = [c.astype(w.dtype)[:, None] for c in optimizer.coefficients(rates, t)]
    decay = rates.weight_decay.astype(w.dtype)[:, None]
    scratch = np.empty(BLOCK, w.dtype)
    for start, stop, decays in ((0, n_weights, decay.any()), (n_weights, w.shape[1], False)):
        for rows, columns in blocks(len(w), start, stop):
            w_, g_ = w[rows, columns], g[rows, columns]
            scratch_ = scratch[: w_.size].reshape(w_.shape)
            if decays:
                np.multiply(w_, decay[rows], out=scratch_)
                g_ += scratch_
            state_ = tuple(s[rows, columns] for s in state)
            optimizer.update(w_, g_, state_, tuple(c[rows] for c in coefficients), scratch_)
