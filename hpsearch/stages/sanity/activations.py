"""What the activations must be before training: neither shrinking, nor dead, nor saturated."""

import math
from functools import partial

from hpsearch.nn.activations import ACTIVATIONS
from hpsearch.stages.layers import Layer
from hpsearch.stages.probe import Probe
from hpsearch.verdict import Check, Verdict

PASS, WARN, FAIL = Verdict.PASS, Verdict.WARN, Verdict.FAIL

MISFITS = {
    "xavier": "halves the variance at every layer",
    "glorot": "halves the variance at every layer",
    "lecun": "halves the variance at every layer",
    "kaiming": "doubles what goes into every layer",
}


def activation_statistics(probe: Probe) -> Check:
    """The standard deviation of each hidden layer's activations, against healthy networks', and
    whether the initializer is made for the activation. Sources: CS231n lecture 6 (tanh with
    Xavier's, relu with He's); the bands were measured on networks of one to eight layers.
    """
    low, high = probe.band
    layers, band = probe.draws.layers, f"{low:g} to {high:g}"
    if not layers:
        return Check("activation-statistics", PASS, None, band, "no hidden layer")
    worst = min(layers, key=lambda layer: _closeness(layer.std, low, high))
    say = partial(Check, "activation-statistics", value=worst.std, expected=band)
    stds = ", ".join(f"{layer.std:.3g}" for layer in layers)
    message = (
        f"std of the activations by layer: {stds}; {probe.net.activation} is healthy at {band}"
    )
    trouble = _misfit(probe)
    if not low <= worst.std <= high:
        trouble = [*trouble, "they shrink" if worst.std < low else "they grow or saturate"]
    if not trouble:
        return say(PASS, message=message)
    fix = f"model.init: {probe.better_init}" if _misfit(probe) else probe.remedy
    return say(WARN, message=f"{message}: {', and '.join(trouble)}", fix=fix)


def _misfit(probe: Probe) -> list[str]:
    """What is wrong with this initializer for this activation, whatever it has done so far."""
    init, activation, scale = probe.net.init, probe.net.activation, probe.net.init_scale
    if init == "constant":
        return ["constant weights make all units of a layer the same"]
    why = None if init in ACTIVATIONS[activation].inits else MISFITS.get(init)
    return [f"{init} with {activation} {why}"] if why and scale in (None, 1) else []


def _closeness(std: float, low: float, high: float) -> float:
    """1 inside the band, smaller the further outside."""
    return min(1.0, std / low, high / max(std, 1e-300)) if math.isfinite(std) else 0.0


def dead_units(probe: Probe) -> Check:
    """Units that have no gradient on any of the rows: they never fire, or never leave an end.
    Sources: CS231n on dead ReLUs; SageMaker Debugger and TheDeepChecker for the half that fails.

    The share that warns compounds with depth, as it does in healthy networks: rows grow alike
    from layer to layer (two inputs, He's init: 0, 7, 12, 15 % at the first four layers).
    """
    limits, layers = probe.context.config.sanity, probe.draws.layers
    say = partial(Check, "dead-units", expected=limits.dead_warn)
    if not layers:
        return say(PASS, value=0.0, message="no hidden layer")
    worst = max(layers, key=lambda layer: layer.dead / _allowed(layer, limits.dead_warn))
    message = (
        f"{worst.dead * worst.units:.3g} of {worst.units} units of layer {worst.layer} have no"
        f" gradient on any of {len(probe.x)} rows"
    )
    if worst.dead <= _allowed(worst, limits.dead_warn):
        return say(PASS, value=worst.dead, message=message)
    bias = probe.context.config.model.bias_init
    fix = "model.bias_init: 0" if bias else probe.remedy
    silent = worst.zero > 1 - limits.dead_active
    verdict = FAIL if worst.dead > limits.dead_fail or silent else WARN
    cause = f"; {worst.zero:.1%} of its activations are 0" if silent else ""
    cause += f"; their biases begin at {bias:g}" if bias else ""
    return say(verdict, value=worst.dead, message=message + cause, fix=fix)


def _allowed(layer: Layer, share: float) -> float:
    """The share at the first layer, lost again at each layer above."""
    return max(1 - (1 - share) ** layer.layer, 1e-12)


def saturated_units(probe: Probe) -> Check:
    """Activations at the ends of a bounded activation, where the gradient is next to nothing:
    |tanh| above 0.98, sigmoid outside 0.02 to 0.98. Sources: CS231n on saturation;
    TheDeepChecker for the half that warns.
    """
    limit, layers = probe.context.config.sanity.saturated_warn, probe.draws.layers
    say = partial(Check, "saturated-units", expected=limit)
    if not layers:
        return say(PASS, value=0.0, message="no hidden layer")
    if not ACTIVATIONS[probe.net.activation].bounded:
        return say(PASS, value=0.0, message=f"{probe.net.activation} has no end to saturate at")
    worst = max(layers, key=lambda layer: layer.saturated)
    message = f"{worst.saturated:.0%} of layer {worst.layer}'s activations are saturated"
    if worst.saturated <= limit:
        return say(PASS, value=worst.saturated, message=message)
    return say(WARN, value=worst.saturated, fix=probe.remedy,
               message=f"{message}: their gradient is next to none")  # fmt: skip
