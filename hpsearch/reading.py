"""What the rules for curves ask of a trial: has it learnt, does its loss fall, is there a gap.

Everything is derived from the trial's own record, so that it is the same wherever it was trained.
The letters behind thresholds name their sources, as in `curves`.
"""

from dataclasses import dataclass
from functools import cached_property
from math import ceil, hypot, sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpsearch.trial import TrialResult, standard_error

LEARNT = 0.03  # of the room that the loss must fall below it: else nothing was learnt
HIGH = 0.5  # of the room: a loss above it is still high
UNFIT = 0.3  # of the room: a loss above it is no fit
STEPS = 40  # minibatches that a statement on the course of the loss needs
SIGNAL = 1e-2  # |update| / |weights| / rate: with less, no gradient reaches the weights
FALL = 0.01  # of the loss: a smaller fall in a quarter of the run is none
RISE = 0.05  # of the first loss: a smaller rise is noise (DC: it must fall 5 %)
LATE = 0.25  # of the run: still improving if best in its last quarter (TP)
GAIN = 0.05  # of the lowest validation loss, by which late epochs are better (DC)
LEAST = 0.01  # of the baseline: a smaller gain in loss is none
SURE = 2.0  # standard errors that are more than chance


class Yardstick(NamedTuple):
    """What a trial's numbers are measured against: the rows that its validation and training
    accuracies were measured on; the loss of logits that are all alike (`chance`: log C), and of
    the best answer that ignores the input (`baseline`: the entropy of the training labels). In
    training smoothed labels keep every loss above a `floor`, and that answer's by the `room` there
    is to learn; else the floor is 0 and the room the baseline.
    """

    rows: int
    probe: int
    chance: float
    baseline: float
    room: float
    floor: float = 0.0


@dataclass(frozen=True)
class Reading:
    """One trial's record as the rules ask for it."""

    result: TrialResult
    yardstick: Yardstick

    @cached_property
    def loss(self) -> NDArray[np.float64]:
        """The epochs' mean training losses above their floor, without the penalty."""
        return np.array(self.result.curves.train_loss) - self.yardstick.floor

    @cached_property
    def losses(self) -> NDArray[np.float64]:
        """Those of the minibatches that were kept."""
        return np.array([loss for _, loss in self.result.losses]) - self.yardstick.floor

    @cached_property
    def first(self) -> float:
        """The loss before training: the first minibatch's, if that was no easy one."""
        return max(float(self.losses[0]), self.yardstick.room)

    @cached_property
    def quarters(self) -> NDArray[np.float64]:
        """Mean and standard error of the training loss in each quarter of the run, (4, 2): over
        epochs, which see the same rows and so are less noisy, if there are two to a quarter.
        """
        enough = len(self.loss) >= 8
        parts = np.array_split(self.loss if enough else self.losses, 4)
        return np.array([(part.mean(), part.std() / sqrt(len(part))) for part in parts])

    @cached_property
    def update_ratio(self) -> float:
        """Of the middle epoch."""
        return float(np.median(self.result.curves.update_ratio))

    @property
    def course(self) -> bool:
        """Whether there are minibatches enough to speak of the loss's course."""
        return self.result.step >= STEPS

    @property
    def learnt(self) -> bool:
        return bool(self.loss.min() < (1 - LEARNT) * self.yardstick.room)

    @property
    def signal(self) -> bool:
        """Whether the gradient reaches the weights: a larger rate would move them."""
        rate = float(np.median(self.result.curves.learning_rate))
        return self.update_ratio > SIGNAL * rate

    @property
    def high(self) -> bool:
        return bool(self.loss[-1] > HIGH * self.yardstick.room)

    @property
    def unfit(self) -> bool:
        return bool(self.loss[-1] > UNFIT * self.yardstick.room)

    @property
    def falling(self) -> bool:
        """Whether the loss still falls in the last quarter, by something and for sure."""
        (before, error), (last, other) = self.quarters[2:]
        return bool(before - last > max(FALL * before, SURE * hypot(error, other)))

    @property
    def rising(self) -> bool:
        """Whether the epochs' mean loss has left its lowest for good."""
        since = self.loss[int(self.loss.argmin()) + 1 :]
        return len(since) >= 2 and bool((since > self.loss.min() + RISE * self.first).all())

    @cached_property
    def accuracy(self) -> NDArray[np.float64]:
        return np.array(self.result.curves.val_accuracy)

    @cached_property
    def val_loss(self) -> NDArray[np.float64]:
        return np.array(self.result.curves.val_loss)

    @property
    def error(self) -> float:
        """The standard error of the best validation accuracy."""
        return standard_error(float(self.accuracy.max()), self.yardstick.rows)

    @property
    def gap(self) -> float:
        """Training less validation accuracy, at the end."""
        return self.result.curves.train_accuracy[-1] - float(self.accuracy[-1])

    @property
    def ahead(self) -> bool:
        """Whether that gap is more than chance."""
        train, validation = self.result.curves.train_accuracy[-1], float(self.accuracy[-1])
        errors = ((train, self.yardstick.probe), (validation, self.yardstick.rows))
        return self.gap > SURE * hypot(*(standard_error(p, n) for p, n in errors))

    @property
    def gaining(self) -> bool:
        """Whether the last quarter is better on the validation rows than all before, by more
        than chance: in accuracy, or in loss.
        """
        late, before = slice(-self.late, None), slice(-self.late)
        lowest = self.val_loss[before].min()
        gain = max(GAIN * lowest, LEAST * self.yardstick.baseline)
        better = self.accuracy[late].max() - self.accuracy[before].max()
        return bool(lowest - self.val_loss[late].min() > gain or better > self.error)

    @property
    def late(self) -> int:
        """The number of epochs in the last quarter."""
        return ceil(LATE * self.result.epochs)
