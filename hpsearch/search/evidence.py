"""Evidence: what the trials of a stage say of every hparam's range, and of whether it matters."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpsearch.search.edges import (
    SIDES,
    OnEdge,
    Scored,
    Side,
    Signals,
    Strength,
    best_on_edge,
    signals,
    unlike,
)
from hpsearch.search.importance import UNLIKE, importance, key_of, matters
from hpsearch.search.space import Choice, Distribution, Range, Space

PER_COEFFICIENT = 5  # trials, for the other hparams' effects to be taken off
Floats = NDArray[np.float64]


class Trials(NamedTuple):
    """The trials that count, best first: hparams, scores (N,) of which larger are better, and the
    standard errors (N,) of these.
    """

    hparams: Sequence[Mapping[str, Any]]
    scores: Floats
    errors: Floats


class Evidence(NamedTuple):
    """Of one hparam: the best value, its edge by the lecture's rule, the signals of both sides
    (None for a list), its share of the importance, whether it matters here, and whether the best
    trials' values are `unlike` the rest's.
    """

    best: Any
    edge: OnEdge | None
    sides: Mapping[Side, Signals] | None
    share: float | None
    matters: bool
    unlike: bool

    def flagged(self) -> list[tuple[Side, Strength]]:
        """The sides where the optimum may lie, and how strongly that is said."""
        if self.sides is None:
            found: list[tuple[Side, Strength]] = [(self.edge.side, "warn")] if self.edge else []
        else:
            found = [(side, s) for side in SIDES if (s := self.sides[side].strength)]
            if not self.unlike:
                found = [(side, "warn") for side, _ in found]
        return found if self.matters else [(side, "info") for side, _ in found]


def evidence(
    space: Space, trials: Trials, rng: Callable[[str], np.random.Generator]
) -> dict[str, Evidence]:
    """What the trials say of each hparam of the space; `rng` gives each a stream of its own.
    Hparams that none of them has are left out.
    """
    shares = importance(space, trials.hparams, trials.scores)
    effects = _effects(space, trials)
    found = {}
    for name, kind in space.items():
        chosen = np.array([name in given for given in trials.hparams], bool)
        if chosen.any():
            values = [given[name] for given in trials.hparams if name in given]
            scored = Scored(_places(kind, values), trials.scores[chosen], trials.errors[chosen])
            others = sum((effects[other] for other in effects if other != name), np.zeros(1))
            found[name] = _of_one(
                kind, values, scored, share=shares.get(name), among=len(shares),
                cleared=(trials.scores - others)[chosen], rng=rng(name),
            )  # fmt: skip
    return found


def _effects(space: Space, trials: Trials) -> dict[str, Floats]:
    """What each hparam does to the scores (N,): its part of the least-squares fit of a parabola
    for each range and a constant for each of a list's values. Empty with fewer than five trials
    for each of the coefficients.
    """
    columns = {name: _columns(name, kind, trials.hparams) for name, kind in space.items()}
    number = len(trials.scores)
    if number < PER_COEFFICIENT * (1 + sum(part.shape[1] for part in columns.values())):
        return {}
    matrix = np.column_stack([np.ones(number), *columns.values()])
    fitted = np.linalg.lstsq(matrix, trials.scores - trials.scores.mean(), rcond=None)[0]
    ends = np.cumsum([1, *(part.shape[1] for part in columns.values())])
    return {
        name: part @ fitted[start : start + part.shape[1]]
        for (name, part), start in zip(columns.items(), ends[:-1], strict=True)
    }


def _columns(name: str, kind: Distribution, hparams: Sequence[Mapping[str, Any]]) -> Floats:
    """The columns of an hparam in the fit (N, 2), or (N, values of a list but the first); 0 where
    a trial does not have it.
    """
    has = np.array([name in given for given in hparams], bool)
    places = _places(kind, [given[name] for given in hparams if name in given])
    if isinstance(kind, Choice):
        offered = np.arange(1, len(kind.choice)) / len(kind.choice)
        columns = np.zeros((len(has), len(offered)))
        columns[has] = places[:, None] == offered
    else:
        columns = np.zeros((len(has), 2))
        columns[has] = (2 * places[:, None] - 1) ** np.array([1, 2])
    return columns


def _of_one(
    kind: Distribution, values: Sequence[Any], scored: Scored, *,
    share: float | None, among: int, cleared: Floats, rng: np.random.Generator,
) -> Evidence:  # fmt: skip
    differs = unlike(scored.places)
    counts = share is None or matters(share, differs, among=among, trials=len(values))
    edge = best_on_edge(kind, values[0])
    if isinstance(kind, Choice):
        return Evidence(values[0], edge, None, share, counts, differs >= UNLIKE)
    inside = ~(kind.log & (np.array(values, float) <= 0))  # a zero has no place on a log scale
    if not inside.any():
        return Evidence(values[0], edge, None, share, counts, differs >= UNLIKE)
    here = Scored(*(part[inside] for part in scored))
    sides = signals(here, edge, cleared[inside], rng=rng)
    return Evidence(values[0], edge, sides, share, counts, differs >= UNLIKE)


def _places(kind: Distribution, values: Sequence[Any]) -> Floats:
    """The places in the range; in a list, those of the list."""
    if isinstance(kind, Choice):
        order = {key_of(choice): n for n, choice in reversed(list(enumerate(kind.choice)))}
        return np.array([order[key_of(value)] / len(kind.choice) for value in values])
    return np.array([_within(kind, value) for value in values])


def _within(kind: Range, value: float) -> float:
    return min(max(kind.position(value), 0.0), 1.0)
