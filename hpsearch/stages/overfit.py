"""Overfit: learn a few examples by heart, or say why that cannot be done (CS231n step 2)."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpsearch.data import Dataset
from hpsearch.nn.losses import LOSSES
from hpsearch.spec import Budget, TrialSpec, View
from hpsearch.stages.context import Context, Stage, chance, seed
from hpsearch.stages.learning import (
    FIXES,
    WORDS,
    Outcome,
    diagnose,
    double_softmax,
    remedy,
    undecided,
)
from hpsearch.trial import Status, TrialResult
from hpsearch.verdict import Check, CheckDocument, Verdict

VERDICTS = {"pass": Verdict.PASS, "almost": Verdict.WARN}

# What is switched off while the examples are learnt: all that would keep them from being learnt.
PLAIN: dict[str, Any] = {
    "optimizer": "sgd", "schedule": "constant", "patience": None, "evaluate": False,
}  # fmt: skip
PLAIN_RATES = {"weight_decay": 0.0, "warmup_epochs": 0.0, "dropout": 0.0, "label_smoothing": 0.0}


def plan(context: Context, done: Sequence[TrialResult]) -> list[TrialSpec]:
    """The same few rows at every rate of the ladder: full batch, plain SGD, no regularisation.
    Where the best of them has learnt some of them, it gets more epochs, and so does a third of it
    in case it is too large in the end: a sigmoid takes its time.
    """
    settings = context.config.overfit
    rates = ladder(context)
    specs = [_spec(context, n, rate, settings.epochs) for n, rate in enumerate(rates)]
    outcome = outcome_of(context, [r for r in done if r.id < len(rates)])
    if outcome and settings.longer > 1 and undecided(outcome):
        best = outcome.best.number("learning_rate")
        epochs = settings.epochs * settings.longer
        more = enumerate((best, best / 3), len(rates))
        specs += [_spec(context, number, rate, epochs) for number, rate in more]
    return specs


def _spec(context: Context, number: int, rate: float, epochs: int) -> TrialSpec:
    rows = examples(context.data, context.config.overfit.examples)
    return context.spec(
        number, Budget(epochs), seed=seed(context.config.seed, context.stage, 0),
        batch_size=len(rows), view=View(rows=rows), hparams={"learning_rate": rate},
        rates=PLAIN_RATES, **PLAIN,
    )  # fmt: skip


def ladder(context: Context) -> list[float]:
    """The rates tried, descending; the configured one among them."""
    rates = {*context.config.overfit.learning_rates, context.config.train.learning_rate}
    return sorted(rates, reverse=True)


def examples(data: Dataset, wanted: int) -> tuple[int, ...]:
    """The first rows of the training set; where they are all of one class, some of each class."""
    y = data.train.y
    first = np.arange(min(wanted, len(y)))
    if len(np.unique(y[first])) > 1:
        return tuple(map(int, first))
    rank = np.zeros(len(y), int)  # a row's number among those of its class
    for label in np.unique(y):
        rank[y == label] = np.arange((y == label).sum())
    return tuple(int(row) for row in np.argsort(rank, kind="stable")[: len(first)])


def contradictions(x: NDArray[np.floating], y: NDArray[np.int64]) -> int:
    """How many rows must be wrong: equal ones (N, D) that differ in their labels (N,)."""
    _, group = np.unique(x, axis=0, return_inverse=True)
    pairs, counts = np.unique(np.stack([group.ravel(), y]), axis=1, return_counts=True)
    most = np.zeros(len(y), int)
    np.maximum.at(most, pairs[0], counts)
    return len(y) - int(most.sum())


def outcome_of(context: Context, done: Sequence[TrialResult]) -> Outcome | None:
    """What the best rate reached; None where all diverged, or none has been tried."""
    finished = [r for r in done if r.status is Status.DONE]
    if not finished:
        return None
    best = min(finished, key=lambda r: (r.curves.train_loss[-1], r.id))
    data, settings = context.data, context.config.overfit
    rows = np.array(examples(data, settings.examples))
    y = data.train.y[rows]
    loss = context.config.train.loss
    return Outcome(
        done, best, chance=chance(context), limits=settings,
        label_entropy=LOSSES[loss].constant(np.bincount(y, minlength=data.n_classes) / len(y)),
        floor=double_softmax(data.n_classes) if loss == "softmax" else None,
        examples=len(y), contradictions=contradictions(data.batch(data.train, rows), y),
    )  # fmt: skip


def judge(context: Context, done: Sequence[TrialResult]) -> CheckDocument:
    settings = context.config.overfit
    target, outcome = settings.loss * chance(context), outcome_of(context, done)
    table = [
        {
            "learning_rate": r.number("learning_rate"), "status": str(r.status),
            "epochs": r.epochs, "first_loss": r.losses[0][1],
            "loss": r.curves.train_loss[-1] if r.curves.train_loss else None,
            "accuracy": r.curves.train_accuracy[-1] if r.curves.train_accuracy else None,
        }
        for r in sorted(done, key=lambda r: r.id)
    ]  # fmt: skip
    if outcome is None:
        said = "the loss explodes at every learning rate: explodes"
        fix, diagnosis = FIXES["explodes"], "explodes"
        check = Check("overfit", Verdict.FAIL, math.inf, target, said, fix, diagnosis)
        return CheckDocument("overfit", (check,), {"rates": table, "curve": []})
    best, rate = outcome.best, outcome.best.number("learning_rate")
    count = len(examples(context.data, settings.examples))
    message = (
        f"{count} examples: loss {outcome.first:.4g} -> {outcome.loss:.3g}, accuracy"
        f" {outcome.accuracy:.0%} at learning rate {rate:g} after {best.epochs} epochs"
    )
    facts = {
        "rates": table, "curve": best.curves.train_loss, "learning_rate": rate,
        "epochs": best.epochs,
    }  # fmt: skip
    check = _check(outcome, target, message)
    return CheckDocument("overfit", (check,), facts)


def _check(outcome: Outcome, target: float, message: str) -> Check:
    """The one check; of examples that no network could learn, a warning where all others were."""
    diagnosis = diagnose(outcome)
    verdict, fix = VERDICTS.get(diagnosis, Verdict.FAIL), remedy(outcome, diagnosis)
    said = message if verdict is Verdict.PASS else f"{message}: {WORDS[diagnosis]}"
    if outcome.contradictions:
        said += f"; {outcome.contradictions} cannot be learnt: equal rows that differ in label"
    if outcome.contradictions and diagnosis == "partial":
        verdict = Verdict.WARN if outcome.all_that_can_be else verdict
        fix = "correct or drop those rows (see `hpsearch data`, duplicate-rows)"
    return Check("overfit", verdict, outcome.loss, target, said, fix, diagnosis)


STAGE = Stage("overfit", plan, judge, ("data", "model", "train", "overfit"))
