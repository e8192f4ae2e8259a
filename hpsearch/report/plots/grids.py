"""Did the grid waste trials? What it tried, beside what as many random trials would have."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from hpsearch.report.plots.marks import (
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
    titled,
)
from hpsearch.report.plots.plot import BLUE, ORANGE, SERIES, Drawing, Plot, label
from hpsearch.report.tables.axis import Axis, axis
from hpsearch.report.tables.expected import expected_best
from hpsearch.report.tables.grids import Waste, beside, distinct, of_grid, waste
from hpsearch.report.tables.material import Material
from hpsearch.report.tables.points import reached, searched
from hpsearch.report.tables.stages import parsed
from hpsearch.report.text import counted, plain, share
from hpsearch.report.text import metric as written
from hpsearch.search.space import Distribution
from hpsearch.trial import TrialResult

if TYPE_CHECKING:
    import pandas as pd

DECIDES = 0.75  # of the importance: from here on the other hparams hardly matter
DASHES = ("solid", "dash", "dot", "dashdot")


def random_or_grid(material: Material) -> Plot | None:
    """Of a stage that searched a grid: how many values of each hparam it tried, how its trials
    look from the most important one, and if another stage drew otherwise, both bests of n.
    """
    found = of_grid(material)
    if found is None:
        return None
    document, results = found
    table, metric = distinct(document, results), searched(material)
    if table.empty:
        return None
    first = str(table["hparam"].iloc[0])
    kind = parsed(document.stage, document.space)[first]
    views = {"values tried": _bars(table)}
    views[f"seen from {plain(first)}"] = _seen(results, axis(first, [kind], results), kind, metric)
    if stages := beside(material):
        tables = {f"{d.stage} ({d.sampler})": expected_best(r, metric) for d, r in stages}
        views["best of n"] = _best_of_n(tables, metric)
    said = _caption(table, waste(results, first, metric), metric)
    return Plot(
        "random-or-grid", "Did the grid waste trials?", said, _alt(table), views, table,
        height=max(380, 150 + 60 * len(table)),
    )  # fmt: skip


def _caption(table: "pd.DataFrame", found: Waste | None, metric: str) -> str:
    first = table.iloc[0]
    name, trials, tried = plain(first["hparam"]), int(first["trials"]), int(first["grid"])
    weight, random = first["importance"], round(first["random"])
    decides = f", which decides {share(float(weight))}" if math.isfinite(weight) else ""
    text = (
        f"The grid's {counted(trials, 'trial')} tried {counted(tried, 'value')} of"
        f" {name}{decides}; as many at random try {random}."
    )
    if found is not None:
        within, between = (written(metric, value) for value in found)
        text += (
            f" Trials with one value of it differ by {within}, those with different ones by"
            f" {between} (standard deviations)."
        )
    if random <= tried:
        return f"{text} So no: random ones would have tried no more of them."
    if not math.isfinite(weight):
        return text
    if weight < DECIDES:
        return f"{text} No hparam decides alone, so the grid wasted less than it can."
    return f"{text} So yes: it spent {trials - tried} trials on values of it that it had tried."


def _alt(table: "pd.DataFrame") -> str:
    rows = zip(table["hparam"], table["grid"], table["random"], strict=True)
    parts = [f"{plain(name)} {grid} by the grid, {expected:.0f} at random"
             for name, grid, expected in rows]  # fmt: skip
    return f"Different values tried: {'; '.join(parts)}."


def _bars(table: "pd.DataFrame") -> Drawing:
    """The hparams with what each way tries of them, the most important on top."""
    names = [label(name) for name in table["hparam"]]
    traces = [
        _bar("grid", names, table["grid"].tolist(), BLUE, ""),
        _bar("random, on average", names, table["random"].tolist(), ORANGE, "/"),
    ]
    axes = {
        "xaxis": titled("different values tried"),
        "yaxis": titled("", autorange="reversed", type="category"),
    }
    return {"data": traces, "layout": layout(barmode="group", bargap=0.3, **axes)}


def _bar(
    name: str, names: Sequence[str], counts: Sequence[float], color: str, hatch: str
) -> Piece:
    return {
        "type": "bar", "orientation": "h", "name": name, "y": list(names), "x": list(counts),
        "text": [f"{count:.0f}" for count in counts], "textposition": "auto", "hoverinfo": "skip",
        "marker": {"color": color, "pattern": {"shape": hatch}},
    }  # fmt: skip


def _seen(
    results: Sequence[TrialResult], axis: Axis, kind: Distribution, metric: str
) -> Drawing:
    """The trials over one hparam alone, as if the others were not; below, as ticks, where they lie
    and where as many random ones would (one draw of them).
    """
    values, xs = [reached(r, metric) for r in results], [axis.of(r.hparams) for r in results]
    texts, low = hover(results, metric), shelf(metric, values)
    done = [n for n, value in enumerate(values) if math.isfinite(value)]
    lost = [n for n in range(len(values)) if n not in set(done)]
    grid = {
        "type": "scatter", "mode": "markers", "name": "trial of the grid", "hovertemplate": HOVER,
        "x": [xs[n] for n in done], "y": [values[n] for n in done],
        "text": [texts[n] for n in done],
        "marker": {"color": BLUE, "symbol": "square", "size": 8, "line": EDGE},
    }  # fmt: skip
    crossed = crosses([xs[n] for n in lost], [low] * len(lost), [texts[n] for n in lost])
    rng = np.random.default_rng(0)
    draws = [axis.place(kind.sample(rng)) for _ in results]
    rugs = [_rug("grid", xs, 0.7, BLUE), _rug("random", draws, 0.3, ORANGE)]
    below = {"domain": [0, 0.16], "range": [0, 1], "anchor": "x", "tickvals": [0.3, 0.7],
             "ticktext": ["random", "grid"], "showgrid": False, "zeroline": False,
             "automargin": True}  # fmt: skip
    above = metric_axis(metric, values) | {"domain": [0.22, 1]}
    axes = {"xaxis": drawn_axis(axis) | {"anchor": "y2"}, "yaxis": above, "yaxis2": below}
    return {"data": [grid, *([crossed] if lost else []), *rugs], "layout": layout(**axes)}


def _rug(name: str, xs: Sequence[float], height: float, color: str) -> Piece:
    """One tick per different value."""
    places = sorted({x for x in xs if math.isfinite(x)})
    return {
        "type": "scatter", "mode": "markers", "name": f"{len(places)} values, {name}",
        "x": places, "y": [height] * len(places), "yaxis": "y2", "hoverinfo": "skip",
        "marker": {"symbol": "line-ns", "size": 12, "line": {"width": 2, "color": color}},
    }  # fmt: skip


def _best_of_n(tables: "dict[str, pd.DataFrame]", metric: str) -> Drawing:
    """The expected bests, as far as the smallest stage has trials."""
    most = min((table["n"].max() for table in tables.values() if len(table)), default=0)
    traces = []
    for place, (name, table) in enumerate(tables.items()):
        own = table[table["n"] <= most]
        line = {"color": SERIES[place % len(SERIES)], "dash": DASHES[place % len(DASHES)]}
        traces.append({
            "type": "scatter", "mode": "lines", "name": label(name), "x": own["n"].tolist(),
            "y": own["unbiased"].tolist(), "line": {**line, "width": 2},
        })  # fmt: skip
    axes = {"xaxis": titled("number of trials, n", zeroline=False),
            "yaxis": titled(f"expected best {metric_name(metric)}", zeroline=False)}  # fmt: skip
    return {"data": traces, "layout": layout(**axes)}
