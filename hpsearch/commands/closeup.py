"""`hpsearch train`: one model, watched closely epoch by epoch, its weights saved."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text
from threadpoolctl import threadpool_limits

from hpsearch.cohort import Task
from hpsearch.curves import ACTIONS
from hpsearch.errors import UsageError
from hpsearch.portable import portable
from hpsearch.recorder import Recorder
from hpsearch.report.charts import sparkline
from hpsearch.runner import Runner
from hpsearch.spec import Budget, TrialSpec
from hpsearch.stages import search
from hpsearch.training import train_cohort
from hpsearch.trial import Status, TrialResult

HEAD = "epoch  train loss  train acc   val loss    val acc  |update|/|w|  learning rate"


@dataclass(frozen=True)
class Closeup:
    """What came of it; `path` is where the weights of the best epoch lie."""

    result: TrialResult
    path: Path | None

    @property
    def diverged(self) -> bool:
        return self.result.status is Status.DIVERGED

    def to_json(self) -> dict[str, Any]:
        weights = str(self.path) if self.path else None
        return {**self.result.to_json(), "weights": weights}

    def view(self) -> RenderableType:
        result, curves = self.result, self.result.curves
        lines = (
            []
            if not curves.val_loss
            else [
                Text(f"val accuracy {sparkline(curves.val_accuracy, 40)}"),
                Text(f"val loss     {sparkline(curves.val_loss, 40)}"),
            ]
        )
        if self.diverged:
            lines.append(Text(f"diverged: {result.reason}; {ACTIONS[result.verdict]}", "red"))
        else:
            accuracy, loss = result.at_best("val_accuracy"), result.at_best("val_loss")
            said = f"best epoch {result.best_epoch}: val accuracy {accuracy:.4f}, loss {loss:.4f}"
            lines.append(Text(said, "green"))
            lines += [Text(result.reason)] if result.reason else []
            word = result.verdict
            lines.append(Text(f"curves: {word.replace('-', ' ')}; {ACTIONS[word]}"))
            lines.append(Text(f"weights: {self.path}"))
        return Group(*lines)


def train_one(
    runner: Runner, *, trial: str | None, epochs: int | None, say: Callable[[str], None]
) -> Closeup:
    """Trains the configured model or a trial (`coarse/41`); a line per epoch to `say`."""
    if trial:
        runner.verify()
    spec = _spec_of(runner, trial) if trial else _configured(runner)
    if epochs:
        spec = replace(spec, budget=Budget(epochs))
    runner.view.begin("train", 1, spec.steps(len(runner.data.train)))
    say(HEAD)
    watch = replace(runner.watch, epoch=lambda recorder: say(_line(recorder)))
    with threadpool_limits(1):
        result = train_cohort(Task((spec,)), runner.data, watch)[0]
    runner.files.verify()
    runner.view.trial(result)
    path = None
    if result.weights is not None:
        name = f"models/{trial.replace('/', '-')}" if trial else "models/train"
        name += f"-{epochs}-epochs" if trial and epochs else ""
        model = portable(runner.config, runner.data, result)
        path = runner.store.write_weights(name, result.id, model)
    return Closeup(result, path)


def _configured(runner: Runner) -> TrialSpec:
    return runner.context("train").spec(0, Budget(runner.config.train.epochs))


def _spec_of(runner: Runner, trial: str) -> TrialSpec:
    """The spec of a finished trial, from its own record: it trains to the same numbers again."""
    stage, _, number = trial.partition("/")
    stages = runner.store.search_stages()
    if stage not in stages or not (number.isascii() and number.isdecimal()):
        there = ", ".join(stages) or "none yet"
        raise UsageError(f"--trial {trial}: must be STAGE/ID, say coarse/41; stages here: {there}")
    found = [r for r in runner.store.results(stage) if r.id == int(number)]
    if not found:
        raise UsageError(f"--trial {trial}: no such trial is finished; hpsearch report lists them")
    return search.spec_of(runner.context(stage), found[0].id, found[0].hparams)


def _line(recorder: Recorder) -> str:
    """The last epoch as a row under HEAD."""
    curves = recorder.curves[0]
    if not curves.train_loss:
        return "no epoch was finished"
    return (
        f"{len(curves.train_loss):5d}  {curves.train_loss[-1]:10.4f}"
        f"  {curves.train_accuracy[-1]:9.4f}"
        f"  {curves.val_loss[-1]:9.4f}  {curves.val_accuracy[-1]:9.4f}"
        f"  {curves.update_ratio[-1]:12.2e}  {curves.learning_rate[-1]:13.3g}"
    )
