"""What the gradient must be before training: right, not the same for all units, nowhere lost."""

import math
from functools import partial
from itertools import islice

import numpy as np

from hpsearch.nn.gradcheck import GradientError
from hpsearch.stages.probe import Probe, downhill
from hpsearch.verdict import Check, Verdict

PASS, WARN, FAIL = Verdict.PASS, Verdict.WARN, Verdict.FAIL
BURN_IN = 10


def gradient_check(probe: Probe) -> Check:
    """Backpropagation against finite differences, at the start and after a few steps downhill,
    without and with weight decay. Source: CS231n, "Gradient checks": relative errors below 1e-7
    are right, up to 1e-4 where there are kinks; above 1e-2 the gradient is wrong.
    """
    limits = probe.context.config.sanity
    limit = limits.gradient_smooth if probe.smooth else limits.gradient_warn
    say = partial(Check, "gradient-check", expected=limit)
    errors = _errors(probe)
    if not errors:
        return say(WARN, value=None, message="no dimension could be checked: kinks everywhere",
                   fix="scale the inputs: data.preprocess.scale: standard")  # fmt: skip
    worst = max(errors, key=lambda e: e.relative if math.isfinite(e.relative) else math.inf)
    message = (
        f"largest relative error {worst.relative:.1e} ({worst.tensor}) of {len(errors)} dimensions"
        if worst.relative
        else f"none of {len(errors)} dimensions differs by more than rounding"
    )
    if not worst.relative <= limits.gradient_fail:
        opposed = abs(worst.relative - 2) < limits.gradient_fail
        return say(FAIL, value=worst.relative, message=message + ": its sign is wrong" * opposed,
                   fix=f"the gradient of {worst.tensor} is wrong")  # fmt: skip
    if worst.relative > limit:
        return say(WARN, value=worst.relative, fix=f"look at the gradient of {worst.tensor}",
                   message=f"{message}, above {limit:g}")  # fmt: skip
    return say(PASS, value=worst.relative, message=message)


def _errors(probe: Probe) -> list[GradientError]:
    """At two points and decays; for a corner of the space at its start alone, and narrowed."""
    rng = np.random.default_rng([probe.context.config.seed, 4])
    if probe.corner:
        return probe.narrow.differences(probe.narrow.draw(0), 0.0, rng, per_tensor=2)
    start = probe.draw(0)
    later = next(islice(downhill(probe, start), BURN_IN - 1, None))
    return [
        error
        for flat in (start, later)
        for decay in (0.0, probe.decay)
        for error in probe.differences(flat, decay, rng, per_tensor=4)
    ]


def symmetry(probe: Probe) -> Check:
    """Units whose weights and gradients all point one way are one unit (constant init). Source:
    CS231n, "Weight initialization".
    """
    say, limit = partial(Check, "symmetry"), probe.context.config.sanity.symmetry
    if len(probe.net.sizes) == 2 or probe.net.sizes[1] < 2:
        return say(PASS, None, limit, "no hidden units to compare")
    flat = probe.draw(0)
    _, gradient = probe.gradient(flat)
    weights, slopes = probe.alignment(flat), probe.alignment(gradient)
    alike = slopes if math.isnan(weights) else min(weights, slopes)
    fix = f"model.init: {probe.better_init}"
    if math.isnan(slopes):
        drawn = not math.isnan(weights) and probe.net.init != "constant"
        return say(FAIL, None, limit, "the first layer's gradient is exactly 0: it cannot learn",
                   "see dead-units" if drawn else fix)  # fmt: skip
    message = f"mean |cosine| between the first layer's units {alike:.3f}"
    if alike > limit:
        return say(FAIL, alike, limit, f"{message}: they are all the same unit", fix)
    return say(PASS, alike, limit, message)


def gradient_flow(probe: Probe) -> Check:
    """The length of the first layer's gradient beside the last's: neither vanished on its way
    down nor exploded. Sources: AUTOTRAINER (its beta 1 to 3), SageMaker Debugger (1e-7).

    A small ratio by itself is no fault: four healthy sigmoid layers give 1e-4 to 2e-2, and first
    gradients of 5e-4 or more; both must be small.
    """
    limits = probe.context.config.sanity
    lengths = _gradient_lengths(probe)
    first, last, largest = lengths[0], lengths[-1], max(lengths)
    ratio = first / last if last else math.nan
    low, high = limits.flow_low, limits.flow_high
    say = partial(Check, "gradient-flow", value=ratio, expected=f"{low:g} to {high:g}")
    message = f"gradients by layer: {', '.join(f'{length:.2g}' for length in lengths)}"
    if math.isfinite(ratio):
        message += f"; the first is {ratio:.2g} times the last"
    if not largest <= limits.exploding_norm:
        return say(FAIL, message=f"{message}: they explode", fix=probe.remedy)
    if largest < limits.vanished or (
        ratio < limits.vanishing_ratio and first < limits.vanishing_norm
    ):
        return say(FAIL, message=f"{message}: they vanish",
                   fix=f"{probe.remedy}; fewer layers, or relu")  # fmt: skip
    if ratio > high:
        return say(WARN, message=f"{message}: they grow on their way down", fix=probe.remedy)
    if ratio < low and first < limits.flow_norm:
        return say(WARN, message=f"{message}: they shrink on their way down",
                   fix=f"{probe.remedy}; fewer layers, or relu")  # fmt: skip
    return say(PASS, message=message)


def _gradient_lengths(probe: Probe) -> list[float]:
    """|dW| of every layer, the first first."""
    _, gradient = probe.gradient(probe.draw(0))
    return [float(np.linalg.norm(slopes)) for slopes in probe.weights(gradient)]
