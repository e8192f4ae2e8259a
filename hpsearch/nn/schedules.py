"""Learning-rate schedules: functions of the time that give a factor on the learning rate."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from hpsearch.nn.optimizers import CohortRates, Numbers


class Clock(NamedTuple):
    """`step` minibatches are done of `steps`, the whole budget; `per_epoch` are an epoch."""

    step: int
    steps: int
    per_epoch: int

    @property
    def epoch(self) -> float:
        """Epochs gone by, a fraction within one."""
        return self.step / self.per_epoch


BEGINNING = Clock(step=0, steps=1, per_epoch=1)


class Schedule(NamedTuple):
    """`factor(now, rates)` (K,) is for the next step; `reads` are the rates that it depends on."""

    reads: tuple[str, ...]
    factor: Callable[[Clock, CohortRates], Numbers]


def _constant(now: Clock, rates: CohortRates) -> Numbers:
    """1."""
    return np.ones_like(rates.learning_rate)


def _step(now: Clock, rates: CohortRates) -> Numbers:
    """decay_factor^floor(epoch / decay_epochs): a drop every so many epochs."""
    drops = np.floor(now.epoch / rates.decay_epochs + 1e-9)  # 8.1 / 2.7 is a little below 3
    return rates.decay_factor**drops


def _exponential(now: Clock, rates: CohortRates) -> Numbers:
    """decay_factor^(epoch / decay_epochs), at every step.

    That is e^(-k epoch) with k = -ln(decay_factor) / decay_epochs (CS231n).
    """
    return rates.decay_factor ** (now.epoch / rates.decay_epochs)


def _inverse(now: Clock, rates: CohortRates) -> Numbers:
    """1 / (1 + k epoch), at every step (CS231n's 1/t decay).

    k = (1 / decay_factor - 1) / decay_epochs: as with the others, what is left after decay_epochs
    epochs is decay_factor.
    """
    left = rates.decay_factor
    return left / (left + (1 - left) * (now.epoch / rates.decay_epochs))


def _cosine(now: Clock, rates: CohortRates) -> Numbers:
    """(1 + cos(pi step / steps)) / 2, to 0 at the end of the budget (Loshchilov & Hutter 2017)."""
    return np.full_like(rates.learning_rate, _fall(now.step / now.steps))


FIRST, LAST = 1 / 25, 1 / 25e4  # of a cycle: PyTorch's div_factor 25, final_div_factor 1e4


def _one_cycle(now: Clock, rates: CohortRates) -> Numbers:
    """Along a cosine from 1/25 up to 1, then from 1 down to 1/250,000 (Smith 2018).

    The top is the step pct_start steps - 1, the bottom the last one; both ways as PyTorch's
    OneCycleLR goes, of which learning_rate is the max_lr.
    """
    top, last = rates.pct_start * now.steps - 1, now.steps - 1
    rising = 1 - (1 - FIRST) * _fall(_share(now.step, top))
    falling = LAST + (1 - LAST) * _fall(_share(now.step - top, last - top))
    return np.where(now.step <= top, rising, falling)


def _fall(x: Numbers | float) -> Numbers:
    """Half a cosine: 1 at x = 0, 0 at x = 1."""
    return np.asarray((1 + np.cos(np.pi * x)) / 2)


def _share(part: Numbers | float, whole: Numbers) -> Numbers:
    """part / whole (K,), at least 0 and at most 1; 1 where there is nothing of it."""
    return np.clip(np.where(whole == 0, 1, part / np.where(whole == 0, 1, whole)), 0, 1)


def warmup(now: Clock, rates: CohortRates) -> Numbers:
    """min(1, (step + 1) / n), n = warmup_epochs per_epoch: a factor on any schedule's.

    The first of n steps has 1 / n of the rate, the n-th all of it; 0 epochs are no warm-up.
    """
    return np.minimum(1, (now.step + 1) / np.maximum(1, rates.warmup_epochs * now.per_epoch))


DECAY = ("decay_factor", "decay_epochs")

SCHEDULES: dict[str, Schedule] = {
    "constant": Schedule((), _constant),
    "step": Schedule(DECAY, _step),
    "exponential": Schedule(DECAY, _exponential),
    "inverse": Schedule(DECAY, _inverse),
    "cosine": Schedule((), _cosine),
    "one_cycle": Schedule(("pct_start",), _one_cycle),
}
