"""Worker processes, each owned by whoever hands it a task, and replaced where a task breaks one.

A worker is a fresh interpreter with a socket to its parent. What the two say to each other:

    parent -> worker   the pickled work, then one pickled task after another; b"" says stop
    worker -> parent   ("ready", None), then for each task ("steps", n) ...,
                       and at last ("result", what the work returned) or ("error", what it raised)

A worker ends when its socket is closed, and so when its parent is gone, however that died. SIGINT
and SIGTERM do not reach it: the parent decides. It writes no files.
"""

import os
import pickle
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection, Pipe
from queue import SimpleQueue
from subprocess import DEVNULL, Popen, TimeoutExpired
from typing import Any, Generic, NoReturn, TypeVar

from hpsearch.blas import one_thread
from hpsearch.errors import HostError

T = TypeVar("T")
R = TypeVar("R")

# What a worker does with a task: it tells `steps` how far it is, and ends when `stop` is set.
Work = Callable[[Any, Callable[[int], None], threading.Event], Any]

STOP = b""
TICK = 0.05  # seconds between two looks at the stop flag
TOLD = 0.1  # seconds between two messages of progress
PATIENCE = 5.0  # seconds that a worker may take to end


class WorkerDied(RuntimeError):
    """A worker ended in the middle of a task; the message says how: `killed by SIGKILL`."""


class Workers(Generic[T, R]):
    """Calls `work` on a task in a worker process: one that is idle, else a new one.

    To be called from as many threads as there shall be workers. `work` must be importable there,
    and is sent to each worker once. Leaving the context ends them all, with an error at once.
    """

    def __init__(
        self, work: Work, *, steps: Callable[[int], None], stop: threading.Event
    ) -> None:
        self._work, self._steps, self._stop = pickle.dumps(work), steps, stop
        self._idle: list[_Worker] = []
        self._all: set[_Worker] = set()
        self._proven = False  # one worker has started, so that others can

    def __call__(self, task: T) -> R:
        """The work's result, or what it raised; WorkerDied if it broke the worker, HostError if
        no worker could be started.
        """
        try:
            worker = self._idle.pop()
        except IndexError:
            worker = _Worker(self._work)
            self._all.add(worker)
        try:
            result: R = worker.run(task, self._steps, self._stop)
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

    def kill(self) -> None:
        """Ends all workers in the middle of whatever they do."""
        for worker in list(self._all):
            worker.process.kill()

    def __enter__(self) -> "Workers[T, R]":
        return self

    def __exit__(self, kind: type[BaseException] | None, *raised: object) -> None:
        if kind:
            self.kill()
        for worker in self._all:
            worker.pipe.close()
        while self._all:
            self._all.pop().end()


class _Worker:
    """The parent's side of one process."""

    def __init__(self, work: bytes) -> None:
        self.pipe, theirs = Pipe()
        self.ready = False
        try:
            self.process = _start(theirs.fileno())
            self.pipe.send_bytes(work)
        except OSError as error:
            reason = error.strerror or str(error)
            raise HostError(f"no worker process can be started: {reason}; try --jobs 1") from error
        finally:
            theirs.close()

    def run(self, task: Any, steps: Callable[[int], None], stop: threading.Event) -> Any:
        """The task's result, while its steps are passed on, and the stop flag the other way."""
        told = False
        self._send(pickle.dumps(task))
        while True:
            if stop.is_set() and not told:
                told = True
                self._send(STOP)
            kind, value = self._receive()
            if kind == "steps":
                steps(value)
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
        return WorkerDied(_how_it_ended(self.process.returncode))

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


def _start(socket: int) -> Popen[bytes]:
    """A fresh interpreter that imports from where this one does, and serves at the socket.

    It inherits blocked signals, so that there is no moment at which Ctrl-C could reach it.
    """
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        return Popen(
            [sys.executable, "-P", "-m", "hpsearch.workers", str(socket)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            stdin=DEVNULL, stdout=DEVNULL, pass_fds=[socket],
        )  # fmt: skip
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


def _how_it_ended(code: int) -> str:
    if code >= 0:
        return f"its process ended with exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"


def serve(socket: int) -> NoReturn:
    """The worker's side: does one task after another until the parent is gone."""
    pipe, inbox, stop = Connection(socket), SimpleQueue[bytes](), threading.Event()
    threading.Thread(target=_listen, args=(pipe, inbox, stop), daemon=True).start()
    tell = _Steps(pipe)
    work: Work = pickle.loads(inbox.get())
    _say(pipe, pickle.dumps(("ready", None)))
    while True:
        task = inbox.get()
        try:
            answer = pickle.dumps(("result", work(pickle.loads(task), tell, stop)))
        except Exception as error:
            answer = pickle.dumps(("error", _portable(error)))
        tell.rest()
        _say(pipe, answer)


def _listen(pipe: Connection, inbox: "SimpleQueue[bytes]", stop: threading.Event) -> None:
    """Hears the parent also while a task runs; the end of the parent is the end of the worker."""
    while True:
        try:
            message = pipe.recv_bytes()
        except (EOFError, OSError):
            os._exit(0)
        if message == STOP:
            stop.set()
        else:
            inbox.put(message)


def _say(pipe: Connection, message: bytes) -> None:
    try:
        pipe.send_bytes(message)
    except OSError:
        os._exit(0)


class _Steps:
    """Tells the parent of steps, a few times a second."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe, self._untold, self._last = pipe, 0, time.monotonic()

    def __call__(self, n: int) -> None:
        self._untold += n
        if time.monotonic() - self._last >= TOLD:
            self.rest()

    def rest(self) -> None:
        if self._untold:
            _say(self._pipe, pickle.dumps(("steps", self._untold)))
        self._untold, self._last = 0, time.monotonic()


def _portable(error: Exception) -> Exception:
    """The error with its traceback as a note; another that says the same if it cannot travel."""
    trace = "".join(traceback.format_exception(error)).rstrip()
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        error = RuntimeError(f"{type(error).__name__}: {error}")
    error.add_note(f"In the worker:\n{trace}")
    return error


if __name__ == "__main__":
    one_thread()
    serve(int(sys.argv[1]))
