"""The multi-layer perceptron: a cohort's weights in one array, forward and backward through it."""

from dataclasses import dataclass
from itertools import pairwise
from math import prod

import numpy as np
from numpy.typing import NDArray

from hpsearch.nn.activations import ACTIVATIONS, Array
from hpsearch.nn.initializers import INITIALIZERS


@dataclass(frozen=True)
class Net:
    """An architecture and how it is initialised: `sizes` are D, the hidden widths, C.

    `init_scale` None is the initializer's own default; `bias_init` is for the hidden layers.
    """

    sizes: tuple[int, ...]
    activation: str = "relu"
    init: str = "kaiming"
    init_scale: float | None = None
    bias_init: float = 0.0

    @property
    def layers(self) -> list[tuple[int, int]]:
        """(I, O) of every layer."""
        return list(pairwise(self.sizes))

    @property
    def n_weights(self) -> int:
        return sum(map(prod, self.layers))

    @property
    def n_params(self) -> int:
        """P: weights and biases."""
        return self.n_weights + sum(self.sizes[1:])


@dataclass(frozen=True)
class Params:
    """A cohort's weights, or their gradients: views into `flat` (K, P), weights before biases.

    `weights[l]` is (K, I, O) and `biases[l]` (K, 1, O). One flat array makes an optimizer one
    equation, and dropping a trial one selection.
    """

    flat: Array
    weights: tuple[Array, ...]
    biases: tuple[Array, ...]

    @classmethod
    def over(cls, flat: Array, net: Net) -> "Params":
        """The views for `net` over `flat` (K, P), which is not copied."""
        shapes = [*net.layers, *((1, width) for width in net.sizes[1:])]
        stops = np.cumsum([prod(shape) for shape in shapes])
        views = [
            flat[:, stop - prod(shape) : stop].reshape(len(flat), *shape)
            for shape, stop in zip(shapes, stops, strict=True)
        ]
        return cls(flat, tuple(views[: len(net.layers)]), tuple(views[len(net.layers) :]))


def initialize(net: Net, rng: np.random.Generator) -> NDArray[np.float64]:
    """One trial's initial weights and biases, (P,), drawn layer by layer."""
    draw, default = INITIALIZERS[net.init]
    scale = default if net.init_scale is None else net.init_scale
    weights = [draw(rng, i, o, scale).ravel() for i, o in net.layers]
    biases = [np.full(width, net.bias_init) for width in net.sizes[1:-1]]
    return np.concatenate([*weights, *biases, np.zeros(net.sizes[-1])])


@dataclass(frozen=True)
class Tape:
    """What backward needs from forward, in buffers that are used again for every minibatch.

    For each layer `z` (K, N, O) before the activation, `a` (K, N, O) after it and `grad`
    (K, N, O), the gradient of the loss with respect to z. The last layer has no activation: its
    z are the logits, and its `a` is not used.
    """

    z: tuple[Array, ...]
    a: tuple[Array, ...]
    grad: tuple[Array, ...]
    ones: Array

    @classmethod
    def for_(cls, net: Net, trials: int, rows: int, dtype: type[np.floating]) -> "Tape":
        """Buffers for K = `trials` and N = `rows`."""

        def buffers(widths: tuple[int, ...]) -> tuple[Array, ...]:
            return tuple(np.empty((trials, rows, width), dtype) for width in widths)

        hidden, every = net.sizes[1:-1], net.sizes[1:]
        return cls(buffers(every), buffers(hidden), buffers(every), np.ones((1, rows), dtype))


def forward(net: Net, params: Params, x: Array, tape: Tape) -> Array:
    """The logits (K, N, C) of the shared minibatch `x` (N, D): z = a W + b, a = f(z)."""
    activate = ACTIVATIONS[net.activation].forward
    inputs = x
    for layer, (w, b) in enumerate(zip(params.weights, params.biases, strict=True)):
        np.matmul(inputs, w, out=tape.z[layer])
        np.add(tape.z[layer], b, out=tape.z[layer])
        if layer < len(tape.a):
            activate(tape.z[layer], tape.a[layer])
            inputs = tape.a[layer]
    return tape.z[-1]


def backward(net: Net, params: Params, grads: Params, x: Array, tape: Tape) -> None:
    """Fills `grads` from tape.grad[-1], the gradient of the loss with respect to the logits.

    dW = a^T dz, db = sum over rows of dz, da = dz W^T, dz of the layer below = da f'(z).
    """
    derive = ACTIVATIONS[net.activation].backward
    for layer in reversed(range(len(params.weights))):
        dz = tape.grad[layer]
        inputs = tape.a[layer - 1] if layer else x
        np.matmul(inputs.swapaxes(-1, -2), dz, out=grads.weights[layer])
        np.matmul(tape.ones, dz, out=grads.biases[layer])
        if layer:
            below = tape.grad[layer - 1]
            np.matmul(dz, params.weights[layer].swapaxes(-1, -2), out=below)
            derive(below, tape.a[layer - 1], tape.z[layer - 1])


def penalty(net: Net, params: Params, weight_decay: Array) -> NDArray[np.float64]:
    """0.5 weight_decay sum(W^2) of each trial, (K,): all weights, no bias."""
    weights = params.flat[:, : net.n_weights].astype(np.float64)
    squares = np.array([row @ row for row in weights], np.float64)
    return np.asarray(0.5 * weight_decay * squares, np.float64)
