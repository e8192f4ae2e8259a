"""Optimizers: each a function or two with the equation of its paper, and a row in OPTIMIZERS.

A linear one (sgd, momentum, nesterov) is a matrix: its new weights and velocities are linear in
the old ones and the gradient, so that an update is one product instead of six passes over the
weights. The others are in-place passes. Both go block by block, so that a block stays in cache.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from hpsearch.nn.activations import Array
from hpsearch.nn.params import Memory

RATES = (
    "learning_rate", "weight_decay", "momentum", "beta1", "beta2", "epsilon",
    "decay_factor", "decay_epochs", "pct_start", "warmup_epochs", "dropout",
    "label_smoothing",
)  # fmt: skip

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
    pct_start: Numbers
    warmup_epochs: Numbers
    dropout: Numbers
    label_smoothing: Numbers


@dataclass(frozen=True)
class Linear:
    """`rows(rates, decay)` are the rows of the update's matrix, one for the weights and one for
    each array of state: the new ones from the old ones and the gradient, each entry (K,). The
    `decay` (K,) is the factor of 0.5 sum(W^2) in the loss; for biases it is 0.
    """

    slots: int
    reads: tuple[str, ...]
    rows: Callable[[CohortRates, Numbers], list[list[Numbers]]]
    steady: ClassVar[bool] = True  # what is prepared serves as long as the rates are the same
    decoupled: ClassVar[bool] = False

    def prepare(self, rates: CohortRates, t: int, dtype: DTypeLike) -> list[Array]:
        """The matrix for biases and that for weights, (K, S + 1, S + 2)."""
        none = np.zeros_like(rates.weight_decay)
        both = (self.rows(rates, decay) for decay in (none, rates.weight_decay))
        return [np.moveaxis(np.array(rows, dtype), 2, 0).copy() for rows in both]

    def apply(self, memory: Memory, prepared: list[Array]) -> None:
        """One update of the cohort."""
        for trials, rows, scratch, decays in memory.blocks:
            matrix, new = prepared[decays][trials], scratch.swapaxes(0, 1)
            np.matmul(matrix, rows.swapaxes(0, 1), out=new)
            rows[:-1] = scratch


@dataclass(frozen=True)
class Elementwise:
    """`coefficients(rates, t)` at step t = 1, 2, ..., each (K,); `update(w, g, state,
    coefficients, scratch)` is the equation on a block, in place: all arrays are (R, B), R trials
    by B consecutive numbers each, the coefficients (R, 1); `g` and `scratch` may be overwritten.

    Weight decay is the gradient of 0.5 weight_decay sum(W^2), added to g; where it is `decoupled`
    it is no part of the loss, and the weights shrink before the update: w <- w - lr decay w.
    """

    slots: int
    reads: tuple[str, ...]
    coefficients: Callable[[CohortRates, int], tuple[Numbers, ...]]
    update: Callable[[Array, Array, State, State, Array], None]
    decoupled: bool = False
    steady: ClassVar[bool] = False

    def prepare(self, rates: CohortRates, t: int, dtype: DTypeLike) -> list[Array]:
        """The decay and the coefficients of step t, each (K, 1)."""
        decay = rates.weight_decay * (rates.learning_rate if self.decoupled else 1)
        numbers = (decay, *self.coefficients(rates, t))
        return [column.astype(dtype)[:, None] for column in numbers]

    def apply(self, memory: Memory, prepared: list[Array]) -> None:
        """One update of the cohort, the decay first."""
        for trials, (w, *state, g), (scratch, *_), decays in memory.blocks:
            decay, *coefficients = (column[trials] for column in prepared)
            if decays:
                np.multiply(w, decay, out=scratch)
                if self.decoupled:
                    w -= scratch
                else:
                    g += scratch
            self.update(w, g, tuple(state), tuple(coefficients), scratch)


Optimizer = Linear | Elementwise


def _sgd(rates: CohortRates, decay: Numbers) -> list[list[Numbers]]:
    """w <- w - lr (g + decay w)."""
    lr = rates.learning_rate
    return [[1 - lr * decay, -lr]]


def _momentum(rates: CohortRates, decay: Numbers) -> list[list[Numbers]]:
    """v' <- mu v - lr (g + decay w);  w <- w + v' (CS231n).

    PyTorch's b' <- mu b + g, w <- w - lr b' is the same with v = -lr b for as long as the rate is;
    when it falls, here the velocity keeps the size that the earlier rates gave it.
    """
    lr, mu = rates.learning_rate, rates.momentum
    v = [-lr * decay, mu, -lr]
    return [[1 + v[0], v[1], v[2]], v]


def _nesterov(rates: CohortRates, decay: Numbers) -> list[list[Numbers]]:
    """v' <- mu v - lr (g + decay w);  w <- w - mu v + (1 + mu) v' (CS231n).

    PyTorch's b' <- mu b + g, w <- w - lr (g + mu b') is, with v = -lr b and so -lr g = v' - mu v,
    the same for as long as the rate is. Both keep not Nesterov's point but the one ahead of it.
    """
    lr, mu = rates.learning_rate, rates.momentum
    v = [-lr * decay, mu, -lr]
    return [[1 + (1 + mu) * v[0], (1 + mu) * v[1] - mu, (1 + mu) * v[2]], v]


def _adagrad_coefficients(rates: CohortRates, t: int) -> tuple[Numbers, ...]:
    return rates.learning_rate, rates.epsilon


def _adagrad(w: Array, g: Array, state: State, coefficients: State, scratch: Array) -> None:
    """v <- v + g^2;  w <- w - lr g / (sqrt(v) + eps) (Duchi, Hazan & Singer 2011)."""
    (v,), (lr, eps) = state, coefficients
    np.multiply(g, g, out=scratch)
    v += scratch
    _scaled_step(w, g, v, (lr, eps), scratch)


def _rmsprop_coefficients(rates: CohortRates, t: int) -> tuple[Numbers, ...]:
    return rates.beta2, 1 - rates.beta2, rates.learning_rate, rates.epsilon


def _rmsprop(w: Array, g: Array, state: State, coefficients: State, scratch: Array) -> None:
    """v <- b2 v + (1-b2) g^2;  w <- w - lr g / (sqrt(v) + eps) (Tieleman & Hinton 2012).

    As in CS231n and PyTorch eps is outside the root, and v, which starts at 0, is not corrected.
    """
    (v,), (b2, one_b2, lr, eps) = state, coefficients
    np.multiply(g, g, out=scratch)
    scratch *= one_b2
    v *= b2
    v += scratch
    _scaled_step(w, g, v, (lr, eps), scratch)


def _scaled_step(w: Array, g: Array, v: Array, coefficients: State, scratch: Array) -> None:
    """w <- w - lr g / (sqrt(v) + eps)."""
    lr, eps = coefficients
    np.sqrt(v, out=scratch)
    scratch += eps
    np.divide(g, scratch, out=scratch)
    scratch *= lr
    w -= scratch


def _adam_coefficients(rates: CohortRates, t: int) -> tuple[Numbers, ...]:
    beta1, beta2 = rates.beta1, rates.beta2
    rate = rates.learning_rate / (1 - beta1**t)
    return beta1, 1 - beta1, beta2, 1 - beta2, rate, (1 - beta2**t) ** -0.5, rates.epsilon


def _adam(w: Array, g: Array, state: State, coefficients: State, scratch: Array) -> None:
    """m <- b1 m + (1-b1) g;  v <- b2 v + (1-b2) g^2;  w <- w - lr m^ / (sqrt(v^) + eps).

    m^ = m / (1 - b1^t) and v^ = v / (1 - b2^t) (Kingma & Ba 2015). AdamW (Loshchilov & Hutter
    2019) is the same with its decay decoupled.
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


ADAM_READS = ("beta1", "beta2", "epsilon")

OPTIMIZERS: dict[str, Optimizer] = {
    "sgd": Linear(0, (), _sgd),
    "momentum": Linear(1, ("momentum",), _momentum),
    "nesterov": Linear(1, ("momentum",), _nesterov),
    "adagrad": Elementwise(1, ("epsilon",), _adagrad_coefficients, _adagrad),
    "rmsprop": Elementwise(1, ("beta2", "epsilon"), _rmsprop_coefficients, _rmsprop),
    "adam": Elementwise(2, ADAM_READS, _adam_coefficients, _adam),
    "adamw": Elementwise(2, ADAM_READS, _adam_coefficients, _adam, decoupled=True),
}
