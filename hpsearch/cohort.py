"""Which trials may train together, in what sizes, and in what order the cohorts go to work."""

import heapq
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

from hpsearch.spec import TrialSpec

LARGEST = 64
SMALLEST = 2
REFERENCE = (8, 153_600)  # K = 8 is best where a trial has 153,600 weights (CIFAR-10, 50 units)
FEWEST = 8  # trials, at least, that are left together for the sake of an even load
EVEN = 1.15  # times the mean load, that of the worker with the most work
PER_STEP = 200_000  # what a trial's step costs besides its products, in multiplications


@dataclass(frozen=True)
class Task:
    """What travels to an executor: the specs of one cohort, in the order of their ids. After so
    many `seconds` they pause where an epoch ends, so that they can be written down.
    """

    specs: tuple[TrialSpec, ...]
    seconds: float = math.inf

    @property
    def cost(self) -> float:
        """The work of training it, in a unit that the tasks of one plan share."""
        return len(self.specs) * _cost(self.specs[0])


class Pulse(NamedTuple):
    """A cohort in the middle of its training, named by its first trial: at which of how many
    `steps` it is, and the loss now of each trial still in it, by id.
    """

    cohort: int
    step: int = 0
    steps: int = 0
    losses: Mapping[int, float] = MappingProxyType({})


def tasks(specs: Sequence[TrialSpec], *, jobs: int) -> list[Task]:
    """The trials as cohorts: alike in shape, sized for the cache, an even load for the workers.

    How trials are grouped never changes their numbers, so any grouping will do; that of a
    resumed stage differs from the first. The largest task comes first: the last ones to finish
    are then small.
    """
    shapes: dict[object, list[TrialSpec]] = {}
    for spec in sorted(specs, key=lambda spec: spec.id):
        shapes.setdefault(spec.shape, []).append(spec)
    cuts = [
        (alike, -(-len(alike) // cohort_size(alike[0].net.n_params))) for alike in shapes.values()
    ]
    while (worst := _worth_cutting(cuts, jobs)) is not None:
        alike, pieces = cuts[worst]
        cuts[worst] = alike, pieces + 1
    found = [task for alike, pieces in cuts for task in _cut(alike, pieces)]
    return sorted(found, key=lambda task: (-task.cost, task.specs[0].id))


def _worth_cutting(cuts: Sequence[tuple[list[TrialSpec], int]], jobs: int) -> int | None:
    """Of which shape to make a piece more: of the one with the costliest pieces, while there are
    not enough for all workers, or while one of them would have much more to do than the others.
    """
    costs = [len(alike) * _cost(alike[0]) / pieces for alike, pieces in cuts]
    idle = sum(pieces for _, pieces in cuts) < jobs
    smallest = 1 if idle else FEWEST
    able = [n for n, (alike, pieces) in enumerate(cuts) if len(alike) >= (pieces + 1) * smallest]
    if not able:
        return None
    each = [cost for cost, (_, pieces) in zip(costs, cuts, strict=True) for _ in range(pieces)]
    if not idle and _heaviest(each, jobs) <= EVEN * sum(each) / jobs:
        return None
    return max(able, key=lambda n: costs[n])


def _heaviest(costs: Iterable[float], jobs: int) -> float:
    """The load of the busiest worker, if each takes the costliest task left when it is free."""
    loads = [0.0] * jobs
    for cost in sorted(costs, reverse=True):
        heapq.heapreplace(loads, loads[0] + cost)
    return max(loads)


def _cost(spec: TrialSpec) -> float:
    """Of one trial: multiplications, per training row or in all."""
    steps, epochs = spec.budget.iterations, spec.budget.ahead
    rows = steps * spec.batch_size if steps else epochs
    return rows * (spec.net.n_weights + PER_STEP / spec.batch_size)


def _cut(alike: list[TrialSpec], pieces: int) -> list[Task]:
    """So many cohorts, as equal as can be."""
    return [Task(tuple(alike[start::pieces])) for start in range(pieces)]


def cohort_size(n_params: int) -> int:
    """K by the cube root of the trial's size, through sizes that were measured good: it must be
    large enough to share the cost of each call, and the cohort small enough for the cache.
    """
    size, at = REFERENCE
    return max(SMALLEST, min(LARGEST, round(size * math.cbrt(at / n_params))))
