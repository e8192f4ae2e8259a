"""How the trials of a search stand: by the metric, or by the loss where all is chance."""

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from hpsearch.reading import LEARNT
from hpsearch.search.evidence import Trials
from hpsearch.stages.context import Context, baseline, majority
from hpsearch.stages.gathering import Comparable
from hpsearch.trial import Status, TrialResult, standard_error

DIRECT = ("sgd", "momentum", "nesterov", "adamw")  # in which rate x decay shrinks the weights
DECAY_ALONE = 1.0  # rate x decay from which a divergence is put down to the decay
TAIL = 1 - NormalDist().cdf(3)  # how rarely three standard errors are luck
CLEARANCE = 0.5  # of the smallest diverging rate: as far as a range may be widened


class Standing(NamedTuple):
    """The trials that count, best first, and their scores. `by_loss` says that none has learnt,
    so that the drop of the training loss ranks them.
    """

    results: Sequence[TrialResult]
    trials: Trials
    by_loss: bool


def standing(context: Context, found: Sequence[Comparable]) -> Standing:
    """How the trials stand; `found` are they by the metric, and there is one at least."""
    results = [each.result for each in found]
    learning = [result for result in results if learnt(context, result)]
    blind = _by_drop(results)
    if above_chance(context, learning) or not any(drop > 0 for drop, _ in blind):
        scores = np.array([each.score for each in found])
        errors = np.array([_error(each, context) for each in found])
        return Standing(results, Trials([r.hparams for r in results], scores, errors), False)
    ordered = [result for _, result in blind]
    drops = np.array([drop for drop, _ in blind])
    return Standing(ordered, Trials([r.hparams for r in ordered], drops, 0 * drops), True)


def _by_drop(results: Sequence[TrialResult]) -> list[tuple[float, TrialResult]]:
    """The trials by the drop of the training loss, the largest first. Where trials were pruned,
    until the first rung at which there is one: only so far can they be compared.
    """
    rungs = [r.epochs for r in results if r.status is Status.PRUNED and r.epochs > 1]
    until = min(rungs, default=None)
    there = [r for r in results if r.status is Status.DONE or r.epochs >= (until or math.inf)]
    drops = [(drop(result, until), result) for result in there]
    return sorted(drops, key=lambda each: (-each[0], each[1].id, each[1].stage))


def drop(result: TrialResult, until: int | None = None) -> float:
    """By how much the training loss fell from the first epoch's mean to the last one's. What is
    learnt within the first epoch is left out: so does a net that a large rate kills.
    """
    curve = result.curves.train_loss[:until]
    fall = curve[0] - curve[-1] if len(curve) else 0.0
    return fall if math.isfinite(fall) else 0.0


def learnt(context: Context, result: TrialResult) -> bool:
    """Whether the training loss came below that of the best answer that ignores the input. It
    must, for an accuracy to count: those of untrained networks differ by more than chance.
    """
    return min(result.curves.train_loss, default=math.inf) < (1 - LEARNT) * baseline(context)


def above_chance(context: Context, best: Sequence[TrialResult]) -> bool:
    """Whether some trial beats what needs no learning by more than the best of so many would by
    chance; on too few rows for that, by three standard errors.
    """
    chance = baseline_of(context)
    needed = clear_of(chance, context, trials=len(best))
    needed = needed if needed < 1 else clear_of(chance, context)
    return any(result.at_best(accuracy_of(context)) > needed for result in best)


def clear_of(chance: float, context: Context, *, trials: int = 1) -> float:
    """The accuracy that is above `chance` by three standard errors of the validation rows; of the
    best of several `trials` by as many more as make that as rare by luck (Bonferroni).
    """
    errors = NormalDist().inv_cdf(1 - TAIL / max(1, trials))
    return chance + errors * standard_error(chance, len(context.data.validation.y))


def baseline_of(context: Context) -> float:
    """What needs no learning: the majority class's accuracy, or chance if classes weigh alike."""
    if context.config.search.metric == "val_balanced_accuracy":
        return 1 / context.data.n_classes
    return majority(context.data)


def accuracy_of(context: Context) -> str:
    """The accuracy that goes with the searched metric."""
    balanced = context.config.search.metric == "val_balanced_accuracy"
    return "val_balanced_accuracy" if balanced else "val_accuracy"


def _error(each: Comparable, context: Context) -> float:
    """The standard error of a score: of what was measured, and of what would have been gained."""
    return math.hypot(error_of(each.score, context), each.spread)


def error_of(score: float, context: Context) -> float:
    """The standard error of the searched metric; 0 where it is a loss, which has none here."""
    if context.config.search.metric == "val_loss":
        return 0.0
    return standard_error(score, len(context.data.validation.y))


def diverging_rate(context: Context, done: Sequence[TrialResult]) -> float | None:
    """The smallest learning rate from which on nothing trains, as the sweep and the trials tell;
    None where nothing diverged. Trials that their weight decay alone would lose (plain SGD does
    beyond rate x decay = 2) tell nothing of the rate.
    """
    results = [r for earlier in context.rounds for r in earlier.results] + list(done)
    trained = (Status.DONE, Status.PRUNED)
    highest = max((_rate(r) for r in results if r.status in trained), default=0.0)
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
