"""Edges: does the optimum lie at, or beyond, a bound of the range that was searched?

Every signal is a number of one side of a range; places in the range are on the hparam's scale, 0
the low bound and 1 the high one. What they mean together is calibrated by
`python -m benchmarks edges`.
"""

import math
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpsearch.search.space import Choice, Distribution

Side = Literal["low", "high"]
Strength = Literal["info", "warn", "strong", "stability"]
Floats = NDArray[np.float64]

OUTER = 0.05  # of the range, on its scale
DECADES = 0.1  # from a bound, for log scales
ZONE = 0.1  # of the range: the outer part whose evidence is weighed
FIFTH = 0.2  # of the range: where the best trials crowd
TOP = 5  # of them
TREND = 0.9  # from here on it alone is an edge, where the best half agrees by
AGREED = 0.5
MASS, RISING, CROWD = 0.3, 0.5, 3  # either makes a best value on the edge a strong sign
HALF = 8  # trials that count as the best half, at least
DRAWS = 1000  # of the bootstrap and of the posterior
CELLS = 10**7  # draws x trials, at most
SIDES: tuple[Side, Side] = ("low", "high")


class OnEdge(NamedTuple):
    """The side, the best value's position (0 low bound, 1 high bound), and its distance from the
    bound on the scale (decades for log scales).
    """

    side: Side
    position: float
    distance: float


class Signals(NamedTuple):
    """The evidence for one side. `edge_mass` is the probability that the truly best trial lies in
    the outer tenth, `trend` that a parabola through the trials has its top there (`agreed`:
    through the best half of them), `crowding` how many of the best five lie in the outer fifth.
    """

    best_on_edge: bool
    edge_mass: float
    trend: float
    agreed: float
    crowding: int

    @property
    def strength(self) -> Strength | None:
        """What they mean together, if the hparam matters and the range could be widened."""
        rising = self.trend >= TREND and self.agreed >= AGREED
        if not (self.best_on_edge or rising):
            return None
        more = self.edge_mass >= MASS or self.trend >= RISING or self.crowding >= CROWD
        return "strong" if self.best_on_edge and more else "warn"


class Scored(NamedTuple):
    """Trials by their place in a range (N,), best first, with their scores (larger is better) and
    the standard errors of these; 0 for scores without noise.
    """

    places: Floats
    scores: Floats
    errors: Floats


def best_on_edge(kind: Distribution, best: object) -> OnEdge | None:
    """The lecture's rule: a best value in the outer twentieth of the range, or within a tenth of
    a decade of a bound (of a tenth of the range, where that is less), is on the edge. A list of
    three or more numbers has edges too: its smallest and its largest.
    """
    if isinstance(kind, Choice):
        return _end_of_list(kind, best)
    if not isinstance(best, int | float) or (kind.log and best <= 0):
        return None
    low, high = map(kind.to_scale, kind.bounds)
    position = kind.position(best)
    near = max(OUTER, min(0.1, DECADES / (high - low))) if kind.log else OUTER
    if position <= near:
        return OnEdge("low", position, position * (high - low))
    if position >= 1 - near:
        return OnEdge("high", position, (1 - position) * (high - low))
    return None


def _end_of_list(kind: Choice, best: object) -> OnEdge | None:
    numbers = sorted(
        {v for v in kind.choice if isinstance(v, int | float) and not isinstance(v, bool)}
    )
    if len(numbers) < 3 or len(numbers) < len(set(map(repr, kind.choice))):
        return None
    if best == numbers[0]:
        return OnEdge("low", 0.0, 0.0)
    return OnEdge("high", 1.0, 0.0) if best == numbers[-1] else None


def signals(
    scored: Scored, edge: OnEdge | None, cleared: Floats, *, rng: np.random.Generator
) -> dict[Side, Signals]:
    """The evidence of the trials for both sides; `edge` is what `best_on_edge` says, `cleared`
    (N,) the scores without what other hparams do to them, in which a trend shows.
    """
    best = np.argsort(-cleared, kind="stable")[: max(HALF, math.ceil(len(cleared) / 2))]
    mass, rising = edge_mass(scored, rng), trend(scored.places, cleared, rng)
    agreed = trend(scored.places[best], cleared[best], rng)
    return {
        side: Signals(
            edge is not None and edge.side == side, mass[side], rising[side], agreed[side],
            crowding(scored.places[:TOP], side),
        )
        for side in SIDES
    }  # fmt: skip


