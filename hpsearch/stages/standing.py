"""How the trials of a search stand: by the metric, or by the loss where all is chance."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from hpsearch.reading import LEARNT
from hpsearch.search.evidence import Trials
from hpsearch.stages.context import Context, baseline, majority
from hpsearch.trial import Status, TrialResult, standard_error

DIRECT = ("sgd", "momentum", "nesterov", "adamw")  # in which rate x decay shrinks the weights
DECAY_ALONE = 1.0  # rate x decay from which a divergence is put down to the decay
CLEARANCE = 0.5  # of the smallest diverging rate: as far as a range may be widened


class Standing(NamedTuple):
    """The completed trials, best first, and their scores. `by_loss` says that none has learnt,
    so that the drop of the training loss ranks them.
    """

    results: Sequence[TrialResult]
    trials: Trials
    by_loss: bool


def standing(context: Context, best: Sequence[TrialResult]) -> Standing:
    """How the completed trials stand; `best` are they by the metric, and there is one at least."""
    learning = [result for result in best if learnt(context, result)]
    if above_chance(context, learning) or not any(drop(result) > 0 for result in best):
        scores = np.array([result.score for result in best])
        errors = np.array([error_of(result, context) for result in best])
        return Standing(best, Trials([r.hparams for r in best], scores, errors), False)
    ordered = sorted(best, key=lambda result: (-drop(result), result.id))
    drops = np.array([drop(result) for result in ordered])
    trials = Trials([r.hparams for r in ordered], drops, np.zeros(len(drops)))
    return Standing(ordered, trials, True)


def drop(result: TrialResult) -> float:
    """By how much the training loss fell from the first epoch's mean to the last one's. What is
    learnt within the first epoch is left out: so does a net that a large rate kills.
    """
    curve = result.curves.train_loss
    fall = curve[0] - curve[-1] if len(curve) else 0.0
    return fall if math.isfinite(fall) else 0.0


def learnt(context: Context, result: TrialResult) -> bool:
    """Whether the training loss came below that of the best answer that ignores the input. It
    must, for an accuracy to count: those of untrained networks differ by more than chance.
    """
    return min(result.curves.train_loss, default=math.inf) < (1 - LEARNT) * baseline(context)


def above_chance(context: Context, best: Sequence[TrialResult]) -> bool:
    """Whether some trial beats what needs no learning by three standard errors."""
    chance, rows = baseline_of(context), len(context.data.validation.y)
    needed = chance + 3 * standard_error(chance, rows)
    return any(result.at_best(accuracy_of(context)) > needed for result in best)


def baseline_of(context: Context) -> float:
    """What needs no learning: the majority class's accuracy, or chance if classes weigh alike."""
    if context.config.search.metric == "val_balanced_accuracy":
        return 1 / context.data.n_classes
    return majority(context.data)


def accuracy_of(context: Context) -> str:
    """The accuracy that goes with the searched metric."""
    balanced = context.config.search.metric == "val_balanced_accuracy"
    return "val_balanced_accuracy" if balanced else "val_accuracy"


def error_of(result: TrialResult, context: Context) -> float:
    """The standard error of the searched metric; 0 where it is a loss, which has none here."""
    if context.config.search.metric == "val_loss":
        return 0.0
    return standard_error(result.value, len(context.data.validation.y))


def diverging_rate(context: Context, done: Sequence[TrialResult]) -> float | None:
    """The smallest learning rate from which on nothing trains, as the sweep and the trials tell;
    None where nothing diverged. Trials that their weight decay alone would lose (plain SGD does
    beyond rate x decay = 2) tell nothing of the rate.
    """
    results = [r for earlier in context.rounds for r in earlier.results] + list(done)
    highest = max((_rate(r) for r in results if r.status is Status.DONE), default=0.0)
    diverging = [
        _rate(r)
        for r in results
        if r.status is Status.DIVERGED and _rate(r) > highest and not _decayed(context, r)
    ]
    sweep = context.checks.get("sweep")
    if sweep and sweep.facts.get("diverging") and sweep.facts["diverging"] > highest:
        diverging.append(sweep.facts["diverging"])
    return min(diverging, default=None)


def diverging_limit(context: Context, name: str, done: Sequence[TrialResult]) -> float | None:
    """Half the rate from which on nothing trains; None for other hparams than the rate."""
    rate = diverging_rate(context, done) if name == "learning_rate" else None
    return None if rate is None else CLEARANCE * rate


def _rate(result: TrialResult) -> float:
    return result.number("learning_rate")


def _decayed(context: Context, result: TrialResult) -> bool:
    """Whether the trial was lost to its weight decay, where that scales the weights directly."""
    train, decay = context.config.train, result.number("weight_decay")
    optimizer = result.hparams.get("optimizer", train.optimizer)
    if "weight_decay" not in result.hparams:
        decay = train.weight_decay
    return optimizer in DIRECT and _rate(result) * decay >= DECAY_ALONE
