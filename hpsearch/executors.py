"""Where tasks run: functions that return a `concurrent.futures.Executor`."""

from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any


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
    """In-process for one job, else as many threads: NumPy releases the GIL inside each call."""
    return InProcess() if jobs == 1 else ThreadPoolExecutor(jobs, thread_name_prefix="cohort")
