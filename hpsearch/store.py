"""A run's folder: every file name, and the only code that writes below `runs/`."""

import csv
import io
import json
import os
import re
import threading
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from hpsearch.errors import HostError, UsageError
from hpsearch.strictjson import dumps
from hpsearch.trial import TrialResult
from hpsearch.verdict import CHECKING, CheckDocument, Document, SearchDocument

AT_BEST = ("val_accuracy", "val_balanced_accuracy", "val_loss", "train_accuracy", "train_loss")
FORMAT = 1


def write_atomically(path: Path, content: bytes) -> None:
    """The file is the old one or the new one, never half of either, power loss included."""
    temporary = path.with_name(
        f".{path.name}.{os.getpid()}-{threading.get_ident()}-{uuid.uuid4()}"
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync_folder(path.parent)
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        if not isinstance(error, OSError):
            raise
        reason = error.strerror or str(error)
        raise HostError(
            f"{path}: cannot be written: {reason}; make room, or choose another folder"
        ) from error


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class RunStore:
    """One run. Reading methods never write; a file that is not there reads as nothing."""

    def __init__(self, root: Path, name: str) -> None:
        self.folder = root / name
        self.name = name

    @property
    def report(self) -> Path:
        return self.folder / "report.html"

    @property
    def config(self) -> Path:
        return self.folder / "config.yaml"

    def stage_folder(self, stage: str) -> Path:
        return self.folder / stage

    def document_path(self, stage: str) -> Path:
        """Where a stage's document lies: checking stages have a file, search stages a folder."""
        if stage in CHECKING:
            return self.folder / f"{stage}.json"
        return self.folder / stage / "stage.json"

    def trial_path(self, stage: str, trial: int) -> Path:
        return self.folder / stage / "trials" / f"{trial:05d}.json"

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Holds the run for one writer; the lock dies with its owner. HostError if it is taken."""
        lock = FileLock(self.folder / ".lock", timeout=0)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except Timeout as error:
            raise HostError(
                f"{self.folder}: another hpsearch writes this run; wait for it, or use --run NAME"
            ) from error
        except OSError as error:
            reason = error.strerror or str(error)
            raise HostError(f"{self.folder}: {reason}; choose another --runs-dir") from error
        try:
            yield
        finally:
            self._leave_nothing_empty()
            lock.release()

    def _leave_nothing_empty(self) -> None:
        """A command that was refused before it wrote anything leaves no folder."""
        if [path.name for path in self.folder.iterdir()] == [".lock"]:
            (self.folder / ".lock").unlink()
            self.folder.rmdir()

    def write_config(self, text: str) -> None:
        if self._text(self.config) != text:
            write_atomically(self.config, text.encode())

    def write_run(self, facts: Mapping[str, Any]) -> None:
        path, text = self.folder / "run.json", dumps({"format": FORMAT, **facts})
        if self._text(path) != text:
            write_atomically(path, text.encode())

    def run_facts(self) -> dict[str, Any]:
        """`run.json`, empty where there is none."""
        text = self._text(self.folder / "run.json")
        return dict(self._parse(self.folder / "run.json", text)) if text else {}

    def write_document(self, document: Document) -> None:
        path = self.document_path(document.stage)
        write_atomically(path, dumps(document.to_json()).encode())

    def check_document(self, stage: str) -> CheckDocument | None:
        path = self.document_path(stage)
        text = self._text(path)
        return None if text is None else self._read(path, text, CheckDocument.from_json)

    def search_document(self, stage: str) -> SearchDocument | None:
        path = self.document_path(stage)
        text = self._text(path)
        return None if text is None else self._read(path, text, SearchDocument.from_json)

    def search_stages(self) -> list[str]:
        """The search stages begun, in the order of the recipe."""
        names = [path.parent.name for path in self.folder.glob("refine-*/stage.json")]
        rounds = [name for name in names if re.fullmatch("refine-[0-9]+", name)]
        numbered = sorted((int(name.removeprefix("refine-")), name) for name in rounds)
        coarse = ["coarse"] if self.document_path("coarse").exists() else []
        return coarse + [name for _, name in numbered]

    def documents(self) -> list[Document]:
        """Every document of the run, in the order of the recipe."""
        found: list[Document | None] = [self.check_document(stage) for stage in CHECKING]
        found += [self.search_document(stage) for stage in self.search_stages()]
        return [document for document in found if document]

    def record(self, result: TrialResult) -> None:
        """Writes a finished trial: its file is the truth, and exists only when it is whole."""
        path = self.trial_path(result.stage, result.id)
        write_atomically(path, _trial_json(result.to_json()).encode())

    def has_results(self, stage: str) -> bool:
        return any((self.folder / stage / "trials").glob("[0-9]*.json"))

    def finished(self, stage: str) -> int:
        """How many trials of a stage have a file."""
        return sum(1 for _ in (self.folder / stage / "trials").glob("[0-9]*.json"))

    def results(self, stage: str) -> list[TrialResult]:
        """The finished trials of a stage by id."""
        found = (self.folder / stage / "trials").glob("[0-9]*.json")
        paths = sorted(found, key=lambda path: (len(path.name), path.name))
        return [self._read(path, self._text(path) or "", TrialResult.from_json) for path in paths]

    def write_weights(self, name: str, trial: int, arrays: Mapping[str, Any]) -> Path:
        """The weights of one trial, with what is needed to use them, as `name`.npz."""
        buffer, path = io.BytesIO(), self.folder / f"{name}.npz"
        np.savez(buffer, **{"trial": np.array(trial), **arrays})
        write_atomically(path, buffer.getvalue())
        return path

    def best_trial(self, stage: str) -> int | None:
        """The trial whose weights `best.npz` holds."""
        try:
            with np.load(self.folder / stage / "best.npz", allow_pickle=False) as file:
                return int(file["trial"])
        except (OSError, ValueError, KeyError):
            return None

    def write_next(self, stage: str, text: str) -> Path:
        path = self.folder / stage / "next.yaml"
        write_atomically(path, text.encode())
        return path

    def write_tables(self, stage: str, results: Sequence[TrialResult]) -> None:
        """`trials.csv` and `curves.csv`, derived from the trials' files; rewritten as a whole."""
        folder = self.folder / stage
        write_atomically(folder / "trials.csv", _csv(map(_trial_row, results)))
        rows = [row for result in results for row in _curve_rows(result)]
        write_atomically(folder / "curves.csv", _csv(rows))

    def write_report(self, html: str) -> None:
        write_atomically(self.report, html.encode())

    def _text(self, path: Path) -> str | None:
        """The file's text; None where there is none."""
        try:
            return path.read_text("utf-8")
        except (FileNotFoundError, NotADirectoryError):
            return None
        except UnicodeDecodeError as error:
            raise HostError(f"{path}: damaged (not UTF-8); {_remedy(path)}") from error
        except OSError as error:
            raise HostError(f"{path}: cannot be read: {error.strerror}") from error

    def _parse(self, path: Path, text: str) -> Any:
        try:
            return json.loads(text)
        except ValueError as error:
            raise HostError(f"{path}: damaged ({error}); {_remedy(path)}") from error

    def _read(self, path: Path, text: str, build: Any) -> Any:
        record = self._parse(path, text)
        try:
            return build(record)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise HostError(f"{path}: damaged ({error!r}); {_remedy(path)}") from error


def _remedy(path: Path) -> str:
    if path.name == "stage.json":
        return "put a copy of it back, or delete the stage's folder"
    return "delete it, and run the stage again"


def runs(root: Path) -> list[RunStore]:
    """Every run below `root`, by name."""
    found = sorted(path.parent.name for path in root.glob("*/config.yaml"))
    return [RunStore(root, name) for name in found]


def open_run(root: Path, name: str) -> RunStore:
    """A run that exists; UsageError, with the names there are, if it does not."""
    store = RunStore(root, name)
    if not store.config.exists():
        names = ", ".join(run.name for run in runs(root)) or "none yet"
        raise UsageError(f"{store.folder}: no such run; runs in {root}: {names}")
    return store


def _trial_json(record: Mapping[str, Any]) -> str:
    lines = [f"{json.dumps(k)}: {dumps(v, None)}" for k, v in record.items()]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _trial_row(result: TrialResult) -> dict[str, Any]:
    """One line of `trials.csv`; metrics are those of the best epoch, `last_*` of the last."""
    last = {
        f"last_{m}": (getattr(result.curves, m) or [None])[-1]
        for m in ("train_loss", "val_loss", "val_accuracy")
    }
    return {
        "trial": result.id, "status": str(result.status),
        **{name: result.at_best(name) for name in AT_BEST},
        "best_epoch": result.best_epoch, "epochs": result.epochs, "step": result.step,
        **result.hparams, **last, "seed": result.seed, "reason": result.reason,
        "train_seconds": round(result.train_seconds, 4),
    }  # fmt: skip


def _curve_rows(result: TrialResult) -> list[dict[str, Any]]:
    curves = {name: curve for name, curve in asdict(result.curves).items() if curve}
    return [
        {"trial": result.id, "epoch": epoch + 1, **{name: c[epoch] for name, c in curves.items()}}
        for epoch in range(result.epochs)
    ]


def _csv(rows: Iterable[Mapping[str, Any]]) -> bytes:
    """CSV with a header; a missing or non-finite number is an empty cell."""
    rows = list(rows)
    columns = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n", restval="")
    writer.writeheader()
    writer.writerows({name: _cell(value) for name, value in row.items()} for row in rows)
    return text.getvalue().encode()


def _cell(value: Any) -> Any:
    if isinstance(value, float):
        return repr(value) if np.isfinite(value) else ""
    if isinstance(value, tuple):
        return "-".join(map(str, value))
    return value
