"""Worker processes, each owned by whoever hands it a task, and replaced where a task breaks one.

A worker is a fork of its parent, which starts in milliseconds and shares its data, or where that
is not safe a fresh interpreter; with a socket between the two. What they say to each other:

    parent -> worker   to a fresh one the pickled work; pickled tasks; b"" says stop
    worker -> parent   ("ready", None) when it has the work; for each task ("steps", n) and
                       ("pulse", p), at last ("result", what the work returned) or
                       ("error", what it raised)

A worker ends when its socket is closed, and so when its parent is gone, however that died. SIGINT
and SIGTERM do not reach it: the parent decides. It writes no files.
"""

import math
import os
import pickle
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection, Pipe
from subprocess import DEVNULL, Popen, TimeoutExpired
from typing import Any, Generic, Protocol, TypeVar

from hpsearch.errors import HostError
from hpsearch.serving import STOP, Fork, Tell, Work

T = TypeVar("T")
R = TypeVar("R")

TICK = 0.05  # seconds between two looks at the stop flag
STOPPING = 1.5  # seconds that a worker has to stop when it is told to
STARTING = 60.0  # seconds that a worker has, at least, to say its first word
PATIENCE = 5.0  # seconds that a worker may take to end
CAN_FORK = sys.platform == "linux"  # elsewhere there are libraries that do not survive it


class WorkerDied(RuntimeError):
    """A worker ended in the middle of a task; the message says how: `killed by SIGKILL`."""


class WorkerSilent(WorkerDied):
    """A worker was ended because it said nothing for too long."""


class Workers(Generic[T, R]):
    """Calls `work` on a task in a worker process: one that is idle, else a new one.

    To be called from as many threads as there shall be workers. The first `forks` of them are
    forked at once, if this thread is the only one: a lock that another holds would be held for
    ever in the fork. To a fresh interpreter `work` is sent, pickled, and must be importable
    there. One that says nothing for `silence` seconds is ended, whatever it does. Leaving the
    context ends them all, with an error at once.
    """

    def __init__(
        self, work: Work, *, steps: Callable[[int], None], stop: threading.Event, forks: int = 0,
        pulse: Callable[[Any], None] = lambda pulse: None, silence: float = math.inf,
    ) -> None:  # fmt: skip
        self._silence = silence
        self._work, self._tell, self._stop = work, {"steps": steps, "pulse": pulse}, stop
        self._pickled, self._lock, self._killed = b"", threading.Lock(), False
        self._idle: list[_Worker] = []
        self._all: set[_Worker] = set()
        self._proven = False  # one worker has started, so that others can
        able = CAN_FORK and threading.active_count() == 1
        try:
            for _ in range(forks if able else 0):
                self._idle.append(_Worker.forked(work))
                self._all.add(self._idle[-1])
        except BaseException:
            self._end(now=True)
            raise

    def __call__(self, task: T) -> R:
        """The work's result, or what it raised; WorkerDied if it broke the worker, HostError if
        no worker could be started.
        """
        worker = self._free()
        try:
            result: R = worker.run(task, self._tell, self._stop, self._silence)
        except WorkerDied as died:
            self._all.discard(worker)
            if worker.ready or self._proven:
                raise
            raise HostError(f"a worker process cannot start: {died}; try --jobs 1") from died
        except BaseException:  # nobody knows what it left behind
            self._all.discard(worker)
            worker.end(now=True)
            raise
        self._proven = True
        self._idle.append(worker)
        return result

    def _free(self) -> "_Worker":
        """One that is idle, else a new one, which no `kill` may miss."""
        with self._lock:
            if self._idle:
                return self._idle.pop()
            self._pickled = self._pickled or pickle.dumps(self._work)
            worker = _Worker.fresh(self._pickled)
            self._all.add(worker)
            if self._killed:
                worker.process.kill()
            return worker

    def kill(self) -> None:
        """Ends all workers in the middle of whatever they do, and those that are yet to start."""
        with self._lock:
            self._killed = True
            for worker in tuple(self._all):  # from which other threads take those that end
                worker.process.kill()

    def _end(self, *, now: bool) -> None:
        if now:
            self.kill()
        for worker in tuple(self._all):
            worker.pipe.close()
        while self._all:
            self._all.pop().end()

    def __enter__(self) -> "Workers[T, R]":
        return self

    def __exit__(self, kind: type[BaseException] | None, *raised: object) -> None:
        self._end(now=kind is not None)


