"""What the commands show, as rich renderables, and print with --json, as plain dicts."""

from collections.abc import Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from hpsearch.report.checking import check_view
from hpsearch.report.console import verdict_text
from hpsearch.report.final import final_view
from hpsearch.report.grid import Column, Grid, cells, figures
from hpsearch.report.listing import Entry, local
from hpsearch.report.listing import shown as listed
from hpsearch.report.progress import (
    best_of,
    run_json,
    runs_json,
)
from hpsearch.report.searching import named_best, search_view
from hpsearch.report.status import RUNNING, InTraining, Look, status_json
from hpsearch.report.tables.stages import documents, rows_of, says
from hpsearch.report.text import is_real, metric, numbers, plain, settings
from hpsearch.store import RunStore
from hpsearch.verdict import Document, FinalDocument, SearchDocument, Verdict

__all__ = [
    "check_view", "document_view", "entries_view", "run_json", "run_view", "runs_json",
    "runs_view", "search_view", "status_json", "status_view",
]  # fmt: skip
FILES = ("best.npz", "trials.csv", "curves.csv", "next.yaml")


def document_view(document: Document, store: RunStore) -> RenderableType:
    """The view of one stage."""
    if isinstance(document, SearchDocument):
        rows = rows_of(store, "validation")
        return search_view(document, store.results(document.stage), rows=rows)
    if isinstance(document, FinalDocument):
        return final_view(document)
    return check_view(document)


def run_view(store: RunStore) -> RenderableType:
    """What `report` prints: the stages, the latest search, the best trial, and where all lies."""
    searches = [d for d in documents(store) if isinstance(d, SearchDocument)]
    latest = [document_view(searches[-1], store), Text()] if searches else []
    ended = store.final_document()
    latest += [final_view(ended), Text()] if ended else []
    return Group(overview(store), Text(), *latest, places(store))


def overview(store: RunStore) -> RenderableType:
    """The run's name, its stages with their verdicts, and its best trial."""
    now = Look(store.name, documents(store), None)
    return Group(_title(store), Text(), _stages(now), *_best(now.documents, store))


def status_view(store: RunStore, now: Look | None = None) -> RenderableType:
    """The gates of one run, its best trial, and what is in training."""
    now = now or Look.at(store)
    training: list[RenderableType] = [Text(), InTraining(now.live)] if now.live else []
    best = _best(now.documents, store)
    return Group(_title(store), Text(), _stages(now), *best, *training)


def _title(store: RunStore) -> Text:
    return Text.assemble(("run ", "dim"), (plain(store.name), "bold"))


def _stages(now: Look) -> Grid:
    shown = now.gates
    says_ = [plain(says(gate.document)) if gate.document else "" for gate in shown]
    return Grid(
        [
            Column("stage", cells([plain(gate.stage) for gate in shown])),
            Column("verdict", [state_text(gate.verdict, now.state(gate)) for gate in shown]),
            Column("", cells(says_), wraps=True),
        ]
    )


def state_text(verdict: Verdict | None, state: str) -> Text:
    """A verdict in its colour; else how far the stage is."""
    if verdict and not state.startswith(RUNNING):
        return verdict_text(verdict)
    begun = state.startswith(("unfinished", RUNNING))
    return Text(plain(state), style="cyan" if begun else "dim")


def _best(found: Sequence[Document], store: RunStore) -> list[RenderableType]:
    """The best trial over all stages, by the name under which it can be replayed."""
    best = best_of(found)
    if best is None:
        return []
    text = named_best(best, rows_of(store, "validation"))
    hparams = Text(f"with {settings(best['hparams'])}", style="dim")
    return [Text(), *(Padding(part, (0, 0, 0, 2), expand=False) for part in (text, hparams))]


def places(store: RunStore, *, named: bool = True) -> RenderableType:
    """Where everything lies: the folder (if `named`) and the files of the searches in it."""
    stages = store.search_stages()
    files = [f"{stage}/{file}" for file in FILES for stage in stages]
    there = [name for name in files if (store.folder / name).exists()]
    said = {
        **({"folder": str(store.folder)} if named else {}),
        "models": _listed(there, "best.npz"),
        "final model": final_model(store),
        "tables": _listed(there, ".csv"),
        "next config": _listed(there[-1:], "next.yaml"),
        "page": store.report.name if named and store.report.exists() else "",
    }
    kept = {name: plain(text) for name, text in said.items() if text}
    names, values = cells(list(kept), "dim"), cells(list(kept.values()))
    return Grid([Column("", names), Column("", values, wraps=True)], bare=True)


def final_model(store: RunStore) -> str:
    """Where the model that `final` saved lies in the run's folder; empty where it is not there."""
    ended = store.final_document()
    there = ended and ended.model and (store.folder / ended.model).exists()
    return ended.model if ended and there else ""


def _listed(names: Sequence[str], ending: str) -> str:
    return ", ".join(name for name in names if name.endswith(ending))


def runs_view(stores: Sequence[RunStore]) -> RenderableType:
    """What `ls` prints: one row per run, a damaged one with what is wrong."""
    return entries_view([Entry(store) for store in stores])


def entries_view(found: Sequence[Entry], columns: Sequence[str] | None = None) -> RenderableType:
    """The runs chosen by `ls`, in their order; or these columns of them."""
    if not found:
        return Text("no runs yet", style="dim")
    if columns is not None:
        return Grid([_column(key, rank, found) for rank, key in enumerate(columns)])
    return _runs([entry.document for entry in found])


def _column(key: str, rank: int, found: Sequence[Entry]) -> Column:
    """The first columns stay where not all fit; numbers are aligned."""
    values = [entry.cell(key) for entry in found]
    if any(map(is_real, values)):
        return figures(key, numbers(values), rank=rank)
    return Column(plain(key, 40), cells([plain(listed(v), 60) for v in values]), rank=rank)


def _runs(found: Sequence[dict[str, Any]]) -> Grid:
    return Grid(
        [
            Column("run", cells([plain(run["name"], 40) for run in found])),
            Column("stage", cells([plain(run.get("stage") or "") for run in found])),
            Column("verdict", [_run_state(run) for run in found]),
            Column("best", [_run_best(run) for run in found], wraps=True),
            figures("trials", [str(run.get("trials", "")) for run in found], rank=1),
            Column("changed", cells([_when(run) for run in found], "dim"), rank=2),
        ]
    )


def _when(run: dict[str, Any]) -> str:
    """To the minute."""
    return (local(run.get("changed")) or "")[: len("2026-11-21 23:08")]


def _run_state(run: dict[str, Any]) -> Text:
    if "error" in run:
        return Text("damaged", style="red")
    return state_text(run["verdict"], run["state"])


def _run_best(run: dict[str, Any]) -> Text:
    best = run.get("best")
    if best is None:
        return Text(plain(run.get("error", "")), style="red")
    name, trial = str(best["metric"]), plain(f"{best['stage']}/{best['trial']}")
    value = metric(name, best["value"])
    return Text.assemble(f"{plain(name)} ", (value, "bold"), f" {trial}")
