"""The losses on top of the network, each a function and a row in LOSSES."""

import math
from collections.abc import Callable
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from hpsearch.nn.activations import Array

FLOOR = -60.0  # below the largest logit: e^-60 is nothing beside 1, but e^-100 is a slow denormal
MARGIN = 1.0

Losses = NDArray[np.float64]
Labels = NDArray[np.int64]
Shares = NDArray[np.float64]


class Function(Protocol):
    """The loss of every row, (K, N) in float64, from the logits (K, C, N), which are spent, and
    the labels (N,), 0..C-1. With `gradient` the logits are left holding the gradient of the *mean*
    over the rows.
    """

    def __call__(
        self, logits: Array, labels: Labels, smoothing: Array | None = None, *,
        gradient: bool = False,
    ) -> Losses: ...  # fmt: skip


class Constant(Protocol):
    """The least loss of an answer that ignores the input, for classes of these shares (C,)."""

    def __call__(self, shares: Shares, smoothing: float = 0.0) -> float: ...


class Loss(NamedTuple):
    """`constant(shares, smoothing)` is the least loss of an answer that ignores the input;
    `indifferent(C)` that of logits that are all alike, whatever the shares;
    `floor(C, smoothing)` the least of all, which smoothed labels keep above 0; `reads` are the
    settings that it depends on.
    `kinks(logits, labels)` says on which side of each kink a row is, None where there are none.
    """

    rows: Function
    indifferent: Callable[[int], float]
    constant: Constant
    floor: Callable[[int, float], float] = lambda classes, smoothing: 0.0
    reads: tuple[str, ...] = ()
    kinks: Callable[[Array, Labels], NDArray[np.bool_]] | None = None


def softmax_cross_entropy(
    logits: Array, labels: Labels, smoothing: Array | None = None, *, gradient: bool = False
) -> Losses:
    """-sum_c q_c log p_c, p = softmax(logits); the gradient is (p - q) / N.

    q is 1 at the label; with `smoothing` s (K,), 1 - s there and s/C more everywhere (Szegedy et
    al. 2016).
    """
    classes, rows = logits.shape[1:]
    at_label = (slice(None), labels, np.arange(rows))
    logits -= np.maximum.reduce(logits, axis=1, keepdims=True)  # e^x cannot overflow
    target = logits[at_label]
    if smoothing is not None:
        share = smoothing.astype(logits.dtype)[:, None]
        target *= 1 - share
        target += share / classes * np.add.reduce(logits, axis=1)
    np.maximum(logits, FLOOR, out=logits)
    np.exp(logits, out=logits)
    sums = np.add.reduce(logits, axis=1, keepdims=True)
    losses: Losses = np.log(sums[:, 0]).astype(np.float64) - target
    if gradient:
        sums *= rows
        logits /= sums
        each = logits.dtype.type(1 / rows)
        if smoothing is None:
            logits[at_label] -= each
        else:
            logits[at_label] -= each * (1 - share)
            logits -= (each / classes * share)[:, None]
    return losses


def hinge(
    logits: Array, labels: Labels, smoothing: Array | None = None, *, gradient: bool = False
) -> Losses:
    """sum over j != y of max(0, s_j - s_y + 1) (Weston & Watkins 1999, CS231n's SVM).

    The gradient is 1/N for every class within the margin, and less the number of those at y.
    There is no smoothing of its labels.
    """
    rows = logits.shape[2]
    at_label = (slice(None), labels, np.arange(rows))
    logits -= logits[at_label][:, None]
    logits += MARGIN
    logits[at_label] = 0
    np.maximum(logits, 0, out=logits)
    losses: Losses = np.add.reduce(logits, axis=1).astype(np.float64)
    if gradient:
        np.sign(logits, out=logits)
        logits[at_label] = -np.add.reduce(logits, axis=1)
        logits *= logits.dtype.type(1 / rows)
    return losses


def _within(logits: Array, labels: Labels) -> NDArray[np.bool_]:
    own = logits[:, labels, np.arange(len(labels))][:, None]
    return np.asarray(logits - own + MARGIN > 0)


def _entropy(shares: Shares, smoothing: float = 0.0) -> float:
    """H(p) in nats, p the smoothed shares."""
    p = (1 - smoothing) * shares + smoothing / len(shares)
    present = p[p > 0]
    return float(-(present * np.log(present)).sum())


def _smoothed(classes: int, smoothing: float) -> float:
    """The entropy of one smoothed label."""
    return _entropy(np.eye(classes)[0], smoothing)


def _best_constant_margin(shares: Shares, smoothing: float = 0.0) -> float:
    """The m most frequent classes a margin above the others: m - 1 + C times the others' share,
    and the best m.
    """
    top = np.concatenate([[0.0], np.cumsum(np.sort(shares)[::-1])])
    ahead = np.arange(len(shares) + 1)
    return float((ahead - 1 + len(shares) * (1 - top)).min())


LOSSES = {
    "softmax": Loss(softmax_cross_entropy, math.log, _entropy, _smoothed, ("label_smoothing",)),
    "hinge": Loss(hinge, lambda classes: classes - 1.0, _best_constant_margin, kinks=_within),
}


def mean_rows(losses: Losses) -> Losses:
    """The mean over rows of (K, N), (K,). Contiguous float64: each trial's row is summed by
    itself, in an order that does not depend on K.
    """
    total: Losses = np.add.reduce(np.ascontiguousarray(losses), axis=1)
    total /= losses.shape[1]
    return total
