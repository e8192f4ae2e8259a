"""The range test: the rate rises exponentially in one short run, and the loss tells where training
begins and where it ends (Smith 2017; fastai's and Lightning's `lr_find`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpsearch.config.checking import Ramp
from hpsearch.spec import Budget, TrialSpec
from hpsearch.stages.context import Context
from hpsearch.trial import TrialResult

Numbers = NDArray[np.float64]
AVERAGED = 0.9  # of the loss that is compared with `explodes`, from the first step on


@dataclass(frozen=True)
class Curve:
    """The loss at each rate of the ramp, up to where it exploded.

    `low` is where the loss has begun to fall, `high` where it falls no more, `steepest` in
    between where it falls fastest over the log of the rate; all None where it never falls.
    """

    rates: list[float]
    losses: list[float]
    smoothed: list[float]
    low: float | None
    high: float | None
    steepest: float | None


def spec(context: Context, number: int, *, seed: int) -> TrialSpec:
    """The ramp as a trial: an exponential schedule that rises."""
    settings = context.config.sweep.ramp
    batches = -(-len(context.data.train.y) // context.config.train.batch_size)
    rates = {
        "learning_rate": settings.low, "decay_factor": settings.high / settings.low,
        "decay_epochs": (settings.iterations - 1) / batches,
        "weight_decay": context.config.sweep.weight_decay, "warmup_epochs": 0.0,
    }  # fmt: skip
    return context.spec(
        number, Budget(1, settings.iterations), seed=seed, schedule="exponential",
        patience=None, evaluate=False, rates=rates,
    )  # fmt: skip


def read(result: TrialResult, settings: Ramp) -> Curve:
    """What the ramp shows."""
    steps = np.array([step for step, _ in result.losses])
    losses = np.array([loss for _, loss in result.losses])
    rates = settings.low * (settings.high / settings.low) ** (
        (steps - 1) / (settings.iterations - 1)
    )
    end = _explosion(losses, settings.explodes)
    rates, losses = rates[:end], losses[:end]
    smooth = averaged(averaged(losses, settings.smoothing)[::-1], settings.smoothing)[::-1]
    places = _places(rates, smooth, settings)
    return Curve(rates.tolist(), losses.tolist(), smooth.tolist(), *places)


def _places(
    rates: Numbers, smooth: Numbers, settings: Ramp
) -> tuple[float | None, float | None, float | None]:
    """Low, high, steepest."""
    bottom = int(smooth.argmin()) if len(smooth) else 0
    below = smooth[: bottom + 1] < (1 - settings.falls) * smooth[:1]
    if not below.any():
        return None, None, None
    begin = int(np.flatnonzero(~below)[-1])  # from the next one on it stays below
    slopes = np.diff(smooth[begin : bottom + 1])
    steepest = begin + 1 + int(slopes.argmin())
    low, high, steep = (float(f"{rates[k]:.3g}") for k in (begin, bottom, steepest))
    return low, high, steep


def _explosion(losses: Numbers, times: float) -> int:
    """The first step at which the average loss is more than so many times its lowest so far."""
    average = averaged(losses, AVERAGED)
    best = np.fmin.accumulate(average)
    lost = np.flatnonzero(~(average <= times * best) | ~np.isfinite(average))
    return int(lost[0]) if len(lost) else len(losses)


def averaged(values: Numbers | Sequence[float], smoothing: float) -> Numbers:
    """The exponential average, its bias towards 0 at the beginning corrected."""
    out, mean = np.empty(len(values)), 0.0
    for n, value in enumerate(values):
        mean = smoothing * mean + (1 - smoothing) * value
        out[n] = mean / (1 - smoothing ** (n + 1))
    return out
