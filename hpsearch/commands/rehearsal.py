"""`hpsearch search --dry-run`: the trials that would be trained, and how long it would take."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from hpsearch import cohort, pausing
from hpsearch.blas import usable_cores
from hpsearch.runner import Runner
from hpsearch.spec import Budget, TrialSpec
from hpsearch.stages import search
from hpsearch.training import Watch, train_cohort

ITERATIONS = 20  # timed, after as many to warm up
SHOWN = 20


@dataclass(frozen=True)
class Rehearsal:
    """The trials still to be trained, and an estimate of what they cost, from a few timed steps.

    `specs` are those whose hparams are known, `trials` counts all; steps, epochs and seconds are
    those of all. `remark` says why there are not as many as were asked for, if so.
    """

    stage: str
    specs: list[TrialSpec]
    trials: int
    trial_steps: int
    trial_epochs: int
    seconds: float
    remark: str = ""

    def to_json(self) -> dict[str, Any]:
        trials = [{"trial": s.id, "hparams": dict(s.hparams)} for s in self.specs]
        return {
            "stage": self.stage, "trials": trials, "trials_to_train": self.trials,
            "trial_steps": self.trial_steps, "trial_epochs": self.trial_epochs,
            "estimated_seconds": round(self.seconds, 2), "remark": self.remark,
        }  # fmt: skip

    def view(self) -> RenderableType:
        if not self.specs:
            return Text(f"{self.stage}: all its trials are done, none is left to train")
        table = Table(box=None, pad_edge=False)
        names = list(dict.fromkeys(name for spec in self.specs for name in spec.hparams))
        for column in ("trial", *names):
            table.add_column(column, justify="right")
        for spec in self.specs[:SHOWN]:
            table.add_row(str(spec.id), *(Text(_short(spec.hparams.get(n))) for n in names))
        more = [Text(line, style="dim") for line in self._more()]
        cost = f"{self.trial_epochs} trial-epochs, about {self.seconds:.0f} s"
        head = Text(f"{self.stage}: {self.trials} trials to train, {cost}")
        return Group(head, table, *more)

    def _more(self) -> Iterator[str]:
        """What the table does not show, and why."""
        rest, later = len(self.specs) - SHOWN, self.trials - len(self.specs)
        if rest > 0:
            yield f"... and {rest} more"
        if later:
            yield f"... and {later} that depend on what these show (search.sampler: tpe)"
        if self.remark:
            yield self.remark


def _short(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, tuple):
        return "-".join(map(str, value))
    return f"{value:.3e}" if isinstance(value, float) else str(value)


def rehearse(runner: Runner, name: str) -> Rehearsal:
    """Plans the stage and estimates its cost; writes nothing."""
    context = runner.context(name)
    if context.opened and not runner.store.has_results(name):
        context = replace(context, opened=None)
    done, drawing = runner.store.results(name), search.drawing_of(context)
    paused = runner.store.checkpoints(name).paused() if context.opened else []
    known = {result.id: result for result in [*paused, *done]}
    specs = search.plan(context, pausing.by_id(known))
    if not specs:
        return Rehearsal(name, [], 0, 0, 0, 0.0, drawing.remark)
    trials = drawing.total - sum(result.id < drawing.total for result in done)
    epochs = search.trial_epochs(context, pausing.by_id(known), specs)
    more = epochs / sum(spec.budget.ahead for spec in specs)
    steps = sum(len(spec.leg(len(runner.data.train))) for spec in specs)
    return Rehearsal(
        name, specs, trials, round(steps * more), epochs,
        _seconds(runner, specs) * more, drawing.remark,
    )  # fmt: skip


def _seconds(runner: Runner, specs: Sequence[TrialSpec]) -> float:
    """How long these trials will take, from a few timed steps of the first cohort."""
    tasks = cohort.tasks(specs, jobs=runner.jobs)
    first, all_costs = tasks[0], sum(task.cost for task in tasks)
    first_steps = sum(len(spec.leg(len(runner.data.train))) for spec in first.specs)
    each = _seconds_per_trial_step(runner, first)
    at_once = min(runner.jobs, usable_cores(), len(tasks))
    return each * first_steps * all_costs / first.cost / at_once


def _seconds_per_trial_step(runner: Runner, task: cohort.Task) -> float:
    budget = Budget(1, ITERATIONS)
    calm = {"learning_rate": 1e-9}  # so that no trial leaves the cohort while it is timed
    specs = tuple(
        replace(s, budget=budget, evaluate=False, rates=replace(s.rates, **calm))
        for s in task.specs
    )
    timed = cohort.Task(specs)
    train_cohort(timed, runner.data, Watch(stop=runner.watch.stop))
    started = time.perf_counter()
    results = train_cohort(timed, runner.data, Watch(stop=runner.watch.stop))
    steps = sum(result.step for result in results)
    return (time.perf_counter() - started) / max(steps, 1)
