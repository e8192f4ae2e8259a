"""What the plots of trials share: their marks, what hovering shows, and how axes are written."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from hpsearch.report.plots.plot import SCALE, SERIES, VERMILION, joined, label
from hpsearch.report.tables.axis import Axis
from hpsearch.report.tables.points import is_loss, reached
from hpsearch.report.text import metric as written
from hpsearch.report.text import number
from hpsearch.trial import TrialResult

Piece = dict[str, Any]  # of a drawing, as plotly writes it
DRAWN = 2000  # trials, at most
HOVERED = 8  # hparams that hovering shows, at most
DASHES = ("solid", "dash", "dashdot", "longdash", "longdashdot")
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "hexagon", "pentagon")
WORST = 0.2  # of the values: so many of the worst share one end of the colours
EDGE = {"width": 1, "color": "rgba(128,128,128,.8)"}  # around a mark, on any paper
LOST = "diverged"  # or failed: the tick of what has no value
HOVER = "%{text}<extra></extra>"


def metric_name(metric: str) -> str:
    """`val_accuracy` in words."""
    return metric.replace("val_", "validation ").replace("balanced_", "balanced ")


def hover(results: Iterable[TrialResult], metric: str) -> list[str]:
    """Per trial its name, what it reached, and its first hparams."""
    return [_told(result, metric) for result in results]


def _told(result: TrialResult, metric: str) -> str:
    value = reached(result, metric)
    came = written(metric, value) if math.isfinite(value) else str(result.status)
    given = [f"{name} {number(v)}" for name, v in [*result.hparams.items()][:HOVERED]]
    lines = [f"{result.stage}/{result.id}", f"{metric_name(metric)} {came}", *given]
    return joined([label(line) for line in lines])


def layout(**more: Any) -> Piece:
    """Small margins, for axes make room for their own ticks; the legend above in lines."""
    legend = {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"}
    margin = {"l": 8, "r": 8, "t": 28, "b": 8}
    return {"margin": margin, "legend": legend, "hovermode": "closest", **more}


def titled(text: str, **more: Any) -> Piece:
    """An axis with its title, which makes room for its ticks."""
    return {"title": {"text": text}, "automargin": True, **more}


def drawn_axis(axis: Axis) -> Piece:
    """An hparam's axis: marks are drawn at their places on its scale, values written at ticks."""
    places, texts = ticks(axis)
    return titled(
        label(axis.name), range=list(axis.span), tickvals=places, ticktext=texts, zeroline=False
    )


def ticks(axis: Axis) -> tuple[list[float], list[str]]:
    return [place for place, _ in axis.ticks], [label(text) for _, text in axis.ticks]


def metric_axis(metric: str, values: Sequence[float]) -> Piece:
    """Losses that are far apart on a log scale; trials without a value stand at a tick of their
    own (see `shelf`).
    """
    finite = _finite(values)
    log = on_log(metric, finite)
    given = titled(metric_name(metric), zeroline=False, **({"type": "log"} if log else {}))
    if len(finite) == len(values):
        return given
    ticks = _round(min(finite), max(finite), log=log) if finite else []
    return given | {
        "tickvals": [*(place for place, _ in ticks), shelf(metric, values)],
        "ticktext": [*(text for _, text in ticks), LOST],
    }


def _round(low: float, high: float, *, log: bool) -> list[tuple[float, str]]:
    """Round values from low to high, and what is written there."""
    if low == high:
        return [(low, number(low))]
    if not log:
        return Axis("", "linear", low, high).ticks
    found = Axis("", "log", math.log10(low), math.log10(high)).ticks
    return [(10.0**place, text) for place, text in found]


def on_log(metric: str, finite: Sequence[float]) -> bool:
    """Whether the values are losses far apart."""
    return is_loss(metric) and min(finite, default=0) > 0 and max(finite) > 10 * min(finite)


def _finite(values: Iterable[float]) -> list[float]:
    return [value for value in values if math.isfinite(value)]


def shelf(metric: str, values: Sequence[float]) -> float:
    """Where on the metric's axis the trials stand that have no value: beyond the worst."""
    finite = _finite(values)
    if not finite:
        return 0.0
    low, high = min(finite), max(finite)
    if on_log(metric, finite):
        return float(high * (high / low) ** 0.08)
    beyond = 0.08 * ((high - low) or abs(high) or 1.0)
    return high + beyond if is_loss(metric) else low - beyond


def colour_range(metric: str, values: Sequence[float]) -> tuple[float, float]:
    """From the metric's worst fifth to its best, so that the few worst do not take all colours."""
    finite = _finite(values)
    if not finite:
        return 0.0, 1.0
    share = 1 - WORST if is_loss(metric) else WORST
    worst, best = float(np.quantile(finite, share)), (min if is_loss(metric) else max)(finite)
    low, high = sorted((worst, best))
    return low, high if high > low else low + (abs(low) or 1.0) * 0.01


def coloured(metric: str, values: Sequence[float], among: Sequence[float]) -> Piece:
    """Marks whose colour is the metric's value on the scale of all `among`: bright is good."""
    low, high = colour_range(metric, among)
    return {
        "color": list(values), "colorscale": SCALE, "cmin": low, "cmax": high,
        "reversescale": is_loss(metric), "showscale": True,
        "colorbar": {"title": {"text": metric_name(metric), "side": "right"}, "thickness": 10},
    }  # fmt: skip


def crosses(x: Sequence[float], y: Sequence[float], text: Sequence[str]) -> Piece:
    """The trials that diverged or failed."""
    return {
        "type": "scatter", "mode": "markers", "name": "diverged", "x": list(x), "y": list(y),
        "text": list(text), "hovertemplate": HOVER,
        "marker": {"symbol": "x-thin", "size": 8, "line": {"width": 2, "color": VERMILION}},
    }  # fmt: skip


def star(x: float, y: float, text: str) -> Piece:
    """The best trial, seen on any paper and any colour."""
    look = {"symbol": "star", "size": 17, "color": "#fff", "line": {"width": 2, "color": "#000"}}
    return {
        "type": "scatter", "mode": "markers", "name": "best", "x": [x], "y": [y], "text": [text],
        "hovertemplate": HOVER, "marker": look,
    }  # fmt: skip


def stage_look(number_of: int) -> Mapping[str, str]:
    """The colour, the symbol and the dash by which a stage is known."""
    return {
        "color": SERIES[number_of % len(SERIES)], "symbol": SYMBOLS[number_of % len(SYMBOLS)],
        "dash": DASHES[number_of % len(DASHES)],
    }  # fmt: skip
