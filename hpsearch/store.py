"""A run's folder: every file name, and the only code that writes below `runs/`."""

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from hpsearch import records
from hpsearch.atomic import (
    State,
    state_of,
    stays_inside,
    take_over,
    write_atomically,
    write_together,
)
from hpsearch.checkpoint import Checkpoints
from hpsearch.csvtables import curves_csv, trials_csv
from hpsearch.errors import HostError, UsageError
from hpsearch.locking import Held, locked
from hpsearch.seal import sealed
from hpsearch.strictjson import dumps
from hpsearch.trial import Status, TrialResult
from hpsearch.verdict import (
    CHECKING,
    CheckDocument,
    Document,
    FinalDocument,
    SearchDocument,
    place_of,
)

FORMAT = 1
Seen = dict[str, tuple[State | None, TrialResult]]  # by a trial's file's name


class RunStore:
    """One run. Reading methods never write; a file that is not there reads as nothing.

    What was read of a trial is kept for as long as its file stays as it was: a command reads each
    trial once, however often it asks, and what another command changes is noticed.
    """

    def __init__(self, root: Path, name: str) -> None:
        self.folder = root / name
        self.name = name
        self._seen: dict[str, Seen] = {}  # by stage
        self._best: dict[str, tuple[State | None, int | None]] = {}  # by stage
        self._run = self.folder / "run.json"
        self._format_known = False
        self._held: Held | None = None  # while this is the run's one writer

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
        if stage in (*CHECKING, "final"):
            return self.folder / f"{stage}.json"
        return self.folder / stage / "stage.json"

    def trials_folder(self, stage: str) -> Path:
        return self.folder / stage / "trials"

    def trial_path(self, stage: str, trial: int) -> Path:
        return self.trials_folder(stage) / f"{trial:05d}.json"

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Holds the run for one writer; the lock dies with its owner. HostError if it is taken."""
        self.require_format()
        with locked(stays_inside(self.folder)) as self._held:
            try:
                take_over(self.folder)
                yield
            finally:
                self._held = None

    def config_text(self) -> str:
        content = records.bytes_of(self.config) or b""
        return content.decode(errors="replace")

    def write_config(self, text: str) -> None:
        if self.config_text() != text:
            self._write(self.config, text.encode())

    def write_run(self, facts: Mapping[str, Any]) -> None:
        content = sealed(dumps({"format": FORMAT, **facts}))
        if records.bytes_of(self._run) != content:
            self._write(self._run, content)

    def run_facts(self) -> dict[str, Any]:
        """`run.json`, empty where there is none."""
        text = records.text_of(self._run)
        return {} if text is None else records.parsed(self._run, text, records.mapping)

    def require_format(self) -> None:
        """HostError where a newer hpsearch made the run: what it means nobody here knows."""
        if self._format_known:
            return
        try:
            found = self.run_facts().get("format", FORMAT)
        except HostError:  # damage: for those to tell who need what stands there
            return
        if found != FORMAT:
            raise HostError(
                f"{self._run}: the run has format {found}, this hpsearch reads {FORMAT}; use the"
                " hpsearch that wrote it, or a newer one"
            )
        self._format_known = True

    def write_document(self, document: Document) -> None:
        self._write(self.document_path(document.stage), sealed(dumps(document.to_json())))

    def check_document(self, stage: str) -> CheckDocument | None:
        return self._document(stage, CheckDocument.from_json)

    def search_document(self, stage: str) -> SearchDocument | None:
        return self._document(stage, SearchDocument.from_json)

    def final_document(self) -> FinalDocument | None:
        return self._document("final", FinalDocument.from_json)

    def _document(self, stage: str, build: Callable[[Any], records.T]) -> records.T | None:
        path = self.document_path(stage)
        text = self._text(path)
        return None if text is None else records.document_in(path, text, stage, build)

    def search_stages(self) -> list[str]:
        """The search stages begun, in the order of the recipe."""
        names = [path.parent.name for path in self.folder.glob("refine-*/stage.json")]
        rounds = [name for name in names if re.fullmatch("refine-[0-9]+", name)]
        coarse = ["coarse"] if self.document_path("coarse").exists() else []
        return coarse + sorted(rounds, key=place_of)

    def documents(self) -> list[Document]:
        """Every document of the run, in the order of the recipe."""
        found: list[Document | None] = [self.check_document(stage) for stage in CHECKING]
        found += [self.search_document(stage) for stage in self.search_stages()]
        found += [self.final_document()]
        return [document for document in found if document]

    def record(self, *results: TrialResult) -> None:
        """Writes finished trials, those of a cohort together: a trial's file is the truth, and
        exists only when it is whole. Those that have paused become checkpoints.
        """
        paused = [result for result in results if result.status is Status.PAUSED]
        finished = [result for result in results if result.status is not Status.PAUSED]
        if paused:
            with self._in_place():
                self.checkpoints(paused[0].stage).write(*paused)
        if not finished:
            return
        paths = {self.trial_path(result.stage, result.id): result for result in finished}
        with self._in_place():
            write_together({path: sealed(result.to_text()) for path, result in paths.items()})
        for path, result in paths.items():
            self._seen.setdefault(result.stage, {})[path.name] = state_of(path), result.light
        self.checkpoints(finished[0].stage).remove(*(result.id for result in finished))

    def has_results(self, stage: str) -> bool:
        """Whether any trial of a stage is finished, or has paused."""
        paused = self.document_path(stage).exists() and self.checkpoints(stage).exist
        return paused or any(True for _ in self._trials(stage))

    def checkpoints(self, stage: str) -> Checkpoints:
        """The paused trials of a stage."""
        return Checkpoints(self.folder / "checkpoints" / stage)

    def finished(self, stage: str) -> int:
        """How many trials of a stage have a file; a link to nothing is none."""
        return sum(1 for file in self._trials(stage) if not file.is_symlink() or state_of(file))

    def results(self, stage: str) -> list[TrialResult]:
        """The finished trials of a stage by id, without their losses and weights.

        What this store has seen before is not read again, unless its file has changed.
        """
        known, found = self._seen.get(stage, {}), {}
        for file in sorted(self._trials(stage), key=lambda file: (len(file.name), file.name)):
            state, seen = state_of(file), known.get(file.name)
            if state is None:  # deleted since the folder was listed
                continue
            if not seen or seen[0] != state:
                path = Path(file.path)
                if (text := self._text(path)) is None:
                    continue
                seen = state, records.trial_in(path, text, losses=False)
            found[file.name] = seen
        self._seen[stage] = found
        return [result for _, result in found.values()]

    def result(self, stage: str, trial: int) -> TrialResult | None:
        """A finished trial with its losses."""
        path = self.trial_path(stage, trial)
        text = self._text(path)
        return None if text is None else records.trial_in(path, text)

    def _trials(self, stage: str) -> Iterator[os.DirEntry[str]]:
        """The trials' files, in no order."""
        folder = self.trials_folder(stage)
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.name[0].isdigit() and entry.name.endswith(".json"):
                        yield entry
        except FileNotFoundError:
            return
        except NotADirectoryError as error:
            raise HostError(f"{folder}: must be a folder, is none; remove it") from error
        except OSError as error:
            raise HostError(
                f"{folder}: cannot be read: {error.strerror}; {records.READABLE}"
            ) from error

    def trial_files(self, stage: str) -> list[Path]:
        """The files of a stage's trials, damaged ones too."""
        return sorted(Path(file.path) for file in self._trials(stage))

    def write_weights(self, name: str, trial: int, arrays: Mapping[str, Any]) -> Path:
        """The weights of one trial, with what is needed to use them, as `name`.npz."""
        path = self.folder / f"{name}.npz"
        self._write(path, records.packed({"trial": np.array(trial), **arrays}))
        return path

    def arrays(self, name: str) -> dict[str, Any] | None:
        """What `write_weights` wrote as `name`.npz; None where there is none that can be read."""
        try:
            return dict(records.arrays_of(self.folder / f"{name}.npz"))
        except HostError:
            return None

    def best_trial(self, stage: str) -> int | None:
        """The trial whose weights `best.npz` holds; the file is opened only if it has changed."""
        path = self.folder / stage / "best.npz"
        state, seen = state_of(path), self._best.get(stage)
        if not seen or seen[0] != state:
            seen = self._best[stage] = state, records.weights_trial(path)
        return seen[1]

    def write_next(self, stage: str, text: str) -> Path:
        path = self.folder / stage / "next.yaml"
        self._write(path, text.encode())
        return path

    def write_tables(self, stage: str, results: Sequence[TrialResult]) -> None:
        """`trials.csv` and `curves.csv`, derived from the trials' files; rewritten as a whole."""
        for name, table in (("trials.csv", trials_csv), ("curves.csv", curves_csv)):
            pieces = (text.encode() for text in table(results))
            self._write(self.folder / stage / name, pieces)

    def write_report(self, html: str) -> None:
        if records.bytes_of(self.report) != (content := html.encode()):
            self._write(self.report, content)

    def _write(self, path: Path, content: bytes | Iterable[bytes]) -> None:
        with self._in_place():
            write_atomically(path, content)

    def _in_place(self) -> AbstractContextManager[None]:
        return self._held.kept() if self._held else nullcontext()

    def _text(self, path: Path) -> str | None:
        """A record's text; None where there is none."""
        self.require_format()
        return records.text_of(path)


def runs(root: Path) -> list[RunStore]:
    """Every run below `root`, by name."""
    found = sorted(path.parent.name for path in root.glob("*/config.yaml"))
    return [RunStore(root, name) for name in found]


def open_run(root: Path, name: str) -> RunStore:
    """A run that exists; UsageError, with the names there are, if it does not."""
    store = RunStore(root, name)
    if not store.config.exists():
        names = ", ".join(run.name for run in runs(root)) or "none yet"
        what = "no stage has run there yet" if store.folder.exists() else "no such run"
        raise UsageError(f"{store.folder}: {what}; runs in {root}: {names}")
    return store
