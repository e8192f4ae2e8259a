"""The rates that the sweep tried: which are usable, which to try next, and which to take."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hpsearch.config.checking import Sweep
from hpsearch.trial import Status, TrialResult

LIMITS = (1e-12, 1e6)
NEAR = 1.01  # rates are rounded to six digits


@dataclass(frozen=True)
class Tried:
    """One rate: its first loss, the mean loss of its last iterations and that mean's error, and
    what the validation rows said of it.
    """

    rate: float
    diverged: bool
    step: int
    first: float
    score: float
    error: float
    accuracy: float
    val_loss: float = math.nan

    @classmethod
    def of(cls, result: TrialResult, tail: int) -> "Tried":
        last = np.array([loss for _, loss in result.losses[-tail:]])
        error = float(last.std(ddof=1) / math.sqrt(len(last))) if len(last) > 1 else math.inf
        accuracy, val_loss = result.curves.val_accuracy, result.curves.val_loss
        return cls(
            result.number("learning_rate"), result.status is not Status.DONE, result.step,
            result.losses[0][1], float(last.mean()), error,
            accuracy[-1] if accuracy else math.nan, val_loss[-1] if val_loss else math.nan,
        )  # fmt: skip


@dataclass(frozen=True)
class Ladder:
    """The rates tried, on data whose labels have the entropy `baseline`, judged by `limits`."""

    rates: Sequence[Tried]
    baseline: float
    limits: Sweep

    @cached_property
    def stable(self) -> list[Tried]:
        return [t for t in self.rates if not t.diverged]

    @cached_property
    def usable(self) -> list[Tried]:
        return [t for t in self.stable if self.learns(t)]

    @cached_property
    def ends(self) -> tuple[float, float]:
        """The lowest and the highest rate tried."""
        rates = [t.rate for t in self.rates]
        return min(rates), max(rates)

    @property
    def diverging(self) -> float | None:
        """The lowest rate that diverged."""
        return min((t.rate for t in self.rates if t.diverged), default=None)

    def learns(self, tried: Tried) -> bool:
        """Clearly below the best constant answer, and below where it began: from a hot start, the
        loss of knowing nothing is a hundredfold fall.
        """
        margin = max(self.limits.gain * self.baseline, self.limits.errors * tried.error)
        fallen = tried.score <= self.limits.fallen * tried.first
        return not tried.diverged and fallen and tried.score < self.baseline - margin

    def flat(self, tried: Tried) -> bool:
        """Whether the loss has not moved, or went up."""
        return not tried.score <= (1 - self.limits.flat) * tried.first

    @cached_property
    def _tied(self) -> list[Tried]:
        """The usable rates whose score is as good as the lowest: within its standard error, or
        within what is nothing beside the labels' entropy; the largest first.
        """
        lowest = min(self.usable, key=lambda t: t.score, default=None)
        if lowest is None:
            return []
        near = lowest.score + max(lowest.error, self.limits.tie * self.baseline)
        return sorted((t for t in self.usable if t.score <= near), key=lambda t: -t.rate)

    @cached_property
    def best(self) -> Tried | None:
        """Of the rates as good as the lowest score, the largest that could be `margin` times
        larger and still be stable; the lowest score itself where there is none.
        """
        safe = [t for t in self._tied if self._is_safe(t)]
        return safe[0] if safe else min(self._tied, key=lambda t: t.score, default=None)

    def _is_safe(self, tried: Tried) -> bool | None:
        """Whether `margin` times the rate is stable too: it diverges where a smaller rate does, it
        is stable where a larger one is; None where no rate tried says so.
        """
        wanted = self.limits.margin * tried.rate
        edge = min((t.rate for t in self.rates if t.diverged and t.rate > tried.rate),
                   default=math.inf)  # fmt: skip
        if edge <= wanted * NEAR:
            return False
        if any(wanted / NEAR <= t.rate < edge for t in self.stable):
            return True
        return None

    def wanted(self) -> list[float]:
        """The rates to try next: a decade beyond the best where nothing near was tried, a decade
        up where all are flat, two lower where all diverge; then what tells whether the largest of
        those that tie is safe.
        """
        room = max(0, self.limits.most - len(self.rates))
        more = [_round(rate) for rate in self._decades() or self._margin()]
        return [rate for rate in more if LIMITS[0] <= rate <= LIMITS[1]][:room]

    def _decades(self) -> list[float]:
        low, high = self.ends
        if not self.stable:
            return [low / 10, low / 100]
        if len(self.stable) == len(self.rates) and all(map(self.flat, self.stable)):
            return [high * 10]
        best = min(self.stable, key=lambda t: t.score).rate
        above = any(best < t.rate <= 10 * NEAR * best for t in self.rates)
        below = any(best / (10 * NEAR) <= t.rate < best for t in self.rates)
        return [best * 10] * (not above) + [best / 10] * (not below)

    def _margin(self) -> list[float]:
        for tried in self._tied:
            safe = self._is_safe(tried)
            if safe is None:
                return [tried.rate * self.limits.margin]
            if safe:
                break
        return []

    @property
    def range(self) -> tuple[float, float] | None:
        """The rates to search: [best / below, best * above], cut where training diverges."""
        best = self.best
        if best is None:
            return None
        diverging = [t.rate for t in self.rates if t.diverged and t.rate > best.rate]
        low, high = best.rate / self.limits.below, best.rate * self.limits.above
        return float(f"{low:.3g}"), float(f"{min([high, *diverging]):.3g}")


def _round(rate: float) -> float:
    return float(f"{rate:.6g}")
