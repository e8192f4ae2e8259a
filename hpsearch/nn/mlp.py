"""The multi-layer perceptron: forward and backward through a cohort of them.

Arrays are features first, (K, features, N): a layer is z = W a + b, sums over classes run along
contiguous rows, and the products fall into the forms that the matrix library does fastest.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hpsearch.nn.activations import ACTIVATIONS, Array
from hpsearch.nn.net import Net
from hpsearch.nn.normalization import NORMALIZATIONS, Normalized, normalize, standardize, track
from hpsearch.nn.params import Params
from hpsearch.nn.products import Batch, correlate, project

NO_SLOPE = np.zeros((1, 1, 1), np.float32)


@dataclass(frozen=True)
class Tape:
    """What backward needs from forward, in buffers that are used again for every minibatch.

    For each hidden layer `z` (K, pieces O, N), the activation's input, and `a` (K, O, N), its
    output, the same array where the activation needs no z; `grad` (K, O, N), the gradient of the
    loss with respect to a, then to z. The last layer has no activation: z and a are the logits,
    and their gradient comes to lie in the same place. Each trial's part is contiguous whatever K
    is: a kernel may be chosen by a stride, and a stride with K in it would show in the bits.

    Where there is a place for what is `normalized`, normalization goes by these very rows; else,
    batch normalization outside of training, by the running statistics. `masks` (K, O, N), if there
    are any, multiply a into `out`, what the next layer sees; else `out` is a.
    """

    z: tuple[Array, ...]
    a: tuple[Array, ...]
    out: tuple[Array, ...]
    grad: tuple[Array, ...]
    ones: Array
    normalized: tuple[Normalized, ...] = ()
    masks: tuple[Array, ...] = ()

    @classmethod
    def for_(
        cls, net: Net, trials: int, rows: int, dtype: type[np.floating], *, train: bool = True
    ) -> "Tape":
        """Buffers for K = `trials` and N = `rows`."""
        activation = ACTIVATIONS[net.activation]
        widths = net.sizes[1:]
        a, grad = ([np.empty((trials, o, rows), dtype) for o in widths] for _ in range(2))
        z, grad[-1] = list(a), a[-1]
        if activation.keeps:
            z[:-1] = [np.empty((trials, o, rows), dtype) for _, o in net.layers[:-1]]
        found: tuple[Normalized, ...] = ()
        if net.normalization == "layer" or (train and net.normalization == "batch"):
            found = tuple(Normalized.for_(each, net.normalization) for each in z[:-1])
        ones = np.ones((rows, 1), dtype)
        return cls(tuple(z), tuple(a), tuple(a), tuple(grad), ones, found)

    def with_masks(self, masks: tuple[Array, ...]) -> "Tape":
        """The same buffers with dropout: a mask (K, O, N) for each hidden layer."""
        dropped = (np.empty_like(a) for a in self.a[:-1])
        return replace(self, masks=masks, out=(*dropped, self.a[-1]))

    @property
    def logits(self) -> Array:
        """(K, C, N)."""
        return self.a[-1]


def forward(net: Net, params: Params, x: Batch, tape: Tape) -> Array:
    """The logits (K, C, N) of the shared minibatch: z = W a + b, a = f(z)."""
    last = len(tape.a) - 1
    for layer, (w, b) in enumerate(zip(params.weights, params.biases, strict=True)):
        z = tape.z[layer]
        if layer:
            np.matmul(w, tape.out[layer - 1], out=z)
        else:
            project(w, x, out=z)
        if layer < last and net.normalization != "none":
            _normalize(net, params, tape, layer)
        z += b
        if layer < last:
            _activate(net, params, tape, layer)
    return tape.logits


def _normalize(net: Net, params: Params, tape: Tape, layer: int) -> None:
    """z <- gamma (z - mean) / sd."""
    z = tape.z[layer]
    if tape.normalized:
        found = tape.normalized[layer]
        normalize(net.normalization, z, found)
        np.multiply(found.hat, params.gammas[layer], out=z)
    else:
        standardize(z, params.means[layer], params.variances[layer])
        z *= params.gammas[layer]


def _activate(net: Net, params: Params, tape: Tape, layer: int) -> None:
    """a = f(z), then dropout."""
    slope = params.slopes[layer] if params.slopes else NO_SLOPE
    ACTIVATIONS[net.activation].forward(tape.z[layer], tape.a[layer], slope)
    if tape.masks:
        np.multiply(tape.a[layer], tape.masks[layer], out=tape.out[layer])


def backward(net: Net, params: Params, grads: Params, x: Batch, tape: Tape) -> None:
    """Fills `grads` from tape.grad[-1], the gradient of the loss with respect to the logits.

    dW = dz a^T, db = sum over rows of dz, da = W^T dz, dz of the layer below = da f'(z).
    The activations on the tape are spent.
    """
    dz = tape.grad[-1]
    np.matmul(dz, tape.ones, out=grads.biases[-1])
    for layer in range(len(params.weights) - 1, 0, -1):
        below = tape.grad[layer - 1]
        np.matmul(dz, tape.out[layer - 1].swapaxes(1, 2), out=grads.weights[layer])
        np.matmul(params.weights[layer].swapaxes(1, 2), dz, out=below)
        dz = _through(net, params, grads, tape, layer - 1)
    correlate(dz, x, out=grads.weights[0])


def _through(net: Net, params: Params, grads: Params, tape: Tape, layer: int) -> Array:
    """The gradient with respect to a layer's product W a, from that with respect to its output:
    back through dropout, activation and normalization.
    """
    grad, z, a = tape.grad[layer], tape.z[layer], tape.a[layer]
    activation = ACTIVATIONS[net.activation]
    if tape.masks:
        grad *= tape.masks[layer]
    if activation.slope_gradient:
        np.matmul(activation.slope_gradient(grad, z), tape.ones, out=grads.slopes[layer])
    slope = params.slopes[layer] if params.slopes else NO_SLOPE
    dz = activation.backward(grad, z, a, slope)
    np.matmul(dz, tape.ones, out=grads.biases[layer])
    if net.normalization != "none":
        found, gamma = tape.normalized[layer], params.gammas[layer]
        product = np.multiply(dz, found.hat, out=None if dz is z else z)
        np.matmul(product, tape.ones, out=grads.gammas[layer])
        summed = grads.gammas[layer], grads.biases[layer]
        NORMALIZATIONS[net.normalization].backward(dz, found, gamma, summed)
    return dz


def follow(params: Params, tape: Tape, t: int) -> None:
    """Lets the running statistics of batch normalization follow minibatch t = 1, 2, ..."""
    for *running, found in zip(params.means, params.variances, tape.normalized, strict=False):
        track((running[0], running[1]), found, t)


def penalty(params: Params, weight_decay: Array) -> NDArray[np.float64]:
    """0.5 weight_decay sum(W^2) of each trial, (K,): all weights, no bias."""
    squares = np.zeros(len(weight_decay))
    for w in params.weights:
        squares += [row @ row for row in (each.ravel().astype(np.float64) for each in w)]
    return np.asarray(0.5 * weight_decay * squares, np.float64)
