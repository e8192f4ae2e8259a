"""One hparam at a time: what was reached over its range, and whether the range is right."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hpsearch.report.plots.edges import caption, loud
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
    best_first,
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
from hpsearch.trial import TrialResult
from hpsearch.verdict import Edge, SearchDocument, Verdict

if TYPE_CHECKING:
    import pandas as pd

OUTER = 0.05  # of the range: the zone that is shaded where its edge is flagged
JITTER = 0.3  # of the distance of two items of a list
STRENGTHS = {"info": "no evidence beyond"}
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
    """A view per hparam: is its range right? First those in question, and what moved."""
    results = everything(material)
    found = axes_of(material, results) if results else {}
    if not found:
        return None
    metric, (drawn, said) = searched(material), thinned(results, DRAWN)
    values = [reached(result, metric) for result in drawn]
    field = Field(
        drawn, metric, values, hover(drawn, metric), best_first(material)[:TOP],
        _judged(material), ranges(material),
    )  # fmt: skip
    names = _in_question(material, found, field)
    table = stages.space(field.document, material.trials[field.document.stage])
    table = trial_points(field.best, metric) if table.empty else table
    return Plot(
        "axes", "Is the range right?", caption(material, field.document),
        _alt(field, names), {plain(n): _drawing(found[n], field) for n in names}, table,
        notes={plain(n): _words(found[n], field) for n in names}, thinned=said,
    )  # fmt: skip


def _judged(material: Material) -> SearchDocument:
    """The last stage with a verdict, or where none has one the last."""
    found = [document for document in material.searches if document.verdict is not None]
    return [*material.searches[-1:], *found][-1]


def _in_question(material: Material, found: Mapping[str, Axis], field: Field) -> list[str]:
    """The hparams, first those flagged in the judged stage, then those flagged before, then by
    how far their ranges moved; among equals the most important first.
    """
    now = {edge.hparam for edge in loud(field.document)}
    before = Counter(edge.hparam for each in material.searches for edge in loud(each))

    def rank(name: str) -> tuple[bool, int, float]:
        return name not in now, -before[name], -round(_moved(found[name], field), 1)

    return sorted(by_importance(material.searches, list(found)), key=rank)


def _moved(axis: Axis, field: Field) -> float:
    """How far the middle of the range went from the first stage to the judged one, as a part of
    the axis.
    """
    own = field.bounds[field.bounds["hparam"] == axis.name]
    ends = own.iloc[0]["stage"] if len(own) else "", field.document.stage
    middles = [sum(bounds) / 2 for stage in ends if (bounds := _bounds(axis, field, stage))]
    moved = (middles[-1] - middles[0]) / (axis.high - axis.low) if axis.ranged and middles else 0.0
    return abs(moved) if math.isfinite(moved) else 0.0


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
    if field.document.verdict is Verdict.FAIL:
        return "not known: nothing was learnt"
    if edges := _edges(axis, field):
        return plain("; ".join(f"{STRENGTHS.get(e.strength, e.strength + ' edge')}: {e.message}"
                               for e in edges))  # fmt: skip
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
    """The ends of every stage's range, each kind once in the legend."""
    if not axis.ranged:
        return []
    found: dict[str, list[Piece]] = {}
    for stage in dict.fromkeys([field.document.stage, NEXT, *(r.stage for r in field.drawn)]):
        name, look = _line_of(stage, field)
        found.setdefault(name, []).extend(
            {"type": "line", "x0": end, "x1": end, "y0": 0, "y1": 1, "yref": "y domain",
             "line": look, "layer": "below", "name": name, "legendgroup": name}
            for end in _bounds(axis, field, stage) or ()
        )  # fmt: skip
    return [{**line, "showlegend": n == 0} for own in found.values() for n, line in enumerate(own)]


def _line_of(stage: str, field: Field) -> tuple[str, Piece]:
    """What the legend calls the ends of the stage's range, and how they are drawn."""
    if stage == field.document.stage:
        return f"range of {label(stage)}", {"width": 2, "color": "#808080"}
    if stage == NEXT:
        return "next range", {"color": "#808080", "width": 1.5, "dash": "dot"}
    return "other ranges", {"color": GREY, "width": 1.5, "dash": "dash"}


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
