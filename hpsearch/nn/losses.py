"""The loss on top of the network: softmax and cross-entropy, fused."""

import numpy as np
from numpy.typing import NDArray

from hpsearch.nn.activations import Array

FEW_CLASSES = 32
FLOOR = -60.0  # below the largest logit: e^-60 is nothing beside 1, but e^-100 is a slow denormal


def softmax_cross_entropy(
    logits: Array, labels: NDArray[np.int64], grad: Array | None = None
) -> NDArray[np.float64]:
    """-log p of every row's label, (K, N) in float64; p = softmax(logits).

    `logits` (K, N, C) is spent; `labels` (N,) are 0..C-1. Given `grad` (K, N, C), fills it with
    the gradient of the *mean* over the rows: (p - onehot) / N.
    """
    trials, rows, classes = logits.shape
    at_label = np.arange(rows) * classes + labels
    logits -= _row_max(logits)  # e^x cannot overflow
    label_logits = logits.reshape(trials, -1)[:, at_label]
    np.maximum(logits, FLOOR, out=logits)
    np.exp(logits, out=logits)
    sums = logits @ np.ones((classes, 1), logits.dtype)
    losses: NDArray[np.float64] = np.log(sums[..., 0]).astype(np.float64) - label_logits
    if grad is not None:
        np.divide(logits, sums, out=grad)
        grad.reshape(trials, -1)[:, at_label] -= 1
        grad *= grad.dtype.type(1 / rows)
    return losses


def _row_max(logits: Array) -> Array:
    """The largest logit of every row, (K, N, 1). Class by class, since NumPy's reduction over a
    short last axis costs eight times as much.
    """
    if logits.shape[-1] > FEW_CLASSES:
        return np.asarray(logits.max(axis=-1, keepdims=True))
    largest = logits[..., 0].copy()
    for c in range(1, logits.shape[-1]):
        np.maximum(largest, logits[..., c], out=largest)
    return np.expand_dims(largest, -1)


def mean_rows(losses: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean over rows of (K, N), (K,). Contiguous float64: each trial's row is summed by
    itself, in an order that does not depend on K.
    """
    total: NDArray[np.float64] = np.add.reduce(np.ascontiguousarray(losses), axis=1)
    total /= losses.shape[1]
    return total
