"""Isolation: each value of a scientific hparam at its best over all the others, and what of the
differences is more than noise (Google's Deep Learning Tuning Playbook: scientific and nuisance
hyperparameters, and the bucketed isolation plot).
"""

import math
from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise
from statistics import NormalDist
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpsearch.search.best_of_n import spread, unbiased
from hpsearch.search.importance import key_of
from hpsearch.search.space import Choice, Distribution, Value, ZeroOrLogUniform

FEWEST = 4  # trials of a value, for it to be compared
PER_BUCKET = 12  # trials that a range has for each of its buckets, where it can
BUCKETS = (2, 5)  # of a range, at least and at most
RISK = 0.05  # of a difference that is called more than noise where there is none
Floats = NDArray[np.float64]


class Bucket(NamedTuple):
    """A value, or where that is None the part of a range from `low` to `high`: of numbers below
    `high`, unless it is the last; of whole numbers both included.
    """

    value: Value | None = None
    low: float = math.nan
    high: float = math.nan


def buckets(kind: Distribution, trials: int) -> list[Bucket]:
    """What of an hparam is compared: the values of a list; of a range that has few values these,
    else as many equal parts on its scale as so many trials allow, beside its zero if it has one.
    """
    most = min(max(trials // PER_BUCKET, BUCKETS[0]), BUCKETS[1])
    values = kind.values
    if isinstance(kind, Choice) or (values is not None and len(values) <= most):
        return [Bucket(value) for value in values or ()]
    low, high = kind.bounds
    inner = {kind.rounded(kind.placed(n / most)) for n in range(1, most)}
    edges = [low, *sorted(edge for edge in inner if low < edge < high), high]
    parts = [Bucket(None, *ends) for ends in pairwise(edges)]
    if kind.integer:
        parts = [*(part._replace(high=part.high - 1) for part in parts[:-1]), parts[-1]]
    zero = isinstance(kind, ZeroOrLogUniform) and kind.zero_or_log_uniform.zero > 0
    return [Bucket(0.0), *parts] if zero else parts


def bucket_of(value: Any, among: Sequence[Bucket]) -> int:
    """The number of the bucket that a value lies in; what lies beyond a range is in its outermost
    one. KeyError for a value that is not in the list.
    """
    single = {key_of(one.value): n for n, one in enumerate(among) if one.value is not None}
    if key_of(value) in single or len(single) == len(among):
        return single[key_of(value)]
    lows = [one.low for one in among if one.value is None]
    return len(single) + max(0, bisect_right(lows, value) - 1)


class Group(NamedTuple):
    """The trials of one bucket: their scores (N,), of which larger are better, and the standard
    error of the best one.
    """

    scores: Floats
    error: float


class Lag(NamedTuple):
    """How one of the groups stands: the expected best of as many trials as the smallest has; by
    how much it is behind the leader, the standard error of that, and whether it is
    worse or that may be noise.
    """

    expected: float
    behind: float
    noise: float
    standing: Literal["leads", "noise", "worse"]


def compare(groups: Sequence[Group]) -> tuple[int, list[Lag | None]]:
    """The number of trials over which all are compared, and how each group stands; None for those
    with fewer than four trials. Nothing is compared where fewer than two have more.

    More trials alone make nobody win: the expected best of the smallest group's number is taken
    of all. The noise of a difference is what drawing other trials would do to it, if both groups
    were alike, and the error of both best scores.
    """
    counts = [len(group.scores) for group in groups if len(group.scores) >= FEWEST]
    if len(counts) < 2:
        return 0, [None] * len(groups)
    n = min(counts)
    expected = [unbiased(g.scores, n) if len(g.scores) >= n else -math.inf for g in groups]
    lead = expected.index(max(expected))
    limit = clear_from(len(counts))
    return n, [
        _lag(group, groups[lead], n, limit) if len(group.scores) >= n else None
        for group in groups
    ]


def _lag(group: Group, leader: Group, n: int, limit: float) -> Lag:
    expected = unbiased(group.scores, n)
    if group is leader:
        return Lag(expected, 0.0, 0.0, "leads")
    behind, noise = unbiased(leader.scores, n) - expected, _noise(group, leader, n)
    worse = behind > limit * noise
    return Lag(expected, behind, noise, "worse" if worse else "noise")


def _noise(one: Group, other: Group, n: int) -> float:
    """The standard error of the difference of two expected bests of n. The spread is that of both
    groups together: of one alone the few best scores tell it too badly.
    """
    both = spread(np.concatenate([one.scores, other.scores]), n)
    shares = n / len(one.scores) + n / len(other.scores)  # Hoeffding 1948: var U_n <= n/N var
    return math.hypot(both * math.sqrt(shares), one.error, other.error)


def clear_from(count: int) -> float:
    """How many standard errors are more than noise among so many groups (Bonferroni): 1.96 for
    two, 2.64 for four.
    """
    return NormalDist().inv_cdf(1 - RISK / (count * (count - 1)))
