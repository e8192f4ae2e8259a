"""The handful of examples that overfit learns by heart."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from hpsearch.report.plots.lines import Trace, axis, drawn, layout, losses
from hpsearch.report.plots.plot import BLUE, GREEN, ORANGE, VERMILION, Plot, Switch
from hpsearch.report.tables import checking
from hpsearch.report.tables.material import Material
from hpsearch.report.text import number
from hpsearch.trial import Status
from hpsearch.verdict import Verdict

if TYPE_CHECKING:
    import pandas as pd

BEYOND = 3.3  # times the first loss: a little more than what counts as diverged


def overfit_curve(material: Material) -> Plot | None:
    """The loss on the handful of examples, down to what counts as learnt."""
    document = material.check("overfit")
    rates = checking.overfit_rates(document) if document else None
    if document is None or rates is None or rates.empty:
        return None
    course = checking.overfit_course(document)
    check = next(iter(document.checks), None)
    goal = checking.real(check.expected) if check else math.nan
    said = f"{check.message[:1].upper()}{check.message[1:]}." if check else ""
    if math.isfinite(goal):
        passed = check is not None and check.verdict is Verdict.PASS
        said += f" Learnt by heart is a loss below {number(goal)}: {'yes' if passed else 'no'}."
    linear = Switch(
        "linear scale of the loss", ({}, {"yaxis.type": "linear"}), ({}, {"yaxis.type": "log"})
    )
    first = float(rates["first_loss"].max())
    values = losses("loss", BEYOND * first if first > 0 else None, type="log")
    drawing = {
        "data": [*_learnt(course, rates), *_others(rates), *_goal(goal, course, rates)],
        "layout": layout(xaxis=axis("epoch", rangemode="tozero"), yaxis=values),
    }
    return Plot(
        "overfit", "A few examples learnt by heart", said,
        f"The training loss over the epochs, on a log scale. {said}", {"loss": drawing}, rates,
        switches=[linear],
    )  # fmt: skip


def _learnt(course: Sequence[float], rates: "pd.DataFrame") -> list[Trace]:
    best = rates[rates["best"]]["rate"].tolist()
    name = f"rate {number(best[0])}" if best else "best rate"
    return [{
        "type": "scatter", "mode": "lines" if len(course) > 1 else "markers", "name": name,
        "x": list(range(1, len(course) + 1)), "y": drawn(course),
        "line": {"color": BLUE, "width": 3}, "marker": {"color": BLUE},
        "hovertemplate": "epoch %{x}: %{y:.4g}<extra></extra>",
    }] * bool(len(course))  # fmt: skip


def _others(rates: "pd.DataFrame") -> list[Trace]:
    """Where the other rates ended; a cross is one that diverged."""
    rest = rates[~rates["best"] & rates["loss"].notna()]
    lost = rest["status"] == Status.DIVERGED
    looks = (("other rates, at their end", rest[~lost], "circle", ORANGE, "middle left"),
             ("diverged", rest[lost], "x", VERMILION, "middle right"))  # fmt: skip
    return [
        {
            "type": "scatter", "mode": "markers+text", "name": name,
            "x": drawn(rows["epochs"].tolist()), "y": drawn(rows["loss"].tolist()),
            "text": [number(r) for r in rows["rate"].tolist()], "textposition": side,
            "marker": {"symbol": symbol, "color": colour, "size": 9},
            "hovertemplate": "rate %{text}: %{y:.4g} after %{x} epochs<extra></extra>",
        }
        for name, rows, symbol, colour, side in looks if len(rows)
    ]  # fmt: skip


def _goal(goal: float, course: Sequence[float], rates: "pd.DataFrame") -> list[Trace]:
    """The loss that counts as learnt."""
    end = max([len(course), *(e for e in rates["epochs"].tolist() if e and math.isfinite(e))])
    return [{
        "type": "scatter", "mode": "lines", "name": "learnt below", "x": [0, end],
        "y": drawn([goal, goal]), "line": {"color": GREEN, "dash": "dot", "width": 2},
        "hovertemplate": "learnt below %{y:.4g}<extra></extra>",
    }] * bool(goal > 0 and math.isfinite(goal))  # fmt: skip
