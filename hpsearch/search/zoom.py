"""The next range: narrowed around the best trials, widened where they lie on an edge."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hpsearch.search.edges import Side
from hpsearch.search.space import Range

FEWEST = 3  # trials that a range is drawn from, at least
PAD = 0.25  # decades
NARROWEST = 0.5  # decades
WIDER = 1.0  # decade beyond the old bound
LINEAR_DECADES = 4.0  # a linear range counts as so many decades wide


def survivors(scores: NDArray[np.float64], standard_error: float) -> NDArray[np.bool_]:
    """Which trials (N,) the next range is drawn from: the best quarter, at least three, and all
    within two standard errors of the best. Larger scores are better.
    """
    order = np.argsort(-scores, kind="stable")
    keep = np.zeros(len(scores), bool)
    keep[order[: max(FEWEST, math.ceil(len(scores) / 4))]] = True
    within: NDArray[np.bool_] = scores >= scores.max() - 2 * standard_error
    return keep | within


def narrow(kind: Range, values: Sequence[float], *, whole_decades: bool) -> Range:
    """The range of `values` on its scale. Rounded outward to whole decades (the lecture's own
    refinement, after its coarse search) or else padded by a quarter decade or half the largest
    gap; at least half a decade wide; never beyond the old bounds.
    """
    unit = _decade(kind)
    scaled = sorted(kind.to_scale(v) for v in values if not (kind.log and v <= 0))
    if not scaled:
        return kind
    low, high = scaled[0], scaled[-1]
    if whole_decades and kind.log:
        low, high = math.floor(low + 1e-9), math.ceil(high - 1e-9)
    else:
        gap = max(np.diff(scaled), default=0.0)
        pad = max(PAD * unit, float(gap) / 2)
        low, high = low - pad, high + pad
    return _within(kind, low, high, least=NARROWEST * unit)


def _within(kind: Range, low: float, high: float, *, least: float) -> Range:
    """`kind` over low..high on its scale, cut at its old bounds, and at least so wide."""
    old_low, old_high = map(kind.to_scale, kind.bounds)
    bottom, top = max(low, old_low), min(high, old_high)
    missing = max(0.0, least - (top - bottom))
    bottom, top = bottom - missing / 2, top + missing / 2
    bottom, top = bottom - max(0.0, top - old_high), top + max(0.0, old_low - bottom)
    bottom, top = max(bottom, old_low), min(top, old_high)
    first, last = kind.bounds
    bounds = sorted(min(max(_value(kind, end), first), last) for end in (bottom, top))
    return kind.with_bounds(*bounds) if bounds[0] < bounds[1] else kind


def beyond(old: Range, side: Side) -> float:
    """The value a decade beyond the `side` of a range."""
    low, high = map(old.to_scale, old.bounds)
    step = WIDER * _decade(old)
    return _value(old, low - step if side == "low" else high + step)


def widen(kind: Range, old: Range, side: Side, *, limit: float | None = None) -> Range:
    """`kind` with its `side` moved a decade beyond the `old` bound, not beyond `limit`."""
    (low, high), far = kind.bounds, beyond(old, side)
    if side == "low":
        return kind.with_bounds(min(low, max(far, limit)) if limit is not None else far, high)
    return kind.with_bounds(low, max(high, min(far, limit)) if limit is not None else far)


def _decade(kind: Range) -> float:
    """One decade on the range's scale; a quarter of the range where the scale is linear."""
    low, high = map(kind.to_scale, kind.bounds)
    return 1.0 if kind.log else (high - low) / LINEAR_DECADES


def _value(kind: Range, scaled: float) -> float:
    """From the scale, to three digits."""
    return kind.rounded(kind.from_scale(scaled))
