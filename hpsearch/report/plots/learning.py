"""All learning curves of a stage in one plot."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from hpsearch.curves import tally
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
from hpsearch.report.plots.plot import GREY, PURPLE, VERMILION, Drawing, Plot, joined, label
from hpsearch.report.tables import learning
from hpsearch.report.tables.material import Material
from hpsearch.report.tables.stages import rows_of
from hpsearch.report.tables.thinning import thinned
from hpsearch.report.text import metric, number
from hpsearch.trial import Status, TrialResult, ranking
from hpsearch.verdict import SearchDocument

if TYPE_CHECKING:
    import pandas as pd

TOP = 10  # trials that have a colour
GREYS = 200  # trials that have none, at most
POINTS = 100  # epochs of a grey curve, at most
NAMED = 6  # hparams told of a curve that is pointed at
BEYOND = 1.5  # times the highest loss of the trials that were completed: the top of the plot
MEASURES = {
    "val_accuracy": "validation accuracy", "val_balanced_accuracy": "validation balanced accuracy",
    "val_loss": "validation loss", "train_loss": "training loss",
}  # fmt: skip
SIGNS = {  # of how a trial ended: symbol, colour
    Status.DIVERGED: ("x", VERMILION),
    Status.PRUNED: ("circle-open", PURPLE),
}
READING = f"The {TOP} best trials have a colour, the others are grey."
CROSSES = " A cross is where a trial diverged."
RINGS = " A ring is where a trial was pruned: of these, those that came furthest count as best."


class Shown(NamedTuple):
    """The trials of a stage that are drawn, those with a colour first, and their tables (see
    `report.tables.learning`).
    """

    tops: Sequence[TrialResult]
    courses: "pd.DataFrame"
    ends: "pd.DataFrame"
    left_out: str

    @classmethod
    def of(cls, material: Material, document: SearchDocument, measures: Sequence[str]) -> "Shown":
        rows = rows_of(material.store, "train")
        tops = learning.leading(material.trials[document.stage])[:TOP]
        seen = {r.id for r in tops}
        rest = [r for r in material.trials[document.stage] if r.id not in seen]
        others, left_out = thinned(rest, GREYS)
        results = [*tops, *others]
        batches = {r.id: learning.batches(r, rows, document.settings) for r in results}
        table = learning.courses(results, measures)
        ends = learning.ends(results, batches, measures)
        words = f"{document.stage}: besides the {len(tops)} in colour, {left_out}"
        return cls(tops, table, ends, words if left_out else "")


def curves(material: Material) -> Plot | None:
    """Every trial's curve, a view for each stage and measure, the latest stage first."""
    import pandas as pd

    views: dict[str, Drawing] = {}
    notes, tables, left_out = dict[str, str](), list[pd.DataFrame](), list[str]()
    stages = [d for d in reversed(material.searches) if material.trials.get(d.stage)]
    for document in stages:
        measures = list(dict.fromkeys([document.metric, "val_accuracy", "train_loss"]))
        shown, said = Shown.of(material, document, measures), _says(document, material)
        for name in measures:
            view = f"{document.stage}: {MEASURES[name]}"
            views[view] = _together(shown, name)
            notes[view] = said
        tables.append(shown.courses.assign(stage=document.stage))
        left_out += [shown.left_out] if shown.left_out else []
    if not views:
        return None
    first = next(iter(notes.values()))
    return Plot(
        "learning-curves", "All learning curves",
        f"{_progress(material, stages) or first} {_reading(material)}",
        f"A line for each trial over its epochs. {first}", views,
        pd.concat(tables, ignore_index=True).set_index("stage").reset_index(),
        switches=[log_switch("log scale")], thinned="; ".join(left_out), height=480, notes=notes,
    )  # fmt: skip


def _reading(material: Material) -> str:
    """How to read the curves that there are."""
    seen = {r.status for results in material.trials.values() for r in results}
    crosses, rings = Status.DIVERGED in seen, Status.PRUNED in seen
    return f"{READING}{CROSSES if crosses else ''}{RINGS if rings else ''}"


def _progress(material: Material, stages: Sequence[SearchDocument]) -> str:
    """How the best trial of the stages, the latest first, has changed."""
    same = [document for document in stages if document.metric == stages[0].metric]
    ranked = [ranking(material.trials[document.stage]) for document in same]
    best = [results[0] for results in ranked if results]
    if len(best) < 2:
        return ""
    last, first = best[0], best[-1]
    return (
        f"The best {MEASURES[last.metric]} went from {metric(first.metric, first.value)} in"
        f" {first.stage} to {metric(last.metric, last.value)} in {last.stage}."
    )


