"""The loss on top of the network: softmax and cross-entropy, fused."""

import numpy as np
from numpy.typing import NDArray

from hpsearch.nn.activations import Array

FLOOR = -60.0  # below the largest logit: e^-60 is nothing beside 1, but e^-100 is a slow denormal


def softmax_cross_entropy(
    logits: Array, labels: NDArray[np.int64], *, gradient: bool = False
) -> NDArray[np.float64]:
    """-log p of every row's label, (K, N) in float64; p = softmax(logits).

    `logits` (K, C, N) is spent; `labels` (N,) are 0..C-1. With `gradient` it is left holding the
    gradient of the *mean* over the rows: (p - onehot) / N.
    """
    rows = len(labels)
    at_label = (slice(None), labels, np.arange(rows))
    logits -= np.maximum.reduce(logits, axis=1, keepdims=True)  # e^x cannot overflow
    label_logits = logits[at_label]
    np.maximum(logits, FLOOR, out=logits)
    np.exp(logits, out=logits)
    sums = np.add.reduce(logits, axis=1, keepdims=True)
    losses: NDArray[np.float64] = np.log(sums[:, 0]).astype(np.float64) - label_logits
    if gradient:
        sums *= rows
        logits /= sums
        logits[at_label] -= logits.dtype.type(1 / rows)
    return losses


def mean_rows(losses: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean over rows of (K, N), (K,). Contiguous float64: each trial's row is summed by
    itself, in an order that does not depend on K.
    """
    total: NDArray[np.float64] = np.add.reduce(np.ascontiguousarray(losses), axis=1)
    total /= losses.shape[1]
    return total
