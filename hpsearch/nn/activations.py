"""Activations: each a function forward and one backward, and a row in ACTIVATIONS."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpsearch.nn.erf import normal

Array = NDArray[np.floating]
Sides = NDArray[np.bool_]

SELU_SCALE = 1.0507009873554804934193349852946  # lambda of Klambauer et al. 2017
SELU_ALPHA = 1.6732632423543772848170429916717


def _never(z: Array, a: Array) -> Sides:
    return np.zeros(a.shape, bool)


class Activation(NamedTuple):
    """`forward(z, a, slope)` fills `a` (K, O, N) with f(z), z (K, pieces O, N), and may leave in
    z what backward wants to find there; unless `keeps`, z is `a` itself. `backward(grad, z, a,
    slope)` turns `grad` (K, O, N), the gradient with respect to f(z), into that with respect to z
    and returns where it lies: in `grad`, or in z where there are several pieces. `slope` (K, 1, 1)
    is the parameter of a trial, or where it is `learned` (K, O, 1), of a unit; `slope_gradient`
    gives its gradient before it is summed over the rows.

    `band` is the range of the standard deviation of one layer's activations over a minibatch in
    which healthy networks were seen; `inits` the initializers that keep it, the best first.
    `saturated(z, a)` says which units have practically no gradient (at both ends where f is
    `bounded`), `side(z, a)` on which side of
    its kink each one is (None where f is smooth), both after forward.
    """

    forward: Callable[[Array, Array, Array], None]
    backward: Callable[[Array, Array, Array, Array], Array]
    inits: tuple[str, ...]
    band: tuple[float, float]
    saturated: Callable[[Array, Array], Sides] = _never
    side: Callable[[Array, Array], Sides] | None = None
    bounded: bool = False
    keeps: bool = False
    pieces: int = 1
    slope: float | None = None
    slope_gradient: Callable[[Array, Array], Array] | None = None

    @property
    def reads(self) -> tuple[str, ...]:
        """The settings that it depends on."""
        return () if self.slope is None else ("slope",)

    @property
    def learned(self) -> bool:
        """Whether the slope is one of the learnable tensors."""
        return self.slope_gradient is not None


def _one_or(below: Array, above: Sides) -> Array:
    """1 where `above`, else `below`: a fifth of np.where's time, whose branches cannot be guessed
    where the sides are mixed.
    """
    chosen: Array = below * ~above
    chosen += above
    return chosen


def _positive(z: Array, a: Array) -> Sides:
    return a > 0


def _relu(z: Array, a: Array, slope: Array) -> None:
    """max(0, z)."""
    np.maximum(z, 0, out=a)


def _relu_backward(grad: Array, z: Array, a: Array, slope: Array) -> Array:
    """f'(z) = 1 where z > 0, else 0 (0 at the kink)."""
    grad *= a > 0
    return grad


def _leaky_relu(z: Array, a: Array, slope: Array) -> None:
    """z where z > 0, else slope z (Maas et al. 2013; He et al. 2015 learn the slope)."""
    below = np.minimum(z, 0)
    below *= slope
    np.maximum(z, 0, out=a)
    a += below


def _leaky_relu_backward(grad: Array, z: Array, a: Array, slope: Array) -> Array:
    """f'(z) = 1 where z > 0, else the slope, which is not negative: a has the sign of z."""
    grad *= _one_or(slope, a > 0)
    return grad


def _prelu_backward(grad: Array, z: Array, a: Array, slope: Array) -> Array:
    """f'(z) = 1 where z > 0, else the slope, which may have become negative."""
    grad *= _one_or(slope, z > 0)
    return grad


def _prelu_slope(grad: Array, z: Array) -> Array:
    """df/dslope = min(z, 0)."""
    return grad * np.minimum(z, 0)


def _elu(z: Array, a: Array, slope: Array | float) -> None:
    """z where z > 0, else slope (e^z - 1) (Clevert et al. 2016)."""
    below = np.minimum(z, 0)
    np.expm1(below, out=below)
    below *= slope
    np.maximum(z, 0, out=a)
    a += below


def _elu_backward(grad: Array, z: Array, a: Array, slope: Array) -> Array:
    """f'(z) = 1 where z > 0, else slope e^z = a + slope."""
    grad *= _one_or(np.minimum(a, 0) + slope, a > 0)
    return grad


