"""Where tasks run: functions that return a `concurrent.futures.Executor`, and how to feed one."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from typing import Any, TypeVar

T = TypeVar("T")
R = TypeVar("R")


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


def as_finished(
    work: Callable[[T], R], tasks: Iterable[T], *, jobs: int,
    on_error: Callable[[], None] = lambda: None,
) -> Iterator[R]:  # fmt: skip
    """The results of `work` on each task, as they arrive.

    One task more than there are jobs is in flight, so that no worker waits for its next. When one
    raises, no more are begun and `on_error` may tell the others to stop; those that finish still
    come, then the first error is raised.
    """
    waiting, running = iter(tasks), set[Future[R]]()
    failure: BaseException | None = None
    in_flight = jobs + 1 if jobs > 1 else 1
    with executor(jobs) as pool:
        while True:
            while not failure and len(running) < in_flight and (task := next(waiting, None)):
                running.add(pool.submit(work, task))
            if not running:
                break
            finished, running = wait(running, return_when=FIRST_COMPLETED)
            for future in finished:
                error = future.exception()
                if error is None:
                    try:
                        yield future.result()
                    except GeneratorExit:  # the results could not be taken
                        on_error()
                        raise
                else:
                    failure = failure or error
                    on_error()
    if failure:
        raise failure
