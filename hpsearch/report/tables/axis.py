"""Where the values of an hparam lie on an axis: on the scale it is thought of in, or as a list."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from hpsearch.report.text import MISSING, is_real, number
from hpsearch.search.importance import key_of
from hpsearch.search.space import Choice, Distribution, ZeroOrLogUniform
from hpsearch.search.space import Range as Ranged
from hpsearch.trial import TrialResult

Scale = Literal["linear", "log", "one-minus-log", "list"]
Tick = tuple[float, str]
GAP = 0.1  # of the range: how far below it zero stands on a log axis, and then what is absent
WIDE = 100  # times: numbers tried so far apart, in no known range, are drawn on a log axis
MOMENTA = (0.0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9995, 0.9999)
TICKS = 7  # at most, of a range
LISTED = 12  # at most, of a list


@dataclass(frozen=True)
class Axis:
    """An hparam's axis from `low` to `high`, on its scale: log10 of a value, -log10(1 - value) of
    a momentum, or the place in a list. A zero on a log scale, and a trial that lacks the hparam,
    have places of their own below.
    """

    name: str
    scale: Scale
    low: float
    high: float
    zero: float | None = None
    absent: float | None = None
    items: Mapping[str, tuple[int, str]] = field(default_factory=dict)

    @property
    def ranged(self) -> bool:
        """Whether it is one of numbers."""
        return self.scale != "list"

    def place(self, value: Any) -> float:
        """Where a value lies; NaN where it has no place."""
        if self.scale == "list":
            return self.items.get(key_of(value), (math.nan, ""))[0]
        if not is_real(value):
            return math.nan
        if self.scale == "log" and value <= 0:
            return math.nan if self.zero is None else self.zero
        return _scaled(self.scale, value)

    def of(self, hparams: Mapping[str, Any]) -> float:
        """Where a trial lies."""
        if self.name not in hparams:
            return math.nan if self.absent is None else self.absent
        return self.place(hparams[self.name])

    @property
    def span(self) -> tuple[float, float]:
        """All that is drawn, with a margin."""
        margin = 0.5 if self.scale == "list" else 0.04 * (self.high - self.low)
        below = [place for place in (self.zero, self.absent) if place is not None]
        return min([self.low, *below]) - margin, self.high + margin

    @property
    def ticks(self) -> list[Tick]:
        """Places and what is written there, from low to high."""
        below = [(self.absent, MISSING)] if self.absent is not None else []
        below += [(self.zero, "0")] if self.zero is not None else []
        return [*below, *self._ticks()]

    def _ticks(self) -> list[Tick]:
        if self.scale == "list":
            return _thin([(float(n), text) for n, text in self.items.values()], LISTED)
        inside = [v for v in self._round() if self.low - 1e-9 <= self.place(v) <= self.high + 1e-9]
        return [(self.place(value), number(float(value), 6)) for value in inside]

    def _round(self) -> list[float]:
        """Round values near and in the range."""
        if self.scale == "one-minus-log":
            return list(MOMENTA)
        if self.scale == "linear":
            return _steps(self.low, self.high)
        first, last = math.floor(self.low), math.ceil(self.high)
        every = math.ceil((last - first) / TICKS)
        digits = (1, 2, 5) if self.high - self.low < 2 else (1, 3) if every == 1 else (1,)
        digits = digits if last - first <= 3 else (1,)
        return [float(f"{d}e{e}") for e in range(first, last + 1, every) for d in digits]


def axis(name: str, kinds: Sequence[Distribution], results: Sequence[TrialResult]) -> Axis:
    """The axis of an hparam over all that was searched, by the ranges of its stages in order, and
    all that was tried.
    """
    tried: list[Any] = [result.hparams[name] for result in results if name in result.hparams]
    lacks = len(tried) < len(results)
    ranges = [kind for kind in kinds if not isinstance(kind, Choice)]
    if not all(map(is_real, tried)) or (kinds and not ranges) or not (tried or ranges):
        return _listed(name, kinds, tried, lacks)
    return _ranged(name, ranges, tried, lacks)


def _listed(
    name: str, kinds: Sequence[Distribution], tried: Sequence[Any], lacks: bool
) -> Axis:
    """Numbers by their size, words as they were written."""
    written = [value for kind in kinds if isinstance(kind, Choice) for value in kind.choice]
    unlike = list({key_of(value): value for value in [*written, *tried]}.values())
    if all(map(is_real, unlike)):
        unlike.sort()
    items = {key_of(value): (n, number(value)) for n, value in enumerate(unlike)}
    last = float(max(len(items) - 1, 0))
    return Axis(name, "list", 0.0, last, absent=-1.0 if lacks else None, items=items)


def _ranged(name: str, kinds: Sequence[Ranged], tried: Sequence[float], lacks: bool) -> Axis:
    scale = _scale(kinds, tried)
    bounds = [bound for kind in kinds for bound in kind.bounds]
    placed = [_scaled(scale, v) for v in [*bounds, *tried] if scale != "log" or v > 0]
    low, high = min(placed, default=0.0), max(placed, default=1.0)
    if low == high:
        low, high = low - 0.5, high + 0.5
    drawn = any(isinstance(k, ZeroOrLogUniform) and k.zero_or_log_uniform.zero for k in kinds)
    zero = scale == "log" and (drawn or min(tried, default=1) <= 0)
    gap = GAP * (high - low)
    return Axis(
        name, scale, low, high, low - gap if zero else None,
        low - gap * (1 + zero) if lacks else None,
    )  # fmt: skip


def _scale(kinds: Sequence[Ranged], tried: Sequence[float]) -> Scale:
    if not kinds:
        apart = min(tried) > 0 and max(tried) >= WIDE * min(tried)
        return "log" if apart else "linear"
    if not kinds[-1].log:
        return "linear"
    return "one-minus-log" if kinds[-1].name().startswith("one_minus") else "log"


def _scaled(scale: Scale, value: float) -> float:
    if scale == "log":
        return math.log10(value)
    if scale == "one-minus-log":
        return -math.log10(max(1 - value, 1e-12))
    return float(value)


def _steps(low: float, high: float) -> list[float]:
    """Round numbers from low to high."""
    size = 10.0 ** math.floor(math.log10((high - low) / TICKS))
    step = next(size * by for by in (1, 2, 5, 10) if (high - low) / (size * by) <= TICKS)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [float(f"{n * step:.12g}") for n in range(first, last + 1)]


def _thin(ticks: list[Tick], most: int) -> list[Tick]:
    return ticks[:: max(1, math.ceil(len(ticks) / most))]
