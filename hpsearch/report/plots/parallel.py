"""Parallel coordinates: every trial a line through its hparams to what it reached."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from hpsearch.report.plots.importance import close, percent
from hpsearch.report.plots.marks import (
    LOST,
    WORST,
    Piece,
    coloured,
    hover,
    metric_name,
    on_log,
)
from hpsearch.report.plots.plot import Drawing, Plot, Switch, label
from hpsearch.report.tables.axis import Axis, axis
from hpsearch.report.tables.importance import ordered, widest
from hpsearch.report.tables.material import Material
from hpsearch.report.tables.points import (
    best_first,
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
from hpsearch.report.text import counted, number, plain
from hpsearch.report.text import metric as written
from hpsearch.trial import TrialResult
from hpsearch.verdict import Verdict

MOST = 12  # hparams that have an axis
APART = 92  # pixels between axes, at least
FITS = 4  # axes on the screen of a phone
BEST = 10
ALL = "all stages"
LINES = 600  # at most: more are a carpet


def parallel(material: Material) -> Plot | None:
    """The trials as lines through the axes of their hparams: plotly's data, which the page draws
    itself, since plotly's own drawing needs eval, WebGL and a mouse.
    """
    results = everything(material)
    names = by_importance(material.searches, varying(results))
    if not results or not names:
        return None
    metric, kept = searched(material), names[:MOST][::-1]
    drawn, said = thinned(results, LINES)
    best = best_first(material)[:BEST]
    up = Upwards(metric, [reached(result, metric) for result in drawn])
    if len(names) > MOST:
        fewer = f"the {MOST} most important of {len(names)} hparams have an axis"
        said = "; ".join(filter(None, [said, fewer]))
    return Plot(
        "parallel-coordinates", "Parallel coordinates",
        _caption(results, up, _deciding(material, kept[::-1])),
        _alt(len(results), best, metric, kept), _views(material, drawn, kept, up),
        trial_points(drawn, metric), _switches(best, up, len(kept)), thinned=said,
        width=APART * (len(kept) + 1) if len(kept) + 1 > FITS else 0,
    )  # fmt: skip


def _deciding(material: Material, names: Sequence[str]) -> str:
    """What is known of the hparam beside the metric's axis, the first of these."""
    first, documents = plain(names[0]), material.searches
    if all(document.verdict is Verdict.FAIL for document in documents):
        return "Nothing was learnt, so that no hparam decides."
    bundle = "look where bright lines bundle."
    if len(names) == 1:
        return f"{first} is the only hparam that was searched: {bundle}"
    wide = widest(documents)
    pairs = [p for p in ordered(wide.importance) if p[0] in names] if wide else []
    if wide is None or len(pairs) < 2:
        return f"On every axis {bundle}"
    if close(pairs):
        two = f"{first} and {plain(pairs[1][0])}"
        return f"The two hparams beside it, {two}, matter about equally: {bundle}"
    where = f"in {plain(wide.stage)}, the widest range" if len(documents) > 1 else "in all trials"
    decides = "decides" if pairs[0][1] >= 0.5 else "decides most"
    return f"The hparam beside it, {first}, {decides} ({percent(pairs[0][1])} {where}): {bundle}"


def _caption(results: Sequence[TrialResult], up: "Upwards", deciding: str) -> str:
    metric = up.metric
    lost = sum(not math.isfinite(reached(r, metric)) for r in results)
    text = (
        f"Each line is a trial, from its hparams to the {metric_name(metric)} it reached; bright"
        f" is good. {deciding}"
    )
    text += f" Below all others are the {lost} that diverged or failed." if lost else ""
    text += f" Losses above {number(up.worst, 3)} are drawn at it." if up.capped else ""
    return f"{text} Drag along an axis, or use the arrow keys on it, to keep what passes there."


def _alt(count: int, best: Sequence[TrialResult], metric: str, names: Sequence[str]) -> str:
    over = ", ".join(map(plain, names))
    text = f"{counted(count, 'trial')} drawn as lines over {over} and {metric_name(metric)}."
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
    trace = {
        "type": "parcoords", "line": line, "customdata": hover(results, up.metric),
        "dimensions": [*(_dimension(each, results) for each in axes), up.dimension(values)],
    }  # fmt: skip
    return {"data": [trace], "layout": {}}


def _dimension(axis: Axis, results: Sequence[TrialResult]) -> Piece:
    low, high = axis.span
    values = [axis.of(result.hparams) for result in results]
    return {
        "label": label(axis.name), "range": [low, high],
        "tickvals": [place for place, _ in axis.ticks],
        "ticktext": [label(text) for _, text in axis.ticks],
        "values": [value if math.isfinite(value) else low for value in values],
    }  # fmt: skip


class Upwards:
    """The metric's axis, on which better is always higher. Of losses far apart the worst fifth
    stands at its lower end, and below that what has no value. `values` are all trials'.
    """

    def __init__(self, metric: str, values: Sequence[float]) -> None:
        self.metric, self.values = metric, values
        finite = [value for value in values if math.isfinite(value)] or [0.0]
        worst, best = (max, min) if is_loss(metric) else (min, max)
        self.best, self.worst = best(finite), worst(finite)
        self.capped = on_log(metric, finite)
        if self.capped:
            self.worst = float(np.quantile(finite, 1 - WORST))
        room = max(0.1, 0.001 * abs(self.worst))  # where all are alike, however far from 0
        self.span = (self.best - self.worst) or (-room if is_loss(metric) else room)
        self.lost = self.worst - 0.1 * self.span

    def of(self, value: float) -> float:
        if not math.isfinite(value):
            return self.lost
        return min(value, self.worst) if self.capped else value

    @property
    def ticks(self) -> list[tuple[float, str]]:
        """Places and what is written there."""
        low, high = sorted((self.worst, self.worst + self.span))
        inside = Axis(self.metric, "linear", low, high).ticks
        return [*inside, *([] if all(map(math.isfinite, self.values)) else [(self.lost, LOST)])]

    def dimension(self, values: Sequence[float]) -> Piece:
        """The axis of those."""
        losing = not all(map(math.isfinite, self.values))
        low = (self.lost if losing else self.worst) - 0.04 * self.span
        return {
            "label": self.metric, "range": [low, self.best + 0.04 * self.span],
            "values": [self.of(value) for value in values],
            "tickvals": [place for place, _ in self.ticks],
            "ticktext": [text for _, text in self.ticks],
        }  # fmt: skip


def _switches(best: Sequence[TrialResult], up: Upwards, place: int) -> Sequence[Switch]:
    """One that keeps the lines of the best ten of all stages, whatever is shown."""
    if len(best) < 2 or len(up.values) <= len(best):
        return ()
    ends = [up.of(reached(result, up.metric)) for result in best]
    key, margin = f"dimensions[{place}].constraintrange", 0.001 * abs(up.span)
    kept = {key: [[min(ends) - margin, max(ends) + margin]]}
    return (Switch(f"the best {len(best)}", (kept, {}), ({key: [None]}, {})),)
