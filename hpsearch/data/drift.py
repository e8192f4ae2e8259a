"""Whether validation looks like train: the two-sample Kolmogorov-Smirnov test of each feature."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpsearch.data.blocks import column_blocks
from hpsearch.data.dataset import Dataset
from hpsearch.data.preprocess import moments

CELLS = 2**16  # sorted at once: they stay in the cache
TERMS = 100  # of Kolmogorov's series


@dataclass(frozen=True)
class Drift:
    """The feature in which train and validation differ most; how far apart their distribution
    functions are there, at most, and how probable as much is where nothing is wrong.
    """

    column: int
    distance: float
    p: float


def drift(dataset: Dataset, most: int) -> Drift:
    """Of the inputs as the network sees them, from at most `most` rows of each split."""
    splits = [rows.part(slice(most)) for rows in (dataset.train, dataset.validation)]
    blocks = column_blocks(splits, dataset.preprocess.apply)
    found = np.concatenate([distances(*block) for block in blocks])
    worst, (n, m) = int(found.argmax()), map(len, splits)
    p = kolmogorov(float(found[worst]) * math.sqrt(n * m / (n + m)))
    return Drift(worst, float(found[worst]), p)


def distances(a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.float64]:
    """How far apart the distribution functions of each column of `a` (n, D) and `b` (m, D) are at
    most, (D,) from 0 to 1; 0 for columns with numbers that are not finite.
    """
    width = max(1, CELLS // (len(a) + len(b)))
    parts = (slice(at, at + width) for at in range(0, a.shape[1], width))
    return np.concatenate([_distances(a[:, part], b[:, part]) for part in parts])


def _distances(a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.float64]:
    n, m = len(a), len(b)
    both = np.concatenate([a, b]).T
    bad = ~np.isfinite(both).all(axis=1)
    both[bad] = 0
    order = both.argsort(axis=1, kind="stable")
    values = np.take_along_axis(both, order, axis=1)
    ahead = np.cumsum(np.where(order < n, m, -n), axis=1)  # times 1 / (n m)
    last = np.ones(values.shape, bool)  # of equal values
    last[:, :-1] = values[:, 1:] > values[:, :-1]
    return np.asarray(np.where(last, np.abs(ahead), 0).max(axis=1) / (n * m))


def kolmogorov(t: float) -> float:
    """The probability of sqrt(n m / (n + m)) times that distance being above `t`, in the limit of
    many rows; with few it is less (Kolmogorov 1933).
    """
    if t < 0.2:
        return 1.0  # to 12 digits, where the series would need many terms
    terms = ((-1) ** (k - 1) * math.exp(-2 * (k * t) ** 2) for k in range(1, TERMS + 1))
    return min(1.0, max(0.0, 2 * math.fsum(terms)))


def sameness(dataset: Dataset) -> float | None:
    """How far apart the means and standard deviations of train and validation are at most, raw:
    in standard errors of the one, as a share of the other. Chance leaves neither near 0 in every
    feature; that each split was normalised by itself does. None where it cannot have been: the
    splits were drawn from the same numbers, or these are bytes.
    """
    splits = dataset.train, dataset.validation
    bases = [rows.base for rows in splits]
    if bases[0] is bases[1] or any(base.dtype.kind != "f" for base in bases):
        return None
    train, validation = (moments(r.as_stored().chunks(), r.gather(slice(1))[0]) for r in splits)
    varying = (train.sd > 0) & (validation.sd > 0)  # a rare pixel may be blank in a small part
    if not varying.any():
        return None
    sd = train.sd[varying]
    apart = np.abs(validation.mean - train.mean)[varying] / sd * math.sqrt(len(splits[1]))
    wider = np.abs(validation.sd[varying] / sd - 1)
    return float(max(apart.max(), wider.max()))
