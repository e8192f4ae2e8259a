"""What is told of a hidden layer's activations before training: numbers, and a histogram."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpsearch.nn.activations import Activation, Array

Floats = NDArray[np.float64]
SHOWN = 20_000  # activations of a layer in its histogram, about
BINS = 41
MIDDLE = (0.1, 99.9)  # percentiles: the bins cover what lies between, the rest is counted beside
HUGE, SAME = 1e100, 1e-9  # what no axis shows; differences that are rounding


class Layer(NamedTuple):
    """A hidden layer's activations: means over the initialisations, shares of 0 to 1.

    `zero` are activations that are exactly 0, `saturated` those near the ends of a bounded
    activation, `dead` the units that have no gradient on any of the rows.
    """

    layer: int
    units: int
    mean: float
    std: float
    zero: float
    saturated: float
    dead: float


def statistics(kind: Activation, z: Array, a: Array) -> Floats:
    """Of activations (K, O, N): mean, std, shares of zeros, of saturated activations and of dead
    units, (K, 5).
    """
    flat = a.reshape(len(a), -1)
    off = kind.saturated(z, a)
    saturated = off.mean(axis=(1, 2)) if kind.bounded else np.zeros(len(a))
    dead = off.all(axis=2).mean(axis=1)
    found = (flat.mean(axis=1), flat.std(axis=1), (flat == 0).mean(axis=1), saturated, dead)
    return np.stack(found, axis=1)


def shown(a: Array) -> Floats:
    """The activations (O, N) of as many first rows as a histogram needs; a copy."""
    rows = max(1, SHOWN // len(a))
    return np.array(a[:, :rows], np.float64)


def histogram(activations: Floats) -> dict[str, Any]:
    """Activations counted in bins of equal width from `low` to `high`; beside them how many are
    `below` and `above`, exactly 0 (`zeros`: a relu has half of them there) and not finite, or
    beyond HUGE (`lost`). All together are `activations.size`.
    """
    real = activations[np.abs(activations) < HUGE]
    values = real[real != 0]
    low, high = _bounds(values)
    counts, _ = np.histogram(values, BINS, (low, high))
    return {
        "low": low, "high": high, "counts": counts.tolist(),
        "below": int((values < low).sum()), "above": int((values > high).sum()),
        "zeros": len(real) - len(values), "lost": activations.size - len(real),
    }  # fmt: skip


def _bounds(values: Floats) -> tuple[float, float]:
    """Where most of the values lie; some room around them where they are all the same."""
    low, high = map(float, np.percentile(values, MIDDLE) if len(values) else (0.0, 0.0))
    size = max(abs(low), abs(high))
    if high - low > SAME * size:
        return low, high
    room = size / 2 or 0.5
    return low - room, high + room
