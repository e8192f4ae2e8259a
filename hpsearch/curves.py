"""What a trial's curves say: a verdict in one word, and the one thing to do about it.

Every rule is a small question about one trial's own record; the first that fits is the verdict,
from the gravest on. The letters behind thresholds name their sources: L6, CS231n's lecture 6;
nn3, its notes on training; TP, Google's Tuning Playbook; AT, AutoTrainer; SM, SageMaker Debugger;
DC, TheDeepChecker. What has none was set by looking at trials with known faults.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from math import ceil
from typing import NamedTuple

import numpy as np

from hpsearch.reading import LEARNT, Reading, Yardstick
from hpsearch.trial import Status, TrialResult

EPOCHS = 3  # at least, for a statement on the curves over epochs
LINEAR = 0.5  # last slope over first: "decreasing more or less linearly" (L6)
TINY, SMALL = 1e-4, 1e-3  # |update| / |weights|: too little (DC); where nothing is learnt (nn3)
BIG, LARGE = 1e-2, 0.05  # so large that it may be the cause of a loss that rises, that stands
SPIKE = 1.5  # times the first loss, soon after the start: the first updates broke the net
DECAYS = 10.0  # times the first loss: a penalty that needs no other proof
FAR = 4.0  # times log C, where the initial loss should be: as in sanity.initial_loss_fail
IDLE = 0.1  # of the run without progress: "bad initialization a prime suspect" (L6)
IDLE_STEPS = 20  # minibatches at least in that tenth
FALLS = 0.5  # of the first loss that it loses in the end, where it was the start that was bad
PROGRESS = 0.05  # of the whole fall that counts as progress
GAP, WIDE_GAP = 0.07, 0.1  # training over validation accuracy: above .9, below (AT)
WORSE = 0.1  # of the lowest validation loss, by which late epochs are worse (SM)
AFTER = 3  # epochs at least since that lowest (TP)
EARLY = 0.1  # of the run: saturated early if best in its first tenth (TP)
LONG = 10  # epochs that a statement on the first tenth or the last fifth needs
END = 0.2  # of the run in which the validation accuracy should be steady
JITTER = 3.0  # standard errors around its trend that are too many
SWING, SWINGS = 0.05, 0.25  # size and share of changes of direction that are too many (AT)


def diverged(trial: Reading) -> bool:
    """The loss was not finite, or three times the first."""
    return trial.result.status is Status.DIVERGED


def overwhelming_decay(trial: Reading) -> bool:
    """The loss is high, and at the start the penalty was higher: by far, or it has since shrunk
    with the weights.
    """
    penalty = trial.result.curves.penalty
    if not penalty or not trial.high:
        return False
    return penalty[0] > DECAYS * trial.first or (
        penalty[0] > trial.first and penalty[-1] < penalty[0] / 2
    )


def bad_init(trial: Reading) -> bool:
    """A first loss far off that is not made up for, or no progress in the first tenth of the run
    before the loss falls (unless the rate was still warming up).
    """
    if trial.high and trial.first > FAR * trial.yardstick.chance:
        return True
    rate, losses = trial.result.curves.learning_rate, trial.losses
    if IDLE * trial.result.step < IDLE_STEPS or rate[0] < max(rate) / 2:
        return False
    start, idle = np.array_split(losses[: ceil(IDLE * len(losses))], 2)
    fall = start.mean() - trial.quarters[3, 0]
    return bool(fall > FALLS * start.mean() and abs(start.mean() - idle.mean()) < PROGRESS * fall)


def too_high_rate(trial: Reading) -> bool:
    """The first updates broke the net, or large ones keep the loss from falling."""
    soon = trial.losses[1 : 2 + ceil(IDLE * len(trial.losses))]
    floor = trial.yardstick.floor
    if not trial.learnt and soon.max(initial=0.0) + floor > SPIKE * (trial.first + floor):
        return True
    stands = trial.course and trial.unfit and not trial.falling and trial.update_ratio > LARGE
    return stands or (trial.rising and trial.update_ratio > BIG)


def too_low_rate(trial: Reading) -> bool:
    """The loss is high while the weights hardly move, though they could; or it falls at the end
    as steeply as at the start, with no gap to the validation rows.
    """
    if not trial.course or not trial.high or not trial.signal:
        return False
    if trial.update_ratio < (TINY if trial.learnt else SMALL):
        return True
    means = trial.quarters[:, 0]
    linear = means[2] - means[3] >= LINEAR * (means[0] - means[1])
    return bool(linear) and trial.falling and trial.update_ratio < BIG and not trial.ahead


def stuck(trial: Reading) -> bool:
    """Nothing was learnt, though there was time enough; and the loss stands, or what falls is
    not the weights' doing.
    """
    return trial.course and not trial.learnt and not (trial.falling and trial.signal)


def loss_rises(trial: Reading) -> bool:
    """The epochs' mean training loss has left its lowest for good."""
    return trial.rising


