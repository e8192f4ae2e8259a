"""The plane of two hparams: what every trial reached there, and where each stage searched."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from hpsearch.report.plots.marks import (
    DRAWN,
    EDGE,
    HOVER,
    Piece,
    coloured,
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
from hpsearch.report.plots.plot import NEUTRAL, Drawing, Plot, label
from hpsearch.report.tables.axis import Axis
from hpsearch.report.tables.material import Material
from hpsearch.report.tables.points import (
    NEXT,
    axes_of,
    best_first,
    by_importance,
    everything,
    is_loss,
    ranges,
    reached,
    searched,
    trial_points,
)
from hpsearch.report.tables.thinning import LOST, thinned
from hpsearch.report.text import counted, number, plain
from hpsearch.report.text import metric as written
from hpsearch.trial import Status, TrialResult

if TYPE_CHECKING:
    import pandas as pd

USUAL = ("learning_rate", "weight_decay")


def scatter(material: Material) -> Plot | None:
    """The trials over learning rate and weight decay, where both were searched; else over the two
    hparams that matter most; of a single one, what was reached over it. The ranges of all stages
    are boxes.
    """
    results = everything(material)
    axes = {n: a for n, a in axes_of(material, results).items() if a.ranged} if results else {}
    if not axes:
        return None
    names = _chosen(by_importance(material.searches, list(axes)))
    metric, boxes = searched(material), ranges(material)
    drawn, said = thinned(results, DRAWN)
    pair = [axes[name] for name in names]
    best = next(iter(best_first(material)), None)
    return Plot(
        "scatter", _title(names, metric), _caption(pair, boxes, results, best),
        _alt(names, results, best), {"all stages": _drawing(drawn, pair, metric, boxes, best)},
        _table(drawn, names, metric), thinned=said, height=480,
    )  # fmt: skip


def _chosen(names: Sequence[str]) -> list[str]:
    return list(USUAL) if set(USUAL) <= set(names) else list(names[:2])


def _title(names: Sequence[str], metric: str) -> str:
    shown = [plain(name, 40).replace("_", " ") for name in names]
    return f"{shown[0].capitalize()} against {shown[1] if len(shown) > 1 else metric_name(metric)}"


def _table(results: Sequence[TrialResult], names: Sequence[str], metric: str) -> "pd.DataFrame":
    table = trial_points(results, metric)
    return table[["trial", "status", "value", *names]]


def _caption(
    pair: Sequence[Axis], boxes: "pd.DataFrame", results: Sequence[TrialResult],
    best: TrialResult | None,
) -> str:  # fmt: skip
    lost = sum(result.status in LOST for result in results)
    if best is None:
        return f"No trial was completed; {lost} of {len(results):,} diverged or failed (×)."
    where = ", ".join(f"{a.name} {number(best.hparams.get(a.name), 3)}" for a in pair)
    text = f"The best (★, {written(best.metric, best.value)}) is at {plain(where)}."
    text += f" {lost} of {len(results):,} trials diverged or failed (×)." if lost else ""
    return f"{text} {_zooming(pair[0], boxes)}".strip()


def _zooming(first: Axis, boxes: "pd.DataFrame") -> str:
    """How the range of the first hparam went from stage to stage."""
    own = boxes[boxes["hparam"] == first.name]
    steps = [
        f"{stage} {number(float(low), 3)} to {number(float(high), 3)}"
        for stage, low, high in zip(own["stage"], own["low"], own["high"], strict=True)
    ]
    if len(steps) < 2:
        return "The box is what was searched." if steps else ""
    return f"The boxes are what each stage searched; of {plain(first.name)} {', '.join(steps)}."


def _alt(
    names: Sequence[str], results: Sequence[TrialResult], best: TrialResult | None
) -> str:
    over = " and ".join(plain(name) for name in names)
    by = metric_name(results[0].metric)
    text = f"{counted(len(results), 'trial')} over {over}, coloured by {by}."
    if best is None:
        return f"{text} None was completed."
    first = number(best.hparams.get(names[0]), 3)
    return f"{text} The best, {best.stage}/{best.id}, has {plain(names[0])} {first}."


def _drawing(
    drawn: Sequence[TrialResult], pair: Sequence[Axis], metric: str, boxes: "pd.DataFrame",
    best: TrialResult | None,
) -> Drawing:  # fmt: skip
    values = [reached(result, metric) for result in drawn]
    low = shelf(metric, values)
    xs = [pair[0].of(result.hparams) for result in drawn]
    heights = [value if math.isfinite(value) else low for value in values]
    ys = [pair[1].of(r.hparams) for r in drawn] if len(pair) > 1 else heights
    texts = hover(drawn, metric)
    spots = [*zip(drawn, xs, ys, values, texts, strict=True)]
    traces = [*_trials(spots, metric, values), *_crossed(spots), *_starred(spots, best)]
    yaxis = drawn_axis(pair[1]) if len(pair) > 1 else metric_axis(metric, values)
    shapes = [*_boxes(pair, boxes)]
    return {
        "data": traces,
        "layout": layout(xaxis=drawn_axis(pair[0]), yaxis=yaxis, shapes=shapes),
    }


Spot = tuple[TrialResult, float, float, float, str]  # trial, x, y, value, text


def _trials(spots: Sequence[Spot], metric: str, values: Sequence[float]) -> list[Piece]:
    """Completed trials as discs, pruned ones smaller; on a common scale of colours."""
    sizes = {Status.DONE: ("completed", 9), Status.PRUNED: ("pruned", 5)}
    traces = []
    for status, (name, size) in sizes.items():
        own = [s for s in spots if s[0].status is status and math.isfinite(s[3])]
        own.sort(key=lambda s: s[3], reverse=is_loss(metric))
        if own:
            marker = coloured(metric, [s[3] for s in own], values)
            traces.append({
                "type": "scatter", "mode": "markers", "name": name, "showlegend": size < 9,
                "x": [s[1] for s in own], "y": [s[2] for s in own], "text": [s[4] for s in own],
                "hovertemplate": HOVER, "marker": {**marker, "size": size, "line": EDGE},
            })  # fmt: skip
    return traces


def _crossed(spots: Sequence[Spot]) -> list[Piece]:
    lost = [s for s in spots if not math.isfinite(s[3])]
    if not lost:
        return []
    return [crosses([s[1] for s in lost], [s[2] for s in lost], [s[4] for s in lost])]


def _starred(spots: Sequence[Spot], best: TrialResult | None) -> list[Piece]:
    own = [s for s in spots if s[0] is best]
    return [star(x, y, text) for _, x, y, _, text in own]


def _boxes(pair: Sequence[Axis], boxes: "pd.DataFrame") -> list[Piece]:
    """Of every stage what it searched, over the whole height where only one hparam has a range."""
    stages = list(dict.fromkeys(boxes["stage"]))
    shapes = []
    for place, stage in enumerate(stages):
        own = boxes[boxes["stage"] == stage].set_index("hparam")
        bounds = {n: (row["low"], row["high"]) for n, row in own.iterrows()}
        if any(axis.name in bounds for axis in pair):
            shapes.append(_box(str(stage), place, [_sides(axis, bounds) for axis in pair]))
    return shapes


Sides = tuple[float, float] | None


def _sides(axis: Axis, bounds: Mapping[str, tuple[float, float]]) -> Sides:
    """The ends on the axis; None where the stage has no range of it."""
    if axis.name not in bounds:
        return None
    low, high = map(axis.place, bounds[axis.name])
    return (low, high) if math.isfinite(low) and math.isfinite(high) else None


def _box(stage: str, place: int, sides: Sequence[Sides]) -> Piece:
    following = stage == NEXT
    look = stage_look(place)
    (x0, x1), (y0, y1) = [side or (0, 1) for side in [*sides, None][:2]]
    domains = ["x" if sides[0] else "x domain", "y" if [*sides, None][1] else "y domain"]
    return {
        "type": "rect", "x0": x0, "x1": x1, "y0": y0, "y1": y1, "xref": domains[0],
        "yref": domains[1], "layer": "below", "name": label(stage), "showlegend": True,
        "line": {"color": NEUTRAL if following else look["color"], "width": 2,
                 "dash": "dot" if following else look["dash"]},
    }  # fmt: skip
