"""The learning-rate sweep: its losses, where they end, and the range test."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hpsearch.report.plots.lines import (
    BELOW,
    HIDDEN,
    Trace,
    axis,
    drawn,
    layout,
    log_switch,
    losses,
    style,
)
from hpsearch.report.plots.plot import (
    BLUE,
    GREEN,
    GREY,
    NEUTRAL,
    ORANGE,
    VERMILION,
    Drawing,
    Plot,
)
from hpsearch.report.tables import checking
from hpsearch.report.tables.material import Material
from hpsearch.report.text import number
from hpsearch.verdict import CheckDocument

if TYPE_CHECKING:
    import pandas as pd

BEYOND = 3.3  # times the first loss: a little more than what counts as diverged
RATE = {"type": "log", "exponentformat": "power", "tickangle": 0}
BAND = "rgba(0,158,115,.15)"  # of the proposed range


def sweep_curves(material: Material) -> Plot | None:
    """The losses of all rates over the sweep's iterations, and where each of them ends."""
    document = material.check("sweep")
    rates = checking.sweep_rates(document) if document else None
    if document is None or rates is None or rates.empty:
        return None
    courses, views = checking.sweep_courses(document), dict[str, Drawing]()
    if len(courses):
        views["loss over the iterations"] = _sweep(document, rates, courses)
    views["loss reached, by rate"] = _scores(document, rates)
    said = _sweep_says(document, rates)
    return Plot(
        "sweep", "Learning-rate sweep", said,
        f"The losses of {len(rates)} learning rates from the same start. {said}", views, rates,
        switches=[log_switch()],
    )  # fmt: skip


def _sweep_says(document: CheckDocument, rates: "pd.DataFrame") -> str:
    best, lost = rates[rates["best"]], rates[rates["diverged"]]
    said = f"None of {len(rates)} rates brings the loss down as it should."
    if len(best):
        row = best.iloc[0]
        said = (
            f"Learning rate {number(float(row['rate']))} does best: the loss falls from"
            f" {number(float(row['first']))} to {number(float(row['score']))} in"
            f" {int(row['step'])} iterations."
        )
    if len(lost):
        said += f" Training diverges from {number(float(lost['rate'].min()))} on."
    if span := _span(document):
        said += f" The range proposed for the search: {number(span[0])} to {number(span[1])}."
    return said


def _span(document: CheckDocument) -> tuple[float, float] | None:
    """The range that the sweep proposes."""
    found = [checking.real(bound) for bound in checking.listed(document.facts, "range")]
    return (found[0], found[1]) if len(found) == 2 else None


def _sweep(document: CheckDocument, rates: "pd.DataFrame", courses: "pd.DataFrame") -> Drawing:
    """A line for each rate, the best one thick; at the top a cross where one was given up."""
    traces: list[Trace] = []
    rows = rates.to_dict("records")
    for place, row in enumerate(rows):
        course = courses[courses["rate"] == row["rate"]]
        steps, values = course["step"].tolist(), drawn(course["loss"].tolist())
        ended = f"{number(row['rate'])}{', the best' if row['best'] else ''}"
        look = style(place)["line"] | {"width": 1.5}
        look |= {"width": 4, "dash": "solid"} if row["best"] else {}
        traces += [{
            "type": "scatter", "mode": "lines", "name": ended, "x": steps, "y": values,
            "line": look,
            "hovertemplate": f"rate {number(row['rate'])}, "
                             "iteration %{x}: %{y:.4g}<extra></extra>",
        }] * bool(steps)  # fmt: skip
    lost = rates[rates["diverged"]]
    traces += [{
        "type": "scatter", "mode": "markers", "name": "diverged", "yaxis": "y2",
        "x": drawn(lost["step"].tolist()), "y": [0.97] * len(lost),
        "marker": {"symbol": "x", "color": VERMILION, "size": 9},
        "text": [number(rate) for rate in lost["rate"].tolist()],
        "hovertemplate": "rate %{text} diverged, iteration %{x}<extra></extra>",
    }] * bool(len(lost))  # fmt: skip
    traces += _baseline(document, [courses["step"].min(), courses["step"].max()])
    return {
        "data": traces,
        "layout": layout(
            xaxis=axis("iteration"), yaxis=losses("loss", _highest(rates)), yaxis2=HIDDEN,
            legend={**BELOW, "title": {"text": "rate"}},
        ),
    }  # fmt: skip


def _highest(rates: "pd.DataFrame") -> float | None:
    first = float(rates["first"].max())
    return BEYOND * first if first > 0 and math.isfinite(first) else None


def _baseline(document: CheckDocument, ends: Sequence[Any]) -> list[Trace]:
    """What answering without the input costs: usable rates get below it."""
    level = drawn([document.facts.get("baseline")])
    return [{
        "type": "scatter", "mode": "lines", "name": "without the input", "x": drawn(ends),
        "y": level * 2, "line": {"color": NEUTRAL, "dash": "dot", "width": 2},
        "hovertemplate": "the best answer that ignores the input: %{y:.4g}<extra></extra>",
    }] * (level[0] is not None)  # fmt: skip


