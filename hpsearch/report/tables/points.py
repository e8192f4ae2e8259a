"""Every trial of every search stage as a row, and how the best so far went on."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hpsearch.errors import HostError
from hpsearch.report.tables.axis import Axis, axis
from hpsearch.report.tables.importance import widest
from hpsearch.report.tables.material import Material
from hpsearch.report.tables.stages import error_of, parsed, varying
from hpsearch.report.tables.thinning import LOST
from hpsearch.search.space import Choice, Space
from hpsearch.trial import METRICS, Status, TrialResult, ranking
from hpsearch.verdict import SearchDocument

if TYPE_CHECKING:
    import pandas as pd

ENDS = "ends"  # how the decision after the last stage begins
NEXT = "next"  # the stage after the last one, in a table of ranges


def searched(material: Material) -> str:
    """The metric that the search went by; HostError where the last stage names none."""
    document = material.searches[-1]
    if document.metric not in METRICS:
        raise HostError(f"{document.stage}/stage.json: damaged: no metric {document.metric!r}")
    return document.metric


def is_loss(metric: str) -> bool:
    """Whether lower is better."""
    return metric.endswith("loss")


def everything(material: Material) -> list[TrialResult]:
    """The trials of all search stages in order."""
    return [result for results in material.trials.values() for result in results]


def best_first(material: Material) -> list[TrialResult]:
    """The completed trials of all stages that searched the last one's metric; of equals those of
    the later stage come first, as in `progress.best_of`.
    """
    metric, stages = searched(material), reversed(list(material.trials.values()))
    found = [r for results in stages for r in ranking(results) if r.metric == metric]
    return sorted(found, key=lambda r: r.score, reverse=True)


def reached(result: TrialResult, metric: str) -> float:
    """What a trial reached by its best epoch; NaN where it diverged, failed or has no such."""
    value = math.nan if result.status in LOST else result.at_best(metric)
    return value if math.isfinite(value) else math.nan


def trial_points(results: Sequence[TrialResult], metric: str) -> "pd.DataFrame":
    """One row per trial, in their order: `trial` as stage/id, stage, status, the metric's `value`
    (NaN where there is none), epochs, then the hparams.
    """
    import pandas as pd

    rows = [
        {"trial": f"{r.stage}/{r.id}", "stage": r.stage, "status": str(r.status),
         "value": reached(r, metric), "epochs": r.epochs}
        for r in results
    ]  # fmt: skip
    both = zip(rows, results, strict=True)
    return pd.DataFrame([{**row, **result.hparams, **row} for row, result in both])


def history(material: Material) -> "pd.DataFrame":
    """One row per trial, in the order of the stages and of their numbers: `order` from 1, trial,
    stage, status, value, the `best` of the trials completed so far, and its standard `error` (NaN
    where it is not known).
    """
    metric = searched(material)
    table = trial_points(everything(material), metric)[["trial", "stage", "status", "value"]]
    sign = -1 if is_loss(metric) else 1
    done = table["value"].where(table["status"] == Status.DONE)
    scores = np.where(np.isfinite(done), sign * done, -math.inf)
    best = np.maximum.accumulate(scores) if len(scores) else scores
    best = np.where(np.isfinite(best), sign * best, math.nan)
    known = {b: error_of(metric, float(b), material.rows) for b in set(best[np.isfinite(best)])}
    table.insert(0, "order", range(1, len(table) + 1))
    errors = [math.nan if (e := known.get(b)) is None else e for b in best]
    return table.assign(best=best, error=errors)


def spaces(material: Material) -> dict[str, Space]:
    """What each search stage drew from."""
    return {d.stage: parsed(d.stage, d.space) for d in material.searches}


def following(material: Material) -> Space:
    """What would be searched after the last stage; empty where that is not known or no other, and
    where the search has ended.
    """
    last = material.searches[-1] if material.searches else None
    if last is None or last.decision.startswith(ENDS):
        return {}
    if dict(last.next_space) == dict(last.space):
        return {}
    return parsed(last.stage, last.next_space)


def axes_of(material: Material, results: Sequence[TrialResult]) -> dict[str, Axis]:
    """The axes of the hparams that vary among the trials, over the ranges of all stages and of
    the next one.
    """
    known = [following(material), *spaces(material).values()]
    return {
        name: axis(name, [space[name] for space in known if name in space], results)
        for name in varying(results)
    }


def by_importance(documents: Sequence[SearchDocument], names: Sequence[str]) -> list[str]:
    """The hparams, most important first, by the widest stage that says; the others as they are."""
    told: Mapping[str, Any] = said.importance if (said := widest(documents)) else {}
    return sorted(names, key=lambda name: -(told.get(name) or 0.0))


def ranges(material: Material) -> "pd.DataFrame":
    """One row per stage and ranged hparam: its bounds; the stage NEXT is what would be searched
    after the last one.
    """
    import pandas as pd

    found = {**spaces(material), NEXT: following(material)}
    rows = [
        {"stage": stage, "hparam": name, "low": kind.bounds[0], "high": kind.bounds[1]}
        for stage, space in found.items()
        for name, kind in space.items()
        if not isinstance(kind, Choice)
    ]
    return pd.DataFrame(rows, columns=["stage", "hparam", "low", "high"])
