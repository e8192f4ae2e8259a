"""Successive halving (Jamieson & Talwalkar 2016): at each rung only the best trials go on.

Rungs are synchronous: nobody passes one before all trials of the stage are there, so who goes on
depends neither on the jobs nor on the cohorts. And it is decided by the records of the trials
alone, so that it can be decided again at any time, when they have long gone on or ended.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple

from hpsearch.config.schema import Halving
from hpsearch.spec import TrialSpec
from hpsearch.trial import Status, TrialResult


class Rung(NamedTuple):
    """After so many epochs so many trials, at most, go on."""

    epochs: int
    places: int


class Course(NamedTuple):
    """How a stage stands: the trials `going` train to epoch `pause` (None: to their end), those
    `pruned` are given up, each for a reason.
    """

    going: Sequence[int]
    pause: int | None
    pruned: Mapping[int, str]


def rungs(halving: Halving, trials: int, epochs: int) -> list[Rung]:
    """Those of a stage of so many trials and epochs: after min_epochs eta^k epochs the best
    trials / eta^(k + 1) go on, rounded down, and at least one.
    """
    found: list[Rung] = []
    at = halving.min_epochs
    while at < epochs:
        found.append(Rung(at, max(1, trials // halving.eta ** (len(found) + 1))))
        at *= halving.eta
    return found


def cost(halving: Halving | None, trials: int, epochs: int) -> int:
    """The trial-epochs of a stage of so many trials and epochs, if no trial ends early."""
    ladder = rungs(halving, trials, epochs) if halving else []
    places = [trials, *(rung.places for rung in ladder)]
    ends = [0, *(rung.epochs for rung in ladder), epochs]
    return sum(n * (end - start) for n, (start, end) in zip(places, pairwise(ends), strict=True))


def course(results: Mapping[int, TrialResult], trials: int, ladder: Sequence[Rung]) -> Course:
    """Who goes on, given all `results` by id, of trials that are finished or have paused."""
    field: Sequence[int] = range(trials)
    pruned: dict[int, str] = {}
    for rung in ladder:
        going = [n for n in field if _is_behind(results.get(n), rung.epochs)]
        if going:
            return Course(going, rung.epochs, pruned)
        best = _best([results[n] for n in field], rung)
        reason = f"not among the best {rung.places} at epoch {rung.epochs}"
        dropped = [n for n in field if n not in best]
        pruned |= {n: reason for n in dropped if results[n].status is Status.PAUSED}
        field = best
    return Course([n for n in field if _is_behind(results.get(n), math.inf)], None, pruned)


def _is_behind(result: TrialResult | None, epochs: float) -> bool:
    """Whether the trial has more to do before it is at the rung."""
    return result is None or (result.status is Status.PAUSED and result.epochs < epochs)


def _best(results: Sequence[TrialResult], rung: Rung) -> list[int]:
    """The ids of the best at the rung. One that was done before, by its patience, is one of them
    if it is good enough; one that diverged before is not. Those that have gone on since were the
    best already, and the best epoch of a trial only gets better: they are so still.
    """
    there = [r for r in results if r.epochs >= rung.epochs or r.status is Status.DONE]
    there = [r for r in there if r.best_epoch is not None]
    best = sorted(there, key=lambda result: result.rank, reverse=True)[: rung.places]
    return sorted(result.id for result in best)


def legs(
    specs: Sequence[TrialSpec], results: Mapping[int, TrialResult], now: Course
) -> list[TrialSpec]:
    """Of these trials those that are `going`, from where they have paused to where they will."""
    going = set(now.going)
    return [
        replace(spec, budget=replace(spec.budget, done=_done(results, spec.id), pause=now.pause))
        for spec in specs
        if spec.id in going
    ]


def _done(results: Mapping[int, TrialResult], trial: int) -> int:
    return results[trial].epochs if trial in results else 0


def trial_epochs(now: Course, specs: Sequence[TrialSpec], ladder: Sequence[Rung]) -> int:
    """How many epochs are ahead of a stage whose next legs these are, if no trial ends early."""
    if not specs:
        return 0
    total = specs[0].budget.epochs
    ends = [rung.epochs for rung in ladder] + [total]
    first = sum(spec.budget.ahead for spec in specs)
    later = zip(ladder, ends[1:], strict=True)
    return first + sum(
        rung.places * (end - rung.epochs)
        for rung, end in later
        if now.pause is not None and rung.epochs >= now.pause
    )
