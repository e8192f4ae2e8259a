"""Searches interrupted at random, and taken up again: `python tests/resumes.py --help`.

Each is `hpsearch run` in this process, after its checks. It dies at a change of the disk, in an
epoch or while it records, or Ctrl-C stops it there, and goes on with other jobs elsewhere. Once
it has got to its end it must have left what an undisturbed one does, without having trained or
recorded a finished trial again; and to run it once more must change nothing.
"""

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from itertools import product
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import pytest
from faulty_disk import WHEN, Disk, Killed
from places import FORKS, FRESH, training_in
from tiny_run import config_in, left_by, quickly, run, trials_in

from hpsearch import training
from hpsearch.dispatch import Dispatch
from hpsearch.search.samplers import SAMPLERS
from hpsearch.store import RunStore
from hpsearch.trial import Status

TRIALS, REFINED = 12, 4
MIXED = (
    "search.space={learning_rate: {log_uniform: [1e-2, 1]}, hidden: {choice: [[5], [4, 3]]}}",
    f"search.coarse={{trials: {TRIALS}, epochs: 3}}",
    f"search.refine={{trials: {REFINED}, epochs: 3, rounds: 1}}",
    "final={top: 1, seeds: 2}",
)
HALVED = [f"search.{stage}.halving={{eta: 2, min_epochs: 1}}" for stage in ("coarse", "refine")]
OFTEN = "search.checkpoint_seconds=1.0e-9"
CHECKS = ("data", "sanity", "overfit", "sweep")
ELSEWHERE = [("in-process", 1)] * 12 + [("in-process", 2), ("threads", 2), ("threads", 3)] * 2 + [
    (FORKS, 2), (FRESH, 2)
]  # fmt: skip
WAYS = ("a change of the disk", "an epoch or record", "Ctrl-C")
MOST = 5  # interruptions of one search


@dataclass
class Seen:
    """What one command trains and records; at its n-th epoch or record something happens."""

    at: int = 0
    way: str = ""
    ticks: int = 0
    trained: Counter = field(default_factory=Counter)  # (stage, trial, epochs done before)
    recorded: Counter = field(default_factory=Counter)  # (stage, trial)
    process: int = field(default_factory=os.getpid)

    def tick(self):
        if os.getpid() != self.process:  # a worker: that it dies is not of interest here
            return
        self.ticks += 1
        if self.ticks == self.at:
            if self.way != "Ctrl-C":
                raise Killed
            os.kill(self.process, signal.SIGINT)

    @contextmanager
    def between(self) -> Iterator[None]:
        """Looks on while it lasts."""
        attempt, record, epoch = Dispatch._attempt, RunStore.record, training._train_epoch

        def attempted(work, train, task):
            self.trained.update((s.stage, s.id, s.budget.done) for s in task.specs)
            return attempt(work, train, task)

        def recording(store, *results):
            done = [r for r in results if r.status is not Status.PAUSED]
            self.recorded.update((r.stage, r.id) for r in done)
            record(store, *results)
            self.tick()

        def training_epoch(*args, **kwargs):
            self.tick()
            return epoch(*args, **kwargs)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Dispatch, "_attempt", attempted)
            patch.setattr(RunStore, "record", recording)
            patch.setattr(training, "_train_epoch", training_epoch)
            yield


@dataclass(frozen=True)
class Undisturbed:
    """Its words, the folder with its checks, what it leaves; its changes of the disk and ticks."""

    words: list[str]
    checked: Path
    left: dict
    changes: int
    ticks: int


