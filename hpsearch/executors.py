"""Where tasks run: which kind of executor suits the work, and how to feed one.

Every executor is a `concurrent.futures.Executor`; that of worker processes is one of threads,
each of which hands its task to a process (see `workers`).
"""

import os
import sys
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from enum import StrEnum
from typing import Any, TypeVar

from hpsearch.errors import UsageError

T = TypeVar("T")
R = TypeVar("R")

VARIABLE = "HPSEARCH_EXECUTOR"

# Seconds of work for each worker that repay its start: a fork takes 10 ms, a fresh interpreter
# 0.4 s. Threads start at once, but where the nets are small they wait for one another: on digits
# two train 1.2 times as fast as one, two processes 1.9 times.
REPAID = {"fork": 0.1, "fresh": 2.0}


class Kind(StrEnum):
    """In-process copies and starts nothing; threads share the cores between cohorts, for NumPy
    releases the GIL inside each call; processes keep a crash to the task that caused it.
    """

    IN_PROCESS = "in-process"
    THREADS = "threads"
    PROCESSES = "processes"


def wanted_kind() -> Kind | None:
    """What the environment asks for, for benchmarks and debugging; UsageError if there is no
    such kind here.
    """
    value = os.environ.get(VARIABLE)
    if not value:
        return None
    if value not in list(Kind):
        raise UsageError(f"{VARIABLE}: must be one of {', '.join(Kind)}, got {value}")
    if value == Kind.PROCESSES and os.name != "posix":
        raise UsageError(f"{VARIABLE}: must be threads or in-process on {os.name}, got {value}")
    return Kind(value)


def kind_for(seconds: float, *, jobs: int) -> Kind:
    """What suits so many seconds of work on one core, unless the environment asks for a kind."""
    if wanted := wanted_kind():
        return wanted
    if jobs == 1:
        return Kind.IN_PROCESS
    if os.name != "posix":
        return Kind.THREADS
    repaid = REPAID["fork" if sys.platform == "linux" else "fresh"]
    return Kind.PROCESSES if seconds / jobs >= repaid else Kind.THREADS


class InProcess(Executor):
    """Runs each task at once, in the caller's thread: for one job, and for tests."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


def executor(jobs: int) -> Executor:
    """The caller's thread for one job, else as many threads."""
    return InProcess() if jobs == 1 else ThreadPoolExecutor(jobs, thread_name_prefix="cohort")


def as_finished(
    work: Callable[[T], R], tasks: deque[T], *, jobs: int,
    on_error: Callable[[], None] = lambda: None, on_leave: Callable[[], None] | None = None,
) -> Generator[R, None, None]:  # fmt: skip
    """The results of `work` on each task, as they arrive; `tasks` may grow meanwhile.

    One task more than there are jobs is in flight, so that no worker waits for its next. When one
    raises, no more are begun and `on_error` may tell the others to stop; those that finish still
    come, then the first error is raised. `on_leave` may end the others at once (else `on_error`)
    where the results are not waited for: Ctrl-C again, or they could not be taken.
    """
    running = set[Future[R]]()
    failure: BaseException | None = None
    in_flight = jobs + 1 if jobs > 1 else 1
    with executor(jobs) as pool:
        try:
            while True:
                while not failure and tasks and len(running) < in_flight:
                    running.add(pool.submit(work, tasks.popleft()))
                if not running:
                    break
                finished, running = wait(running, return_when=FIRST_COMPLETED)
                for future in finished:
                    error = future.exception()
                    if error is None:
                        yield future.result()
                    else:
                        failure = failure or error
                        on_error()
        except BaseException:
            (on_leave or on_error)()
            raise
    if failure:
        raise failure
