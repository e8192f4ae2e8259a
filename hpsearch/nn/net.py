"""An architecture: its layers, its tensors, and how they are initialised."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpsearch.nn.activations import ACTIVATIONS
from hpsearch.nn.initializers import INITIALIZERS, Fan


class Tensor(NamedTuple):
    """One array of a trial: its `kind` is its field of Params, its shape (O, I) or (O, 1).

    What is not `learned` stays with the weights all the same: what batch normalization has seen,
    and slopes that are settings.
    """

    kind: str
    shape: tuple[int, int]
    learned: bool = True

    @property
    def length(self) -> int:
        return prod(self.shape)

    @property
    def decays(self) -> bool:
        """Whether weight decay is for it."""
        return self.kind == "weights"


@dataclass(frozen=True)
class Net:
    """A multi-layer perceptron: `sizes` are D, the hidden widths, C.

    `init_scale` None is the initializer's own default, `slope` None the activation's; `bias_init`
    is for the hidden layers; `last_bias` (C,) that of the last one, zeros where it is empty.
    """

    sizes: tuple[int, ...]
    activation: str = "relu"
    init: str = "kaiming"
    init_scale: float | None = None
    bias_init: float = 0.0
    normalization: str = "none"
    slope: float | None = None
    last_bias: tuple[float, ...] = ()

    @property
    def layers(self) -> list[tuple[int, int]]:
        """(I, O) of every layer's weights: a unit of several pieces has as many rows."""
        pieces = ACTIVATIONS[self.activation].pieces
        hidden = [(i, pieces * o) for i, o in pairwise(self.sizes[:-1])]
        return [*hidden, (self.sizes[-2], self.sizes[-1])]

    @property
    def tensors(self) -> list[Tensor]:
        """Every array of a trial, in the order in which they lie."""
        return list(self._tensors())

    def _tensors(self) -> Iterator[Tensor]:
        widths = [o for _, o in self.layers]
        yield from (Tensor("weights", (o, i)) for i, o in self.layers)
        yield from (Tensor("biases", (width, 1)) for width in widths)
        if self.normalization != "none":
            yield from (Tensor("gammas", (width, 1)) for width in widths[:-1])
        activation = ACTIVATIONS[self.activation]
        if activation.slope is not None:
            learned = activation.learned
            for width in self.sizes[1:-1]:
                yield Tensor("slopes", (width if learned else 1, 1), learned)
        if self.normalization == "batch":
            for kind in ("means", "variances"):
                yield from (Tensor(kind, (width, 1), learned=False) for width in widths[:-1])

    @property
    def lengths(self) -> list[int]:
        """How many numbers each tensor has."""
        return [tensor.length for tensor in self.tensors]

    @property
    def n_weights(self) -> int:
        return sum(map(prod, self.layers))

    @property
    def n_params(self) -> int:
        """P: what is learned."""
        return sum(tensor.length for tensor in self.tensors if tensor.learned)

    @property
    def n_numbers(self) -> int:
        """All numbers of a trial, the P learned ones among them."""
        return sum(self.lengths)

    @property
    def first_slope(self) -> float:
        """The slope, or where learning starts from it; 0 for activations that have none."""
        default = ACTIVATIONS[self.activation].slope or 0.0
        return default if self.slope is None else self.slope


def initialize(net: Net, rng: np.random.Generator) -> NDArray[np.float64]:
    """One trial's initial numbers, (n_numbers,), its weights drawn layer by layer."""
    draw, default = INITIALIZERS[net.init]
    scale = default if net.init_scale is None else net.init_scale
    leak = net.first_slope if net.activation in ("leaky_relu", "prelu") else 0.0
    weights = (draw(rng, Fan(i, o, leak), scale) for i, o in net.layers)
    biases = [net.bias_init] * (len(net.layers) - 1) + [0.0]
    start = {
        "weights": weights,
        "biases": (np.full(o, bias) for (_, o), bias in zip(net.layers, biases, strict=True)),
    }
    constants = {"gammas": 1.0, "slopes": net.first_slope, "means": 0.0, "variances": 1.0}
    parts = [
        next(start[kind]).ravel() if kind in start else np.full(prod(shape), constants[kind])
        for kind, shape, _ in net.tensors
    ]
    flat = np.concatenate(parts)
    if net.last_bias:
        end = net.n_weights + sum(o for _, o in net.layers)
        flat[end - net.sizes[-1] : end] = net.last_bias
    return flat
