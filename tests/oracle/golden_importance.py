"""Optuna's PED-ANOVA of searches over every kind of hparam, and of the lecture's."""

import numpy as np
import optuna
from lecture import REFINED
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from searches import SIZES, SPACE, hparams, search, without_depth

from .golden import Arrays

optuna.logging.set_verbosity(optuna.logging.WARNING)
LECTURE = {"learning_rate": {"log_uniform": [1e-4, 1e-3]},
           "weight_decay": {"log_uniform": [1e-4, 1.0]}}  # fmt: skip


def distribution(written: dict) -> BaseDistribution:
    ((kind, values),) = written.items()
    if kind == "choice":
        return CategoricalDistribution(values)
    made = IntDistribution if kind.startswith("int") else FloatDistribution
    return made(*values, log="log" in kind)


def shares(space: dict, given: list[dict], scores: np.ndarray) -> list[float]:
    """Optuna's, with the best tenth of the trials, at least five, as its target."""
    study = optuna.create_study(direction="maximize")
    offered = {name: distribution(written) for name, written in space.items()}
    for one, score in zip(given, scores, strict=True):
        kinds = {name: offered[name] for name in one}
        study.add_trial(
            optuna.trial.create_trial(params=one, distributions=kinds, value=float(score))
        )
    evaluator = PedAnovaImportanceEvaluator(target_quantile=max(0.1, 5 / len(scores)))
    found = get_param_importances(study, evaluator=evaluator)
    return [found[name] for name in space]


def make() -> Arrays:
    arrays = {}
    for trials in SIZES:
        columns, scores = search(1, trials)
        arrays[f"shares_{trials}"] = np.array(shares(SPACE, hparams(columns), scores))
    columns, scores = search(3, 60)
    arrays["conditional"] = np.array(shares(SPACE, without_depth(hparams(columns)), scores))
    lecture = [{"learning_rate": rate, "weight_decay": decay} for _, rate, decay in REFINED]
    scores = np.array([row[0] for row in REFINED])
    return arrays | {"lecture": np.array(shares(LECTURE, lecture, scores))}