def too_short(trial: Reading) -> bool:
    """Too few epochs or minibatches to say more."""
    return trial.result.epochs < EPOCHS or not trial.course


def overfitting(trial: Reading) -> bool:
    """Training is far ahead, and the validation rows gain no more: late epochs are no better, or
    the loss has risen well above its lowest, or never came below that of ignoring the input.
    """
    curve = trial.val_loss
    since = len(curve) - 1 - int(curve.argmin())
    risen = since >= AFTER and curve[-AFTER:].min() > (1 + WORSE) * curve.min()
    vain = curve.min() > (1 - LEARNT) * trial.yardstick.baseline
    wide = GAP if trial.result.curves.train_accuracy[-1] > 0.9 else WIDE_GAP
    return trial.ahead and trial.gap > wide and bool(risen or vain or not trial.gaining)


def still_improving(trial: Reading) -> bool:
    """The last quarter gained more than chance; or the training loss, no fit yet, falls and the
    validation loss with it.
    """
    falls = trial.val_loss[-trial.late :].min() < trial.val_loss[: -trial.late].min()
    return trial.gaining or bool(falls and trial.unfit and trial.falling)


def saturated_early(trial: Reading) -> bool:
    """Best in the first tenth of the run, and worse at its end by more than chance."""
    epochs, best = trial.result.epochs, int(trial.accuracy.argmax()) + 1
    lost = trial.accuracy.max() - trial.accuracy[-trial.late :].mean()
    return epochs >= LONG and best <= EARLY * epochs and bool(lost > trial.error)


def underfitting(trial: Reading) -> bool:
    """The training loss is no fit, and nothing above says why."""
    return trial.unfit


def noisy_end(trial: Reading) -> bool:
    """The validation accuracy jumps about in the last fifth of the run."""
    if trial.result.epochs < LONG:
        return False
    end = trial.accuracy[-max(4, ceil(END * trial.result.epochs)) :]
    epochs = np.arange(len(end))
    trend = np.polyval(np.polyfit(epochs, end, 1), epochs)
    change = np.diff(end)
    large = np.abs(change) >= max(SWING, trial.error)
    swings = (change[1:] * change[:-1] < 0) & large[1:] & large[:-1]
    return bool((end - trend).std() > JITTER * trial.error or swings.mean() > SWINGS)


def healthy(trial: Reading) -> bool:
    """None of the above."""
    return True


class Rule(NamedTuple):
    """A pattern of the curves, and the one thing to do about it."""

    fits: Callable[[Reading], bool]
    action: str

    @property
    def verdict(self) -> str:
        """The word for it."""
        return self.fits.__name__.replace("_", "-")


RULES = (
    Rule(diverged, "divide the learning rate by 3 to 10"),
    Rule(overwhelming_decay, "divide the weight decay by 10, or start at 1e-4"),
    Rule(bad_init, "another model.init or scaled inputs: sanity says what is wrong at the start"),
    Rule(too_high_rate, "divide the learning rate by 3, or let a schedule lower it"),
    Rule(too_low_rate, "multiply the learning rate by 3"),
    Rule(stuck, "ask sanity for dead or saturated units, or zero weights; then larger rates"),
    Rule(loss_rises, "look for a bug: the training loss rises though the updates are small"),
    Rule(too_short, "train for more epochs before judging it"),
    Rule(overfitting, "more weight decay, more data, or train.patience"),
    Rule(still_improving, "train longer, or with more train.patience if that stopped it"),
    Rule(saturated_early, "fewer epochs, a smaller learning rate, or more weight decay"),
    Rule(underfitting, "more hidden units, less weight decay"),
    Rule(noisy_end, "larger minibatches, or a schedule that lowers the learning rate"),
    Rule(healthy, "nothing to mend"),
)
ACTIONS = {rule.verdict: rule.action for rule in RULES}


def verdict(result: TrialResult, yardstick: Yardstick) -> str:
    """The word for a trial's curves; empty where they show nothing: no epoch was finished, or
    nothing was measured on validation rows.
    """
    if not result.curves.val_accuracy and result.status is not Status.DIVERGED:
        return ""
    reading = Reading(result, yardstick)
    return next(rule.verdict for rule in RULES if rule.fits(reading))


def tally(results: Iterable[TrialResult]) -> dict[str, int]:
    """How many trials have each verdict, the commonest first; but those of pruned trials, which
    are of cut curves.
    """
    whole = (result for result in results if result.status is not Status.PRUNED)
    found = Counter(result.verdict for result in whole if result.verdict)
    return dict(sorted(found.items(), key=lambda item: (-item[1], list(ACTIONS).index(item[0]))))


def fault(best: Sequence[TrialResult]) -> str:
    """The word for what is wrong with the curves of half of these trials, if anything is."""
    word, n = next(iter(tally(best).items()), ("healthy", 0))
    return word if word in ACTIONS and word != "healthy" and 2 * n >= len(best) else ""
