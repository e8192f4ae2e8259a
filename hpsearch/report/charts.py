"""Small charts made of characters."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console, ConsoleOptions, RenderResult
from rich.padding import Padding
from rich.text import Text

from hpsearch.report.text import number

BARS = "▁▂▃▄▅▆▇█"
EIGHTHS: tuple[str, ...] = ("", *"▏▎▍▌▋▊▉")
GAP = " "
EDGE = 0.05  # the outer part of a range that counts as its edge
BEST = "bold green"
RAMP = 100  # columns of a range test, at most
TOP = 1.25  # of its first loss: what explodes would flatten all the rest


def sparkline(
    values: Sequence[float | None], width: int, *,
    low: float | None = None, high: float | None = None,
) -> str:  # fmt: skip
    """The values as blocks, at most `width`; longer curves are averaged down. What is missing or
    not finite is a gap; a constant lies in the middle. `low` and `high` fix the scale.
    """
    if width < 1:
        return ""
    means = _averaged(np.array([math.nan if v is None else v for v in values], float), width)
    finite = means[np.isfinite(means)]
    if not len(finite):
        return GAP * len(means)
    bottom = float(finite.min()) if low is None else low
    top = float(finite.max()) if high is None else high
    return "".join(_bar(float(mean), bottom, top) for mean in means)


def _averaged(values: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    """At most `width` means of neighbours, over those that are finite."""
    if len(values) <= width:
        return values
    bins = [part[np.isfinite(part)] for part in np.array_split(values, width)]
    return np.array([part.mean() if len(part) else math.nan for part in bins])


def _bar(value: float, low: float, high: float) -> str:
    if not math.isfinite(value):
        return GAP
    if not high > low:
        return BARS[len(BARS) // 2 - 1]
    place = (min(max(value, low), high) - low) / (high - low)
    return BARS[min(len(BARS) - 1, int(place * len(BARS)))]


def bar(share: float, width: int) -> str:
    """A share of `width`, to the eighth of a column; at least a sliver of one that is not 0."""
    eighths: int = min(max(round(share * width * 8), 1 if share > 0 else 0), 8 * width)
    return "█" * (eighths // 8) + EIGHTHS[eighths % 8]


def ruler(
    positions: Sequence[float], best: float | None, width: int, *,
    side: str | None = None, style: str = "yellow",
) -> Text:  # fmt: skip
    """A range from low to high, `width` wide, with the places (0 to 1) of the best trials and the
    very best. The zone at the flagged `side` has its `style`.
    """
    inner = max(width - 2, 1)
    marks = ["·"] * inner
    for position in positions:
        if math.isfinite(position):
            marks[_cell(position, inner)] = "▪"
    at = _cell(best, inner) if best is not None and math.isfinite(best) else None
    if at is not None:
        marks[at] = "█"
    text = Text("├" + "".join(marks) + "┤")
    zone = max(1, round(EDGE * inner)) + 1
    if side:
        text.stylize(style, *((0, zone) if side == "low" else (inner + 2 - zone, inner + 2)))
    if at is not None:
        text.stylize(style if side else BEST, at + 1, at + 2)
    return text


def _cell(position: float, cells: int) -> int:
    return min(cells - 1, max(0, int(position * cells)))


@dataclass(frozen=True)
class RampChart:
    """The smoothed loss of a range test over the log of its rate, as wide as there is room, with
    the range where it falls, and where it does so fastest, marked and named below.
    """

    ramp: Mapping[str, Any]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        rates, losses = self.ramp["rates"], self.ramp["smoothed"]
        width = min(len(rates), RAMP, options.max_width - 2)
        bars = sparkline(losses, width, high=TOP * losses[0])
        lines = Text(bars, style="cyan", no_wrap=True)
        marks = {name: self.ramp[name] for name in ("low", "steepest", "high")}
        if all(marks.values()):
            low, steepest, high = (self._column(rate, width) for rate in marks.values())
            lines.append("\n" + GAP * low + _bracket(high - low, steepest - low), style=BEST)
            words = ", ".join(f"{name} {number(rate, 3)}" for name, rate in marks.items())
            lines.append(f"\nfalls: {words}", style="dim")
        else:
            lines.append("\nit never falls", style="dim")
        yield Padding(lines, (0, 0, 0, 2), expand=False)

    def _column(self, rate: float, width: int) -> int:
        """Where a rate lies in the line."""
        first, last = math.log(self.ramp["rates"][0]), math.log(self.ramp["rates"][-1])
        return _cell((math.log(rate) - first) / (last - first), width)


def _bracket(length: int, middle: int) -> str:
    """A line with its ends and a place in between marked."""
    line = ["├", *"─" * (length - 1), "┤"]
    line[middle] = "▲"
    return "".join(line)
