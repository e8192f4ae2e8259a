"""Expected best of n: what a search of n such trials would have reached, what more would buy."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def plug_in(scores: Floats, n: int) -> float:
    """The expected best of n draws, with replacement, from `scores` (N,), of which larger are
    better (Dodge et al. 2019); too low for n near N.
    """
    count = len(scores)
    chances = np.diff((np.arange(count + 1) / count) ** n)
    return float(np.sort(scores) @ chances)


def unbiased(scores: Floats, n: int) -> float:
    """The expected best of n draws without replacement, n <= N: unbiased for what n trials
    reach (Tang et al. 2020).
    """
    count = len(scores)
    if not 1 <= n <= count:
        raise ValueError(f"n must lie between 1 and the {count} scores, got {n}")
    last = np.arange(count, n, -1)
    weights = np.cumprod(np.append(n / count, (last - n) / (last - 1)))
    return float(np.sort(scores)[::-1][: len(weights)] @ weights)


def spread(scores: Floats, n: int) -> float:
    """The standard deviation of the best of n draws, with replacement, from `scores` (N,)."""
    count, ordered = len(scores), np.sort(scores)
    chances = np.diff((np.arange(count + 1) / count) ** n)
    return math.sqrt(chances @ (ordered - chances @ ordered) ** 2)


class Meter(NamedTuple):
    """What `more` trials on top of N would add to the expected best."""

    trials: int
    more: int
    gain: float


def meter(scores: Floats, more: int = 10) -> Meter | None:
    """The gain of the last doubling, continued on a logarithmic scale of trials; None below four
    trials.
    """
    count = len(scores)
    if count < 4:
        return None
    half = count // 2
    doubling = float(scores.max()) - unbiased(scores, half)
    return Meter(count, more, doubling * math.log((count + more) / count) / math.log(count / half))
