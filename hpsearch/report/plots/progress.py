"""How the search went on: the best so far, trial by trial, and what more trials would buy."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from hpsearch.report.plots.marks import (
    DRAWN,
    EDGE,
    HOVER,
    Piece,
    crosses,
    hover,
    layout,
    metric_axis,
    metric_name,
    shelf,
    stage_look,
    titled,
)
from hpsearch.report.plots.plot import BLUE, GREEN, NEUTRAL, ORANGE, Drawing, Plot, Switch, label
from hpsearch.report.tables import points
from hpsearch.report.tables.expected import expected_best
from hpsearch.report.tables.material import Material
from hpsearch.report.tables.points import everything, is_loss, reached, searched
from hpsearch.report.tables.thinning import thinned
from hpsearch.report.text import counted, plain
from hpsearch.report.text import metric as written
from hpsearch.trial import TrialResult
from hpsearch.verdict import SearchDocument

if TYPE_CHECKING:
    import pandas as pd

MEANING = "A curve that is flat at its end says that more of such trials are no use."
TOP = 36  # pixels above the plot, for the stages' names
FEW = 3  # stages whose names have room
LITTLE = 3  # completed trials, and fewer, tell little
BAND = "rgba(0,158,115,.22)"  # GREEN


def history(material: Material) -> Plot | None:
    """Every trial in its order, the best so far as steps, and where each stage begins."""
    results = everything(material)
    if not results:
        return None
    metric, table = searched(material), points.history(material)
    drawn, said = thinned(results, DRAWN)
    return Plot(
        "history", "How the search went on", _caption(table, metric),
        f"{counted(len(results), 'trial')} in order; {_reached(table, metric)}.",
        {"all stages": _drawing(material, table, drawn, metric)}, table, thinned=said,
    )  # fmt: skip


def _reached(table: "pd.DataFrame", metric: str) -> str:
    best = table["best"].iloc[-1]
    if not math.isfinite(best):
        return "none was completed"
    first = table.loc[table["best"] == best].iloc[0]
    text = f"the best {metric_name(metric)}, {written(metric, float(best))}"
    text += f", came first with trial {first['order']} of {len(table):,} ({plain(first['trial'])})"
    error = first["error"]
    return text + (f"; its standard error is {error:.2g}" if math.isfinite(error) else "")


def _caption(table: "pd.DataFrame", metric: str) -> str:
    text = f"{_reached(table, metric)}."
    error, best = table["error"].iloc[-1], table["best"]
    if not math.isfinite(error):
        return text[0].upper() + text[1:]
    near = table.loc[(best - best.iloc[-1]).abs() <= error, "order"].iloc[0]
    if near < table.loc[best == best.iloc[-1], "order"].iloc[0]:
        text += (
            f" From trial {near} on the best was within one standard error (the band) of that:"
            " what came later is hardly more than luck."
        )
    return text[0].upper() + text[1:]


def _drawing(
    material: Material, table: "pd.DataFrame", drawn: Sequence[TrialResult], metric: str
) -> Drawing:
    order = dict(zip(table["trial"], table["order"], strict=True))
    places = [int(order[f"{result.stage}/{result.id}"]) for result in drawn]
    values = [reached(result, metric) for result in drawn]
    steps = table[table["best"].notna() & _turns(table["best"])]
    shapes, notes = _stages(table)
    traces = [*_band(steps), *_trials(drawn, places, values, metric), *_steps(steps)]
    chance = next((d.baseline for d in reversed(material.searches) if d.baseline), None)
    if chance is not None and not is_loss(metric):
        traces.append(_line("chance", [1, len(table)], [chance, chance], NEUTRAL, "dash"))
    return {
        "data": traces,
        "layout": layout(
            xaxis=titled("trial, in order", range=[0, len(table) + 1], zeroline=False),
            yaxis=metric_axis(metric, values), shapes=shapes, annotations=notes,
            margin={"l": 8, "r": 8, "t": TOP, "b": 8},
            legend={"orientation": "h", "x": 0, "y": -0.28, "yanchor": "top",
                    "traceorder": "normal"},
        ),
    }  # fmt: skip


def _turns(best: "pd.Series[float]") -> "pd.Series[bool]":
    """Where the best so far changes, and the last row."""
    turns = best.ne(best.shift())
    turns.iloc[-1] = True
    return turns


def _trials(
    drawn: Sequence[TrialResult], places: Sequence[int], values: Sequence[float], metric: str
) -> list[Piece]:
    low, texts = shelf(metric, values), hover(drawn, metric)
    traces = []
    for number, stage in enumerate(dict.fromkeys(result.stage for result in drawn)):
        own = [n for n, r in enumerate(drawn) if r.stage == stage and math.isfinite(values[n])]
        look = stage_look(number)
        traces.append({
            "type": "scatter", "mode": "markers", "name": label(stage), "hovertemplate": HOVER,
            "x": [places[n] for n in own], "y": [values[n] for n in own],
            "text": [texts[n] for n in own],
            "marker": {"color": look["color"], "symbol": look["symbol"], "size": 6, "line": EDGE},
        })  # fmt: skip
    lost = [n for n, value in enumerate(values) if not math.isfinite(value)]
    parts = [places[n] for n in lost], [low] * len(lost), [texts[n] for n in lost]
    return [*traces, *([crosses(*parts)] if lost else [])]


def _line(
    name: str, x: Sequence[float], y: Sequence[float], color: str, dash: str = "solid"
) -> Piece:
    return {
        "type": "scatter", "mode": "lines", "name": name, "x": list(x), "y": list(y),
        "line": {"color": color, "width": 2, "dash": dash},
    }  # fmt: skip


def _steps(steps: "pd.DataFrame") -> list[Piece]:
    line = _line("best so far", steps["order"].tolist(), steps["best"].tolist(), GREEN)
    line["line"] |= {"shape": "hv", "width": 3}
    return [line] if len(steps) else []


def _band(steps: "pd.DataFrame") -> list[Piece]:
    """One standard error around the best so far, where it is known."""
    known = steps[steps["error"].notna()]
    if known.empty:
        return []
    order, best, error = (known[name].tolist() for name in ("order", "best", "error"))
    high = [b + e for b, e in zip(best, error, strict=True)]
    low = [b - e for b, e in zip(best, error, strict=True)]
    return _between(order, low, high, "± standard error", "hv")


def _between(
    x: Sequence[float], low: Sequence[float], high: Sequence[float], name: str, shape: str
) -> list[Piece]:
    """A band: its lower edge, and its upper one filled down to that."""
    edge: Piece = {"type": "scatter", "mode": "lines", "x": list(x), "hoverinfo": "skip"}
    edge["line"] = {"width": 0, "shape": shape, "color": GREEN}
    filled = {"fill": "tonexty", "fillcolor": BAND, "name": name}
    return [{**edge, "y": list(low), "showlegend": False}, {**edge, "y": list(high), **filled}]


def _stages(table: "pd.DataFrame") -> tuple[list[Piece], list[Piece]]:
    """A line where each stage but the first begins, and the stages' names above, short ones where
    there are many.
    """
    firsts = table.groupby("stage", sort=False)["order"].min()
    short = len(firsts) > FEW
    lines = [
        {"type": "line", "x0": first - 0.5, "x1": first - 0.5, "y0": 0, "y1": 1,
         "yref": "y domain", "line": {"color": NEUTRAL, "dash": "dot", "width": 1}}
        for first in firsts.iloc[1:].tolist()
    ]  # fmt: skip
    notes = [
        {"x": first - 0.5, "y": 1, "yref": "y domain", "showarrow": False, "xanchor": "left",
         "yanchor": "bottom", "text": label(_short(str(stage)) if short else stage)}
        for stage, first in firsts.items()
    ]  # fmt: skip
    return lines, notes


def _short(stage: str) -> str:
    """refine-3 as r3."""
    return stage.replace("refine-", "r")


def best_of_n(material: Material) -> Plot | None:
    """What searches of n such trials would have reached, a view per stage, the last one first."""
    metric = searched(material) if material.searches else ""
    parts = {d.stage: expected_best(material.trials[d.stage], metric) for d in material.searches}
    parts = {stage: table for stage, table in reversed(parts.items()) if len(table) > 1}
    if not parts:
        return None
    known = {document.stage: document for document in material.searches}
    notes = {plain(s): _worth(known[s], table, metric) for s, table in parts.items()}
    last, table = next(iter(parts.items()))
    said = MEANING if len(notes) > 1 else f"{notes[plain(last)]} {MEANING}"
    return Plot(
        "best-of-n", "Were the trials enough?", said,
        f"The expected best {metric_name(metric)} goes from "
        f"{_from_to(table, metric)} in {plain(last)}.",
        {plain(stage): _curves(table, metric) for stage, table in parts.items()},
        _joined(parts), (_log_switch(),), notes=notes if len(notes) > 1 else {},
    )  # fmt: skip


def _from_to(table: "pd.DataFrame", metric: str) -> str:
    first, last = table.iloc[0], table.iloc[-1]
    one, most = written(metric, float(first["unbiased"])), written(metric, float(last["unbiased"]))
    return f"{one} with a single trial to {most} with {int(last['n'])}"


def _worth(document: SearchDocument, table: "pd.DataFrame", metric: str) -> str:
    text = f"In {plain(document.stage)} the expected best goes from {_from_to(table, metric)}."
    if (done := int(table["n"].max())) <= LITTLE:
        return f"{text} {done} completed trials tell little."
    if said := plain(document.best_of_n.get("meter", "")):
        text += f" {said[0].upper()}{said[1:]}."
    return text


def _joined(parts: "dict[str, pd.DataFrame]") -> "pd.DataFrame":
    import pandas as pd

    return pd.concat([t.assign(stage=s)[["stage", *t.columns]] for s, t in parts.items()])


def _log_switch() -> Switch:
    return Switch("log scale of n", ({}, {"xaxis.type": "log"}), ({}, {"xaxis.type": "linear"}))


def _curves(table: "pd.DataFrame", metric: str) -> Drawing:
    n, best, deviation = (table[c].tolist() for c in ("n", "unbiased", "deviation"))
    low = [b - d for b, d in zip(best, deviation, strict=True)]
    high = [b + d for b, d in zip(best, deviation, strict=True)]
    worse = "high" if is_loss(metric) else "low"
    traces = [
        *_between(n, low, high, "± standard deviation", "linear"),
        _line(f"plug-in: a little {worse}", n, table["plug_in"].tolist(), ORANGE, "dash"),
        _line("expected best (unbiased)", n, best, BLUE),
    ]
    xaxis = titled("number of trials, n", zeroline=False)
    yaxis = titled(f"expected best {metric_name(metric)}", zeroline=False)
    drawing = layout(xaxis=xaxis, yaxis=yaxis)
    return {
        "data": traces,
        "layout": {**drawing, "legend": {**drawing["legend"], "traceorder": "normal"}},
    }
