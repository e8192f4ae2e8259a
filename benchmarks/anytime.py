"""How many trial-epochs a search has spent, and when: told by what its trials have trained."""

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from benchmarks import core, searches
from hpsearch.cohort import tasks
from hpsearch.stages.halving import Rung


class Trained(NamedTuple):
    """How many epochs of a trial were begun, and its validation accuracy after each of those that
    were finished: all, unless it diverged in the last.
    """

    epochs: int
    accuracy: Sequence[float]


class Leg(NamedTuple):
    """Trials, by number, that train together from one epoch to another."""

    trials: Sequence[int]
    start: int
    stop: int


def legs(trials: Sequence[Trained], ladder: Sequence[Rung], epochs: int) -> Iterator[Leg]:
    """From each rung to the next; in the order in which it was done, as all that follows."""
    for start, stop in pairwise([0, *(rung.epochs for rung in ladder), epochs]):
        yield Leg([n for n, trial in enumerate(trials) if trial.epochs > start], start, stop)


def one_by_one(whole: Iterable[Leg]) -> Iterator[Leg]:
    """The trials of every leg one after another."""
    for leg in whole:
        yield from (leg._replace(trials=[n]) for n in leg.trials)


def in_cohorts(whole: Iterable[Leg], sizes: tuple[int, ...]) -> Iterator[Leg]:
    """The trials of every leg in the cohorts that one worker trains, one after another; of nets of
    these sizes.
    """
    for leg in whole:
        shape = core.Shape(sizes, searches.BATCH, max(leg.trials, default=-1) + 1)
        specs = core.specs(shape, 1)
        for task in tasks([specs[n] for n in leg.trials], jobs=1):
            yield leg._replace(trials=[spec.id for spec in task.specs])


def until(accuracy: float, trials: Sequence[Trained], order: Iterable[Leg]) -> float:
    """The trial-epochs spent when a validation accuracy of so much is first seen, its epoch being
    over for all that train together; infinite if it never is.
    """
    spent = 0
    for leg in order:
        for epoch in range(leg.start, leg.stop):
            going = [trials[n] for n in leg.trials if trials[n].epochs > epoch]
            spent += len(going)
            seen = [value for trial in going for value in trial.accuracy[epoch : epoch + 1]]
            if max(seen, default=0.0) >= accuracy:
                return spent
    return math.inf


def total(trials: Iterable[Trained]) -> int:
    """Trial-epochs."""
    return sum(trial.epochs for trial in trials)


def best(trials: Iterable[Trained]) -> float:
    """The highest validation accuracy."""
    return max(accuracy for trial in trials for accuracy in trial.accuracy)
