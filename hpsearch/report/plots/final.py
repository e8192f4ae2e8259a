"""What the search promised, what the winners reach when trained again, and the test's word."""

import math
from collections.abc import Iterator, Sequence
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from hpsearch.report.plots.plot import (
    BLUE,
    GREEN,
    GREY,
    LONGEST,
    NEUTRAL,
    ORANGE,
    VERMILION,
    Drawing,
    Plot,
    joined,
    label,
)
from hpsearch.report.tables.final import COLUMNS, intervals
from hpsearch.report.tables.material import Material
from hpsearch.report.tables.stages import finished_trials
from hpsearch.report.tables.winner import confusion, per_class
from hpsearch.report.text import accuracy, counted, metric, plain, share
from hpsearch.verdict import FinalDocument

if TYPE_CHECKING:
    import pandas as pd

CLASSES = 25  # whose accuracy is drawn, at most
WIDE = 20  # characters of a line beside a dot
OWN = "ensemble of the winner's"  # nets: how the choice begins that leaves the others out
LINE = 34  # pixels for each
APART = 0.22  # of the distance between two lines: where the seeds lie below their mean
MARKS = {
    "candidate": ("trained again, ± sd", BLUE, "circle"),
    "predictor": ("validation, 95 %", GREEN, "diamond"),
    "test": ("test, 95 %", VERMILION, "square"),
    "class": ("validation, 95 %", GREEN, "diamond"),
}


def final_intervals(material: Material) -> Plot | None:
    """The candidates, the ensembles and the test, each with how sure it is; None before `final`
    has judged.
    """
    table, document = intervals(material), material.final
    if table is None or document is None:
        return None
    level = _level(material, document)
    views = dict(_views(table, document, level))
    counts = confusion(material)
    thinned = ""
    if counts is not None:
        classes = per_class(counts)
        views["per class"] = _classes(classes)
        if len(classes) > CLASSES:
            thinned = f"per class: the {CLASSES} worst of {len(classes)} are drawn"
    lines = max(len(table), min(CLASSES, len(counts)) if counts is not None else 0)
    said = " ".join(_says(material, document, table, level))
    alt = f"Dots with whiskers for {counted(len(table), 'result')}. {said}"
    return Plot(
        "final-intervals", "How much to trust the result", said, alt, views, _table(table),
        thinned=thinned, height=max(420, 130 + LINE * lines),
    )  # fmt: skip


def _table(table: "pd.DataFrame") -> "pd.DataFrame":
    """With the seeds' values as a text."""
    return table.assign(each=[", ".join(map(accuracy, values)) for values in table["each"]])


def _level(material: Material, document: FinalDocument) -> float | None:
    """The accuracy of answering without the input."""
    levels = [d.baseline for d in material.searches if d.baseline is not None]
    return levels[-1] if levels and document.metric != "val_balanced_accuracy" else None


def _views(
    table: "pd.DataFrame", document: FinalDocument, level: float | None
) -> Iterator[tuple[str, Drawing]]:
    """All on one axis where the search's metric is the accuracy, else the candidates apart."""
    again = table.kind == "candidate"
    if document.metric == "val_accuracy":
        yield "results", _drawing(table, "accuracy", level)
        return
    yield "trained again", _drawing(table[again], _words(document.metric), None)
    if not again.all():
        yield "ensembles and test", _drawing(table[~again], "accuracy", level)


def _drawing(table: "pd.DataFrame", title: str, level: float | None) -> Drawing:
    rows = table.reset_index(drop=True)
    traces = list(_promised(rows)) + [
        _dots(rows[rows.kind == kind], kind) for kind in MARKS if (rows.kind == kind).any()
    ]
    ends = rows[["search", "value", "low", "high"]].to_numpy()
    each = [value for values in rows[rows.kind == "candidate"]["each"] for value in values]
    found = [v for v in [*ends.ravel().tolist(), *each] if math.isfinite(v)]
    names = [_named(row) for row in rows.to_dict("records")]
    layout = _layout(names, title, found)
    if level is not None and level > layout["xaxis"]["range"][0]:
        traces.append(_line(level, len(rows), "without the input"))
    return {"data": traces, "layout": layout}