class Resumes:
    """Interrupts searches, and counts what became of them."""

    def __init__(self, root, seed):
        self.root, self.config = root, config_in(root)
        self.rng, self.faults = random.Random(seed), []
        self.searches, self.interrupted, self.kept = Counter(), Counter(), 0
        self.commands, self.places = 0, Counter()
        self._wanted = {}

    def undisturbed(self, sampler, *, halving, often):
        """A search of this kind that nobody interrupts."""
        kind = sampler, halving, often
        if kind not in self._wanted:
            folder = self.root / f"undisturbed-{len(self._wanted)}"
            changes = [*MIXED, f"search.sampler={sampler}", *(HALVED if halving else [])]
            given = [w for c in changes + [OFTEN] * often for w in ("--set", c)]
            for check in CHECKS:
                done = run(self.config, folder, check, str(self.config), "--quiet", *given)
                assert done.exit_code == 0, done.output
            checked = folder.with_name(f"{folder.name}-checked")
            shutil.copytree(folder, checked)
            words = ["run", str(self.config), "--json", "--quiet", *given]
            seen, disk = Seen(), Disk(folder)
            with seen.between(), disk.between():
                done = run(self.config, folder, *words)
            assert done.exit_code == 0, done.output
            found = left_by(folder)
            self._wanted[kind] = Undisturbed(words, checked, found, disk.told, seen.ticks)
        return self._wanted[kind]

    def one(self, sampler, *, halving, often):
        """One search, interrupted a few times; then again when it is finished."""
        name = f"{sampler}{', halving' * halving}{', written down' * often}"
        wanted = self.undisturbed(sampler, halving=halving, often=often)
        runs = self.root / "runs"
        shutil.copytree(wanted.checked, runs)
        for _ in range(self.rng.randint(2, MOST)):
            if self._interrupted(name, wanted, runs):
                break
        else:
            self._looked_at(name, wanted, runs, Seen(), Disk(runs))
        self._compare(name, wanted, runs)
        self._again(name, wanted, runs)
        self.searches[f"{sampler}{', halving' * halving}"] += 1
        shutil.rmtree(runs)

    def _interrupted(self, name, wanted, runs):
        """A command that is interrupted at random; whether it came to its end all the same."""
        way, part = self.rng.choice(WAYS), self.rng.choice((1, 2, 4))  # mostly soon
        if way == WAYS[0]:
            at, when = self.rng.randint(1, wanted.changes // part), self.rng.choice(WHEN)
            return self._looked_at(name, wanted, runs, Seen(way=way), Disk(runs, at, when))
        seen = Seen(self.rng.randint(1, wanted.ticks // part), way)
        return self._looked_at(name, wanted, runs, seen, Disk(runs))

    def _looked_at(self, name, wanted, runs, seen, disk):
        """One command; whether it came to its end."""
        (place, jobs), before = self.rng.choice(ELSEWHERE), _states(runs)
        self.commands, self.places[place] = self.commands + 1, self.places[place] + 1
        code = None
        with training_in(place), seen.between(), disk.between():
            try:
                done = run(self.config, runs, *wanted.words, jobs=jobs)
                code = done.exit_code
                if code not in (0, 130 if seen.way == "Ctrl-C" else 0):
                    self.faults.append(f"{name}: ended with {code}: {done.output[-300:]}")
            except Killed:
                pass
        self.interrupted[seen.way] += code != 0
        self._check(name, runs, seen, before)
        return code == 0

    def _check(self, name, runs, seen, before):
        """Nothing that was finished has been touched, and nothing was done twice."""
        now = _states(runs)
        self.kept += len(before)
        for trial, state in before.items():
            if now.get(trial) != state:
                self.faults.append(f"{name}: {trial} changed or gone")
        finished = {(Path(p).parts[1], int(Path(p).stem)) for p in before}
        worked = {each[:2] for each in seen.trained} | set(seen.recorded)
        twice = [each for each, n in (seen.trained + seen.recorded).items() if n > 1]
        if worked & finished or twice:
            self.faults.append(f"{name}: again {sorted(worked & finished)}, twice {twice}")

    def _compare(self, name, wanted, runs):
        found = left_by(runs)
        if found != wanted.left:
            other = [k for k in {*found, *wanted.left} if found.get(k) != wanted.left.get(k)]
            self.faults.append(f"{name}: another {sorted(other)}")
        for stage, total in (("coarse", TRIALS), ("refine-1", REFINED)):
            results = RunStore(runs, "tiny").results(stage)
            if [result.id for result in results] != list(range(total)):
                self.faults.append(f"{name}: {len(results)} trials of {stage}")

    def _again(self, name, wanted, runs):
        """A finished run has nothing to do: no trial, no byte, no file's time."""
        seen, before = Seen(), _everything(runs)
        place, jobs = self.rng.choice(ELSEWHERE)
        with training_in(place), seen.between():
            done = run(self.config, runs, *wanted.words, jobs=jobs)
        if done.exit_code or seen.ticks or seen.trained or seen.recorded:
            self.faults.append(f"{name}: again: {done.exit_code}, trained {seen.trained}")
        if _everything(runs) != before:
            self.faults.append(f"{name}: again: files changed")

    def summary(self):
        return {
            "searches": dict(self.searches), "commands": self.commands,
            "interrupted by": {way: self.interrupted[way] for way in WAYS},
            "in": dict(self.places), "finished trials looked at again": self.kept,
            "finished runs run again": self.searches.total(), "faults": self.faults[:20],
        }  # fmt: skip


def _states(runs):
    """The finished trials: bytes, time and file."""
    found = trials_in(runs)
    return {name: (content, *_stat(runs / name)) for name, content in found.items()}


def _everything(runs):
    files = [path for path in runs.rglob("*") if path.is_file() and path.name != ".lock"]
    return {path: (path.read_bytes(), *_stat(path)) for path in files}


def _stat(path):
    stat = path.stat()
    return stat.st_mtime_ns, stat.st_ino


def main():
    there = [name for name in SAMPLERS if name != "tpe" or find_spec("optuna")]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--searches", type=int, default=100, help="per sampler, and with halving")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=1e9, help="end earlier")
    parser.add_argument("--samplers", nargs="+", default=there, choices=SAMPLERS)
    given = parser.parse_args()
    until = time.monotonic() + 60 * given.minutes
    with tempfile.TemporaryDirectory(prefix="resumes-") as root, pytest.MonkeyPatch.context() as p:
        quickly(p)
        resumes = Resumes(Path(root), given.seed)
        for number, sampler, halving in product(
            range(given.searches), given.samplers, (False, True)
        ):
            if not (halving and sampler == "tpe") and time.monotonic() < until:  # it is refused
                resumes.one(sampler, halving=halving, often=bool(number % 2))
    print(json.dumps(resumes.summary(), indent=2))
    return 1 if resumes.faults else 0


if __name__ == "__main__":
    sys.exit(main())
