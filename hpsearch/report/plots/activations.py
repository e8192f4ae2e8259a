"""The activations of the untrained network, a histogram for each hidden layer."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hpsearch.report.plots.lines import MARGIN, Axis, Trace, axis, drawn
from hpsearch.report.plots.plot import BLUE, Plot, label
from hpsearch.report.tables import checking
from hpsearch.report.tables.material import Material
from hpsearch.report.text import number
from hpsearch.verdict import CheckDocument, Verdict

if TYPE_CHECKING:
    import pandas as pd

MOST = 12  # layers that are drawn
PANEL, LEAST, FRAME = 110, 130, 90  # pixels: of a layer, of all, and of what is around them
GAP = 0.3  # of a panel, above it, for its words
SHARES = {"zero": "are 0", "saturated": "saturated", "dead": "dead"}
LITTLE = 0.005  # a share that is not worth a word
CHECKS = ("activation-statistics", "dead-units", "saturated-units")


def activations(material: Material) -> Plot | None:
    """A panel for each layer, the first on top, all on one scale."""
    document = material.check("sanity")
    if document is None or (bins := checking.histograms(document)).empty:
        return None
    layers = checking.layers(document)
    found = bins["layer"].unique().tolist()
    shown = [found[place * len(found) // min(MOST, len(found))] for place in
             range(min(MOST, len(found)))]  # fmt: skip
    said = _says(document, layers)
    drawing = {
        "data": [_bars(bins[bins["layer"] == layer], n) for n, layer in enumerate(shown, 1)],
        "layout": {
            "margin": MARGIN, "showlegend": False, "bargap": 0,
            "xaxis": axis("activation", anchor=_axis("y", len(shown))),
            **{_axis("yaxis", n): _panel(n, len(shown)) for n in range(1, len(shown) + 1)},
            "annotations": [
                _words(layers[layers["layer"] == layer], n, len(shown))
                for n, layer in enumerate(shown, 1)
            ],
        },
    }  # fmt: skip
    left_out = f"{MOST} of {len(found)} layers are drawn, evenly chosen"
    return Plot(
        "activations", "Activations before training", said,
        f"A histogram of the activations of each of {len(shown)} hidden layers. {said}",
        {"activations": drawing}, layers, thinned=left_out if len(found) > MOST else "",
        height=FRAME + max(LEAST, PANEL * len(shown)),
    )  # fmt: skip


def _says(document: CheckDocument, layers: "pd.DataFrame") -> str:
    """Each layer in a word, then what the checks say that did not pass."""
    checks = [check for check in document.checks if check.name in CHECKS]
    amiss = [check for check in checks if check.verdict is not Verdict.PASS]
    told = [_layer(row, row["state"] if amiss else "") for row in layers.to_dict("records")]
    said = f"{'; '.join(told[:MOST])}{', …' if len(told) > MOST else ''}."
    if not amiss:
        return f"Healthy: {said}"
    return f"{said} {' '.join(f'{c.name}: {c.message}.' for c in amiss)}"


def _layer(row: dict[Any, Any], state: str) -> str:
    words = [f"layer {row['layer']}{f' {state}' if state else ''}"]
    words += [f"{name} {number(row[name], 2)}" for name in ("mean", "std")]
    return ", ".join([*words, *_shares(row)])


def _shares(row: Mapping[Any, Any]) -> list[str]:
    """Those that are not next to nothing."""
    found = [(checking.real(row[name]), what) for name, what in SHARES.items()]
    return [f"{value:.0%} {what}" for value, what in found if value >= LITTLE]


def _axis(name: str, place: int) -> str:
    """plotly's name of the axis: y, y2, y3, ..."""
    return name if place == 1 else f"{name}{place}"


def _bars(bins: "pd.DataFrame", place: int) -> Trace:
    low, high = bins["low"].to_numpy(), bins["high"].to_numpy()
    return {
        "type": "bar", "x": drawn(((low + high) / 2).tolist()),
        "width": drawn((high - low).tolist()), "y": drawn(bins["share"].tolist()),
        "yaxis": _axis("y", place),
        "marker": {"color": BLUE, "line": {"color": BLUE, "width": 1}},
        "hovertemplate": "about %{x:.3g}: %{y:.1%} of the activations<extra></extra>",
    }  # fmt: skip


def _panel(place: int, count: int) -> Axis:
    """The axis of one panel: how high the bars are says little, so that it is not seen."""
    top = 1 - (place - 1) / count
    return {"domain": [top - (1 - GAP) / count, top - GAP / count], "anchor": "x",
            "visible": False, "rangemode": "tozero", "fixedrange": True}  # fmt: skip


def _words(rows: "pd.DataFrame", place: int, count: int) -> dict[str, Any]:
    """What stands above a panel."""
    row = rows.iloc[0]
    odd = f", {row['state']}" if row["state"] not in ("", "healthy") else ""
    words = [f"layer {label(row['layer'])}{odd}: std {number(float(row['std']), 2)}"]
    return {
        "text": ", ".join([*words, *_shares(row.to_dict())]),
        "xref": "paper", "x": 0, "xanchor": "left", "yref": "paper",
        "y": 1 - (place - 1) / count - GAP / count, "yanchor": "bottom", "showarrow": False,
    }  # fmt: skip
