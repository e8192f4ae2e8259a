"""Which trials may train together, and in what sizes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from hpsearch.trial import TrialSpec

LARGEST = 64
SMALLEST = 4
REFERENCE = (8, 153_600)  # K = 8 is best where a trial has 153,600 weights (CIFAR-10, 50 units)


@dataclass(frozen=True)
class Task:
    """What travels to an executor: the specs of one cohort, in the order of their ids."""

    specs: tuple[TrialSpec, ...]


def tasks(specs: Sequence[TrialSpec], *, jobs: int) -> list[Task]:
    """The trials as cohorts: alike in shape, sized for the cache, enough for every worker.

    How trials are grouped never changes their numbers, so any grouping will do; that of a
    resumed stage differs from the first.
    """
    ordered = sorted(specs, key=lambda spec: (repr(spec.shape), spec.id))
    cohorts = []
    for _, alike in groupby(ordered, key=lambda spec: spec.shape):
        cohorts += _cut(list(alike), jobs)
    return [Task(tuple(cohort)) for cohort in sorted(cohorts, key=lambda cohort: cohort[0].id)]


def _cut(alike: list[TrialSpec], jobs: int) -> list[list[TrialSpec]]:
    """Pieces as equal as can be, none above the best size, in number a multiple of the jobs."""
    best = cohort_size(alike[0].net.n_params)
    pieces = -(-len(alike) // best)
    pieces = min(-(-pieces // jobs) * jobs, len(alike))
    return [alike[start::pieces] for start in range(pieces)]


def cohort_size(n_params: int) -> int:
    """K by the square root of the trial's size, through the sizes measured best."""
    size, at = REFERENCE
    return max(SMALLEST, min(LARGEST, round(size * math.sqrt(at / n_params))))
