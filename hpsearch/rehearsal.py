"""`hpsearch search --dry-run`: the trials that would be trained, and how long it would take."""

import time
from dataclasses import dataclass, replace
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from hpsearch import cohort
from hpsearch.blas import usable_cores
from hpsearch.runner import Runner
from hpsearch.stages import search
from hpsearch.training import Watch, train_cohort
from hpsearch.trial import Budget, TrialSpec

ITERATIONS = 20  # timed, after as many to warm up
SHOWN = 20


@dataclass(frozen=True)
class Rehearsal:
    """The trials still to be trained and an estimate of the time, from a few timed steps."""

    stage: str
    specs: list[TrialSpec]
    trial_steps: int
    seconds: float

    def to_json(self) -> dict[str, Any]:
        trials = [{"trial": s.id, "hparams": dict(s.hparams)} for s in self.specs]
        head = {"stage": self.stage, "trials": trials, "trial_steps": self.trial_steps}
        return {**head, "estimated_seconds": round(self.seconds, 2)}

    def view(self) -> RenderableType:
        if not self.specs:
            return Text(f"{self.stage}: all its trials are done, none is left to train")
        table = Table(box=None, pad_edge=False)
        names = list(self.specs[0].hparams)
        for column in ("trial", *names):
            table.add_column(column, justify="right")
        for spec in self.specs[:SHOWN]:
            table.add_row(str(spec.id), *(Text(_short(spec.hparams[n])) for n in names))
        rest = len(self.specs) - SHOWN
        more = [Text(f"... and {rest} more", style="dim")] if rest > 0 else []
        head = Text(f"{self.stage}: {len(self.specs)} trials to train, about {self.seconds:.0f} s")
        return Group(head, table, *more)


def _short(value: object) -> str:
    if isinstance(value, tuple):
        return "-".join(map(str, value))
    return f"{value:.3e}" if isinstance(value, float) else str(value)


def rehearse(runner: Runner, name: str) -> Rehearsal:
    """Plans the stage and times a few steps of its first cohort; writes nothing."""
    context = runner.context(name)
    if context.opened and not runner.store.results(name):
        context = replace(context, opened=None)
    done = {result.id for result in runner.store.results(name)}
    specs = [spec for spec in search.plan(context, []) if spec.id not in done]
    steps = sum(spec.steps(len(runner.data.train)) for spec in specs)
    if not specs:
        return Rehearsal(name, [], 0, 0.0)
    tasks = cohort.tasks(specs, jobs=runner.jobs)
    first, all_costs = tasks[0], sum(task.cost for task in tasks)
    first_steps = sum(spec.steps(len(runner.data.train)) for spec in first.specs)
    each = _seconds_per_trial_step(runner, first)
    at_once = min(runner.jobs, usable_cores(), len(tasks))
    seconds = each * first_steps * all_costs / first.cost / at_once
    return Rehearsal(name, specs, steps, seconds)


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
