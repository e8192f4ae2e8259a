"""A run's folder: which records are as they were written, and what is derived from them."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path

from hpsearch import records
from hpsearch.atomic import leftovers
from hpsearch.checkpoint import read as read_checkpoint
from hpsearch.config.find import Found
from hpsearch.config.load import load
from hpsearch.doctor.derived import Derived, Page
from hpsearch.doctor.faults import content_of, fault, fault_of, safely
from hpsearch.errors import ConfigError, DataError, HostError
from hpsearch.pausing import require_own
from hpsearch.prediction import Predictor
from hpsearch.report.text import counted
from hpsearch.seal import is_sealed
from hpsearch.store import RunStore
from hpsearch.trial import TrialResult
from hpsearch.verdict import CHECKING, Check, FinalDocument, SearchDocument, Verdict


@dataclass
class Examination:
    """One look at a run, by who may `repair` what is derived or not."""

    store: RunStore
    page: Page
    repair: bool = False
    trials: dict[str, list[TrialResult]] = field(default_factory=dict)  # by stage, where all good
    damaged: bool = False

    def checks(self) -> Iterator[Check]:
        """One part's failure, say a folder that may not be read, is no other part's."""
        derived = Derived(self.store, self.page, self.repair)
        parts: dict[str, Callable[[], Iterator[Check]]] = {
            "checksums": self._unsealed, "config": self._config, "documents": self._documents,
            "trials": self._stages, "checkpoints": self._checkpoints, "weights": self._weights,
            "tables": lambda: derived.tables(self.trials), "next-config": derived.next_configs,
            "page": lambda: iter(()) if self.damaged else derived.page_itself(),
        }  # fmt: skip
        for name, part in parts.items():
            for check in safely(name, part):
                self.damaged = self.damaged or check.verdict is Verdict.FAIL
                yield check

    def _stages(self) -> Iterator[Check]:
        """Every folder that holds trials or a search stage's document, and what is of `final`."""
        store = self.store
        found = {path.parent.name for name in ("stage.json", "trials") for path in
                 store.folder.glob(f"*/{name}")}  # fmt: skip
        if store.document_path("final").exists():
            found.add("final")
        for stage in sorted(found):
            yield from self._trials(stage)

    def _unsealed(self) -> Iterator[Check]:
        """Records of which only the form can be checked."""
        paths = [p for p in self.store.folder.rglob("*.json") if not p.name.startswith(".")]
        bare = [p for p in paths if (content := content_of(p)) and not is_sealed(content)]
        if bare:
            said = f"{len(bare)} of {len(paths)} records have none: from before there were any,"
            said = f"{said} or it was taken out or cut off"
            yield Check("checksums", Verdict.PASS, len(bare), 0, said)

    def _config(self) -> Iterator[Check]:
        """The config against the digest in `run.json`."""
        store, path = self.store, self.store.config
        try:
            facts = store.run_facts()
        except HostError as error:
            yield fault_of("config", error)
            return
        try:
            content = records.bytes_of(path)
            if content is None:
                yield fault("config", f"{path}: is gone", "run a stage with its config again")
                return
            load(Found(path, store.name, Path.cwd(), str(path)))
        except (ConfigError, HostError) as error:
            yield fault_of("config", error, "put a copy of it back")
            return
        if not facts:
            said, fix = f"{store.folder / 'run.json'}: is gone", "the next search writes it again"
            yield Check("config", Verdict.WARN, None, None, said, fix)
        elif facts.get("config") != hashlib.sha256(content).hexdigest():
            fix = "set it back where that was not meant; the next stage says if trials contradict"
            said = f"{path}: changed since it was saved"
            yield Check("config", Verdict.WARN, None, None, said, fix)
        else:
            yield Check("config", Verdict.PASS, None, None, "config.yaml, run.json: as written")

    def _documents(self) -> Iterator[Check]:
        store, good = self.store, []
        readers: dict[str, Callable[[], object]] = {
            **{stage: partial(store.check_document, stage) for stage in CHECKING},
            **{stage: partial(store.search_document, stage) for stage in store.search_stages()},
            "final": store.final_document,
        }
        for stage, reader in readers.items():
            try:
                good += [stage] if reader() else []
            except HostError as error:
                yield fault_of("documents", error)
        for stage, later in self._gone():
            fix = f"hpsearch run {store.name} trains it"
            said = f"{stage}: is not there, though {later} is"
            yield Check("documents", Verdict.WARN, None, None, said, fix)
        said = f"{', '.join(good) or 'none'}: as written"
        yield Check("documents", Verdict.PASS, len(good), None, said)

    def _gone(self) -> Iterator[tuple[str, str]]:
        """Search stages that were there, since what came after them is."""
        begun, ended = self.store.search_stages(), self._document("final")
        if begun and "coarse" not in begun:
            yield "coarse", begun[0]
        chosen = ended.candidates if isinstance(ended, FinalDocument) else ()
        for stage in sorted({candidate["stage"] for candidate in chosen} - {*begun, "coarse"}):
            yield stage, "final, which chose of it,"

    def _trials(self, stage: str) -> Iterator[Check]:
        """Every trial's record; fewer than the document counts are no damage."""
        found, bad = [], 0
        for path in self.store.trial_files(stage):
            try:
                if (text := records.text_of(path)) is None:
                    raise HostError(f"{path}: is a link to nothing; {records.remedy(path)}")
                result = records.trial_in(path, text)
                if self._seed is not None:
                    require_own(path, result, self._seed)
                found.append(result)
            except HostError as error:
                bad += 1
                yield fault_of("trials", error)
        if not bad:
            self.trials[stage] = sorted(found, key=lambda result: result.id)
        said = f"{stage}: {len(found)} of {len(found) + bad} trials as written"
        command = "final" if stage == "final" else "search"
        counted, again = self._counted(stage), f"hpsearch {command} {self.store.name}"
        path = self.store.document_path(stage)
        if not path.exists():
            yield fault("documents", f"{path}: is gone", records.remedy(path))
        elif counted is not None and counted > len(found) + bad:
            said = f"{said}; its document counts {counted}"
            fix = f"{again} trains the missing ones"
            yield Check("trials", Verdict.WARN, len(found), counted, said, fix)
            return
        yield Check("trials", Verdict.PASS, len(found), counted, said)

    @cached_property
    def _seed(self) -> int | None:
        """The run's; None where that cannot be read."""
        try:
            return int(self.store.run_facts()["seed"])
        except (HostError, *records.UNREADABLE):
            return None

    def _counted(self, stage: str) -> int | None:
        """How many finished trials a stage's document counts; None where it cannot be read."""
        document = self._document(stage)
        if document is None:
            return None
        ended = document.completed + document.diverged + document.failed
        return ended + (document.pruned if isinstance(document, SearchDocument) else 0)

    def _document(self, stage: str) -> SearchDocument | FinalDocument | None:
        try:
            if stage == "final":
                return self.store.final_document()
            return self.store.search_document(stage)
        except HostError:
            return None

    def _checkpoints(self) -> Iterator[Check]:
        good = 0
        for path in sorted(self.store.folder.glob("checkpoints/*/*.npz")):
            try:
                read_checkpoint(path)
                good += 1
            except HostError as error:
                yield fault_of("checkpoints", error)
        said = f"{counted(good, 'paused trial')} as written"
        yield Check("checkpoints", Verdict.PASS, good, None, said)

    def _weights(self) -> Iterator[Check]:
        """Every .npz file, and that a stage's is that of its best trial."""
        good, folder = 0, self.store.folder
        paths = [p for p in sorted(folder.rglob("*.npz")) if "checkpoints" not in p.parts]
        for path in (p for p in paths if not p.name.startswith(".")):
            try:
                arrays = records.arrays_of(path)
                if path.parent.name == "models":
                    Predictor.read(path)
                if path.name == "best.npz" and path.parent.name in self.trials:
                    self._is_the_best(path, int(arrays["trial"]))
                if path.parent.name == "nets" and int(arrays["trial"]) != int(path.stem):
                    raise HostError(f"{path}: holds trial {arrays['trial']}")
                good += 1
            except (HostError, DataError, *records.UNREADABLE) as error:
                yield fault_of("weights", error, self._again(path))
        model = getattr(self._document("final"), "model", None)
        if model and not (folder / model).exists():
            fix = f"hpsearch final {self.store.name} writes it again"
            yield Check("weights", Verdict.WARN, None, None, f"{folder / model}: is gone", fix)
        for stage in self._lacking():
            path = folder / stage / "best.npz"
            fix = self._again(path).removeprefix("delete it and ")
            yield fault("weights", f"{path}: is gone", f"delete {fix}")
        said = f"{counted(good, 'file')} of weights as written"
        yield Check("weights", Verdict.PASS, good, None, said)

    def _lacking(self) -> list[str]:
        """The stages that have a best trial and no weights."""
        judged = [stage for stage in self.trials if stage != "final"]
        best = [s for s in judged if (found := self._document(s)) and vars(found).get("best")]
        return [s for s in best if not (self.store.folder / s / "best.npz").exists()]

    def _is_the_best(self, path: Path, trial: int) -> None:
        """HostError where the weights are those of another trial than the stage's best."""
        document = self._document(path.parent.name)
        best = document.best if isinstance(document, SearchDocument) else None
        if best and best["trial"] != trial:
            raise HostError(f"{path}: holds trial {trial}, the best is {best['trial']}")

    def _again(self, path: Path) -> str:
        """How a file of weights comes back."""
        stage, store = path.parent.name, self.store
        if stage not in store.search_stages():
            ending = path.parent.name in ("nets", "final") or path.stem == "best"
            words = "final" if ending else "train"
            return f"delete it; hpsearch {words} {store.name} writes it again"
        document = self._document(stage)
        best = document.best if isinstance(document, SearchDocument) else None
        trial = store.trial_path(stage, best["trial"]) if best else "its trial's file"
        return f"delete it and {trial}, and run the stage again: its trial is trained anew"


def examined(store: RunStore, page: Page) -> Iterator[Check]:
    """Every check of a run's folder; derived files are written again unless somebody else writes
    the run, or nobody can.
    """
    try:
        store.require_format()
    except HostError as error:
        yield Check("format", Verdict.FAIL, None, None, *str(error).split("; ", 1))
        return
    left = leftovers(store.folder)
    with ExitStack() as held:
        try:
            held.enter_context(store.writing())
        except HostError as error:
            said, _, fix = str(error).partition("; ")
            yield Check("lock", Verdict.WARN, None, None, f"{said}; nothing is repaired", fix)
            yield from Examination(store, page).checks()
            return
        yield Check("lock", Verdict.PASS, None, None, "nobody else writes the run")
        if left:
            said = f"{len(left)} left by a process that was killed as it wrote: removed"
            yield Check("leftovers", Verdict.PASS, len(left), 0, said)
        yield from Examination(store, page, repair=True).checks()
