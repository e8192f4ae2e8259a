"""`hpsearch replay`: a trial trained again from its record, and compared number by number."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rich.text import Text
from threadpoolctl import threadpool_limits

from hpsearch.cohort import Task
from hpsearch.errors import UsageError
from hpsearch.runner import Runner
from hpsearch.spec import TrialSpec
from hpsearch.stages import final, search
from hpsearch.training import train_cohort
from hpsearch.trial import Status, TrialResult

UNTIMED = ("seed", "losses", "curves", "status", "best_epoch", "step", "epochs", "reason")
ENDED = ("status", "reason")  # how a trial ends that the search has given up
MISSING = "nothing"


@dataclass(frozen=True)
class Difference:
    """The first place at which the trial came out another way: stored, and now."""

    place: str
    stored: Any
    now: Any


@dataclass(frozen=True)
class Replay:
    """What came of it: how many values are the same, up to the first difference."""

    trial: str
    same: int
    difference: Difference | None

    @property
    def match(self) -> bool:
        return self.difference is None

    def to_json(self) -> dict[str, Any]:
        found = vars(self.difference) if self.difference else None
        return {"trial": self.trial, "match": self.match, "same": self.same, "difference": found}

    def view(self) -> Text:
        if self.difference is None:
            return Text(f"match: all {self.same} stored values of {self.trial}", style="green")
        at = self.difference
        said = f"differs at {at.place}: stored {at.stored}, now {at.now}"
        return Text(f"{self.trial} {said}; the {self.same} values before it match", style="red")


def replay(runner: Runner, trial: str) -> Replay:
    """Trains `trial` (`coarse/41`) again, alone, and compares every number that is stored of it;
    writes nothing. UsageError where there is no such trial, or none of its numbers.
    """
    stored = stored_trial(runner, trial)
    runner.verify()
    if stored.status is Status.FAILED:
        raise UsageError(f"{trial}: has no numbers to compare: it failed ({stored.reason})")
    spec = spec_of(runner, stored)
    if stored.status is Status.PRUNED:
        spec = replace(spec, budget=replace(spec.budget, pause=stored.epochs))
    runner.view.begin("replay", 1, spec.steps(len(runner.data.train)))
    with threadpool_limits(1), runner.watch.in_training():
        now = train_cohort(Task((spec,)), runner.data, runner.watch)[0]
    runner.view.trial(now)
    return compared(trial, stored, now)


def stored_trial(runner: Runner, trial: str) -> TrialResult:
    """A finished trial by its name; UsageError where there is none."""
    stage, _, number = trial.partition("/")
    stages = [*runner.store.search_stages(), *([final.NAME] if _has_final(runner) else [])]
    if stage not in stages or not (number.isascii() and number.isdecimal()):
        there = ", ".join(stages) or "none yet"
        raise UsageError(f"TRIAL {trial}: must be STAGE/ID, say coarse/41; stages here: {there}")
    found = runner.store.result(stage, int(number))
    if found is None:
        count = runner.store.finished(stage)
        raise UsageError(f"TRIAL {trial}: is not among the {count} finished trials of {stage}")
    return found


def _has_final(runner: Runner) -> bool:
    return runner.store.final_document() is not None


def spec_of(runner: Runner, stored: TrialResult) -> TrialSpec:
    """How the trial was trained, from the config, its id and its hparams."""
    context = runner.context(stored.stage)
    if stored.stage != final.NAME:
        return search.spec_of(context, stored.id, stored.hparams)
    document = runner.store.final_document()
    found = final.retrained(document, stored.id) if document else None
    if found is None:
        raise UsageError(
            f"final/{stored.id}: belongs to an earlier choice, of which final.json says no more"
        )
    return final.spec_of(context, *found)


def compared(trial: str, stored: TrialResult, now: TrialResult) -> Replay:
    """The records side by side, up to the first difference."""
    ended = ENDED if stored.status is Status.PRUNED else ()
    names = [name for name in UNTIMED if name not in ended]
    old, new = (_parts(result.to_json(), names) for result in (stored, now))
    same = 0
    for part in dict.fromkeys([*old, *new]):
        before, after = old.get(part, {}), new.get(part, {})
        for place in dict.fromkeys([*before, *after]):
            was, is_ = before.get(place, MISSING), after.get(place, MISSING)
            if was != is_:
                return Replay(trial, same, Difference(f"{part}{place}", was, is_))
            same += 1
    return Replay(trial, same, None)


def _parts(record: Mapping[str, Any], names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The parts of a trial's record, each with its values by their place in it."""
    found: dict[str, dict[str, Any]] = {}
    for name in names:
        value = record[name]
        if name == "losses":
            found[name] = {f", step {step}": loss for step, loss in value}
        elif name == "curves":
            for curve, numbers in value.items():
                epochs = {f", epoch {n}": each for n, each in enumerate(numbers, start=1)}
                found[f"curves.{curve}"] = epochs
        else:
            found[name] = {"": value}
    return found
