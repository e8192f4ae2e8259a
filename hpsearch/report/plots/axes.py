"""One hparam at a time: what was reached over its range, and whether the range is right."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hpsearch.report.plots.marks import (
    DRAWN,
    EDGE,
    HOVER,
    Piece,
    crosses,
    drawn_axis,
    hover,
    layout,
    metric_axis,
    metric_name,
    shelf,
    stage_look,
    star,
)
from hpsearch.report.plots.plot import (
    GREY,
    ORANGE,
    SKY,
    VERMILION,
    Drawing,
    Plot,
    label,
)
from hpsearch.report.tables import stages
from hpsearch.report.tables.axis import Axis
from hpsearch.report.tables.material import Material
from hpsearch.report.tables.points import (
    NEXT,
    axes_of,
    by_importance,
    everything,
    ranges,
    reached,
    searched,
    trial_points,
)
from hpsearch.report.tables.stages import TOP
from hpsearch.report.tables.thinning import thinned
from hpsearch.report.text import number, plain
from hpsearch.trial import TrialResult, ranking
from hpsearch.verdict import Edge, SearchDocument

if TYPE_CHECKING:
    import pandas as pd

OUTER = 0.05  # of the range: the zone that is shaded where its edge is flagged
JITTER = 0.3  # of the distance of two items of a list
ZONES = {"strong": VERMILION, "stability": VERMILION, "warn": ORANGE, "info": SKY}


@dataclass(frozen=True)
class Field:
    """What all views show: the trials drawn, where they stand on the metric's axis (those without
    a value beyond the worst), the best of all, and the stage whose ranges are judged.
    """

    drawn: Sequence[TrialResult]
    metric: str
    values: Sequence[float]
    texts: Sequence[str]
    best: Sequence[TrialResult]
    document: SearchDocument
    bounds: "pd.DataFrame"

    @property
    def heights(self) -> list[float]:
        low = shelf(self.metric, self.values)
        return [value if math.isfinite(value) else low for value in self.values]


def axes(material: Material) -> Plot | None:
    """A view per hparam, the most important first: is its range right?"""
    results = everything(material)
    found = axes_of(material, results) if results else {}
    if not found:
        return None
    metric, (drawn, said) = searched(material), thinned(results, DRAWN)
    values = [reached(result, metric) for result in drawn]
    field = Field(
        drawn, metric, values, hover(drawn, metric), ranking(results)[:TOP],
        _judged(material), ranges(material),
    )  # fmt: skip
    names = by_importance(material.searches, list(found))
    before = _before([d for d in material.searches if d is not field.document])
    table = stages.space(field.document, material.trials[field.document.stage])
    table = trial_points(field.best, metric) if table.empty else table
    return Plot(
        "axes", "Is the range right?", _caption(field.document, before),
        _alt(field, names), {plain(n): _drawing(found[n], field) for n in names}, table,
        notes={plain(n): _words(found[n], field) for n in names}, thinned=said,
    )  # fmt: skip


def _judged(material: Material) -> SearchDocument:
    """The last stage with a verdict, or where none has one the last."""
    found = [document for document in material.searches if document.verdict is not None]
    return [*material.searches[-1:], *found][-1]


def _caption(document: SearchDocument, before: str) -> str:
    stage = plain(document.stage)
    if document.verdict is None:
        return f"{stage} is not judged yet: whether the best lie on an edge is said when it ends."
    if not (said := _loud(document)):
        return (
            f"No range of {stage} ends too early: the best lie inside, or there is nothing to gain"
            f" beyond.{before} The circles are the best five of all trials, the lines the ends of"
            " the ranges."
        )
    return (
        f"In {stage} the best may lie beyond the range: {said}. The shaded zone is the end in"
        f" question; the circles are the best five of all trials.{before}"
    )


def _loud(document: SearchDocument) -> str:
    """The ends of its ranges that want to be widened."""
    loud = [edge for edge in document.edges if edge.strength != "info"]
    named = [f"{plain(e.hparam)} at its {plain(e.side)} end ({plain(e.strength)})" for e in loud]
    return ", ".join(named)


def _before(documents: Sequence[SearchDocument]) -> str:
    """Which ends were in question in earlier stages."""
    said = [f"{plain(d.stage)} {loud}" for d in documents if (loud := _loud(d))]
    return f" Before, it was in question in {'; '.join(said)}." if said else ""


def _alt(field: Field, names: Sequence[str]) -> str:
    text = f"{metric_name(field.metric)} over {', '.join(map(plain, names))}, one view each."
    if not field.best:
        return f"{text} No trial was completed."
    first = number(field.best[0].hparams.get(names[0]), 3)
    return f"{text} The best trial has {plain(names[0])} {first}."


def _drawing(axis: Axis, field: Field) -> Drawing:
    xs = [_place(axis, result, n) for n, result in enumerate(field.drawn)]
    return {
        "data": [*_by_stage(xs, field), *_lost(xs, field), *_best(xs, field)],
        "layout": layout(
            xaxis=drawn_axis(axis), yaxis=metric_axis(field.metric, field.values),
            shapes=[*_ends(axis, field), *_zones(axis, field)],
        ),
    }  # fmt: skip


def _place(axis: Axis, result: TrialResult, number_of: int) -> float:
    """Items of a list are strewn a little, so that trials do not hide each other."""
    strewn = 0.0 if axis.ranged else JITTER * (2 * (number_of * 0.618034 % 1) - 1)
    return axis.of(result.hparams) + strewn


def _words(axis: Axis, field: Field) -> str:
    """What the evidence says of this range."""
    if edges := _edges(axis, field):
        return plain("; ".join(f"{edge.strength} edge: {edge.message}" for edge in edges))
    stage, top = plain(field.document.stage), [r for r in field.best if axis.name in r.hparams]
    if field.document.verdict is None:
        return f"{stage} is not judged yet"
    if not top:
        return "no trial that has it was completed"
    if not axis.ranged:
        counts = Counter(number(result.hparams[axis.name]) for result in top).most_common()
        return f"of the best {len(top)}: " + ", ".join(f"{n} with {value}" for value, n in counts)
    if axis.of(top[0].hparams) == axis.zero:
        return "no edge: the best is 0, which has a place of its own beside the range"
    ends = _bounds(axis, field, field.document.stage)
    if ends is None:
        return f"{stage} has no range of it"
    low, high = ends
    part = (axis.of(top[0].hparams) - low) / (high - low)
    if not 0 <= part <= 1:
        return f"the best of all lies outside the range of {stage}"
    return f"no edge: the best lies at {part:.0%} of the range of {stage}"


def _bounds(axis: Axis, field: Field, stage: str) -> tuple[float, float] | None:
    """The ends of a stage's range on the axis; of a list those of its items."""
    if not axis.ranged:
        return axis.low, axis.high
    table = field.bounds
    own = table[(table["stage"] == stage) & (table["hparam"] == axis.name)]
    return next(
        ((axis.place(row.low), axis.place(row.high)) for row in own.itertuples()), None
    )


