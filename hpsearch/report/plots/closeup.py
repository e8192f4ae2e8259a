"""Some trials from close by: minibatch losses, both splits, and the size of the updates."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from hpsearch.report.plots.lines import Axis, Trace, axis, drawn, layout, log_switch, losses
from hpsearch.report.plots.plot import (
    BLUE,
    GREEN,
    GREY,
    NEUTRAL,
    ORANGE,
    PURPLE,
    Drawing,
    Plot,
)
from hpsearch.report.tables import learning
from hpsearch.report.tables.learning import Close
from hpsearch.report.tables.material import Material
from hpsearch.report.text import counted, metric, plain, settings

if TYPE_CHECKING:
    import pandas as pd

BEYOND = 3.3  # times the first loss: a little more than what counts as diverged
GUIDE = 1e-3  # |update| / |weights| of a healthy net, about (CS231n's notes)
DECADES = [10.0**power for power in range(-7, 3)]  # of the update ratio's axis
GAP = 0.07  # between panels, of the height
PANELS = ("loss", "accuracy", "update ratio")
SHARES = {"loss": 3, "accuracy": 2, "update ratio": 1}  # of the height
READING = (
    "Dots are minibatches, the line among them their moving average. The training loss is the mean"
    " of its epoch, drawn at its middle. A training curve far below"
    " the validation curve means overfitting; both high and level, underfitting; both still"
    f" falling, that there is more to gain. Updates are healthy at about {GUIDE:g} of the weights."
)


def trial_curves(material: Material) -> Plot | None:
    """Each trial a view: its losses over its accuracy over its updates."""
    import pandas as pd

    shown = learning.close(material)
    if not shown:
        return None
    views = {_name(each): _drawing(each) for each in shown}
    notes = {_name(each): _says(each) for each in shown}
    tables = [learning.epochs(each).assign(trial=each.name) for each in shown]
    return Plot(
        "trial-curves", "Trials from close by", READING,
        f"Loss, accuracy and size of the updates of {counted(len(shown), 'trial')} over their"
        " epochs.",
        views, pd.concat(tables, ignore_index=True).set_index("trial").reset_index(),
        switches=[log_switch()], height=640, notes=notes,
    )  # fmt: skip


def _name(shown: Close) -> str:
    """What the reader chooses by."""
    word = plain(shown.result.verdict, 30) or str(shown.result.status)
    return f"{shown.name} ({shown.why}): {word}"


def _says(shown: Close) -> str:
    """The trial, what it reached, and what its curves say to do."""
    result = shown.result
    reached = f"{result.status}, no epoch was finished"
    if result.epochs:
        reached = f"{result.status} after {counted(result.epochs, 'epoch')}"
    if result.best_epoch:
        reached += (
            f"; best at epoch {result.best_epoch}: {plain(result.metric)}"
            f" {metric(result.metric, result.value)}"
        )
    hparams = f"With {settings(result.hparams)}." if result.hparams else ""
    return f"{shown.name}: {reached}. {_verdict(shown)}{hparams}".strip()


def _verdict(shown: Close) -> str:
    """The word for its curves, and what to do about it; empty where there is none."""
    word, todo = plain(shown.result.verdict, 30), learning.action(shown.result.verdict)
    return f"The curves of {shown.name} say {word}{f': {todo}' if todo else ''}. " if word else ""


def _drawing(shown: Close) -> Drawing:
    batches, epochs = learning.minibatches(shown), learning.epochs(shown)
    traces = {
        "loss": [*_batches(batches), *_losses(epochs)],
        "accuracy": _accuracies(epochs),
        "update ratio": _updates(epochs, shown),
    }
    panels = [name for name in PANELS if traces[name] or name == "loss"]
    placed = [
        {**trace, "yaxis": f"y{number if number > 1 else ''}"}
        for number, name in enumerate(panels, 1)
        for trace in traces[name]
    ]
    last = f"y{len(panels)}" if len(panels) > 1 else "y"
    x = axis("epoch", rangemode="tozero", anchor=last)
    return {"data": placed, "layout": layout(xaxis=x, **_axes(panels, shown))}


def _axes(panels: Sequence[str], shown: Close) -> dict[str, Axis]:
    """The panels' own axes, from the top down."""
    axes: dict[str, Axis] = {}
    whole, top = sum(SHARES[name] for name in panels), 1.0
    for number, name in enumerate(panels, 1):
        height = SHARES[name] / whole * (1 - GAP * (len(panels) - 1))
        domain, top = [max(0.0, top - height), top], top - height - GAP
        given = axis(name, domain=domain, anchor="x")
        if name == "loss":
            given = losses(name, _highest(shown), domain=domain, anchor="x")
        if name == "update ratio":
            given |= {"type": "log", "exponentformat": "power", "tickvals": DECADES,
                      "autorangeoptions": {"clipmin": DECADES[0]}}
        axes[f"yaxis{number if number > 1 else ''}"] = given
    return axes


