"""How far a run has come: its gates, its best trial, and both as plain JSON."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from hpsearch.errors import HpsearchError
from hpsearch.report.tables.stages import documents, finished, finished_trials, says
from hpsearch.stages.gates import closed
from hpsearch.store import RunStore
from hpsearch.verdict import CHECKING, Document, FinalDocument, SearchDocument, Verdict

DAMAGE = (HpsearchError, OSError, ValueError, KeyError, TypeError, AttributeError, IndexError)


@dataclass(frozen=True)
class Gate:
    """A stage of the recipe and what is known of it; `document` is None if it was not run."""

    stage: str
    document: Document | None

    @property
    def verdict(self) -> Verdict | None:
        return self.document.verdict if self.document else None

    @property
    def state(self) -> str:
        """Its verdict; else how far it is."""
        if self.document is None:
            return "not run"
        if isinstance(self.document, SearchDocument) and self.document.verdict is None:
            return f"unfinished {finished(self.document)}/{self.document.trials}"
        return str(self.document.verdict or "unfinished")

    def to_json(self) -> dict[str, Any]:
        head: dict[str, Any] = {"stage": self.stage, "verdict": self.verdict, "state": self.state}
        if isinstance(self.document, SearchDocument):
            head |= {"trials": self.document.trials, "finished": finished(self.document)}
            head |= {"completed": self.document.completed, "diverged": self.document.diverged}
        return {**head, "says": says(self.document) if self.document else ""}


def gates(found: Sequence[Document]) -> list[Gate]:
    """Every stage of the recipe; of refine the rounds there are, the first at least."""
    known = {document.stage: document for document in found}
    searches = [name for name in known if name != "final"]
    names = dict.fromkeys([*CHECKING, "coarse", "refine-1", *searches, "final"])
    return [Gate(name, known.get(name)) for name in names]


def best_of(found: Sequence[Document]) -> dict[str, Any] | None:
    """The best trial over all search stages, as the contract writes it, and its stage. Stages
    that searched another metric than the last one do not count; of equals the later is it, which
    trained longer.
    """
    ended = [d for d in found if isinstance(d, SearchDocument) and d.best]
    comparable = [d for d in ended if d.metric == ended[-1].metric]
    if not comparable:
        return None
    sign = -1 if comparable[-1].metric == "val_loss" else 1
    latest_first = reversed(comparable)
    best = max(latest_first, key=lambda d: _score(sign, (d.best or {})["value"]))
    return {"stage": best.stage, **best.to_json()["best"]}


def _score(sign: int, value: float | None) -> float:
    """Larger is better; a value that is not finite, which is null in a document, is the worst."""
    return -math.inf if value is None else sign * float(value)


def following(found: Sequence[Document], *, strict: bool = False) -> str:
    """The words of the command that a run needs next: the stage whose gate is closed, else the
    next one, else `predict`.
    """
    if found and isinstance(ended := found[-1], FinalDocument):
        if ended.winner is None:
            return "search" if ended.verdict else "final"
        return "predict"
    names = [document.stage for document in found]
    if not found or names[-1] in CHECKING:
        shut = [d.stage for d in found if closed(d.verdict, strict=strict)]
        missing = [stage for stage in CHECKING if stage not in names]
        return next(iter([*shut, *missing]), "search")
    last = found[-1]
    words = last.next_command if isinstance(last, SearchDocument) and last.verdict else ""
    return words.removeprefix("hpsearch ") or "search"


def reached(found: Sequence[Document]) -> Gate | None:
    """The last stage begun."""
    return Gate(found[-1].stage, found[-1]) if found else None


def changed(store: RunStore) -> datetime | None:
    """When a document or a trial was last written."""
    paths = [store.config, *(store.document_path(stage) for stage in (*CHECKING, "final"))]
    for stage in store.search_stages():
        paths += [store.document_path(stage), store.trial_path(stage, 0).parent]
    times = [path.stat().st_mtime for path in paths if path.exists()]
    return datetime.fromtimestamp(max(times), UTC) if times else None


def run_json(store: RunStore) -> dict[str, Any]:
    """Every document of the run, and its best trial."""
    found = documents(store)
    return {"stages": [document.to_json() for document in found], "best": best_of(found)}


def summary(name: str, found: Sequence[Document]) -> dict[str, Any]:
    """The gates of one run, and its best trial."""
    stages = [gate.to_json() for gate in gates(found)]
    return {"name": name, "stages": stages, "best": best_of(found)}


def runs_json(stores: Sequence[RunStore]) -> dict[str, Any]:
    """All runs, one entry each."""
    return {"runs": [run_entry(store) for store in stores]}


def run_entry(store: RunStore) -> dict[str, Any]:
    """One of all runs; of a damaged one only its name and what is wrong."""
    try:
        found, when = documents(store), changed(store)
        gate = reached(found)
        return {
            "name": store.name, "stage": gate.stage if gate else None,
            "verdict": gate.verdict if gate else None, "state": gate.state if gate else "not run",
            "best": best_of(found), "trials": finished_trials(found),
            "changed": when.isoformat(timespec="seconds") if when else None,
        }  # fmt: skip
    except DAMAGE as error:
        return {"name": store.name, "error": str(error) or repr(error)}
