"""Parallel coordinates: every trial a line through its hparams to what it reached."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from hpsearch.report.plots.marks import (
    DRAWN,
    WORST,
    Piece,
    coloured,
    layout,
    metric_name,
    on_log,
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
FINE = 40  # parts of an axis that can be brushed by themselves


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
    best = ranking(results)[:BEST]
    up = Upwards(metric, [reached(result, metric) for result in drawn])
    if len(names) > MOST:
        fewer = f"the {MOST} most important of {len(names)} hparams have an axis"
        said = "; ".join(filter(None, [said, fewer]))
    return Plot(
        "parallel-coordinates", "Parallel coordinates", _caption(results, up, kept[-1]),
        _alt(len(results), best, metric, kept), _views(material, drawn, kept, up),
        trial_points(drawn, metric), _switches(best, up, len(kept)), thinned=said,
        width=APART * (len(kept) + 1) if len(kept) + 1 > FITS else 0,
    )  # fmt: skip


def _caption(results: Sequence[TrialResult], up: "Upwards", last: str) -> str:
    metric = up.metric
    lost = sum(not math.isfinite(reached(r, metric)) for r in results)
    text = (
        f"Each line is a trial, from its hparams to the {metric_name(metric)} it reached; bright"
        f" is good. The hparam beside it, {plain(last)}, decides most: look where its bright lines"
        " bundle."
    )
    text += f" The {lost} that diverged or failed end below all others." if lost else ""
    text += f" Losses above {number(up.worst, 3)} are drawn at it." if up.capped else ""
    return f"{text} Drag along an axis to keep the lines that pass there."


def _alt(count: int, best: Sequence[TrialResult], metric: str, names: Sequence[str]) -> str:
    over = ", ".join(map(plain, names))
    text = f"{count:,} trials as lines over {over} and {metric_name(metric)}."
    if not best:
        return f"{text} None was completed."
    given = ", ".join(f"{plain(n)} {number(best[0].hparams.get(n))}" for n in names)
    return f"{text} The best reached {written(metric, best[0].value)} with {given}."


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
        views[plain(view)] = _drawing(own, axes, up)
    return views


def _drawing(results: Sequence[TrialResult], axes: Sequence[Axis], up: "Upwards") -> Drawing:
    """Bad lines first, so that none hides a good one."""
    towards = 1 if up.span > 0 else -1
    results = sorted(results, key=lambda result: towards * up.of(reached(result, up.metric)))
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
    low, high = axis.span
    marks = axis.ticks + (_between(axis) if axis.ranged else [])
    values = [axis.of(result.hparams) for result in results]
    return {
        "label": label(axis.name), "range": [low, high],
        "tickvals": [place for place, _ in marks], "ticktext": [label(text) for _, text in marks],
        "values": [value if math.isfinite(value) else low for value in values],
    }  # fmt: skip


def _between(axis: Axis) -> list[tuple[float, str]]:
    """Ticks without a word: what is brushed ends near a tick, and two with one text are one."""
    step = (axis.high - axis.low) / FINE
    return [(axis.low + n * step, " " * (n + 1)) for n in range(FINE + 1)]


class Upwards:
    """The metric's axis, on which better is always higher. Of losses far apart the worst fifth
    stands at its lower end, and below that what has no value. `values` are all trials'. It has no
    ticks of its own: between these nothing could be brushed.
    """

    def __init__(self, metric: str, values: Sequence[float]) -> None:
        self.metric, self.values = metric, values
        finite = [value for value in values if math.isfinite(value)] or [0.0]
        worst, best = (max, min) if is_loss(metric) else (min, max)
        self.best, self.worst = best(finite), worst(finite)
        self.capped = on_log(metric, finite)
        if self.capped:
            self.worst = float(np.quantile(finite, 1 - WORST))
        self.span = (self.best - self.worst) or (-1 if is_loss(metric) else 1) * 0.1
        self.lost = self.worst - 0.1 * self.span

    def of(self, value: float) -> float:
        if not math.isfinite(value):
            return self.lost
        return min(value, self.worst) if self.capped else value

    def dimension(self, values: Sequence[float]) -> Piece:
        """What plotly draws of it."""
        losing = not all(map(math.isfinite, self.values))
        low = (self.lost if losing else self.worst) - 0.04 * self.span
        return {
            "label": self.metric, "range": [low, self.best + 0.04 * self.span],
            "tickformat": ".3~g", "values": [self.of(value) for value in values],
        }  # fmt: skip


def _switches(best: Sequence[TrialResult], up: Upwards, place: int) -> Sequence[Switch]:
    """One that keeps the lines of the best ten of all stages, whatever is shown."""
    if len(best) < 2 or len(up.values) <= len(best):
        return ()
    ends = [up.of(reached(result, up.metric)) for result in best]
    key, margin = f"dimensions[{place}].constraintrange", 0.001 * abs(up.span)
    kept = {key: [[min(ends) - margin, max(ends) + margin]]}
    return (Switch(f"the best {len(best)}", (kept, {}), ({key: [None]}, {})),)