def _scores(document: CheckDocument, rates: "pd.DataFrame") -> Drawing:
    """The mean of each rate's last losses over the rate; those that diverged at the top."""
    rows, top = rates[~rates["diverged"]], rates[rates["diverged"]]
    ends = [rates["rate"].min(), rates["rate"].max()]
    traces: list[Trace] = [{
        "type": "scatter", "mode": "lines+markers", "name": "loss reached",
        "x": drawn(rows["rate"].tolist()), "y": drawn(rows["score"].tolist()),
        "error_y": {"type": "data", "array": drawn(rows["error"].tolist()), "color": BLUE},
        "line": {"color": BLUE},
        "marker": {"color": BLUE, "size": [14 if best else 7 for best in rows["best"].tolist()],
                   "symbol": ["star" if best else "circle" for best in rows["best"].tolist()]},
        "customdata": drawn(rows["accuracy"].tolist()),
        "hovertemplate": "rate %{x:.4g}: loss %{y:.4g}, accuracy %{customdata:.1%}"
                         "<extra></extra>",
    }] * bool(len(rows))  # fmt: skip
    traces += [{
        "type": "scatter", "mode": "markers", "name": "diverged", "yaxis": "y2",
        "x": drawn(top["rate"].tolist()), "y": [0.97] * len(top),
        "marker": {"symbol": "x", "color": VERMILION, "size": 9},
        "hovertemplate": "rate %{x:.4g} diverged<extra></extra>",
    }] * bool(len(top))  # fmt: skip
    traces += _baseline(document, ends)
    span = _span(document)
    return {
        "data": traces,
        "layout": layout(
            xaxis=axis("learning rate", **RATE), yaxis=losses("loss"), yaxis2=HIDDEN,
            shapes=[_proposed(*span)] if span else [],
        ),
    }  # fmt: skip


def _proposed(low: float, high: float) -> dict[str, Any]:
    return {
        "type": "rect", "x0": low, "x1": high, "yref": "paper", "y0": 0, "y1": 1,
        "fillcolor": BAND, "line": {"width": 1, "color": GREEN, "dash": "dot"}, "layer": "below",
        "showlegend": True, "name": "proposed range",
    }  # fmt: skip


def range_test(material: Material) -> Plot | None:
    """The loss while the rate rises exponentially, with the rates that it tells."""
    document = material.check("sweep")
    table = checking.ramp(document) if document else None
    if document is None or table is None or table.empty:
        return None
    facts, found = document.facts, checking.mapped(document.facts, "ramp")
    marks: list[tuple[str, Any, str, str]] = [
        ("begins to fall", found.get("low"), "dash", BLUE),
        ("falls fastest", found.get("steepest"), "solid", GREEN),
        ("falls no more", found.get("high"), "dash", ORANGE),
        ("chosen by the sweep", facts.get("learning_rate"), "dot", BLUE),
        ("diverges in the sweep", facts.get("diverging"), "dot", VERMILION),
    ]
    shapes = [_mark(*mark) for mark in marks if checking.real(mark[1]) > 0]
    shapes += [_proposed(*span)] if (span := _span(document)) else []
    x = drawn(table["rate"].tolist())
    traces = [
        {"type": "scatter", "mode": "markers", "name": "minibatch", "x": x,
         "y": drawn(table["loss"].tolist()), "marker": {"color": GREY, "size": 5},
         "hovertemplate": "rate %{x:.3g}: %{y:.4g}<extra></extra>"},
        {"type": "scatter", "mode": "lines", "name": "average", "x": x,
         "y": drawn(table["smoothed"].tolist()), "line": {"color": BLUE, "width": 3},
         "hovertemplate": "rate %{x:.3g}: average %{y:.4g}<extra></extra>"},
    ]  # fmt: skip
    first = float(table["smoothed"].iloc[0])
    drawing = {
        "data": traces,
        "layout": layout(
            xaxis=axis("learning rate", **RATE), shapes=shapes,
            yaxis=losses("loss", BEYOND * first if first > 0 else None),
        ),
    }  # fmt: skip
    said = _ramp_says(table, found)
    return Plot(
        "range-test", "Range test", said, f"The loss over a rising learning rate. {said}",
        {"range test": drawing}, table, switches=[log_switch()], height=480,
    )  # fmt: skip


def _ramp_says(table: "pd.DataFrame", found: Any) -> str:
    ends = number(float(table["rate"].iloc[0]), 3), number(float(table["rate"].iloc[-1]), 3)
    said = f"While the rate rises from {ends[0]} to {ends[1]},"
    if not checking.real(found.get("low")) > 0:
        return f"{said} the loss never falls: no rate can be told from it."
    return (
        f"{said} the loss begins to fall at {number(found['low'])}, falls fastest at"
        f" {number(found['steepest'])} and no more from {number(found['high'])} on: rates between"
        " the first and the last of these train."
    )


def _mark(name: str, rate: float, dash: str, colour: str) -> dict[str, Any]:
    return {
        "type": "line", "x0": rate, "x1": rate, "yref": "paper", "y0": 0, "y1": 1,
        "line": {"color": colour, "dash": dash, "width": 2}, "showlegend": True,
        "name": f"{name}, {number(float(rate))}",
    }  # fmt: skip