def _by_stage(xs: Sequence[float], field: Field) -> list[Piece]:
    traces = []
    for place, stage in enumerate(dict.fromkeys(result.stage for result in field.drawn)):
        own = [
            n for n, result in enumerate(field.drawn)
            if result.stage == stage and math.isfinite(field.values[n])
        ]  # fmt: skip
        look = stage_look(place)
        marker = {"color": look["color"], "symbol": look["symbol"], "size": 7, "line": EDGE}
        if own:
            traces.append(_marks(label(stage), own, xs, field) | {"marker": marker})
    return traces


def _marks(name: str, own: Sequence[int], xs: Sequence[float], field: Field) -> Piece:
    heights = field.heights
    return {
        "type": "scatter", "mode": "markers", "name": name, "x": [xs[n] for n in own],
        "y": [heights[n] for n in own], "text": [field.texts[n] for n in own],
        "hovertemplate": HOVER,
    }  # fmt: skip


def _lost(xs: Sequence[float], field: Field) -> list[Piece]:
    own = [n for n, value in enumerate(field.values) if not math.isfinite(value)]
    heights = field.heights
    parts = [xs[n] for n in own], [heights[n] for n in own], [field.texts[n] for n in own]
    return [crosses(*parts)] if own else []


def _best(xs: Sequence[float], field: Field) -> list[Piece]:
    places = {id(result): n for n, result in enumerate(field.drawn)}
    own = [places[id(result)] for result in field.best if id(result) in places]
    if not own:
        return []
    ring = {"symbol": "circle-open", "size": 14, "color": VERMILION, "line": {"width": 2}}
    others = [_marks("best five", own[1:], xs, field) | {"marker": ring}] if own[1:] else []
    return [*others, star(xs[own[0]], field.heights[own[0]], field.texts[own[0]])]


def _ends(axis: Axis, field: Field) -> list[Piece]:
    """The ends of every stage's range; those that are judged are whole lines."""
    if not axis.ranged:
        return []
    found = []
    for stage in dict.fromkeys([*(result.stage for result in field.drawn), NEXT]):
        judged = stage == field.document.stage
        look = {"width": 2, "color": "#808080"} if judged else {"color": GREY, "dash": "dot"}
        found += [
            {"type": "line", "x0": end, "x1": end, "y0": 0, "y1": 1, "yref": "y domain",
             "line": look, "layer": "below"}
            for end in _bounds(axis, field, stage) or ()
        ]  # fmt: skip
    return found


def _edges(axis: Axis, field: Field) -> list[Edge]:
    return [edge for edge in field.document.edges if edge.hparam == axis.name]


def _zones(axis: Axis, field: Field) -> list[Piece]:
    """The outer parts whose edge was flagged."""
    ends = _bounds(axis, field, field.document.stage)
    return [_zone(axis, ends, edge) for edge in _edges(axis, field) if ends]


def _zone(axis: Axis, ends: tuple[float, float], edge: Edge) -> Piece:
    (low, high), below = ends, edge.side == "low"
    width, beyond = (OUTER * (high - low), 0.0) if axis.ranged else (0.5, 0.5)
    sides = (low - beyond, low + width) if below else (high - width, high + beyond)
    return {
        "type": "rect", "x0": sides[0], "x1": sides[1], "y0": 0, "y1": 1, "yref": "y domain",
        "layer": "below", "opacity": 0.3, "line": {"width": 0},
        "fillcolor": ZONES.get(edge.strength, ORANGE),
    }  # fmt: skip