def _selu(z: Array, a: Array, slope: Array) -> None:
    """lambda elu(z), whose fixed point is mean 0 and variance 1 (Klambauer et al. 2017)."""
    _elu(z, a, SELU_ALPHA)
    a *= SELU_SCALE


def _selu_backward(grad: Array, z: Array, a: Array, slope: Array) -> Array:
    """f'(z) = lambda where z > 0, else lambda alpha e^z = a + lambda alpha."""
    below = np.minimum(a, 0)
    below *= 1 / SELU_SCALE
    below += SELU_ALPHA
    grad *= _one_or(below, a > 0)
    grad *= SELU_SCALE
    return grad


def _gelu(z: Array, a: Array, slope: Array) -> None:
    """z P(Z < z), Z standard normal (Hendrycks & Gimpel 2016); leaves f'(z) in z."""
    below, density = normal(z)
    np.multiply(z, below, out=a)
    z *= density
    z += below


def _gelu_backward(grad: Array, z: Array, a: Array, slope: Array) -> Array:
    """f'(z) = P(Z < z) + z p(z), which forward left in z."""
    grad *= z
    return grad


def _maxout(z: Array, a: Array, slope: Array) -> None:
    """The larger of two linear pieces, max(w1 x + b1, w2 x + b2) (Goodfellow et al. 2013)."""
    first, second = np.split(z, 2, axis=1)
    np.maximum(first, second, out=a)


def _maxout_backward(grad: Array, z: Array, a: Array, slope: Array) -> Array:
    """The gradient goes to the larger piece, the first of equals."""
    first, second = np.split(z, 2, axis=1)
    chosen = first >= second
    np.multiply(grad, chosen, out=first)
    np.multiply(grad, ~chosen, out=second)
    return z


def _larger(z: Array, a: Array) -> Sides:
    first, second = np.split(z, 2, axis=1)
    return np.asarray(first >= second)


def _tanh(z: Array, a: Array, slope: Array) -> None:
    np.tanh(z, out=a)


def _tanh_backward(grad: Array, z: Array, a: Array, slope: Array) -> Array:
    """f'(z) = 1 - tanh(z)^2."""
    a *= a
    np.subtract(1, a, out=a)
    grad *= a
    return grad


def _sigmoid(z: Array, a: Array, slope: Array) -> None:
    """1 / (1 + e^-z) as (1 + tanh(z/2)) / 2, which cannot overflow."""
    np.multiply(z, 0.5, out=a)
    np.tanh(a, out=a)
    a += 1
    a *= 0.5


def _sigmoid_backward(grad: Array, z: Array, a: Array, slope: Array) -> Array:
    """f'(z) = a (1 - a)."""
    grad *= a
    np.subtract(1, a, out=a)
    grad *= a
    return grad


HE = ("kaiming",)  # an activation that passes about half of the variance
UNIT = ("xavier", "glorot", "lecun")  # one that passes it all

ACTIVATIONS = {
    "relu": Activation(
        _relu, _relu_backward, HE, (0.5, 2.0), lambda z, a: a <= 0, _positive
    ),
    "leaky_relu": Activation(
        _leaky_relu, _leaky_relu_backward, HE, (0.5, 2.0), side=_positive, slope=0.01
    ),
    "prelu": Activation(
        _leaky_relu, _prelu_backward, HE, (0.5, 2.0), side=lambda z, a: z > 0, keeps=True,
        slope=0.25, slope_gradient=_prelu_slope,
    ),
    "elu": Activation(
        _elu, _elu_backward, (*HE, *UNIT), (0.3, 2.2), side=_positive, slope=1.0
    ),
    "selu": Activation(
        _selu, _selu_backward, ("lecun", "xavier", "glorot"), (0.6, 1.3),
        lambda z, a: a < -0.98 * SELU_SCALE * SELU_ALPHA, _positive,
    ),
    "gelu": Activation(
        _gelu, _gelu_backward, HE, (0.3, 2.0), lambda z, a: abs(z) < 0.02, keeps=True
    ),
    "maxout": Activation(
        _maxout, _maxout_backward, UNIT, (0.45, 1.5), side=_larger, keeps=True, pieces=2
    ),
    "tanh": Activation(
        _tanh, _tanh_backward, UNIT, (0.2, 1.0), lambda z, a: abs(a) > 0.98, bounded=True
    ),
    "sigmoid": Activation(
        _sigmoid, _sigmoid_backward, UNIT, (0.05, 0.3), lambda z, a: abs(a - 0.5) > 0.48,
        bounded=True,
    ),
}  # fmt: skip
