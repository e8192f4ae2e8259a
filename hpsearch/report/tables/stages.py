"""What a run found, as rows and as DataFrames. The views only arrange these."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from hpsearch.curves import tally
from hpsearch.errors import HostError
from hpsearch.report.text import counted, metric
from hpsearch.search.space import Choice, Distribution, parse_space
from hpsearch.stages.gathering import comparable
from hpsearch.store import RunStore
from hpsearch.trial import AT_BEST, Status, TrialResult, ranking, standard_error
from hpsearch.verdict import (
    GOES_ON,
    SEVERITY,
    CheckDocument,
    Document,
    Edge,
    FinalDocument,
    SearchDocument,
    Verdict,
)

if TYPE_CHECKING:
    import pandas as pd

Row = dict[str, Any]
TOP = 5  # trials whose places in a range are shown
TRIAL = ("trial", "status", *AT_BEST, "best_epoch", "epochs", "step", "verdict")
CHECK = ("verdict", "name", "value", "expected", "message", "fix", "diagnosis")
SPACE = (
    "hparam", "kind", "low", "high", "values", "best", "position", "top", "next_low", "next_high",
    "edge", "side", "reason",
)  # fmt: skip
ISOLATED = (
    "hparam", "value", "low", "high", "trials", "trial", "best", "error", "compared", "expected",
    "behind", "noise", "standing",
)  # fmt: skip


def stages(store: RunStore) -> "pd.DataFrame":
    """One row per document of the run: stage, verdict, and what it says."""
    return _frame(stage_rows(documents(store)), ("stage", "verdict", "says"))


def checks(document: CheckDocument) -> "pd.DataFrame":
    """One row per check."""
    rows = [{name: getattr(check, name) for name in CHECK} for check in document.checks]
    return _frame(rows, CHECK)


def trials(results: Sequence[TrialResult]) -> "pd.DataFrame":
    """One row per trial, best first: metrics are those of its best epoch, then its hparams."""
    return _frame(trial_rows(results), TRIAL)


def space(document: SearchDocument, results: Sequence[TrialResult]) -> "pd.DataFrame":
    """One row per hparam: its range, where the best trials lie in it, its edge, its next range."""
    return _frame(space_rows(document, results), SPACE)


def isolated(document: SearchDocument) -> "pd.DataFrame":
    """One row per value of each scientific hparam: its best trial, and how far it is behind."""
    return _frame(isolated_rows(document), ISOLATED)


def _frame(rows: list[Row], columns: Sequence[str]) -> "pd.DataFrame":
    import pandas as pd

    found = [name for row in rows for name in row]
    return pd.DataFrame(rows, columns=list(dict.fromkeys([*columns, *found])))


def documents(store: RunStore) -> list[Document]:
    """The run's documents in order; a search under way has the counts and the best so far."""
    return [
        so_far(document, store.results(document.stage))
        if isinstance(document, SearchDocument) and document.verdict is None
        else document
        for document in store.documents()
    ]


def so_far(document: SearchDocument, results: Sequence[TrialResult]) -> SearchDocument:
    """An unfinished search's document, filled in from the trials that are done."""
    counts = {status: sum(r.status is status for r in results) for status in Status}
    best = next(iter(ranking(results)), None)
    return replace(
        document, completed=counts[Status.DONE], diverged=counts[Status.DIVERGED],
        pruned=counts[Status.PRUNED], failed=counts[Status.FAILED],
        best=best.described if best else None, verdicts=tally(results),
    )  # fmt: skip


def finished(document: SearchDocument) -> int:
    """How many of its trials have ended, one way or another."""
    return document.completed + document.diverged + document.pruned + document.failed


def finished_trials(found: Sequence[Document]) -> int:
    """Of all search stages together."""
    return sum(finished(d) for d in found if isinstance(d, SearchDocument))


def stage_rows(found: Sequence[Document]) -> list[Row]:
    return [{"stage": d.stage, "verdict": d.verdict, "says": says(d)} for d in found]


def says(document: Document) -> str:
    """A document in one line."""
    if isinstance(document, CheckDocument):
        return _checks_say(document)
    if isinstance(document, FinalDocument):
        return _final_says(document)
    if document.verdict is Verdict.FAIL and document.decision.startswith(GOES_ON):
        return f"{document.message}; {document.decision}"
    best, done = document.best, finished(document)
    if best is None:
        return document.message or f"{done} of {counted(document.trials, 'trial')}, none completed"
    value = metric(str(best["metric"]), best["value"])
    if document.verdict is None:
        return f"{done} of {counted(document.trials, 'trial')}, best so far {value}"
    flagged = [edge.hparam for edge in document.edges if edge.strength != "info"]
    edge = f"; {', '.join(flagged)} on an edge" if flagged else ""
    lost = f"{document.diverged} diverged" + (
        f", {document.failed} failed" if document.failed else ""
    )
    return f"best {value} of {counted(document.trials, 'trial')}, {lost}{edge}"


def _final_says(document: FinalDocument) -> str:
    if document.winner is None:
        return document.message or f"{counted(document.trials, 'trial')} to train again"
    if document.test is None:
        return f"{document.chosen}; no test set"
    low, high = document.test["interval"]
    return f"test accuracy {document.test['accuracy']:.4f} (95 % {low:.4f} to {high:.4f})"


