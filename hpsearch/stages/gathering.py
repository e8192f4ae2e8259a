"""What counts when a search stage is judged: every trial that can be compared with its own.

Those that halving gave up count as if they had gone on; those of an earlier round as they are,
where they trained as long and lie in the range that is searched now.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpsearch.search.conditions import applying
from hpsearch.search.importance import key_of
from hpsearch.search.space import Choice, Distribution, Space
from hpsearch.trial import Status, TrialResult


class Comparable(NamedTuple):
    """A trial with the score it reached, or would have reached, and how sure that is: `spread` is
    the standard deviation of what it would have gained, 0 for a completed trial.
    """

    result: TrialResult
    score: float
    spread: float = 0.0

    @property
    def order(self) -> tuple[float, bool, tuple[float, float, int]]:
        """Larger is better; of equals the completed trial."""
        return self.score, self.result.status is Status.DONE, self.result.rank


def comparable(results: Iterable[TrialResult], curve: str = "") -> list[Comparable]:
    """The completed and the pruned trials of one stage, best first, by the searched metric or
    another `curve` at the best epoch; larger scores are better.

    A pruned trial's is its value at the rung plus what those that went on gained from there, on
    average; but not more than the worst of them came to, for it was worse than they were. Trials
    given up where nobody went on are left out.
    """
    known = sorted((r for r in results if r.best_epoch is not None), key=lambda r: r.id)
    found = [Comparable(r, _reached(r, curve)) for r in known if r.status is Status.DONE]
    pruned = [r for r in known if r.status is Status.PRUNED]
    for rung in sorted({r.epochs for r in pruned}, reverse=True):
        on = [each for each in found if each.result.epochs > rung]
        if on:
            gains = np.array([each.score - _reached(each.result, curve, rung) for each in on])
            gain, worst = float(gains.mean()), min(each.score for each in on)
            spread = math.hypot(gains.std(), _rms([each.spread for each in on]))
            here = [r for r in pruned if r.epochs == rung]
            found += [Comparable(r, min(_reached(r, curve) + gain, worst), spread) for r in here]
    return sorted(found, key=lambda each: each.order, reverse=True)


def tried(
    results: Sequence[TrialResult], carried: int, curve: str = ""
) -> NDArray[np.float64]:
    """The scores (N,) of all trials of one stage that tell what drawing one more would bring:
    those that are comparable, and those that diverged, as bad as the worst of them. The first so
    many were `carried` over, not drawn: no other is of use that is worse than the best of them.
    """
    scores = [(each.score, each.result.id) for each in comparable(results, curve)]
    drawn = [score for score, trial in scores if trial >= carried]
    lost = sum(r.status is Status.DIVERGED and r.id >= carried for r in results)
    kept = max((score for score, trial in scores if trial < carried), default=-math.inf)
    return np.maximum(drawn + lost * drawn[-1:], kept).astype(np.float64, copy=False)


def _rms(values: Sequence[float]) -> float:
    return math.sqrt(np.mean(np.square(values)))


def _reached(result: TrialResult, curve: str, epochs: int | None = None) -> float:
    """The curve's number at the best epoch, or at that of the first so many; larger is better."""
    curve, best = curve or result.metric, (result.best_epoch or 1) - 1
    if epochs is not None:
        metric = np.array(getattr(result.curves, result.metric)[:epochs])
        best = int(metric.argmin() if result.metric == "val_loss" else metric.argmax())
    value = float(getattr(result.curves, curve)[best])
    return -value if curve == "val_loss" else value


def gathered(
    own: Sequence[TrialResult], earlier: Iterable[Sequence[TrialResult]], space: Space,
    settings: Mapping[str, Any],
) -> list[Comparable]:  # fmt: skip
    """The stage's own trials and those of `earlier` rounds that lie in its space, best first."""
    found = comparable(own)
    for results in earlier:
        found += [e for e in comparable(results) if inside(e.result, space, settings)]
    return sorted(found, key=lambda each: each.order, reverse=True)


def inside(result: TrialResult, space: Space, settings: Mapping[str, Any]) -> bool:
    """Whether the trial could have been drawn from the space, given what the config says."""
    values = dict.fromkeys(space, 0) | dict(result.hparams)
    if values.keys() != space.keys() or applying(space, values, settings) != result.hparams:
        return False
    return all(_offers(space[name], value) for name, value in result.hparams.items())


def _offers(kind: Distribution, value: Any) -> bool:
    if isinstance(kind, Choice):
        return key_of(value) in map(key_of, kind.choice)
    return 0 <= kind.position(value) <= 1
