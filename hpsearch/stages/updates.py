"""How far each layer's weights move in a step, by their own length."""

import numpy as np
from numpy.typing import NDArray

from hpsearch.data import minibatches
from hpsearch.lockstep import Lockstep
from hpsearch.spec import TrialSpec
from hpsearch.stages.context import Context
from hpsearch.verdict import Check, Verdict

STEPS = 100  # measured, at most
LEARNT = 0.1  # of the first loss; below it little is left to lower


def update_ratios(context: Context, spec: TrialSpec) -> list[float]:
    """Each layer's median of |update| / |weights| over the first steps of the trial; the mean
    where most of them had next to no loss left to lower, and weights may stand still.
    """
    data, trial = context.data, Lockstep([spec])
    steps, rows = min(STEPS, spec.steps(len(data.train.y))), len(data.train.y)
    found: list[NDArray[np.float64]] = []
    losses: list[float] = []
    epoch = 0
    with np.errstate(all="ignore"):
        while len(found) < steps:
            batches = list(minibatches(rows, spec.batch_size, spec.order_seed, epoch))
            for index in batches[: steps - len(found)]:
                x = data.batch(data.train, index)
                losses.append(float(trial.step(x, data.train.y[index], measure=True)[0]))
                found.append(trial.update_ratios[:, 0])
            epoch += 1
    learnt = np.median(losses) < LEARNT * losses[0]
    usual = (np.mean if learnt else np.median)(found, axis=0)
    return [float(ratio) for ratio in usual]


def update_ratio(context: Context, ratios: list[float], rate: float) -> Check:
    """At the chosen rate no layer's weights stand still, or are thrown about (CS231n: 1e-3)."""
    limits = context.config.sweep
    low, high = limits.update_low, limits.update_high
    said = ", ".join(f"{ratio:.2g}" for ratio in ratios)
    expected = f"{low:g} to {high:g}"
    message = f"|update| / |weights| by layer at learning rate {rate:g}: {said}"
    worst = max(ratios, key=lambda ratio: max(low / max(ratio, 1e-300), ratio / high))
    if low <= worst <= high:
        return Check("update-ratio", Verdict.PASS, worst, expected, message)
    layer = f"layer {ratios.index(worst) + 1} of {len(ratios)}"
    if worst < low:
        message = f"{message}; {layer} hardly moves"
        fix = "model.init (kaiming for relu, xavier for tanh): its gradients are too small"
    else:
        message = f"{message}; {layer} moves by {worst:.0%} of its length in a step"
        fix = "model.init and its scale: weights too small for the rate; or a smaller rate"
    return Check("update-ratio", Verdict.WARN, worst, expected, message, fix)
