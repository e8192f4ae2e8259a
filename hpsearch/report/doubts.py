"""What speaks against a run's result: facts, which the answers put into words."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from hpsearch.report.tables.checking import proposed, records
from hpsearch.report.tables.material import Material
from hpsearch.report.tables.stages import narrow, parsed
from hpsearch.report.text import is_real
from hpsearch.search.space import Choice
from hpsearch.trial import TrialResult, ranking, standard_error
from hpsearch.verdict import GOES_ON, Check, CheckDocument, Edge, SearchDocument, Verdict

TOP = 10  # trials whose curves are counted
NEARLY = 1.01  # times: what is written with three digits is no other rate
APART = 2.5  # standard errors between validation and test rows that are more than chance
WORTHLESS = ("leakage", "label-signal", "labels")  # checks that make any accuracy meaningless
MISLEADING = (*WORTHLESS, "duplicate-rows", "split-statistics")  # or doubtful


class Beyond(NamedTuple):
    """A rate that no stage searched: the bounds of those that were, the best one of the sweep,
    and the range that it proposes.
    """

    searched: tuple[float, float]
    best: float
    proposed: tuple[float, float]


def failed(material: Material) -> CheckDocument | SearchDocument | None:
    """What stops the run: a failed check, or a failed last search that does not point on."""
    checks = [d for d in material.documents if isinstance(d, CheckDocument)]
    bad = next((d for d in checks if d.verdict is Verdict.FAIL), None)
    last = material.searches[-1] if material.searches else None
    if bad or last is None or last.verdict is not Verdict.FAIL:
        return bad
    return None if last.decision.startswith(GOES_ON) else last


def misleading(material: Material) -> list[Check]:
    """The checks of the data that did not pass and make every accuracy doubtful."""
    data = material.check("data")
    checks = data.checks if data else ()
    return [c for c in checks if c.name in MISLEADING and c.verdict is not Verdict.PASS]


def worthless(material: Material) -> bool:
    """Whether they make it meaningless."""
    return any(check.name in WORTHLESS for check in misleading(material))


def best_trials(material: Material) -> Sequence[TrialResult]:
    """Of the last search in which any trial was completed."""
    ranked = (ranking(results)[:TOP] for results in reversed(list(material.trials.values())))
    return next((best for best in ranked if best), [])


def flagged(material: Material) -> list[Edge]:
    """The edges that the last search should have gone beyond, strong ones first."""
    judged = [document for document in material.searches if document.verdict]
    return narrow(judged[-1]) if judged else []


def beyond(material: Material) -> Beyond | None:
    """The rate that does best in the sweep, where it lies outside of all that was searched."""
    sweep = material.check("sweep")
    ranges = [parsed(d.stage, d.space).get("learning_rate") for d in material.searches]
    bounds = [kind.bounds for kind in ranges if kind and not isinstance(kind, Choice)]
    rates = records(sweep.facts, "rates") if sweep else []
    usable = [row for row in rates if row.get("usable") and is_real(row.get("score"))
              and is_real(row.get("rate"))]  # fmt: skip
    offered = proposed(sweep) if sweep else None
    if not usable or not bounds or offered is None:
        return None
    best = float(min(usable, key=lambda row: row["score"])["rate"])
    low, high = min(low for low, _ in bounds), max(high for _, high in bounds)
    if low <= best * NEARLY and best <= high * NEARLY:
        return None
    return Beyond((low, high), best, offered)


def gap(material: Material) -> float | None:
    """By how much what is saved is right less often on the test rows than on the validation rows,
    where that is more than chance explains; negative where it is more often.
    """
    final = material.final
    chosen = [p for p in final.predictors if p["name"] == final.chosen] if final else []
    if final is None or final.test is None or not chosen:
        return None
    rows, test = chosen[0], final.test
    errors = [standard_error(each["accuracy"], each["rows"]) for each in (rows, test)]
    less = float(rows["accuracy"] - test["accuracy"])
    return less if abs(less) > APART * math.hypot(*errors) else None
