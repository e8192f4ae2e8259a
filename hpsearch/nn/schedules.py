"""Learning-rate schedules: functions of the epoch that give a factor on the learning rate."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Factors = NDArray[np.float64]


class Decay(NamedTuple):
    """What a schedule may depend on; one number per trial, shape (K,)."""

    factor: Factors
    epochs: Factors


Schedule = Callable[[float, Decay], Factors]


def _constant(epoch: float, decay: Decay) -> Factors:
    """1."""
    return np.ones_like(decay.factor)


def _step(epoch: float, decay: Decay) -> Factors:
    """factor^floor(epoch / epochs): a drop every so many epochs."""
    return decay.factor ** np.floor(epoch / decay.epochs)


def _exponential(epoch: float, decay: Decay) -> Factors:
    """factor^(epoch / epochs), at every step: e^(-k epoch) with k = -ln(factor) / epochs."""
    return decay.factor ** (epoch / decay.epochs)


READS = ("decay_factor", "decay_epochs")  # by every schedule but the constant one

SCHEDULES: dict[str, Schedule] = {
    "constant": _constant,
    "step": _step,
    "exponential": _exponential,
}
