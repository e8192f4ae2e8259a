"""Overfit: learn a few examples by heart, or say why that cannot be done (CS231n step 2)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hpsearch.data import Dataset
from hpsearch.stages.context import Context, Stage, seed
from hpsearch.trial import Budget, Status, TrialResult, TrialSpec, View
from hpsearch.verdict import Check, CheckDocument, Verdict

PASS, WARN, FAIL = Verdict.PASS, Verdict.WARN, Verdict.FAIL

PLATEAU = 0.3  # of log C: a loss that stays above it has not learnt the examples

FIXES = {
    "pass": "",
    "almost": "more epochs: overfit.epochs",
    "double-softmax": "give the loss the logits, not probabilities",
    "stuck-at-log-c": "model.init: kaiming (relu) or xavier: dead units or zero weights",
    "stuck-at-label-entropy": "model.init and the inputs' scale: only the output bias learns",
    "partial": "more hidden units, or model.init: kaiming; or do equal rows differ in label?",
    "rises": "the sign of the gradient",
    "explodes": "smaller overfit.learning_rates, inputs or initial weights",
    "flat": "larger overfit.learning_rates, or another model.init: the gradients vanish",
}


def plan(context: Context, done: Sequence[TrialResult]) -> list[TrialSpec]:
    """The same few rows at every learning rate of the ladder: full batch, plain SGD, no decay."""
    settings = context.config.overfit
    rows = examples(context.data, settings.examples)
    shared = seed(context.config.seed, context.stage, 0)
    return [
        context.spec(
            number, Budget(settings.epochs), seed=shared, optimizer="sgd", schedule="constant",
            batch_size=len(rows), view=View(rows=rows, augment=False), evaluate=False, hparams={},
            rates={"learning_rate": rate, "weight_decay": 0.0, "warmup_epochs": 0.0},
        )
        for number, rate in enumerate(ladder(context))
    ]  # fmt: skip


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


@dataclass(frozen=True)
class Outcome:
    """What the best rate reached, and what the diagnosis depends on."""

    results: Sequence[TrialResult]
    best: TrialResult
    first: float
    loss: float
    accuracy: float
    log_c: float
    label_entropy: float
    target: float

    @property
    def falling(self) -> bool:
        """Whether the loss still fell by a tenth over the last quarter of the epochs."""
        curve = self.best.curves.train_loss
        return self.loss < 0.9 * curve[-1 - len(curve) // 4]


def judge(context: Context, done: Sequence[TrialResult]) -> CheckDocument:
    rates = dict(enumerate(ladder(context)))
    finished = [r for r in done if r.status is Status.DONE]
    table = [
        {
            "learning_rate": rates[r.id], "status": str(r.status), "first_loss": r.losses[0][1],
            "loss": r.curves.train_loss[-1] if r.curves.train_loss else None,
            "accuracy": r.curves.train_accuracy[-1] if r.curves.train_accuracy else None,
        }
        for r in done
    ]  # fmt: skip
    rows = examples(context.data, context.config.overfit.examples)
    log_c = math.log(context.data.n_classes)
    target = context.config.overfit.loss * log_c
    if not finished:
        check = _check("explodes", math.inf, target, "the loss explodes at every learning rate")
        return CheckDocument("overfit", (check,), {"rates": table, "curve": []})
    best = min(finished, key=lambda r: (r.curves.train_loss[-1], r.id))
    labels = np.bincount(context.data.train.y[list(rows)])
    share = labels[labels > 0] / labels.sum()
    outcome = Outcome(
        done, best, best.losses[0][1], best.curves.train_loss[-1], best.curves.train_accuracy[-1],
        log_c, float(-(share * np.log(share)).sum()), target,
    )  # fmt: skip
    diagnosis = diagnose(outcome, context.data.n_classes)
    message = (
        f"{len(rows)} examples: loss {outcome.first:.4g} -> {outcome.loss:.3g}, accuracy"
        f" {outcome.accuracy:.0%} at learning rate {rates[best.id]:g} after {best.epochs} epochs"
    )
    facts = {"rates": table, "curve": best.curves.train_loss, "learning_rate": rates[best.id]}
    return CheckDocument("overfit", (_check(diagnosis, outcome.loss, target, message),), facts)


def diagnose(outcome: Outcome, classes: int) -> str:
    """The first rule that fits, from success to the vaguest failure."""
    loss, log_c = outcome.loss, outcome.log_c
    learnt = outcome.accuracy == 1.0
    floor = math.log(math.e + classes - 1) - 1  # of a softmax fed with probabilities
    if learnt and loss <= outcome.target:
        return "pass"
    if learnt and abs(loss - floor) < 0.01 * floor:
        return "double-softmax"
    if (learnt and outcome.falling) or loss < PLATEAU * log_c:
        return "almost"
    if abs(loss - log_c) < 0.01 * log_c and not any(outcome.best.curves.update_ratio):
        return "stuck-at-log-c"
    if all(_rises(r) for r in outcome.results if r.status is Status.DONE):
        return "rises"
    if abs(loss - outcome.label_entropy) < 0.02 * outcome.label_entropy:
        return "stuck-at-label-entropy"
    return "flat" if loss > 0.99 * outcome.first else "partial"


def _rises(result: TrialResult) -> bool:
    """Never below where it began, and above it in the end."""
    losses = [loss for _, loss in result.losses]
    return losses[-1] > losses[0] and min(losses) >= losses[0]


def _check(diagnosis: str, loss: float, target: float, message: str) -> Check:
    verdict = {"pass": PASS, "almost": WARN}.get(diagnosis, FAIL)
    said = message if verdict is PASS else f"{message}: {diagnosis}"
    return Check("overfit", verdict, loss, target, said, FIXES[diagnosis], diagnosis)


STAGE = Stage("overfit", plan, judge, ("data", "model", "train", "overfit"))
