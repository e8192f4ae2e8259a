"""Importance: which hparams decide whether a trial is among the best (PED-ANOVA)."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpsearch.search.space import Choice, Distribution, Range, Space, ZeroOrLogUniform

QUANTILE = 0.1  # of the trials are the best ones
FEWEST = 5  # of them, at least
ENOUGH = 20  # trials from which on an hparam may be found to do nothing
UNEVEN = 0.6  # of an even share of the importance
UNLIKE = 1.36  # the 5 % point of Kolmogorov's distribution
STEPS = 50  # cells of a range, at most
NARROWEST = 0.5 / 1.64  # cells: 90 % of a kernel lies in its own
TINY = 1e-12
Floats = NDArray[np.float64]


def importance(
    space: Space, hparams: Sequence[Mapping[str, Any]], scores: Floats
) -> dict[str, float]:
    """Every hparam's share, 1 in all: how unlike all trials the best tenth (at least five) are in
    it, by the Pearson divergence of two Parzen estimates on a grid over its own scale (PED-ANOVA,
    Watanabe et al. 2023, as in Optuna's evaluator). Larger `scores` (N,) are better. Empty where
    there are too few trials to tell best from all.
    """
    if len(scores) <= FEWEST:
        return {}
    best = top(scores, max(QUANTILE * len(scores), FEWEST))
    if best.all():
        return {}
    found = {name: _divergence(name, kind, hparams, best) for name, kind in space.items()}
    total = sum(found.values())
    return {name: d / total if total > 0 else 1 / len(found) for name, d in found.items()}


def matters(share: float, unlike: float, *, among: int, trials: int) -> bool:
    """Whether an hparam does anything here: not if its importance is far below an even share
    `among` so many hparams, and its values in the best trials are like those in the rest (see
    `edges.unlike`). With fewer than 20 trials nobody can tell, and it does.
    """
    return trials < ENOUGH or share >= UNEVEN / among or unlike >= UNLIKE


def top(scores: Floats, count: float) -> NDArray[np.bool_]:
    """The best `count` trials (rounded up) and all that equal the last of them, (N,)."""
    last = np.sort(scores)[-math.ceil(count)]
    chosen: NDArray[np.bool_] = scores >= last
    return chosen


def _divergence(
    name: str, kind: Distribution, hparams: Sequence[Mapping[str, Any]], best: NDArray[np.bool_]
) -> float:
    """Sum over the cells of all (best / all - 1)^2; 0 where no trial, or none of the best, has
    the hparam. Those that lack it weigh as in conditional PED-ANOVA (2026).
    """
    has = np.array([name in given for given in hparams])
    if not (has & best).any():
        return 0.0
    cells = _cells(kind, [given[name] for given in hparams if name in given])
    of_best, of_all = _density(kind, cells[best[has]]), _density(kind, cells)
    divergence = float(of_all @ (of_best / of_all - 1) ** 2)
    return float(best[has].sum() / best.sum()) ** 2 / float(has.mean()) * divergence


def _size(kind: Range) -> int:
    """How many cells a range has, without the one for zero."""
    low, high = kind.bounds
    if not kind.integer:
        return STEPS
    if kind.log:
        return min(STEPS, math.ceil(math.log2(high - low + 1)) + 1)
    return min(STEPS, round(high - low) + 1)


def _cells(kind: Distribution, values: Sequence[Any]) -> NDArray[np.int64]:
    """The nearest cell of each value (N,), the lower of two; -1 for the zero of zero_or_..."""
    if isinstance(kind, Choice):
        places = {key_of(choice): n for n, choice in reversed(list(enumerate(kind.choice)))}
        return np.array([places[key_of(value)] for value in values])
    last = _size(kind) - 1
    cells = np.ceil(np.array([kind.position(v) for v in values]) * last - 0.5)
    zero = isinstance(kind, ZeroOrLogUniform) & (np.array(values, float) <= 0)
    return np.where(zero, -1, np.clip(cells, 0, last)).astype(np.int64)


def key_of(value: Any) -> str:
    """A list's value by what it is written as; lists and tuples are one."""
    return repr(tuple(value) if isinstance(value, list) else value)


def _density(kind: Distribution, cells: NDArray[np.int64]) -> Floats:
    """The Parzen estimate of the cells (M,); that of zero_or_log_uniform has one more, for 0."""
    if isinstance(kind, Choice):
        return _of_list(np.bincount(cells, minlength=len(kind.choice))) + TINY
    ranged = cells[cells >= 0]
    density = _of_range(np.bincount(ranged, minlength=_size(kind)))
    if isinstance(kind, ZeroOrLogUniform):
        positive = _of_list(np.array([len(ranged), len(cells) - len(ranged)]))
        density = np.append(density * positive[0], positive[1])
    return density + TINY


def _of_list(counts: NDArray[np.int64]) -> Floats:
    """One kernel per value seen, weighted by how often, each smoothed by a uniform prior, and
    that prior as one more.
    """
    seen = np.flatnonzero(counts)
    kernels = np.full((len(seen) + 1, len(counts)), 1 / (len(seen) + 1))
    kernels[np.arange(len(seen)), seen] += 1
    return _mixed(kernels / kernels.sum(axis=1, keepdims=True), counts[seen])


def _of_range(counts: NDArray[np.int64]) -> Floats:
    """One normal kernel per cell seen, cut at the ends of the range, of the width that Scott's
    rule gives (Scott 1992, with the quartiles), and a prior as wide as the range.
    """
    seen = np.flatnonzero(counts)
    if not len(seen):
        return np.full(len(counts), 1 / len(counts))
    weights, size = counts[seen], len(counts)
    centers = np.append(seen, (size - 1) / 2)
    widths = np.append(np.full(len(seen), _scott(seen, weights)), size)
    ends = (np.arange(size + 1) - 0.5 - centers[:, None]) / widths[:, None]
    below = np.array([math.erf(z) for z in (ends / math.sqrt(2)).ravel()]).reshape(ends.shape)
    kernels = np.diff(below) / (below[:, -1:] - below[:, :1])
    return _mixed(kernels, weights)


def _scott(seen: NDArray[np.int64], weights: NDArray[np.int64]) -> float:
    """The kernels' standard deviation, in cells."""
    n, until = int(weights.sum()), np.cumsum(weights)
    mean = float(seen @ weights) / n
    deviation = math.sqrt(float((seen - mean) ** 2 @ weights) / max(1, n - 1))
    first = seen[np.searchsorted(until, n // 4, side="left")]
    third = seen[min(len(seen) - 1, int(np.searchsorted(until, n * 3 // 4, side="right")))]
    spread = min(float(third - first) / 1.34, deviation)
    return max(1.059 * spread / math.pow(n, 0.2), NARROWEST)


def _mixed(kernels: Floats, weights: NDArray[np.int64]) -> Floats:
    """The mixture of the kernels (M, cells), the last of which is the prior and weighs as one."""
    mixed: Floats = np.append(weights, 1) @ kernels / (weights.sum() + 1)
    return mixed