def _highest(shown: Close) -> float | None:
    """The top of the losses: what explodes leaves the plot there."""
    first = next((loss for _, loss in shown.result.losses if math.isfinite(loss)), 0.0)
    return BEYOND * first if first > 0 else None


def _batches(table: "pd.DataFrame") -> list[Trace]:
    if table.empty:
        return []
    x = drawn(table["epoch"].tolist())
    dots = {
        "type": "scatter", "mode": "markers", "name": "minibatch", "x": x,
        "y": drawn(table["loss"].tolist()), "customdata": table["step"].tolist(),
        "marker": {"color": GREY, "size": 4},
        "hovertemplate": "minibatch %{customdata}: %{y:.4g}<extra></extra>",
    }  # fmt: skip
    mean = {
        "type": "scatter", "mode": "lines", "name": "moving average", "x": x,
        "y": drawn(table["average"].tolist()), "line": {"color": BLUE, "width": 2},
        "hovertemplate": "average %{y:.4g}<extra></extra>",
    }  # fmt: skip
    return [dots, mean]


def _losses(table: "pd.DataFrame") -> list[Trace]:
    """The epochs' mean training loss stands in the middle of its epoch, the validation loss,
    measured after it, at its end.
    """
    middle = (table["epoch"] - 0.5).tolist()
    return [
        *_split("training", middle, table["train_loss"].tolist(), "loss"),
        *_split("validation", table["epoch"].tolist(), table["val_loss"].tolist(), "loss"),
    ]


def _accuracies(table: "pd.DataFrame") -> list[Trace]:
    x = table["epoch"].tolist()
    return [
        *_split("training", x, table["train_accuracy"].tolist(), "accuracy"),
        *_split("validation", x, table["val_accuracy"].tolist(), "accuracy"),
    ]


SPLITS = {  # colour, dash, symbol
    "training": (ORANGE, "dash", "circle"),
    "validation": (GREEN, "solid", "diamond"),
}


def _split(
    name: str, x: Sequence[float], y: Sequence[float], what: str
) -> list[Trace]:
    """One split's curve; none where nothing was measured."""
    values, (colour, dash, symbol) = drawn(y), SPLITS[name]
    return [{
        "type": "scatter", "mode": "lines+markers", "name": name, "x": x, "y": values,
        "legendgroup": name, "showlegend": what == "loss",
        "line": {"color": colour, "dash": dash, "width": 2},
        "marker": {"color": colour, "symbol": symbol, "size": 6, "maxdisplayed": 20},
        "hovertemplate": f"{name} {what} %{{y:.4g}}, epoch %{{x}}<extra></extra>",
    }] * any(value is not None for value in values)  # fmt: skip


def _updates(table: "pd.DataFrame", shown: Close) -> list[Trace]:
    """The largest of the layers' |update| / |weights| at each epoch's last step."""
    values = drawn(table["update_ratio"].tolist())
    if not any(values):
        return []
    end = max(1.0, shown.result.step / shown.batches)
    line = {
        "type": "scatter", "mode": "lines+markers", "name": "update ratio",
        "x": table["epoch"].tolist(), "y": values, "line": {"color": PURPLE, "width": 2},
        "marker": {"color": PURPLE, "symbol": "square", "size": 5, "maxdisplayed": 20},
        "hovertemplate": "|update| / |weights| %{y:.2g}, epoch %{x}<extra></extra>",
    }  # fmt: skip
    guide = {
        "type": "scatter", "mode": "lines", "name": f"{GUIDE:g}, healthy", "x": [0, end],
        "y": [GUIDE, GUIDE], "line": {"color": NEUTRAL, "dash": "dot"}, "hoverinfo": "skip",
    }  # fmt: skip
    return [line, guide]
