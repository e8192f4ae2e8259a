"""The scientific hparams: each of their values at its best over all the others."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hpsearch.report.plots.marks import Piece, layout, metric_name, titled
from hpsearch.report.plots.plot import (
    BLUE,
    GREEN,
    NEUTRAL,
    VERMILION,
    Drawing,
    Plot,
    joined,
    label,
)
from hpsearch.report.tables.isolation import isolated_of_all
from hpsearch.report.tables.material import Material
from hpsearch.report.tables.points import searched
from hpsearch.report.text import is_real, number, plain
from hpsearch.report.text import metric as written

if TYPE_CHECKING:
    import pandas as pd

Row = Any  # a named row of the table
LOOKS = {"leads": (GREEN, "star"), "worse": (VERMILION, "triangle-down")}
NAMES = {"leads": "leads", "noise": "within the noise", "worse": "clearly worse"}


def isolation(material: Material) -> Plot | None:
    """Per scientific hparam, of the last stage first, the best trial of each value with its
    standard error, and what the best of equally many trials would be.
    """
    table = isolated_of_all(material)
    if table.empty:
        return None
    metric = searched(material)
    parts = {f"{n}, {s}": part for (s, n), part in table.groupby(["stage", "hparam"], sort=False)}
    first = next(iter(parts.values())).iloc[0]
    document = next(d for d in material.searches if d.stage == first["stage"])
    said = [plain(found.get("message", "")) for found in document.isolated.values()]
    return Plot(
        "isolation", "Each value at its best", _caption(document.stage, said),
        _alt(table, metric), {plain(n): _drawing(part, metric) for n, part in parts.items()},
        table,
    )  # fmt: skip


def _caption(stage: str, said: Sequence[str]) -> str:
    return (
        f"In {plain(stage)}: {'. '.join(filter(None, said))}. Filled marks are the best trial of"
        " each value, whatever the other hparams; diamonds what the best of equally many trials"
        " would be, by which they are compared."
    )


def _alt(table: "pd.DataFrame", metric: str) -> str:
    parts = [
        f"{plain(row.hparam)} {plain(row.name_)} {written(metric, row.best)}"
        for row in table.itertuples()
    ]
    return f"The best {metric_name(metric)} per value: {'; '.join(parts[:8])}."


def _drawing(part: "pd.DataFrame", metric: str) -> Drawing:
    compared = part["compared"].iloc[0]
    axes = {
        "xaxis": titled(label(part["hparam"].iloc[0]), type="category", zeroline=False,
                        categoryorder="array", categoryarray=_names(part)),
        "yaxis": titled(metric_name(metric), zeroline=False),
    }  # fmt: skip
    expected = part[part["expected"].map(is_real)]
    diamonds = {
        "type": "scatter", "mode": "markers", "name": f"expected best of {number(compared)}",
        "x": _names(expected), "y": expected["expected"].tolist(), "hoverinfo": "y",
        "marker": {"symbol": "diamond-open", "size": 11, "color": NEUTRAL,
                   "line": {"width": 2}},
    }  # fmt: skip
    best = part[part["best"].map(is_real)]
    standings = dict.fromkeys(best["standing"])
    traces = [_bests(best[best["standing"] == s], str(s), metric) for s in standings]
    return {"data": [*traces, *([diamonds] if len(expected) else [])], "layout": layout(**axes)}


def _names(part: "pd.DataFrame") -> list[str]:
    return [label(name) for name in part["name_"]]


def _bests(rows: "pd.DataFrame", standing: str, metric: str) -> Piece:
    """The best trials of the values that stand so, with their standard errors."""
    color, symbol = LOOKS.get(standing, (BLUE, "circle"))
    errors = [error if is_real(error) else 0.0 for error in rows["error"]]
    return {
        "type": "scatter", "mode": "markers", "name": label(NAMES.get(standing, standing)),
        "x": _names(rows), "y": rows["best"].tolist(),
        "error_y": {"type": "data", "array": errors, "color": color},
        "text": [_told(row, metric) for row in rows.itertuples()],
        "hovertemplate": "%{text}<extra></extra>",
        "marker": {"color": color, "symbol": symbol, "size": 14 if symbol == "star" else 10},
    }  # fmt: skip


def _told(row: Row, metric: str) -> str:
    around = f" ± {row.error:.2g}" if is_real(row.error) else ""
    lines = [
        f"{row.hparam} {row.name_}", f"best {written(metric, row.best)}{around}",
        f"trial {row.stage}/{row.trial}, the best of {row.trials}",
    ]  # fmt: skip
    return joined([label(line) for line in lines])