def crowding(places: Floats, side: Side) -> int:
    """How many of the (five) best places lie in the outer fifth of the range on that side."""
    return int((places >= 1 - FIFTH if side == "high" else places <= FIFTH).sum())


def edge_mass(scored: Scored, rng: np.random.Generator) -> dict[Side, float]:
    """The probability, for each side, that the truly best trial lies in the outer tenth: the
    scores drawn again from N(score, error) (Bergstra & Bengio 2012, eq. 5).
    """
    near = scored.scores >= scored.scores[0] - 8 * scored.errors.max()  # others are never best
    places, scores, errors = (values[near] for values in scored)
    wins = np.zeros(len(places))
    for draws in _blocks(len(places)):
        drawn = scores + errors * rng.standard_normal((draws, len(places)))
        wins += np.bincount(drawn.argmax(axis=1), minlength=len(places))
    weights = wins / wins.sum()
    return {
        "low": float(weights[places <= ZONE].sum()),
        "high": float(weights[places >= 1 - ZONE].sum()),
    }


def trend(places: Floats, scores: Floats, rng: np.random.Generator) -> dict[Side, float]:
    """The probability, for each side, that a parabola through the trials (N,) is highest in the
    outer tenth: bootstrapped over the trials. 0 where fewer than four places were tried.
    """
    if len(np.unique(places)) < 4:
        return {"low": 0.0, "high": 0.0}
    tops = [_tops(places, scores, draws, rng) for draws in _blocks(len(places))]
    top = np.concatenate(tops)
    return {"low": float((top <= ZONE).mean()), "high": float((top >= 1 - ZONE).mean())}


def _tops(places: Floats, scores: Floats, draws: int, rng: np.random.Generator) -> Floats:
    """Where, from 0 to 1, the parabolas through so many bootstrap samples are highest (draws,)."""
    n, x = len(places), 2 * places - 1
    drawn = rng.integers(n, size=(draws, n)) + n * np.arange(draws)[:, None]
    counts = np.bincount(drawn.ravel(), minlength=draws * n).reshape(draws, n)
    powers = x[:, None] ** np.arange(5)
    matrix = (counts @ powers)[:, np.add.outer(np.arange(3), np.arange(3))]
    right = counts @ (powers[:, :3] * (scores - scores.mean())[:, None])
    ridge = 1e-9 * n * np.eye(3)  # for samples of fewer than three places
    _, slope, bend = np.linalg.solve(matrix + ridge, right[..., None])[..., 0].T
    vertex = np.clip(-slope / (2 * np.minimum(bend, -1e-12)), -1, 1)
    return np.asarray((np.where(bend < 0, vertex, np.sign(slope)) + 1) / 2)


def _blocks(trials: int) -> list[int]:
    """The draws, in blocks of which none takes more than a tenth of CELLS numbers."""
    draws = max(100, min(DRAWS, CELLS // trials))
    most = max(1, CELLS // 10 // trials)
    return [min(most, draws - done) for done in range(0, draws, most)]


def unlike(places: Floats) -> float:
    """How unlike the places of the best quarter are those of the rest: the Kolmogorov-Smirnov
    distance of the two samples times sqrt(k (n - k) / n), which exceeds 1.36 in one search of
    twenty where the hparam does not matter. `places` (N,), best first.
    """
    n = len(places)
    k = max(TOP, math.ceil(n / 4))
    if k >= n:
        return 0.0
    best, rest, every = np.sort(places[:k]), np.sort(places[k:]), np.sort(places)
    of_best, of_rest = (
        np.searchsorted(some, every, side="right") / len(some) for some in (best, rest)
    )
    return float(np.abs(of_best - of_rest).max() * math.sqrt(k * (n - k) / n))
