"""Train one cohort: epochs of minibatches, an evaluation after each, and the results."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import count

import numpy as np
from numpy.typing import NDArray

from hpsearch.checkpoint import read
from hpsearch.cohort import Pulse, Task
from hpsearch.curves import verdict
from hpsearch.data import Dataset, Rows, minibatches
from hpsearch.errors import Stopped
from hpsearch.lockstep import Lockstep
from hpsearch.nn.activations import Array
from hpsearch.nn.losses import LOSSES
from hpsearch.nn.schedules import Clock
from hpsearch.reading import Yardstick
from hpsearch.recorder import Recorder
from hpsearch.spec import TrialSpec, View
from hpsearch.trial import Status, TrialResult

PROBE = 1000  # training rows measured after each epoch, at most
STOPPED = "stopped; what is finished is kept: the same command goes on"


@dataclass(frozen=True)
class Watch:
    """How a cohort in training is seen, and stopped, from outside.

    `steps(n)` is told of n more trial-steps done or, of trials that ended early, spared,
    `epoch(recorder)` of every finished epoch, `pulse` of the losses, now and then,
    `failed(traceback)` of what broke a cohort; training ends with Stopped soon after `stop` is
    set. `busy` is set while cohorts are in training: at any other time a signal may stop the
    program where it is.
    """

    steps: Callable[[int], None] = lambda n: None
    epoch: Callable[[Recorder], None] = lambda recorder: None
    pulse: Callable[[Pulse], None] = lambda pulse: None
    failed: Callable[[str], None] = lambda traceback: None
    stop: threading.Event = field(default_factory=threading.Event)
    busy: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def in_training(self) -> Iterator[None]:
        """`busy` for as long as cohorts train; Stopped at the end where a stop came too late for
        the last of them.
        """
        self.busy.set()
        try:
            yield
        finally:
            self.busy.clear()
        if self.stop.is_set():
            raise Stopped(STOPPED)


def train_cohort(task: Task, data: Dataset, watch: Watch) -> list[TrialResult]:
    """Trains the task's trials in lockstep; one result per trial, in the order of its specs.

    A trial that diverges, or whose patience ends, leaves the cohort, and the rest go on. Where
    they are to pause, their results hold what they need to go on, from their checkpoints, as if
    they had not. Raises Stopped when told to stop.
    """
    started = time.monotonic()
    assert len({spec.shape for spec in task.specs}) == 1, "a cohort's trials are alike in shape"
    spec, cohort = task.specs[0], Lockstep(task.specs)
    rows = view_of(data.train, spec.view)
    steps, leg = spec.steps(len(rows.y)), spec.leg(len(rows.y))
    recorder = Recorder(task.specs, steps, cohort)
    if spec.budget.done:
        recorder.restore([read(s.checkpoint) for s in task.specs if s.checkpoint])
    with np.errstate(over="ignore", invalid="ignore", divide="ignore", under="ignore"):
        for epoch in count(spec.budget.done):
            _train_epoch(spec, data, rows, recorder, watch, epoch=epoch, until=steps)
            over = time.monotonic() - started >= task.seconds
            if not cohort.size or cohort.t == leg.stop or over:
                break
    results = recorder.results(time.monotonic() - started)
    ended = [result for result in results if result.status is not Status.PAUSED]
    watch.steps(sum(leg.stop - result.step for result in ended))
    judged = zip(results, task.specs, strict=True)
    return [replace(r, verdict=verdict(r, _yardstick(s, data, rows))) for r, s in judged]


def _train_epoch(
    spec: TrialSpec, data: Dataset, rows: Rows, recorder: Recorder, watch: Watch, *,
    epoch: int, until: int,
) -> None:  # fmt: skip
    """One pass over the rows, at most to step `until`, then the evaluation."""
    cohort = recorder.cohort
    batches = list(minibatches(len(rows.y), spec.batch_size, spec.order_seed, epoch))
    last = min(len(batches), until - cohort.t) - 1
    begun = Clock(cohort.t, until, len(batches))
    for number, index in enumerate(batches[: last + 1]):
        if watch.stop.is_set():
            raise Stopped(STOPPED)
        watch.steps(cohort.size)
        x = _inputs(data, rows, index, spec.view, draw=(spec.order_seed, epoch, number))
        now = begun._replace(step=cohort.t)
        recorder.loss(cohort.step(x, rows.y[index], now, measure=number == last), len(index))
        if not cohort.size:
            return
        if time.monotonic() >= recorder.pulse_due:
            watch.pulse(recorder.pulse())
    probe = rows if spec.view.rows else _probe(data, rows)
    train = cohort.evaluate(data, probe, zero=spec.view.zero)
    held_out = cohort.evaluate(data, data.validation) if spec.evaluate else None
    recorder.epoch(cohort.rates(begun).learning_rate, train, held_out)
    watch.epoch(recorder)


def view_of(rows: Rows, view: View) -> Rows:
    """The rows that the trial trains on."""
    return rows if view.rows is None else rows.part(np.array(view.rows))


def _yardstick(spec: TrialSpec, data: Dataset, rows: Rows) -> Yardstick:
    """For a trial on these training rows."""
    loss, classes, smoothing = LOSSES[spec.loss], data.n_classes, spec.rates.label_smoothing
    share = np.bincount(rows.y, minlength=classes) / len(rows.y)
    floor = loss.floor(classes, smoothing)
    return Yardstick(
        len(data.validation.y), len(_probe(data, rows).y), loss.indifferent(classes),
        loss.constant(share), loss.constant(share, smoothing) - floor, floor,
    )  # fmt: skip


def _inputs(
    data: Dataset, rows: Rows, index: NDArray[np.intp], view: View, *, draw: tuple[int, int, int]
) -> Array:
    """One minibatch (N, D) as the network sees it; the cohort shares what `draw` decides."""
    if view.zero:
        return np.zeros((len(index), data.inputs), np.float32)
    return data.augmented(rows, index, view.augment, draw)


def _probe(data: Dataset, rows: Rows) -> Rows:
    """As many training rows as there are for validation: the same standard error for both."""
    size = min(len(rows.y), len(data.validation.y), PROBE)
    return rows.part(slice(size))
