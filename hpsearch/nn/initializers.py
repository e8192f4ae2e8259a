"""Initial weights: how each layer's are drawn, a function per initializer in INITIALIZERS."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Weights = NDArray[np.float64]


class Fan(NamedTuple):
    """Inputs and outputs of a layer, and the slope below 0 of the activation behind it."""

    inputs: int
    outputs: int
    slope: float = 0.0


class Initializer(NamedTuple):
    """`draw(rng, fan, scale)` is one weight matrix (O, I) in float64.

    `scale` is the config's `init_scale`; left out there, it is `default_scale`.
    """

    draw: Callable[[np.random.Generator, Fan, float], Weights]
    default_scale: float


def _normal(rng: np.random.Generator, fan: Fan, std: float) -> Weights:
    return std * rng.standard_normal((fan.outputs, fan.inputs))


def _constant(rng: np.random.Generator, fan: Fan, scale: float) -> Weights:
    """Every weight is `scale`: all units stay identical. Here to show that it fails."""
    return np.full((fan.outputs, fan.inputs), scale)


def _xavier(rng: np.random.Generator, fan: Fan, scale: float) -> Weights:
    """N(0, 1/fan_in), CS231n's form of Glorot & Bengio 2010; for tanh and sigmoid."""
    return _normal(rng, fan, scale * math.sqrt(1 / fan.inputs))


def _glorot(rng: np.random.Generator, fan: Fan, scale: float) -> Weights:
    """N(0, 2/(fan_in + fan_out)), Glorot & Bengio 2010's own compromise with the gradients."""
    return _normal(rng, fan, scale * math.sqrt(2 / (fan.inputs + fan.outputs)))


def _kaiming(rng: np.random.Generator, fan: Fan, scale: float) -> Weights:
    """N(0, 2/((1 + slope^2) fan_in)), He et al. 2015; for the ReLU family."""
    return _normal(rng, fan, scale * math.sqrt(2 / ((1 + fan.slope**2) * fan.inputs)))


INITIALIZERS = {
    "constant": Initializer(_constant, 0.01),
    "small": Initializer(_normal, 0.01),  # N(0, scale^2)
    "xavier": Initializer(_xavier, 1.0),
    "glorot": Initializer(_glorot, 1.0),
    "kaiming": Initializer(_kaiming, 1.0),
    "lecun": Initializer(_xavier, 1.0),  # LeCun et al. 1998: 1/fan_in too, the name SELU knows
}