def _checks_say(document: CheckDocument) -> str:
    """The worst check's message; where several pass, only that they do."""
    if document.verdict is Verdict.PASS and len(document.checks) > 2:
        return f"all {len(document.checks)} checks pass"
    worst = max(document.checks, key=lambda check: SEVERITY[check.verdict], default=None)
    return worst.message if worst else "no checks"


def trial_rows(results: Sequence[TrialResult]) -> list[Row]:
    """Best first, then the trials without a rank by id."""
    best = ranking(results)
    rest = sorted((r for r in results if r.status is not Status.DONE), key=lambda r: r.id)
    return [_trial_row(result) for result in [*best, *rest]]


def _trial_row(result: TrialResult) -> Row:
    return {
        "trial": result.id, "status": str(result.status),
        **{name: result.at_best(name) for name in AT_BEST},
        "best_epoch": result.best_epoch, "epochs": result.epochs, "step": result.step,
        "verdict": result.verdict, **result.hparams,
    }  # fmt: skip


def ranked(results: Sequence[TrialResult]) -> list[TrialResult]:
    """The completed trials best first, then those that halving gave up, the most hopeful first."""
    given_up = [each.result for each in comparable(results)]
    return [*ranking(results), *(r for r in given_up if r.status is Status.PRUNED)]


def varying(results: Sequence[TrialResult]) -> list[str]:
    """The hparams that differ between trials, in the order in which they were written."""
    names = dict.fromkeys(name for result in results for name in result.hparams)
    if len(results) < 2:
        return list(names)
    return [name for name in names if _vary(repr(r.hparams.get(name)) for r in results)]


def _vary(written: Iterator[str]) -> bool:
    """Whether not all are the same: of very many the first few tell."""
    first = next(written)
    return any(each != first for each in written)


def narrow(document: SearchDocument) -> list[Edge]:
    """The edges that the search should have gone beyond, strong ones first."""
    flagged = [edge for edge in document.edges if edge.strength in ("strong", "warn")]
    return sorted(flagged, key=lambda edge: edge.strength != "strong")


def space_rows(document: SearchDocument, results: Sequence[TrialResult]) -> list[Row]:
    best = ranked(results)[:TOP]
    following = parsed(document.stage, document.next_space)
    return [
        _space_row(document, name, kind, following.get(name), best)
        for name, kind in parsed(document.stage, document.space).items()
    ]


def parsed(stage: str, written: Mapping[str, Any]) -> dict[str, Distribution]:
    """A document's space; HostError where it is none."""
    try:
        return parse_space(written)
    except (ValidationError, TypeError, ValueError) as error:
        message = f"{stage}/stage.json: damaged: its space cannot be read; run the stage again"
        raise HostError(message) from error


def _space_row(
    document: SearchDocument, name: str, kind: Distribution, following: Distribution | None,
    best: Sequence[TrialResult],
) -> Row:  # fmt: skip
    tried = [result.hparams.get(name) for result in best]
    places = [_position(kind, value) for value in tried]
    edges = [edge for edge in document.edges if edge.hparam == name]
    edge = min(edges, key=lambda edge: edge.strength == "info", default=None)
    low, high = _bounds(kind)
    next_low, next_high = _bounds(following)
    return {
        "hparam": name, "kind": kind.name(), "low": low, "high": high,
        "values": list(kind.choice) if isinstance(kind, Choice) else None,
        "best": tried[0] if tried else None, "position": places[0] if places else math.nan,
        "top": [place for place in places if math.isfinite(place)],
        "next_low": next_low, "next_high": next_high,
        "edge": edge.strength if edge else None, "side": edge.side if edge else None,
        "reason": document.reasons.get(name, ""),
    }  # fmt: skip


def isolated_rows(document: SearchDocument) -> list[Row]:
    where = f"{document.stage}/stage.json: damaged: isolated cannot be read; run the stage again"
    try:
        return [
            {"hparam": name, "compared": found["compared"], **dict.fromkeys(ISOLATED[1:4]), **row}
            for name, found in document.isolated.items()
            for row in found["values"]
        ]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise HostError(where) from error


def _bounds(kind: Distribution | None) -> tuple[float | None, float | None]:
    return (None, None) if kind is None or isinstance(kind, Choice) else kind.bounds


def _position(kind: Distribution, value: Any) -> float:
    if isinstance(kind, Choice) or not isinstance(value, int | float):
        return math.nan
    return kind.position(value)


def rows_of(store: RunStore, split: str) -> int | None:
    """How many rows a split has, from `run.json` or the audit; None where neither tells."""
    document = store.check_document("data")
    found = store.run_facts().get("rows"), document.facts.get("rows") if document else None
    counts = (rows.get(split) for rows in found if isinstance(rows, dict))
    return next((count for count in counts if isinstance(count, int)), None)


def error_of(name: str, value: Any, rows: int | None) -> float | None:
    """The standard error of an accuracy on n rows; None where that is not what `name` is."""
    if name != "val_accuracy" or not rows or not isinstance(value, int | float):
        return None
    return standard_error(value, rows)


def tied(best: Sequence[TrialResult], rows: int | None) -> int:
    """How many of the trials, best first, lie within one standard error of the first, which counts
    too; 1 where that error is not known.
    """
    error = error_of(best[0].metric, best[0].value, rows) if best else None
    return 1 if error is None else sum(r.score >= best[0].score - error for r in best)
