"""An Optuna study in SQLite: `optuna-dashboard` opens it, `optuna.load_study` goes on with it.

One study per run, since its value is the history of the whole search; the stage is a user
attribute. The trials of `final` are left out: they repeat the winners, and would be best for
having been trained again. A trial that diverged or failed is FAIL, since it has no value that
Optuna could rank; which of the two it was is a user attribute.

What Optuna has no word for: a list is a text, 64-32; `one_minus_log_uniform` is a float on a plain
scale; `zero_or_log_uniform` is a switch, "weight_decay = 0", and a log scale for where it is off.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from hpsearch.exports.database import Rows, fill
from hpsearch.exports.packages import needed, quiet
from hpsearch.exports.source import Exported, Progress, best, facts, scalar
from hpsearch.search.distributions import Bounded, OneMinusLogUniform
from hpsearch.search.space import Choice, Distribution
from hpsearch.trial import Status, TrialResult

Param = tuple[Any, Any]  # a distribution, and a value in it


def write(run: Exported, target: Path, progress: Progress) -> None:
    """The file `target`; UsageError where Optuna is missing."""
    optuna = needed("optuna", "optuna", "Optuna")
    lower = run.metric.endswith("loss")

    def make(url: str) -> None:
        storage = optuna.storages.RDBStorage(url)
        study = optuna.create_study(
            storage=storage, study_name=run.name, direction="minimize" if lower else "maximize"
        )
        study.set_metric_names([run.metric])
        storage.remove_session()
        storage.engine.dispose()

    with quiet():
        fill(target, make, _rows(optuna, run, progress))


def frozen(optuna: Any, run: Exported) -> Iterator[Any]:
    """Every trial as Optuna itself has it, which checks that it is one."""
    hparams = {name: Hparam(optuna, run, name) for name in run.types}
    for result in run.searched:
        space, told = run.spaces[result.stage], dict[str, Param]()
        for name, value in result.hparams.items():
            told |= hparams[name].told(value, space.get(name))
        trial = optuna.trial.create_trial(
            state=_state(optuna, run, result), value=_value(run, result),
            params={name: value for name, (_, value) in told.items()},
            distributions={name: kind for name, (kind, _) in told.items()},
            user_attrs=facts(result) | {k: v for k, v in best(result).items() if math.isfinite(v)},
            intermediate_values=dict(enumerate(getattr(result.curves, run.metric), 1)),
        )  # fmt: skip
        trial.datetime_start, trial.datetime_complete = map(
            datetime.fromtimestamp, run.times(result)
        )
        yield trial


def _value(run: Exported, result: TrialResult) -> float | None:
    """The metric at the best epoch, of trials that went their way."""
    value = result.at_best(run.metric) if getattr(result.curves, run.metric) else math.nan
    ended = result.status in (Status.DONE, Status.PRUNED)
    return value if ended and not math.isnan(value) else None


def _state(optuna: Any, run: Exported, result: TrialResult) -> Any:
    states = optuna.trial.TrialState
    if result.status is Status.PRUNED:
        return states.PRUNED
    return states.FAIL if _value(run, result) is None else states.COMPLETE


class Hparam:
    """An hparam as Optuna is told of it. Between trials of one study only bounds may differ, so
    all stages have one kind, one scale and the same choices.
    """

    def __init__(self, optuna: Any, run: Exported, name: str) -> None:
        kinds = run.kinds(name)
        values = [r.hparams[name] for r in run.searched if name in r.hparams]
        self.name, self._kinds = name, optuna.distributions
        bounded = all(isinstance(kind, Bounded) for kind in kinds)
        self._listed = not bounded or run.types[name] is not float
        ranges = [kind for kind in kinds if isinstance(kind, Bounded)]
        self._log = bool(ranges) and all(
            kind.log and not isinstance(kind, OneMinusLogUniform) for kind in ranges
        )
        self._integer = all(isinstance(value, int) for value in values)
        self._zero = self._log and not self._listed and 0 in values
        self._choices = _choices(kinds, values) if self._listed else []

    def told(self, value: Any, kind: Distribution | None) -> dict[str, Param]:
        """The params that say `value`; `kind` is its range in its own stage."""
        if self._listed:
            choices = self._kinds.CategoricalDistribution(self._choices)
            return {self.name: (choices, scalar(value))}
        off = self._kinds.CategoricalDistribution((False, True))
        switch = {f"{self.name} = 0": (off, value == 0)} if self._zero else {}
        if switch and value == 0:
            return switch
        return switch | {self.name: self._number(value, kind)}

    def _number(self, value: float, kind: Distribution | None) -> Param:
        """A trial that was carried over may lie outside its stage's range, which then is wider."""
        low, high = kind.bounds if isinstance(kind, Bounded) else (value, value)
        kinds = self._kinds
        made = kinds.IntDistribution if self._integer else kinds.FloatDistribution
        return made(min(low, value), max(high, value), log=self._log), value


def _choices(kinds: Sequence[Distribution], values: Sequence[Any]) -> list[Any]:
    """All that any stage could choose or did, each once."""
    listed = [value for kind in kinds if isinstance(kind, Choice) for value in kind.values]
    return list({repr(scalar(value)): scalar(value) for value in [*listed, *values]}.values())


def _rows(optuna: Any, run: Exported, progress: Progress) -> Iterator[Rows]:
    """A trial's rows in the tables of Optuna's schema, v3.2.0.a, which 4.0 to 5.0 have."""
    for number, trial in enumerate(frozen(optuna, run)):
        key = {"trial_id": number + 1}
        yield {
            "trials": [{
                **key, "number": number, "study_id": 1, "state": trial.state.name,
                "datetime_start": trial.datetime_start.isoformat(" ", "microseconds"),
                "datetime_complete": trial.datetime_complete.isoformat(" ", "microseconds"),
            }],
            "trial_values": [
                {**key, "objective": 0, **_stored("value", value)} for value in trial.values or ()
            ],
            "trial_params": [
                {**key, "param_name": name,
                 "param_value": kind.to_internal_repr(trial.params[name]),
                 "distribution_json": optuna.distributions.distribution_to_json(kind)}
                for name, kind in trial.distributions.items()
            ],
            "trial_user_attributes": [
                {**key, "key": name, "value_json": json.dumps(value)}
                for name, value in trial.user_attrs.items()
            ],
            "trial_intermediate_values": [
                {**key, "step": step, **_stored("intermediate_value", value)}
                for step, value in trial.intermediate_values.items()
            ],
        }  # fmt: skip
        progress(number + 1, len(run.searched))


def _stored(column: str, value: float) -> Mapping[str, Any]:
    """A number as Optuna stores it: what is not finite as a word beside an empty cell."""
    finite = math.isfinite(value)
    word = "NAN" if math.isnan(value) else "INF_POS" if value > 0 else "INF_NEG"
    return {column: value if finite else None, f"{column}_type": "FINITE" if finite else word}
