"""An architecture: its layers, its tensors, and how they are initialised."""

from dataclasses import dataclass
from itertools import pairwise
from math import prod

import numpy as np
from numpy.typing import NDArray

from hpsearch.nn.initializers import INITIALIZERS


@dataclass(frozen=True)
class Net:
    """A multi-layer perceptron: `sizes` are D, the hidden widths, C.

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
    def tensors(self) -> list[tuple[int, int]]:
        """The shape of every learnable tensor: weights (O, I), then biases (O, 1)."""
        return [*((o, i) for i, o in self.layers), *((width, 1) for width in self.sizes[1:])]

    @property
    def lengths(self) -> list[int]:
        """How many numbers each tensor has."""
        return [prod(shape) for shape in self.tensors]

    @property
    def n_weights(self) -> int:
        return sum(map(prod, self.layers))

    @property
    def n_params(self) -> int:
        """P: weights and biases."""
        return sum(self.lengths)


def initialize(net: Net, rng: np.random.Generator) -> NDArray[np.float64]:
    """One trial's initial weights and biases, (P,), drawn layer by layer."""
    draw, default = INITIALIZERS[net.init]
    scale = default if net.init_scale is None else net.init_scale
    weights = [draw(rng, i, o, scale).ravel() for i, o in net.layers]
    biases = [np.full(width, net.bias_init) for width in net.sizes[1:-1]]
    return np.concatenate([*weights, *biases, np.zeros(net.sizes[-1])])
