"""The worker's side of a worker process; see `workers` for what the two say to each other."""

import os
import pickle
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from queue import SimpleQueue
from subprocess import TimeoutExpired
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
    work = work or _unpickled(inbox.get())
    _say(pipe, pickle.dumps(("ready", None)))
    while True:
        task = inbox.get()
        try:
            answer = pickle.dumps(("result", work(pickle.loads(task), tell, stop)))
        except Exception as error:
            answer = pickle.dumps(("error", _portable(error)))
        tell.rest()
        _say(pipe, answer)


def _unpickled(sent: bytes) -> Work:
    """The work, which may import much; one that says why where there is none."""
    try:
        work: Work = pickle.loads(sent)
    except Exception as error:
        lost = error

        def work(task: Any, steps: "Steps", stop: threading.Event) -> NoReturn:
            raise lost

    return work


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


class Fork:
    """A copy of this process that serves at the socket; every other file is closed in it, or the
    sockets and locks of its parent would outlive that.
    """

    def __init__(self, socket: int, work: Work) -> None:
        self.returncode: int | None = None
        self._lock = threading.Lock()
        for stream in filter(None, (sys.stdout, sys.stderr)):
            stream.flush()  # or what is in their buffers would be written twice
        self.pid = os.fork()
        if self.pid == 0:
            try:
                _close_all_but(socket)
                serve(socket, work)
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(1)

    def poll(self) -> int | None:
        with self._lock:
            return self._poll()

    def _poll(self) -> int | None:
        with suppress(ChildProcessError):
            if self.returncode is None and (ended := os.waitpid(self.pid, os.WNOHANG))[0]:
                self.returncode = os.waitstatus_to_exitcode(ended[1])
        return self.returncode

    def kill(self) -> None:
        with self._lock:  # while nobody else can wait for it, the number is this process's
            if self._poll() is None:
                os.kill(self.pid, signal.SIGKILL)

    def wait(self, timeout: float | None = None) -> int:
        started = time.monotonic()
        while (code := self.poll()) is None:
            if timeout is not None and time.monotonic() - started > timeout:
                raise TimeoutExpired("a worker", timeout)
            time.sleep(0.002)
        return code


def _close_all_but(socket: int) -> None:
    """Closes every file but the standard ones and the socket; Linux lists those that are open."""
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208  (a path's iterdir is one of them)
        if int(name) > 2 and int(name) != socket:
            with suppress(OSError):
                os.close(int(name))


if __name__ == "__main__":
    one_thread()
    serve(int(sys.argv[1]))
