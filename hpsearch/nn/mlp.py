"""The multi-layer perceptron: forward and backward through a cohort of them.

Arrays are features first, (K, features, N): a layer is z = W a + b, sums over classes run along
contiguous rows, and the products fall into the forms that the matrix library does fastest.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpsearch.nn.activations import ACTIVATIONS, Array
from hpsearch.nn.net import Net
from hpsearch.nn.params import Params
from hpsearch.nn.products import Batch, correlate, project


@dataclass(frozen=True)
class Tape:
    """What backward needs from forward, in buffers that are used again for every minibatch.

    For each layer `a` (K, O, N), its output, and `grad` (K, O, N), the gradient of the loss with
    respect to its z. The last layer has no activation: its output are the logits, and their
    gradient comes to lie in the same place. Each trial's part is contiguous whatever K is: a
    kernel may be chosen by a stride, and a stride with K in it would show in the bits.
    """

    a: tuple[Array, ...]
    grad: tuple[Array, ...]
    ones: Array

    @classmethod
    def for_(cls, net: Net, trials: int, rows: int, dtype: type[np.floating]) -> "Tape":
        """Buffers for K = `trials` and N = `rows`."""
        *hidden, classes = net.sizes[1:]
        a, grad = (
            [np.empty((trials, width, rows), dtype) for width in hidden] for _ in range(2)
        )
        logits = np.empty((trials, classes, rows), dtype)
        return cls((*a, logits), (*grad, logits), np.ones((rows, 1), dtype))

    @property
    def logits(self) -> Array:
        """(K, C, N)."""
        return self.a[-1]


def forward(net: Net, params: Params, x: Batch, tape: Tape) -> Array:
    """The logits (K, C, N) of the shared minibatch: z = W a + b, a = f(z)."""
    activate = ACTIVATIONS[net.activation].forward
    for layer, (w, b) in enumerate(zip(params.weights, params.biases, strict=True)):
        z = tape.a[layer]
        if layer:
            np.matmul(w, tape.a[layer - 1], out=z)
        else:
            project(w, x, out=z)
        z += b
        if layer < len(tape.a) - 1:
            activate(z, z)
    return tape.logits


def backward(net: Net, params: Params, grads: Params, x: Batch, tape: Tape) -> None:
    """Fills `grads` from tape.grad[-1], the gradient of the loss with respect to the logits.

    dW = dz a^T, db = sum over rows of dz, da = W^T dz, dz of the layer below = da f'(z).
    The activations on the tape are spent.
    """
    derive = ACTIVATIONS[net.activation].backward
    for layer in reversed(range(len(params.weights))):
        dz = tape.grad[layer]
        np.matmul(dz, tape.ones, out=grads.biases[layer])
        if not layer:
            correlate(dz, x, out=grads.weights[0])
            break
        below, a = tape.grad[layer - 1], tape.a[layer - 1]
        np.matmul(dz, a.swapaxes(1, 2), out=grads.weights[layer])
        np.matmul(params.weights[layer].swapaxes(1, 2), dz, out=below)
        derive(below, a)


def penalty(params: Params, weight_decay: Array) -> NDArray[np.float64]:
    """0.5 weight_decay sum(W^2) of each trial, (K,): all weights, no bias."""
    squares = np.zeros(len(weight_decay))
    for w in params.weights:
        rows = w.reshape(len(w), -1).astype(np.float64)
        squares += [row @ row for row in rows]
    return np.asarray(0.5 * weight_decay * squares, np.float64)