class _Process(Protocol):
    """What `subprocess.Popen` and a fork have in common."""

    returncode: int | None

    def poll(self) -> int | None: ...
    def kill(self) -> None: ...
    def wait(self, timeout: float | None = None) -> int: ...


class _Worker:
    """The parent's side of one process."""

    def __init__(self, pipe: Connection, process: _Process, unsent: bytes = b"") -> None:
        self.pipe, self.process, self.unsent = pipe, process, unsent
        self.ready = False

    @classmethod
    def forked(cls, work: Work) -> "_Worker":
        """A copy of this process that has `work` already."""
        with _refused(), _signals_blocked(), _pipe() as (ours, theirs):
            return cls(ours, Fork(theirs.fileno(), work))

    @classmethod
    def fresh(cls, work: bytes) -> "_Worker":
        """A fresh interpreter that imports from where this one does, to be sent `work` first."""
        with _refused(), _signals_blocked(), _pipe() as (ours, theirs):
            process = Popen(
                [sys.executable, "-P", "-m", "hpsearch.serving", str(theirs.fileno())],
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
                stdin=DEVNULL, stdout=DEVNULL, pass_fds=[theirs.fileno()],
            )  # fmt: skip
        return cls(ours, process, work)

    def run(self, task: Any, tell: Tell, stop: threading.Event, silence: float) -> Any:
        """The task's result, while how far it is is passed on, and the stop flag the other way."""
        told: float | None = None
        quiet = 0.0  # counted in ticks, so that time in which all of us were halted is none
        if self.unsent:
            self._send(self.unsent)
            self.unsent = b""
        self._send(pickle.dumps(task))
        while True:
            if stop.is_set() and told is None:
                told = time.monotonic()
                self._send(STOP)
            if told and time.monotonic() - told > STOPPING:
                self.process.kill()  # it hangs, or a single minibatch takes this long
            kind, value = self._receive()
            quiet = 0.0 if kind else quiet + TICK
            if quiet > (silence if self.ready else max(silence, STARTING)):
                self.end(now=True)
                raise WorkerSilent(f"no answer for {silence:g} s")
            if kind in tell:
                tell[kind](value)
            elif kind == "error":
                raise value
            elif kind == "result":
                return value
            self.ready = self.ready or kind == "ready"

    def _send(self, message: bytes) -> None:
        try:
            self.pipe.send_bytes(message)
        except OSError as error:
            raise self._death() from error

    def _receive(self) -> tuple[str, Any]:
        """The next message; ("", None) if none comes for a moment."""
        try:
            if self.pipe.poll(TICK):
                kind, value = self.pipe.recv()
                return kind, value
        except (EOFError, OSError) as error:
            raise self._death() from error
        if self.process.poll() is not None and not self.pipe.poll():
            raise self._death()  # what it started itself may still hold the socket
        return "", None

    def _death(self) -> WorkerDied:
        """What to raise about a worker that is gone."""
        self.end()
        return WorkerDied(_how_it_ended(self.process.returncode or 0))

    def end(self, *, now: bool = False) -> None:
        """Ends the process, and waits until it is gone."""
        self.pipe.close()
        if now:
            self.process.kill()
        try:
            self.process.wait(PATIENCE)
        except TimeoutExpired:
            self.process.kill()
            self.process.wait()


@contextmanager
def _signals_blocked() -> Iterator[None]:
    """A process started within inherits this: at no moment can Ctrl-C reach it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _pipe() -> Iterator[tuple[Connection, Connection]]:
    """Our end, and theirs, which is closed here once they have it."""
    ours, theirs = Pipe()
    with theirs:
        yield ours, theirs


@contextmanager
def _refused() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise HostError(f"no worker process can be started: {reason}; try fewer --jobs") from error


def _how_it_ended(code: int) -> str:
    if code >= 0:
        return f"its process ended with exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"