def _named(row: Any) -> str:
    """On lines short enough for the side of a telephone."""
    text = plain(row["name"], LONGEST) + (" ✓" if row["chosen"] and row["kind"] != "test" else "")
    return joined([label(line) for line in wrap(text, WIDE)])


def _layout(names: Sequence[str], title: str, found: Sequence[float]) -> dict[str, Any]:
    low, high = (min(found), max(found)) if found else (0.0, 1.0)
    room = 0.06 * (high - low) or 0.01
    return {
        "xaxis": {"title": {"text": title}, "range": [low - room, high + room],
                  "automargin": True, "zeroline": False},
        "yaxis": {"tickvals": list(range(len(names))), "ticktext": names, "automargin": True,
                  "range": [len(names) - 0.5, -0.5], "zeroline": False},
        "legend": {"orientation": "h", "yanchor": "bottom", "y": 1.02, "x": 0},
        "margin": {"l": 10, "r": 10, "t": 10, "b": 10}, "hovermode": "closest",
    }  # fmt: skip


def _promised(rows: "pd.DataFrame") -> Iterator[dict[str, Any]]:
    """What the search had, and the single seeds."""
    ours = rows[rows.kind == "candidate"]
    if not len(ours):
        return
    hover = [joined([label(name), f"in the search {accuracy(value)}"])
             for name, value in zip(ours["name"], ours["search"], strict=True)]  # fmt: skip
    yield _points(
        _finite(ours.search), list(ours.index), "in the search", hover,
        {"symbol": "circle-open", "size": 12, "color": ORANGE, "line": {"width": 2}},
    )  # fmt: skip
    dots = [(value, at, name) for at, name, each in zip(ours.index, ours.name, ours["each"],
            strict=True) for value in each]  # fmt: skip
    yield _points(
        _finite(d[0] for d in dots), [d[1] + APART for d in dots], "each seed",
        [joined([label(d[2]), f"one seed {accuracy(d[0])}"]) for d in dots],
        {"symbol": "circle", "size": 5, "color": GREY},
    )  # fmt: skip


def _dots(rows: "pd.DataFrame", kind: str) -> dict[str, Any]:
    """Values with whiskers; what was chosen is a star."""
    title, colour, symbol = MARKS[kind]
    star = [chosen and kind != "test" for chosen in rows.chosen]
    marker = {
        "color": colour, "opacity": 1, "symbol": ["star" if s else symbol for s in star],
        "size": [15 if s else 10 for s in star],
    }  # fmt: skip
    around = {
        "type": "data", "symmetric": False, "color": colour, "thickness": 2, "width": 5,
        "array": _finite(rows.high - rows.value), "arrayminus": _finite(rows.value - rows.low),
    }  # fmt: skip
    hover = [_hover(row) for row in rows.to_dict("records")]
    return {**_points(_finite(rows.value), list(rows.index), title, hover, marker),
            "error_x": around}  # fmt: skip


def _hover(row: Any) -> str:
    unit = "seed" if row["kind"] == "candidate" else "row"
    around = f"{accuracy(row['low'])} to {accuracy(row['high'])}, " * math.isfinite(row["low"])
    on = f"{around}{counted(row['measured_on'], unit)}"
    return joined([label(row["name"]), accuracy(row["value"]), on])


def _points(
    x: list[float | None], y: list[float], name: str, hover: list[str], marker: dict[str, Any]
) -> dict[str, Any]:
    return {
        "type": "scatter", "mode": "markers", "x": x, "y": y, "name": name, "marker": marker,
        "customdata": hover, "hovertemplate": "%{customdata}<extra></extra>",
    }  # fmt: skip


