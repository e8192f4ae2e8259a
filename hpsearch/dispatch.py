"""Trains trials where it suits them best; what breaks a cohort costs only the trial to blame.

A cohort that fails for a reason of its own (its worker died, no memory, a bug) is tried again one
trial at a time, and the trial that fails alone is a result: status failed, and the reason.
"""

import math
import traceback
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from threading import Event
from time import monotonic

from threadpoolctl import threadpool_limits

from hpsearch import cohort
from hpsearch.cohort import Pulse, Task
from hpsearch.config.schema import Search
from hpsearch.data import Dataset
from hpsearch.data.sharing import Shared
from hpsearch.errors import HostError, HpsearchError, Stopped
from hpsearch.executors import Kind, as_finished, kind_for
from hpsearch.serving import Steps
from hpsearch.spec import TrialSpec
from hpsearch.training import STOPPED, Watch, train_cohort
from hpsearch.trial import Curves, Status, TrialResult
from hpsearch.workers import WorkerDied, Workers, WorkerSilent

Train = Callable[[Task], list[TrialResult]]

# Of one core, to foresee how long the work will take: per trial and step, and in its products.
STEP_SECONDS, FLOPS = 1e-5, 1e11
LONGEST = 300  # characters of a reason that are kept


@dataclass(frozen=True)
class Failure:
    """What a task raised, in words: the error itself would keep the cohort's arrays alive."""

    task: Task
    reason: str
    trace: str
    remedy: str  # where it is the machine's fault, or may be

    @classmethod
    def of(cls, task: Task, error: Exception) -> "Failure":
        memory, died = isinstance(error, MemoryError), isinstance(error, WorkerDied)
        name = "MemoryError" if memory else type(error).__name__
        text = "".join(c if c.isprintable() else "?" for c in " ".join(str(error).split()))
        reason = text if died else f"{name}: {text}" if text else name
        trace = "".join(traceback.format_exception(error))
        remedy = ""
        if memory or (died and "SIGKILL" in text):  # so a system ends whoever takes too much
            less = "a smaller model.hidden or train.batch_size, or fewer --jobs"
            remedy = f"if memory ran out: {less}"
        elif died and "SIGBUS" in text:  # so it ends who reads what a file no longer has
            remedy = "leave the data alone meanwhile, and keep it on a disk that does not fail"
        elif isinstance(error, WorkerSilent):
            remedy = "raise search.silence_seconds, or fewer --jobs"
        return cls(task, reason[:LONGEST], trace, remedy)


class Trainer:
    """What a worker process does with a task. To a fresh one it travels without the data, which
    lie in files then, those in memory in files that go with what is `left` to do.
    """

    def __init__(self, data: Dataset, left: ExitStack) -> None:
        self.data, self.left = data, left

    def __getstate__(self) -> Shared:
        return Shared.of(self.data, self.left)

    def __setstate__(self, shared: Shared) -> None:
        self.data = shared.open()

    def __call__(self, task: Task, steps: Steps, stop: Event) -> list[TrialResult]:
        return train_cohort(task, self.data, Watch(steps=steps, pulse=steps.pulse, stop=stop))


class Allowance:
    """The seconds that a search may take, of which `spent` are gone; None: as many as it needs."""

    def __init__(self, seconds: float | None = None, spent: float = 0.0) -> None:
        self.seconds, self._began = seconds, monotonic() - spent

    @property
    def is_over(self) -> bool:
        return self.seconds is not None and monotonic() - self._began >= self.seconds

    @property
    def said(self) -> str:
        """That it is over, empty before."""
        return "the budget is spent (search.budget.seconds)" if self.is_over else ""


@dataclass(frozen=True)
class Limits:
    """When a trial in training is written down, when its worker is given up, both in seconds, and
    how often it is tried again.
    """

    checkpoint: float = math.inf
    silence: float = math.inf
    retries: int = 1

    @classmethod
    def of(cls, search: Search) -> "Limits":
        """As the config has them."""
        often, silence = search.checkpoint_seconds, search.silence_seconds
        return cls(often or math.inf, silence or math.inf, search.retries)


