"""A peer: Optuna's TPE sampler and Hyperband pruner on hpsearch's trainer; prints one JSON line.

Run as `python -m benchmarks.peer_optuna WORK`, WORK being JSON. One trial after another, each a
cohort of its own, told to Optuna and perhaps pruned after every epoch, until `budget` trial-epochs
are spent; all settings but those of Hyperband's rungs are Optuna's defaults.
"""

from benchmarks import measure  # first: it sets the threads  # isort: skip  # noqa: F401

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import optuna

from benchmarks import halving, searches
from benchmarks.anytime import Trained, total
from hpsearch.cohort import Task
from hpsearch.config.schema import Config
from hpsearch.recorder import Recorder
from hpsearch.spec import Budget
from hpsearch.stages.context import Context
from hpsearch.training import Watch, train_cohort
from hpsearch.trial import Status


@dataclass
class Objective:
    """What Optuna is to maximise; `trained` are the trials so far, as `Trained`."""

    context: Context
    work: dict[str, Any]
    trained: list[Trained] = field(default_factory=list)

    def __call__(self, trial: optuna.Trial) -> float:
        space = halving.SPACES[self.work["dataset"]]
        hparams = {
            name: trial.suggest_float(name, *kind["log_uniform"], log=True)
            for name, kind in space.items()
        }
        spec = self.context.spec(trial.number, Budget(self.work["epochs"]), hparams=hparams)
        seen: list[float] = []
        self.trained.append(Trained(0, seen))

        def tell(recorder: Recorder) -> None:
            seen.append(recorder.curves[0].val_accuracy[-1])
            self.trained[-1] = Trained(len(seen), seen)
            trial.report(seen[-1], len(seen))
            if trial.should_prune() or self.is_over:
                raise optuna.TrialPruned

        data = self.context.data
        (result,) = train_cohort(Task((spec,)), data, Watch(epoch=tell))
        begun = -(-result.step // -(-len(data.train) // spec.batch_size))
        self.trained[-1] = Trained(begun, seen)
        if result.status is Status.DIVERGED:
            raise optuna.TrialPruned
        return result.value

    @property
    def is_over(self) -> bool:
        """Whether the budget is spent."""
        return total(self.trained) >= self.work["budget"]


def main(work: dict[str, Any]) -> list[Trained]:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    path = Path(work["path"]) if work["path"] else None
    search = searches.Search(work["dataset"], path, work["trials"], work["epochs"])
    config = Config.model_validate(halving.config(search, work["seed"], None))
    data = searches.loaded(search, work["seed"])
    objective = Objective(Context(config, data, "coarse"), work)
    study = optuna.create_study(
        direction="maximize", study_name=f"seed {work['seed']}",  # the name decides the brackets
        sampler=optuna.samplers.TPESampler(seed=work["seed"]),
        pruner=optuna.pruners.HyperbandPruner(
            min_resource=1, max_resource=work["epochs"], reduction_factor=work["eta"]
        ),
    )  # fmt: skip
    study.optimize(objective, callbacks=[lambda s, _: s.stop() if objective.is_over else None])
    return objective.trained


if __name__ == "__main__":
    print(json.dumps({"trained": main(json.loads(sys.argv[1]))}))
