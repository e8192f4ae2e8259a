"""Activations: each a pair of functions, forward and backward, and a row in ACTIVATIONS."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]


class Activation(NamedTuple):
    """`forward(z, out)` fills `out` with f(z), where `out` may be z itself; `backward(grad, a)`
    multiplies `grad` by f'(z), given only what forward left in `out`, which it may spend.

    All arrays are (K, O, N), contiguous. `saturated(a)` says which units have practically no
    gradient; `band` is the range of the standard deviation of one layer's activations over a
    minibatch in which healthy networks were seen; `kinks` that f' jumps at 0.
    """

    forward: Callable[[Array, Array], None]
    backward: Callable[[Array, Array], None]
    saturated: Callable[[Array], NDArray[np.bool_]]
    band: tuple[float, float]
    kinks: bool


def _relu(z: Array, out: Array) -> None:
    np.maximum(z, 0, out=out)


def _relu_backward(grad: Array, a: Array) -> None:
    """f'(z) = 1 where z > 0, else 0 (0 at the kink)."""
    grad *= a > 0


def _tanh(z: Array, out: Array) -> None:
    np.tanh(z, out=out)


def _tanh_backward(grad: Array, a: Array) -> None:
    """f'(z) = 1 - tanh(z)^2."""
    a *= a
    np.subtract(1, a, out=a)
    grad *= a


def _sigmoid(z: Array, out: Array) -> None:
    """1 / (1 + e^-z) as (1 + tanh(z/2)) / 2, which cannot overflow."""
    np.multiply(z, 0.5, out=out)
    np.tanh(out, out=out)
    out += 1
    out *= 0.5


def _sigmoid_backward(grad: Array, a: Array) -> None:
    """f'(z) = a (1 - a)."""
    grad *= a
    np.subtract(1, a, out=a)
    grad *= a


ACTIVATIONS = {
    "relu": Activation(_relu, _relu_backward, lambda a: a <= 0, (0.5, 2.0), True),
    "tanh": Activation(_tanh, _tanh_backward, lambda a: abs(a) > 0.98, (0.2, 1.0), False),
    "sigmoid": Activation(
        _sigmoid, _sigmoid_backward, lambda a: abs(a - 0.5) > 0.48, (0.05, 0.3), False
    ),
}
