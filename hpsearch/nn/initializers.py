"""Initial weights: how each layer's are drawn, a function per initializer in INITIALIZERS."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Initializer(NamedTuple):
    """`draw(rng, fan_in, fan_out, scale)` is one weight matrix (O, I) in float64.

    `scale` is the config's `init_scale`; left out there, it is `default_scale`.
    """

    draw: Callable[[np.random.Generator, int, int, float], NDArray[np.float64]]
    default_scale: float


def _constant(
    rng: np.random.Generator, fan_in: int, fan_out: int, scale: float
) -> NDArray[np.float64]:
    """Every weight is `scale`: all units stay identical. Here to show that it fails."""
    return np.full((fan_out, fan_in), scale)


def _small(
    rng: np.random.Generator, fan_in: int, fan_out: int, scale: float
) -> NDArray[np.float64]:
    """N(0, scale^2)."""
    return scale * rng.standard_normal((fan_out, fan_in))


def _xavier(
    rng: np.random.Generator, fan_in: int, fan_out: int, scale: float
) -> NDArray[np.float64]:
    """N(0, 1/fan_in), CS231n's form of Glorot & Bengio 2010; for tanh and sigmoid."""
    return scale * math.sqrt(1 / fan_in) * rng.standard_normal((fan_out, fan_in))


def _kaiming(
    rng: np.random.Generator, fan_in: int, fan_out: int, scale: float
) -> NDArray[np.float64]:
    """N(0, 2/fan_in), He et al. 2015; for the ReLU family."""
    return scale * math.sqrt(2 / fan_in) * rng.standard_normal((fan_out, fan_in))


INITIALIZERS = {
    "constant": Initializer(_constant, 0.01),
    "small": Initializer(_small, 0.01),
    "xavier": Initializer(_xavier, 1.0),
    "kaiming": Initializer(_kaiming, 1.0),
}
