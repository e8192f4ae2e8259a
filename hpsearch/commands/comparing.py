"""`hpsearch diff`: two runs, or two of their trials, side by side: only what differs."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from hpsearch.config.find import find, is_run_name
from hpsearch.config.load import load
from hpsearch.config.schema import SEARCHABLE, Config
from hpsearch.errors import UsageError
from hpsearch.report.grid import Column, Grid, cells
from hpsearch.report.progress import best_of
from hpsearch.report.tables.stages import documents, finished, says
from hpsearch.report.text import number, plain
from hpsearch.settings import flatten
from hpsearch.store import RunStore, open_run
from hpsearch.strictjson import plain as json_values
from hpsearch.trial import AT_BEST
from hpsearch.verdict import SearchDocument

Facts = dict[str, Any]
ABSENT = "–"
CELL = 60  # characters of a value that are shown


@dataclass(frozen=True)
class Comparison:
    """What differs: its key, and the values of both, None where one has none."""

    a: str
    b: str
    differences: list[tuple[str, Any, Any]]

    def to_json(self) -> dict[str, Any]:
        rows = [{"key": key, "a": a, "b": b} for key, a, b in self.differences]
        return {"a": self.a, "b": self.b, "differences": rows}

    def view(self) -> RenderableType:
        if not self.differences:
            return Text(f"{plain(self.a)} and {plain(self.b)}: no difference")
        keys, a, b = zip(*self.differences, strict=True)
        columns = [
            Column("", cells([plain(key) for key in keys])),
            Column(plain(self.a, 30), cells([_cell(value) for value in a]), wraps=True),
            Column(plain(self.b, 30), cells([_cell(value) for value in b]), wraps=True),
        ]
        return Group(Grid(columns))


def _cell(value: Any) -> str:
    if value is None:
        return ABSENT
    text = json.dumps(value) if isinstance(value, dict) else number(value)
    return plain(text, CELL)


def compare(a: str, b: str, *, runs_dir: Path) -> Comparison:
    """Two runs by name, or two trials (`RUN:coarse/41`). UsageError where one is not there, or
    where one is a run and the other a trial.
    """
    if (":" in a) != (":" in b):
        raise UsageError(f"{a} and {b}: must be two runs, or two trials (RUN:coarse/41); name two")
    facts = _trial if ":" in a else _run
    first, second = (facts(name, runs_dir) for name in (a, b))
    keys = dict.fromkeys([*first, *second])
    pairs = ((key, first.get(key), second.get(key)) for key in keys)
    return Comparison(a, b, [(key, x, y) for key, x, y in pairs if x != y])


def _run(name: str, runs_dir: Path) -> Facts:
    """What there is to say of a run: its config, where it ran, and what its stages say."""
    store = _opened(runs_dir, name)
    facts = json_values(flatten(_config(store, runs_dir).model_dump(mode="json")))
    facts |= {key: value for key, value in flatten(store.run_facts()).items() if key != "config"}
    facts.pop("name")
    return {**facts, **dict(_stages(store))}


def _opened(runs_dir: Path, name: str) -> RunStore:
    if not is_run_name(name):
        raise UsageError(f"{name or '(nothing)'}: must be the name of a run; see hpsearch ls")
    return open_run(runs_dir, name)


def _config(store: RunStore, runs_dir: Path) -> Config:
    return load(find(store.name, runs_dir=runs_dir, cwd=Path.cwd()))


def _stages(store: RunStore) -> Iterator[tuple[str, Any]]:
    """Of every stage the verdict and one line; of a search its trials and its best."""
    found = documents(store)
    for document in found:
        yield f"{document.stage}: verdict", document.verdict and str(document.verdict)
        yield f"{document.stage}: says", says(document)
        if isinstance(document, SearchDocument):
            yield f"{document.stage}: trials", finished(document)
    best = best_of(found)
    if best:
        yield "best: trial", f"{best['stage']}/{best['trial']}"
        yield f"best: {best['metric']}", best["value"]
        yield from ((f"best: {name}", value) for name, value in best["hparams"].items())


def _scheduled(config: Config, stage: str) -> Facts:
    """The schedule that a search stage has in place of the configured one."""
    part = config.search.coarse if stage == "coarse" else config.search.refine
    return {"schedule": part.schedule} if part.schedule and stage != "final" else {}


def _settings(config: Config, stage: str, hparams: Mapping[str, Any]) -> Facts:
    """The sections that decide a trial with these hparams; those of other hpsearches as they are.
    """
    known = {name: value for name, value in hparams.items() if name in SEARCHABLE}
    model, train = config.with_hparams(_scheduled(config, stage) | known)
    return {
        "model": model.model_dump(mode="json"), "train": train.model_dump(mode="json"),
        "data": {"augment": config.augment_with(known).word},
        "hparams": {name: value for name, value in hparams.items() if name not in known},
    }  # fmt: skip


def _trial(name: str, runs_dir: Path) -> Facts:
    """What there is to say of a trial: all that it was trained with, and what came of it."""
    run, _, trial = name.partition(":")
    stage, _, number = trial.partition("/")
    store = _opened(runs_dir, run)
    there = [*store.search_stages(), "final"]
    usable = stage in there and number.isascii() and number.isdecimal()
    result = store.result(stage, int(number)) if usable else None
    if result is None:
        raise UsageError(f"{name}: no such trial is finished; name one as RUN:coarse/41")
    sections = _settings(_config(store, runs_dir), stage, result.hparams)
    metrics = {name: result.at_best(name) for name in AT_BEST if getattr(result.curves, name)}
    came = {
        "status": str(result.status), "seed": result.seed, "epochs": result.epochs,
        "step": result.step, "best_epoch": result.best_epoch, "verdict": result.verdict,
        "reason": result.reason,
    }  # fmt: skip
    found: Facts = json_values({**flatten(sections), **came, **metrics})
    found.pop("train.epochs")  # of the command train, and not this trial's
    return found
