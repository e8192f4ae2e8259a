"""What plots of curves share: numbers that JSON can hold, axes, and the log scale's button."""

import math
from collections.abc import Iterable
from typing import Any

from hpsearch.report.plots.plot import SERIES, Switch

DIGITS = 5  # significant, of a number that is drawn
DASHES = ("solid", "dash", "dot", "dashdot", "longdash")
SYMBOLS = (
    "circle", "square", "diamond", "triangle-up", "pentagon", "star", "triangle-down", "hexagram",
    "bowtie", "hourglass",
)  # fmt: skip
MARGIN = {"l": 12, "r": 12, "t": 12, "b": 12}
BELOW = {"orientation": "h", "yref": "container", "y": 0, "yanchor": "bottom"}
HIDDEN = {  # an axis over the whole height, whatever the scale of the visible one
    "overlaying": "y", "range": [0, 1], "visible": False, "fixedrange": True,
}  # fmt: skip
LOWEST = 1e-10  # of a log axis

Trace = dict[str, Any]
Axis = dict[str, Any]


def drawn(values: Iterable[Any]) -> list[float | None]:
    """Numbers as a drawing holds them; what is not finite is a gap."""
    return [_short(value) for value in values]


def _short(value: Any) -> float | None:
    real = isinstance(value, int | float) and not isinstance(value, bool)
    return float(f"{value:.{DIGITS}g}") if real and math.isfinite(value) else None


def style(place: int) -> dict[str, Any]:
    """The place's own colour, dash and symbol: any one of them tells it from its neighbours."""
    colour = SERIES[place % len(SERIES)]
    return {
        "line": {"color": colour, "dash": DASHES[place % len(DASHES)], "width": 2},
        "marker": {"color": colour, "symbol": SYMBOLS[place % len(SYMBOLS)], "size": 7,
                   "maxdisplayed": 12},
    }  # fmt: skip


def axis(title: str, **more: Any) -> Axis:
    return {"title": {"text": title}, "automargin": True, **more}


def losses(title: str, highest: float | None = None, **more: Any) -> Axis:
    """An axis of losses, on either scale; beyond `highest` a curve leaves the plot."""
    limits = {"clipmin": LOWEST, **({"clipmax": highest} if highest else {})}
    return axis(title, exponentformat="power", autorangeoptions=limits, **more)


def layout(**axes: Any) -> dict[str, Any]:
    """The axes and whatever else plotly's layout takes, the legend below."""
    return {"margin": MARGIN, "legend": BELOW, **axes}


def log_switch(words: str = "log scale of the loss") -> Switch:
    """The button that shows the first panel on a log scale."""
    return Switch(words, ({}, {"yaxis.type": "log"}), ({}, {"yaxis.type": "linear"}))
