"""Why a few examples were learnt by heart, or were not: the diagnosis of the overfit stage."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from hpsearch.config.checking import Overfit
from hpsearch.trial import Status, TrialResult

FIXES = {
    "pass": "",
    "almost": "more epochs: overfit.epochs, or larger overfit.learning_rates",
    "double-softmax": "give the loss the logits, not probabilities",
    "stuck-at-log-c": "model.init: kaiming (relu) or xavier: dead units or zero weights",
    "stuck-at-label-entropy": "model.init and the inputs' scale: only the output bias learns",
    "partial": "more hidden units, or model.init: kaiming; or do equal rows differ in label?",
    "rises": "the sign of the gradient",
    "explodes": "smaller overfit.learning_rates, inputs or initial weights",
    "flat": "larger overfit.learning_rates, or another model.init: the gradients vanish",
}
WORDS = {  # what the message says of it
    "almost": "almost learnt",
    "double-softmax": "as a softmax upon a softmax does",
    "stuck-at-log-c": "stuck at ln C, where all outputs are alike",
    "stuck-at-label-entropy": "stuck at what answering without the inputs costs",
    "partial": "learnt in part",
    "rises": "the loss rises",
    "explodes": "the loss explodes",
    "flat": "the loss does not move",
}


@dataclass(frozen=True)
class Outcome:
    """What all rates and the best of them did, and what the diagnosis depends on.

    `chance` is the loss of outputs that are all alike (log C), `label_entropy` the least one that
    ignores the input, `floor` that of a double softmax; `contradictions` counts those of the
    `examples` that must be wrong.
    """

    results: Sequence[TrialResult]
    best: TrialResult
    chance: float
    label_entropy: float
    limits: Overfit
    floor: float | None = None
    examples: int = 20
    contradictions: int = 0

    @property
    def first(self) -> float:
        return self.best.losses[0][1]

    @property
    def loss(self) -> float:
        return self.best.curves.train_loss[-1]

    @property
    def accuracy(self) -> float:
        return self.best.curves.train_accuracy[-1]

    @property
    def learnt(self) -> bool:
        return self.accuracy == 1.0

    @property
    def all_that_can_be(self) -> bool:
        """Whether every example is right but those that must be wrong."""
        return self.accuracy > 1 - (self.contradictions + 0.5) / self.examples

    @property
    def tried_longer(self) -> bool:
        """Whether the best is the one that was given more epochs."""
        return self.best.epochs > self.limits.epochs

    @property
    def falling(self) -> bool:
        """Whether the loss still fell over the last quarter of the epochs."""
        curve = self.best.curves.train_loss
        return self.loss < (1 - self.limits.falling) * curve[-1 - len(curve) // 4]

    @property
    def flat(self) -> bool:
        return self.loss > (1 - self.limits.flat) * self.first

    @property
    def rises(self) -> bool:
        """Whether the loss rises from the first step on at every rate."""
        return all(_rises(r) for r in self.results)

    @property
    def too_hot(self) -> bool:
        """Whether rates above the best diverged, so that a larger one is no remedy."""
        rate = self.best.number("learning_rate")
        return any(
            r.status is Status.DIVERGED and r.number("learning_rate") > rate for r in self.results
        )

    def near(self, loss: float, tolerance: float) -> bool:
        return abs(self.loss - loss) < tolerance * loss


def double_softmax(classes: int) -> float:
    """The least cross-entropy of a softmax that is fed with probabilities: log(e + C - 1) - 1."""
    return math.log(math.e + classes - 1) - 1


def diagnose(outcome: Outcome) -> str:
    """The first rule that fits: success, then what is unmistakable, then what is vague."""
    limits = outcome.limits
    if outcome.learnt and outcome.loss <= limits.loss * outcome.chance:
        return "pass"
    floor, done = outcome.floor, outcome.learnt and not outcome.falling
    if floor and done and outcome.near(floor, limits.double_softmax):
        return "double-softmax"
    still = not any(outcome.best.curves.update_ratio)
    if still and outcome.near(outcome.chance, limits.log_c):
        return "stuck-at-log-c"
    if outcome.rises:
        return "rises"
    if outcome.flat:
        return "explodes" if outcome.too_hot else "flat"
    if not outcome.learnt and outcome.near(outcome.label_entropy, limits.entropy):
        return "stuck-at-label-entropy"
    if outcome.contradictions or (outcome.tried_longer and not outcome.learnt):
        return "partial"
    if outcome.falling or outcome.loss < limits.plateau * outcome.chance:
        return "almost"
    return "partial"


def undecided(outcome: Outcome) -> bool:
    """Whether more epochs may change what is said."""
    return diagnose(outcome) in ("almost", "partial") and (
        outcome.learnt or not outcome.all_that_can_be
    )


def remedy(outcome: Outcome, diagnosis: str) -> str:
    """What to change; from a hot start, the inputs' scale first."""
    fix = FIXES[diagnosis]
    if fix and outcome.first > outcome.limits.hot * outcome.chance:
        return f"scale the inputs (data.preprocess.scale: standard); or {fix}"
    return fix


def _rises(result: TrialResult) -> bool:
    """Never below where it began, and above it in the end, or out of bounds."""
    losses = [loss for _, loss in result.losses]
    above = result.status is Status.DIVERGED or losses[-1] > losses[0]
    return above and not min(losses) < losses[0]