def _line(value: float, rows: int, name: str) -> dict[str, Any]:
    return {
        "type": "scatter", "mode": "lines", "x": [value, value], "y": [-0.5, rows - 0.5],
        "name": f"{name} {accuracy(value)}",
        "line": {"dash": "dash", "color": NEUTRAL, "width": 2},
        "hovertemplate": f"{name} {accuracy(value)}<extra></extra>",
    }  # fmt: skip


def _classes(classes: "pd.DataFrame") -> Drawing:
    """Every class's accuracy, the worst first."""
    shown = classes.sort_values("recall", kind="stable")[:CLASSES].reset_index(drop=True)
    rows = shown.rename(columns={"class": "name", "recall": "value", "rows": "measured_on"})
    rows = rows.assign(kind="class", chosen=False).reindex(columns=list(COLUMNS))
    drawing = _drawing(rows, "accuracy within the class", None)
    overall = float(classes.right.sum() / classes.rows.sum())
    line = _line(overall, len(rows), "all classes")
    return {**drawing, "data": [*drawing["data"], line]}


def _says(
    material: Material, document: FinalDocument, table: "pd.DataFrame", level: float | None
) -> Iterator[str]:
    if document.winner is None:
        yield plain(document.message)
        return
    yield from _chosen_says(document, table)
    yield _test_says(document, table)
    trials = finished_trials(material.documents)
    best = f"the best of {trials:,} trials" if trials > 1 else "the only trial"
    first, what = table.iloc[0], _words(document.metric)
    then, now = (metric(document.metric, float(first[key])) for key in ("search", "value"))
    yield (
        f"{plain(first['name'], LONGEST)}, {best}, promised a {what} of"
        f" {then} and, trained again with fresh seeds, has {now}"
        f"{_too_much(document.metric, first)}."
    )
    if level is not None:
        yield f"Answering without the input is right {share(level)} of the time."


def _chosen_says(document: FinalDocument, table: "pd.DataFrame") -> Iterator[str]:
    """Which trial, why, and what is kept of it."""
    chosen, nets = plain(document.chosen, LONGEST), len(document.members)
    for name in table[(table.kind == "candidate") & table.chosen]["name"]:
        why, own = plain(document.reason), f"{plain(name)} "
        because = f" ({why})" if why else ""
        if why.startswith(own):
            because = f", which {why.removeprefix(own)}"
        yield f"Chosen: {plain(name, LONGEST)}{because}."
    if nets == 1:
        yield "Saved: its only net."
    elif chosen.startswith(OWN) and nets:
        yield f"Saved: the ensemble of its {nets} nets."
    elif chosen:
        yield f"Saved: the {chosen} nets, those of every candidate."


def _test_says(document: FinalDocument, table: "pd.DataFrame") -> str:
    tests = table[table.kind == "test"]
    if not len(tests):
        return "There is no test set: the validation rows chose the winner, and promise too much."
    test, times = tests.iloc[0], len(document.earlier) + 1
    read = "read once" if times == 1 else f"read {times} times, so that it promises too much too"
    return (
        f"The test accuracy is {accuracy(float(test['value']))} on"
        f" {counted(test['measured_on'], 'row')}, 95 % {accuracy(float(test['low']))} to"
        f" {accuracy(float(test['high']))}, {read}."
    )


def _too_much(name: str, first: "pd.Series[Any]") -> str:
    """By how much the search was better, a loss or an accuracy."""
    luck = (first["search"] - first["value"]) * (-1 if name == "val_loss" else 1)
    if math.isnan(luck):
        return ""
    if luck > 0:
        said = "good" if name == "val_loss" else "much"
        return f": {metric(name, float(luck))} too {said}, the luck of being picked"
    return ": the search did not promise too much"


def _words(name: str) -> str:
    return plain(name.replace("val_", "validation ").replace("_", " "), LONGEST)


def _finite(values: Any) -> list[float | None]:
    return [float(v) if math.isfinite(v) else None for v in values]

