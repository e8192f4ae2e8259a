"""The worker's side of a worker process; see `workers` for what the two say to each other."""

import os
import pickle
import sys
import threading
import time
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import Any, NoReturn

from hpsearch.blas import one_thread

Tell = dict[str, Callable[[Any], None]]  # what the parent does with "steps" and with "pulse"
# What a worker does with a task: it tells `Steps` how far it is, and ends when `stop` is set.
Work = Callable[[Any, "Steps", threading.Event], Any]

STOP = b""
TOLD = 0.1  # seconds between two messages of progress


def serve(socket: int, work: Work | None = None) -> NoReturn:
    """Does one task after another until the parent is gone; `work` is sent first if not given."""
    pipe, inbox, stop = Connection(socket), SimpleQueue[bytes](), threading.Event()
    threading.Thread(target=_listen, args=(pipe, inbox, stop), daemon=True).start()
    tell = Steps(pipe)
    sent = inbox.get() if work is None else b""
    _say(pipe, pickle.dumps(("ready", None)))
    while True:
        task = inbox.get()
        try:
            work = work or pickle.loads(sent)
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


class Steps:
    """Tells the parent of steps, a few times a second, and of how the task stands."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe, self._untold, self._last = pipe, 0, time.monotonic()

    def __call__(self, n: int) -> None:
        self._untold += n
        if time.monotonic() - self._last >= TOLD:
            self.rest()

    def pulse(self, value: Any) -> None:
        """How the task stands, to be told at once."""
        _say(self._pipe, pickle.dumps(("pulse", value)))

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