def _says(document: SearchDocument, material: Material) -> str:
    """A stage's curves in words."""
    results = material.trials[document.stage]
    best, counts = ranking(results)[:TOP], tally(results)
    lost = sum(r.status is Status.DIVERGED for r in results)
    pruned = sum(r.status is Status.PRUNED for r in results)
    parts = [f"{document.stage}: no trial was completed yet"]
    if best:
        top = best[0]
        parts = [
            f"{document.stage}: trial {top.id} is the best,"
            f" {metric(top.metric, top.value)} {MEASURES[top.metric]} at epoch {top.best_epoch} of"
            f" {top.epochs}"
        ]
        last = f"place {len(best)} has {metric(top.metric, best[-1].value)}"
        parts += [last] * (len(best) > 1)
    parts += [f"{lost} of {len(results)} diverged"] * bool(lost)
    parts += [f"{pruned} pruned"] * bool(pruned)
    words = ", ".join(f"{word} {count}" for word, count in counts.items())
    return "; ".join(parts) + (f". Verdicts on the curves: {words}." if words else ".")


def _together(shown: Shown, measure: str) -> Drawing:
    """One view: the grey curves as one trace, the best as one each, then the ends."""
    tops = {result.id: result for result in shown.tops}
    courses = shown.courses.groupby("trial", sort=False)
    greys = [rows for trial, rows in courses if trial not in tops]
    traces = [_greys(greys, measure)] if greys else []
    traces += [
        _coloured(result, courses.get_group(trial), measure, place)
        for place, (trial, result) in enumerate(tops.items()) if result.epochs
    ]  # fmt: skip
    values, highest = axis(MEASURES[measure]), None
    if measure.endswith("loss"):
        highest = _highest(shown, measure)
        values = losses(MEASURES[measure], highest)
    traces += _ends(shown.ends, measure, highest or math.inf)
    return {
        "data": traces,
        "layout": layout(
            xaxis=axis("epoch", rangemode="tozero"), yaxis=values, yaxis2=HIDDEN,
            hovermode="closest", legend={**BELOW, "title": {"text": "trial"}},
        ),
    }  # fmt: skip


def _highest(shown: Shown, measure: str) -> float | None:
    """The loss above which there is only divergence."""
    whole = shown.courses[shown.courses["place"] > 0][measure]
    highest = float(whole.replace(math.inf, math.nan).max())
    return BEYOND * highest if math.isfinite(highest) and highest > 0 else None


def _greys(courses: Sequence["pd.DataFrame"], measure: str) -> Trace:
    """The curves in one trace, a gap after each; a single epoch shows as a dot."""
    x, y, names = list[float | None](), list[float | None](), list[int]()
    for rows in courses:
        part = rows.iloc[:: -(-len(rows) // POINTS)]
        x += [*part["epoch"].tolist(), None]
        y += [*drawn(part[measure].tolist()), None]
        names += [*part["trial"].tolist(), 0]
    dots = all(len(rows) == 1 for rows in courses)
    return {
        "type": "scatter", "mode": "markers" if dots else "lines", "name": "others", "x": x,
        "y": y, "customdata": names, "line": {"color": GREY, "width": 1},
        "marker": {"color": GREY, "size": 5},
        "hovertemplate": "trial %{customdata}, epoch %{x}: %{y:.4g}<extra></extra>",
    }  # fmt: skip


def _coloured(result: TrialResult, rows: "pd.DataFrame", measure: str, place: int) -> Trace:
    told = [
        label(f"{name} {number(value)}") for name, value in list(result.hparams.items())[:NAMED]
    ]
    name = f"trial {result.id}, {result.status}, number {place + 1}"
    return {
        "type": "scatter", "mode": "lines+markers", "name": str(result.id),
        "x": rows["epoch"].tolist(), "y": drawn(rows[measure].tolist()),
        "text": joined([name, label(result.verdict), *told]), **style(place),
        "hovertemplate": "%{text}<br>epoch %{x}: %{y:.4g}<extra></extra>",
    }  # fmt: skip


def _ends(ends: "pd.DataFrame", measure: str, highest: float) -> list[Trace]:
    """Marks where trials diverged or were pruned; those without an epoch, or beyond the
    `highest` loss, at the plot's border: at the top for a loss, at the bottom for an accuracy.
    """
    border = 0.98 if measure.endswith("loss") else 0.02
    traces: list[Trace] = []
    for status in SIGNS:
        here = ends[ends["status"] == status]
        known = here[measure].abs() < highest
        on, off = here[known], here[~known]
        traces += _marks(status, on, drawn(on[measure].tolist()), "y")
        traces += _marks(status, off, [border] * len(off), "y2", alone=on.empty)
    return traces


def _marks(
    status: Status, ends: "pd.DataFrame", y: Sequence[float | None], where: str, *,
    alone: bool = True,
) -> list[Trace]:  # fmt: skip
    """One trace of ends on the axis `where`; in the legend where it is `alone` there."""
    symbol, colour = SIGNS[status]
    return [{
        "type": "scatter", "mode": "markers", "name": str(status), "yaxis": where,
        "x": drawn(ends["epochs"].tolist()), "y": y, "customdata": ends["trial"].tolist(),
        "legendgroup": str(status), "showlegend": alone,
        "marker": {"symbol": symbol, "color": colour, "size": 8},
        "hovertemplate": f"trial %{{customdata}}, {status} after %{{x:.3g}} epochs<extra></extra>",
    }] * bool(y)  # fmt: skip
