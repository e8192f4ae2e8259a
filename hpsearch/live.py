"""What is in training at this moment: a trace that the writer of a run leaves for who watches it.

`.live.json` in the run's folder is written again at most once a second, and deleted at the end.
What a killed writer left is known by its process being gone, and is in nobody's way.
"""

import json
import os
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any, Self

from hpsearch.atomic import write_passing
from hpsearch.cohort import Pulse
from hpsearch.errors import HostError
from hpsearch.records import UNREADABLE, bytes_of
from hpsearch.strictjson import dumps
from hpsearch.trial import TrialResult
from hpsearch.verdict import Document

NAME = ".live.json"
EVERY = 1.0  # seconds between two writings
SILENT = 60.0  # seconds without a word after which a writer is gone whom we cannot look at
FORESEEN = 1.0  # seconds of work before which it is too early to say how long the rest takes


class Trace:
    """A display that nobody sees, but who reads the run's folder; as a context, for its writer.

    `pulse` and `steps` may be called from any thread.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._lock = folder, Lock()
        self._writer: dict[str, Any] | None = None  # while it is one
        self._stage, self._trials, self._finished = "", 0, 0
        self._steps, self._done, self._begun = 0, 0, time.monotonic()
        self._cohorts: dict[int, Pulse] = {}
        self._written = 0.0

    def __enter__(self) -> Self:
        with suppress(OSError):
            self._writer = _writer(os.getpid(), self._folder)
        with self._lock:
            self._write()
        return self

    def __exit__(self, *raised: object) -> None:
        self._writer = None
        with suppress(OSError):  # what stays is known by its writer being gone
            (self._folder / NAME).unlink()

    def begin(self, stage: str, trials: int, steps: int) -> None:
        """So many trials and trial-steps more are to come."""
        with self._lock:
            if stage != self._stage:
                self._stage, self._trials, self._finished = stage, 0, 0
            self._trials += trials
            self._steps, self._done, self._begun = steps, 0, time.monotonic()
            self._cohorts.clear()
            self._write()

    def steps(self, n: int) -> None:
        with self._lock:
            self._done += n

    def pulse(self, pulse: Pulse) -> None:
        """How a cohort stands; without losses it has left."""
        with self._lock:
            self._cohorts.pop(pulse.cohort, None)
            if pulse.losses:
                self._cohorts[pulse.cohort] = pulse
            if not self._cohorts or time.monotonic() - self._written >= EVERY:
                self._write()

    def trial(self, result: TrialResult) -> None:
        self._finished += 1

    def end(self, document: Document) -> None:
        with self._lock:
            self._stage = ""
            self._cohorts.clear()
            self._write()

    def say(self, text: str) -> None: ...

    def _write(self) -> None:
        if self._writer:
            self._written = time.monotonic()
            write_passing(self._folder / NAME, dumps(self._record(), None).encode())

    def _record(self) -> dict[str, Any]:
        cohorts = self._cohorts.values()
        return {
            "writer": self._writer, "stage": self._stage,
            "trials": self._trials, "finished": self._finished,
            "steps": self._steps, "done": self._done, "seconds": time.monotonic() - self._begun,
            "running": {
                str(trial): [loss, p.step, p.steps] for p in cohorts
                for trial, loss in p.losses.items()
            },
        }  # fmt: skip


@dataclass(frozen=True)
class Running:
    """A trial in training: its loss now, NaN if it is not finite, at which of how many steps."""

    trial: int
    loss: float
    step: int
    steps: int

    @property
    def share(self) -> float:
        """How much of its training is done, from 0 to 1."""
        return min(1.0, self.step / self.steps) if self.steps else 0.0


@dataclass(frozen=True)
class Live:
    """What a run's writer is at: its stage, empty before the first; how many of the trials it set
    out to train there have ended; `done` of so many trial-steps in so many seconds.
    """

    stage: str
    trials: int = 0
    finished: int = 0
    steps: int = 0
    done: int = 0
    seconds: float = 0.0
    running: tuple[Running, ...] = field(default=())

    @property
    def left(self) -> float | None:
        """Seconds until the trials set out for are trained, as fast as they have been so far; None
        where it is too early to say.
        """
        if not self.done or self.seconds < FORESEEN:
            return None
        return self.seconds * max(0, self.steps - self.done) / self.done

    def to_json(self) -> dict[str, Any]:
        running = [vars(each) for each in self.running]
        return {
            "stage": self.stage, "trials": self.trials, "finished": self.finished,
            "seconds_left": self.left, "running": running,
        }  # fmt: skip


def live(folder: Path) -> Live | None:
    """What the run's writer is at; None where there is none. It is neither stopped nor asked."""
    path = folder / NAME
    try:
        record, age = json.loads(bytes_of(path) or b""), time.time() - path.stat().st_mtime
        found = _live(record)
        return found if _is_there(record["writer"], folder, age) else None
    except (OSError, HostError, *UNREADABLE):
        return None


def _live(record: Mapping[str, Any]) -> Live:
    running = tuple(
        Running(int(trial), float("nan") if loss is None else float(loss), int(step), int(steps))
        for trial, (loss, step, steps) in record["running"].items()
    )
    counts = {name: int(record[name]) for name in ("trials", "finished", "steps", "done")}
    return Live(str(record["stage"]), **counts, seconds=float(record["seconds"]), running=running)


def _writer(process: int, folder: Path) -> dict[str, Any]:
    """Who writes, and where: a copy of the folder has the trace, but not the writer."""
    return {
        "process": process, "born": _born(process), "host": socket.gethostname(),
        "folder": folder.stat().st_ino,
    }  # fmt: skip


def _is_there(writer: Mapping[str, Any], folder: Path, age: float) -> bool:
    """Whether the writer lives: looked up where we can, else judged by how long it was silent."""
    same = writer == _writer(int(writer["process"]), folder)
    if writer["host"] == socket.gethostname() and writer["born"] is not None:
        return same
    return writer["folder"] == folder.stat().st_ino and age < SILENT


def _born(process: int) -> str | None:
    """When a process of this machine began, in the clock ticks of Linux; None where it is gone,
    or has ended and nobody has asked how, or elsewhere than on Linux.
    """
    try:
        state, *rest = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if state in "ZX" else rest[18]