class Dispatch:
    """Trains the trials of one stage. With `keep` a failed trial is a result, else an error: a
    check must not judge by what is not there; and trials pause to be written down, and go on from
    there. Once the `allowance` is over no trial is begun.
    """

    def __init__(
        self, data: Dataset, watch: Watch, say: Callable[[str], None], *, jobs: int, keep: bool,
        allowance: Allowance | None = None, limits: Limits | None = None,
    ) -> None:  # fmt: skip
        self.data, self.watch, self.say = data, watch, say
        self.jobs, self.keep = jobs, keep
        self.allowance = allowance or Allowance()
        self.limits = limits or Limits()
        self._often = self.limits.checkpoint if keep else math.inf
        self._failed = Counter[int]()  # how often, in company or alone

    def steps(self, specs: Sequence[TrialSpec]) -> int:
        """How many trial-steps these trials are."""
        return sum(len(spec.leg(self._rows(spec))) for spec in specs)

    def trained(
        self, specs: Sequence[TrialSpec], begin: Callable[[], None] = lambda: None
    ) -> Iterator[list[TrialResult]]:
        """The results of each cohort as they arrive; see `as_finished` for errors. `begin` is
        called when the workers have been forked: from then on there may be other threads.
        """
        tasks, by_id = cohort.tasks(specs, jobs=self.jobs), {spec.id: spec for spec in specs}
        waiting = deque(replace(task, seconds=self._often) for task in tasks)
        jobs = min(self.jobs, len(waiting))
        kind = kind_for(sum(map(self._seconds, specs)), jobs=jobs)
        limits, busy = threadpool_limits(1), self.watch.in_training()
        with limits, busy, self._place(kind, jobs) as (train, leave):
            begin()
            outcomes = as_finished(
                lambda task: self._attempt(train, task), waiting,
                jobs=1 if kind is Kind.IN_PROCESS else jobs,
                on_error=self.watch.stop.set, on_leave=leave,
            )  # fmt: skip
            with closing(outcomes):  # before the workers, so that it can end them
                for outcome in outcomes:
                    if isinstance(outcome, Failure):
                        outcome = self._settle(outcome, waiting)
                    if self.allowance.is_over:
                        waiting.clear()
                    waiting.extendleft(self._rest(outcome, by_id))
                    yield outcome  # whose taker writes the checkpoints, before the rest begins

    def _rest(self, outcome: Sequence[TrialResult], specs: Mapping[int, TrialSpec]) -> list[Task]:
        """What is to be trained yet of a cohort that has only paused to be written down."""
        going = [
            (specs[r.id], r.epochs) for r in outcome
            if r.status is Status.PAUSED and r.epochs < specs[r.id].budget.until
        ]
        rest = [replace(s, budget=replace(s.budget, done=epochs)) for s, epochs in going]
        return [Task(tuple(rest), self._often)] if rest else []

    def _settle(self, failure: Failure, waiting: deque[Task]) -> list[TrialResult]:
        """Has the trials tried again alone, or gives the one up that was."""
        if not self._failed:
            self.watch.failed(failure.trace)
        specs = failure.task.specs
        if len(specs) == 1 and self._failed[specs[0].id] >= self.limits.retries:
            return [self._given_up(specs[0], failure)]
        self._announce(failure)
        self._failed.update(spec.id for spec in specs)
        waiting.extend(Task((spec,), self._often) for spec in specs)
        return []

    @contextmanager
    def _place(self, kind: Kind, jobs: int) -> Iterator[tuple[Train, Callable[[], None]]]:
        """How to train a task, and how to end all training at once."""
        stop = self.watch.stop
        if kind is not Kind.PROCESSES:
            yield lambda task: train_cohort(task, self.data, self.watch), stop.set
            return
        with ExitStack() as left:
            trainer = Trainer(self.data, left)
            with Workers[Task, list[TrialResult]](
                trainer, steps=self.watch.steps, stop=stop, forks=jobs, pulse=self.watch.pulse,
                silence=self.limits.silence,
            ) as workers:  # fmt: skip

                def leave() -> None:
                    stop.set()
                    workers.kill()

                yield workers, leave

    def _attempt(self, train: Train, task: Task) -> list[TrialResult] | Failure:
        if self.watch.stop.is_set():
            raise Stopped(STOPPED)
        try:
            return train(task)
        except HpsearchError:
            raise
        except Exception as error:
            if self.watch.stop.is_set():
                raise Stopped(STOPPED) from error
            return Failure.of(task, error)
        finally:
            self.watch.pulse(Pulse(task.specs[0].id))

    def _announce(self, failure: Failure) -> None:
        specs = failure.task.specs
        if len(specs) == 1:
            who, again = f"trial {specs[0].id}", "it is tried again"
        else:
            who, again = f"a cohort of {len(specs)} trials", "each is tried again alone"
        self.say(f"{specs[0].stage}: {who} failed ({failure.reason}); {again}")

    def _given_up(self, spec: TrialSpec, failure: Failure) -> TrialResult:
        """The result of a trial that fails alone; an error where it is not to be kept."""
        said = f"{spec.stage}: trial {spec.id} failed: {failure.reason}"
        if self.keep:
            self.say(f"{said}; {failure.remedy}" if failure.remedy else said)
            return TrialResult(
                stage=spec.stage, id=spec.id, status=Status.FAILED, seed=spec.seed,
                hparams=spec.hparams, metric=spec.metric, curves=Curves(), losses=[], step=0,
                reason=failure.reason,
            )  # fmt: skip
        if failure.remedy:
            raise HostError(f"{said}; {failure.remedy}")
        error = RuntimeError(said)
        error.add_note(failure.trace)
        raise error

    def _seconds(self, spec: TrialSpec) -> float:
        """About how long the trial keeps one core busy."""
        products = 6 * spec.net.n_params * spec.batch_size / FLOPS
        return len(spec.leg(self._rows(spec))) * (STEP_SECONDS + products)

    def _rows(self, spec: TrialSpec) -> int:
        return len(spec.view.rows or self.data.train.y)
