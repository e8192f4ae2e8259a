"""Parallel coordinates: every trial a line through its hparams to what it reached."""

import math
from collections.abc import Mapping, Sequence

from hpsearch.report.plots.marks import (
    DRAWN,
    Piece,
    coloured,
    layout,
    metric_name,
    on_log,
    ticks,
)
from hpsearch.report.plots.plot import Drawing, Plot, Switch, label
from hpsearch.report.tables.axis import Axis, axis
from hpsearch.report.tables.material import Material
from hpsearch.report.tables.points import (
    by_importance,
    everything,
    is_loss,
    reached,
    searched,
    spaces,
    trial_points,
)
from hpsearch.report.tables.stages import varying
from hpsearch.report.tables.thinning import thinned
from hpsearch.report.text import metric as written
from hpsearch.report.text import number, plain
from hpsearch.trial import TrialResult, ranking

MOST = 12  # hparams that have an axis
APART = 92  # pixels between axes, at least
FITS = 4  # axes on the screen of a phone
BEST = 10
ALL = "all stages"
LOST = "diverged"


def parallel(material: Material) -> Plot | None:
    """The trials as lines through the axes of their hparams, brushed by dragging along an axis or
    with the button that keeps the best ten.
    """
    results = everything(material)
    names = by_importance(material.searches, varying(results))
    if not results or not names:
        return None
    metric, kept = searched(material), names[:MOST][::-1]
    drawn, said = thinned(results, DRAWN)
    up = Upwards(metric, [reached(result, metric) for result in drawn])
    if len(names) > MOST:
        fewer = f"the {MOST} most important of {len(names)} hparams have an axis"
        said = "; ".join(filter(None, [said, fewer]))
    return Plot(
        "parallel-coordinates", "Parallel coordinates", _caption(results, metric, kept[-1]),
        _alt(results, metric, kept), _views(material, drawn, kept, up),
        trial_points(drawn, metric), _switches(results, up, len(kept)), said,
        width=APART * (len(kept) + 1) if len(kept) + 1 > FITS else 0,
    )  # fmt: skip


def _caption(results: Sequence[TrialResult], metric: str, last: str) -> str:
    lost = sum(not math.isfinite(reached(r, metric)) for r in results)
    text = (
        f"Each line is a trial, from its hparams to the {metric_name(metric)} it reached; bright"
        f" is good. The hparam beside it, {plain(last)}, decides most: look where its bright lines"
        " bundle."
    )
    text += f" The {lost} without a value end at “{LOST}”." if lost else ""
    return f"{text} Drag along an axis to keep the lines that pass there."


def _alt(results: Sequence[TrialResult], metric: str, names: Sequence[str]) -> str:
    best = next(iter(ranking(results)), None)
    over = ", ".join(map(plain, names))
    text = f"{len(results):,} trials as lines over {over} and {metric_name(metric)}."
    if best is None:
        return f"{text} None was completed."
    given = ", ".join(f"{plain(n)} {number(best.hparams.get(n))}" for n in names)
    return f"{text} The best reached {written(metric, best.value)} with {given}."


def _views(
    material: Material, drawn: Sequence[TrialResult], names: Sequence[str], up: "Upwards"
) -> Mapping[str, Drawing]:
    """All stages first, then the last; every view has the same axes, over its own ranges."""
    known = spaces(material)
    stages = [s for s in material.trials if any(result.stage == s for result in drawn)]
    among = {ALL: stages} if len(stages) > 1 else {}
    among |= {stage: [stage] for stage in stages[::-1]}
    views = {}
    for view, inside in among.items():
        own = [result for result in drawn if result.stage in inside]
        axes = [
            axis(name, [known[s][name] for s in inside if name in known[s]], own) for name in names
        ]
        views[label(view)] = _drawing(own, axes, up)
    return views


def _drawing(results: Sequence[TrialResult], axes: Sequence[Axis], up: "Upwards") -> Drawing:
    """Bad lines first, so that none hides a good one."""
    results = sorted(results, key=lambda result: up.of(reached(result, up.metric)))
    values = [reached(result, up.metric) for result in results]
    line = coloured(up.metric, values, values)
    worst = line["cmax" if is_loss(up.metric) else "cmin"]
    line["color"] = [value if math.isfinite(value) else worst for value in values]
    line["colorbar"] = {"thickness": 8, "xpad": 4}
    trace = {
        "type": "parcoords", "line": line, "labelangle": -12, "rangefont": {"size": 1},
        "dimensions": [*(_dimension(each, results) for each in axes), up.dimension(values)],
        "unselected": {"line": {"opacity": 0.06}},
    }  # fmt: skip
    return {"data": [trace], "layout": layout(margin={"l": 44, "r": 8, "t": 64, "b": 16})}


def _dimension(axis: Axis, results: Sequence[TrialResult]) -> Piece:
    places, texts = ticks(axis)
    low, high = axis.span
    values = [axis.of(result.hparams) for result in results]
    return {
        "label": label(axis.name), "range": [low, high], "tickvals": places, "ticktext": texts,
        "values": [value if math.isfinite(value) else low for value in values],
    }  # fmt: skip


class Upwards:
    """The metric's axis, on which better is always higher: of a loss the negative, and of losses
    far apart the logarithm. What has no value stands below all others. `values` are all trials'.
    """

    def __init__(self, metric: str, values: Sequence[float]) -> None:
        self.metric, self.values = metric, values
        finite = [value for value in values if math.isfinite(value)] or [0.0]
        low, high = min(finite), max(finite)
        logs = on_log(metric, finite)
        ends = (math.log10(low), math.log10(high)) if logs else (low, high)
        room = 0.5 * (abs(low) or 1.0) if low == high else 0.0
        self.axis = Axis(metric, "log" if logs else "linear", ends[0] - room, ends[1] + room)
        self.sign = -1 if is_loss(metric) else 1
        self.low, self.high = sorted(self.sign * end for end in (self.axis.low, self.axis.high))
        self.lost = self.low - 0.1 * (self.high - self.low)

    def of(self, value: float) -> float:
        return self.sign * self.axis.place(value) if math.isfinite(value) else self.lost

    @property
    def ticks(self) -> list[tuple[float, str]]:
        found = [(self.sign * place, text) for place, text in self.axis.ticks]
        losing = not all(map(math.isfinite, self.values))
        return sorted([*found, *([(self.lost, LOST)] if losing else [])])

    def dimension(self, values: Sequence[float]) -> Piece:
        """What plotly draws of it."""
        margin = 0.04 * (self.high - self.low)
        return {
            "label": self.metric, "range": [self.ticks[0][0] - margin, self.high + margin],
            "values": [self.of(value) for value in values],
            "tickvals": [place for place, _ in self.ticks],
            "ticktext": [text for _, text in self.ticks],
        }  # fmt: skip


def _switches(results: Sequence[TrialResult], up: Upwards, place: int) -> Sequence[Switch]:
    """One that keeps the lines of the best ten of all stages, whatever is shown."""
    best = [up.of(result.value) for result in ranking(results)[:BEST]]
    if len(results) <= BEST or not best:
        return ()
    key, margin = f"dimensions[{place}].constraintrange", 1e-3 * (up.high - up.low)
    ends = [min(best) - margin / 10, max(best) + margin]
    return (Switch(f"the best {len(best)}", ({key: [ends]}, {}), ({key: [None]}, {})),)
