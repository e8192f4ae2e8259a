"""Sanity: the initial loss and its companions, before any training that counts (CS231n step 1)."""

import math
from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from hpsearch.lockstep import Lockstep
from hpsearch.nn.activations import ACTIVATIONS
from hpsearch.nn.gradcheck import GradientError, Objective, check_gradient
from hpsearch.nn.optimizers import OPTIMIZERS
from hpsearch.nn.params import Params
from hpsearch.stages.context import Context, Stage, seed
from hpsearch.stages.probe import Probe, alignment, layer_table
from hpsearch.trial import Budget, Status, TrialResult, TrialSpec, View
from hpsearch.verdict import Check, CheckDocument, Verdict

PASS, WARN, FAIL = Verdict.PASS, Verdict.WARN, Verdict.FAIL
BASELINE_RATES = (1.0, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
AT_ONCE = 20_000_000  # weights initialised together, at most


def plan(context: Context, done: Sequence[TrialResult]) -> list[TrialSpec]:
    """The zero-input baseline: a ladder of rates with the inputs as they are, and with zeros."""
    budget = Budget(epochs=1, iterations=context.config.sanity.baseline_iterations)
    spec = partial(context.spec, budget=budget, schedule="constant", evaluate=False)
    ladder = list(enumerate(BASELINE_RATES))
    shared = seed(context.config.seed, context.stage, 0)
    real = [
        spec(i, seed=shared, rates=_rate(rate), view=View(augment=False)) for i, rate in ladder
    ]
    zero = [
        spec(i + len(ladder), seed=shared, rates=_rate(rate), view=View(zero=True))
        for i, rate in ladder
    ]
    return real + zero


def _rate(rate: float) -> dict[str, float]:
    return {"learning_rate": rate, "weight_decay": 0.0, "warmup_epochs": 0.0}


def judge(context: Context, done: Sequence[TrialResult]) -> CheckDocument:
    probe = Probe.of(context)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        checks = tuple(check(probe) for check in CHECKS)
    facts = {"layers": layer_table(probe), "n_params": probe.net.n_params}
    return CheckDocument("sanity", (*checks, zero_input_baseline(context, done)), facts)


def wiring(probe: Probe) -> Check:
    """With practically no logits, the loss is log C whatever the initialisation."""
    flat = probe.draw(0)
    spread = math.sqrt(probe.losses(flat[None])[1][0])
    params = Params.over(flat[None], probe.net)
    params.weights[-1][:] *= 1e-4 / max(1.0, spread)
    params.biases[-1][:] = 0
    loss, expected = float(probe.losses(flat[None])[0][0]), probe.log_c
    right = abs(loss - expected) < probe.context.config.sanity.wiring_tolerance
    message = (
        f"loss {loss:.4f} with the last layer scaled to nothing,"
        f" ln {probe.net.sizes[-1]} is {expected:.4f}"
    )
    if right:
        return Check("wiring", PASS, loss, expected, message)
    return Check("wiring", FAIL, loss, expected, f"{message}: {_miswired(loss, probe)}",
                 "look at the loss function and the number of outputs")  # fmt: skip


def _miswired(loss: float, probe: Probe) -> str:
    rows, classes = len(probe.x), probe.net.sizes[-1]
    if abs(loss / rows - probe.log_c) < 0.05:
        return "it is summed over the rows, not averaged"
    if abs(loss - math.log2(classes)) < 0.02:
        return "the logarithm is to base 2"
    if not math.isfinite(loss):
        return "the inputs are not finite"
    other = round(math.exp(min(loss, 20)))
    return (
        f"as if there were {other} classes"
        if other != classes
        else "the loss or the labels are wrong"
    )


def initial_loss(probe: Probe) -> Check:
    """The mean over fresh initialisations: about log C + s^2/2, s^2 the variance of the logits."""
    limits = probe.context.config.sanity
    draws = range(limits.initializations)
    group = max(1, AT_ONCE // probe.net.n_params)
    parts = [
        probe.losses(np.stack([probe.draw(n) for n in draws[start : start + group]]))
        for start in range(0, len(draws), group)
    ]
    loss = float(np.mean(np.concatenate([part[0] for part in parts])))
    spread = float(np.mean(np.concatenate([part[1] for part in parts])))
    message = (
        f"initial loss {loss:.4g}, expected about {probe.log_c:.3g} (ln {probe.net.sizes[-1]})"
        f"; the logits' variance is {spread:.3g}"
    )
    say = partial(Check, "initial-loss", value=loss, expected=probe.log_c)
    ratio = loss / probe.log_c
    if not ratio <= limits.initial_loss_fail:
        return say(FAIL, message=f"{message}: the inputs or the weights are far too large",
                   fix=_cool(probe))  # fmt: skip
    if ratio > limits.initial_loss_warn:
        return say(WARN, message=f"{message}: the last layer is hot", fix=_cool(probe))
    if ratio < limits.initial_loss_low:
        return say(FAIL, message=f"{message}: the network knows the labels before training",
                   fix="look for the target among the features")  # fmt: skip
    return say(PASS, message=message)


def _cool(probe: Probe) -> str:
    """The remedy for logits that are too large: the inputs' if they are the cause."""
    if float(np.sqrt((probe.x**2).mean())) > 3:
        return "scale the inputs: data.preprocess.scale: standard"
    return "a smaller model.init_scale, or model.init: kaiming (relu) or xavier (tanh, sigmoid)"


def regularization_raises_loss(probe: Probe) -> Check:
    """Weight decay adds exactly 0.5 lambda sum(W^2) to the loss, and to a training step exactly
    lambda W of every weight, of no bias.
    """
    flat, decay = probe.draw(0), probe.decay
    data_loss, _ = probe.objective().loss_and_gradient(flat)
    with_decay, _ = probe.objective(weight_decay=decay).loss_and_gradient(flat)
    squares = sum(float((w**2).sum()) for w in Params.over(flat[None], probe.net).weights)
    added, expected = with_decay - data_loss, 0.5 * decay * squares
    train = probe.context.config.train
    beside = OPTIMIZERS[train.optimizer].decoupled
    message = f"weight decay {decay:g} adds {added:.4g} to a loss of {data_loss:.4g}"
    if beside:
        message += f" as an L2 penalty; {train.optimizer} has none and decays the weights itself"
    say = partial(Check, "regularization-raises-loss", value=added, expected=expected)
    noise = 1e-8 * expected + 1e-12 * abs(data_loss)
    if not abs(added - expected) <= noise or not _decays_as_it_should(probe):
        return say(FAIL, message=f"{message}, expected {expected:.4g}, and the same in a step",
                   fix="the penalty is not wired into the loss or the update")  # fmt: skip
    configured = train.weight_decay > 0 and not beside
    if configured and added > probe.context.config.sanity.penalty_warn * data_loss:
        return say(WARN, message=f"{message}: the net would mainly shrink its weights",
                   fix="a smaller train.weight_decay: start at 1e-4")  # fmt: skip
    return say(PASS, message=message)


def _decays_as_it_should(probe: Probe) -> bool:
    """Whether a step of plain SGD with decay differs from one without by rate lambda W; where the
    configured optimizer's decay is decoupled, a step of that one.
    """
    configured = probe.context.config.train.optimizer
    optimizer = configured if OPTIMIZERS[configured].decoupled else "sgd"
    rate, specs = 1e-3, []
    for number, decay in enumerate((0.0, probe.decay)):
        rates = {"learning_rate": rate, "weight_decay": decay, "warmup_epochs": 0.0}
        specs.append(probe.context.spec(number, Budget(1), seed=0, optimizer=optimizer,
                                        schedule="constant", rates=rates))  # fmt: skip
    cohort = Lockstep(specs, np.float64)
    for biases in cohort.memory.params.biases:
        biases[:] = 0.5  # a decay of biases that are 0 would not show
    before = cohort.memory.flat(0)
    before[probe.net.n_weights :] = 0
    cohort.step(probe.x, probe.y)
    plain, decayed = (cohort.memory.flat(k) for k in range(2))
    shrunk = rate * probe.decay * before
    return bool(np.allclose(plain - decayed, shrunk, rtol=1e-6, atol=1e-12))


def gradient_check(probe: Probe) -> Check:
    """Backpropagation against finite differences, at the start and after a few steps downhill."""
    limits = probe.context.config.sanity
    rng = np.random.default_rng([probe.context.config.seed, 4])
    few, start = slice(50), probe.draw(0)
    errors: list[GradientError] = []
    for flat in (start, _downhill(probe.objective(few), start)):
        for decay in (0.0, probe.decay):
            errors += check_gradient(probe.objective(few, decay), flat, rng=rng)
    say = partial(Check, "gradient-check", expected=limits.gradient_warn)
    if not errors:
        return say(WARN, value=None, message="no dimension could be checked: kinks everywhere",
                   fix="scale the inputs: data.preprocess.scale: standard")  # fmt: skip
    worst = max(errors, key=lambda e: e.relative if math.isfinite(e.relative) else math.inf)
    message = (
        f"largest relative error {worst.relative:.1e} ({worst.tensor}) of {len(errors)} dimensions"
    )
    if not worst.relative <= limits.gradient_fail:
        return say(FAIL, value=worst.relative, message=message,
                   fix=f"the gradient of {worst.tensor} is wrong")  # fmt: skip
    verdict = WARN if worst.relative > limits.gradient_warn else PASS
    return say(verdict, value=worst.relative, message=message)


def _downhill(objective: Objective, flat: NDArray[np.float64]) -> NDArray[np.float64]:
    """The weights (P,) ten steps on, each a hundredth of their length against the gradient."""
    for _ in range(10):
        _, gradient = objective.loss_and_gradient(flat)
        length = float(np.linalg.norm(gradient))
        flat = flat - 0.01 * float(np.linalg.norm(flat)) * gradient / (length or 1.0)
    return flat


def symmetry(probe: Probe) -> Check:
    """Units whose weights and gradients all point one way are one unit (constant init)."""
    say, limit = partial(Check, "symmetry"), probe.context.config.sanity.symmetry
    if len(probe.net.sizes) == 2 or probe.net.sizes[1] < 2:
        return say(PASS, None, limit, "no hidden units to compare")
    flat = probe.draw(0)
    _, gradient = probe.objective().loss_and_gradient(flat)
    weights, slopes = alignment(flat, probe.net), alignment(gradient, probe.net)
    alike = slopes if math.isnan(weights) else min(weights, slopes)
    if math.isnan(slopes):
        return say(FAIL, None, limit, "the first layer's gradient is exactly 0: it cannot learn",
                   _init_fix(probe))  # fmt: skip
    message = f"mean |cosine| between the first layer's units {alike:.3f}"
    if alike > limit:
        return say(FAIL, alike, limit, f"{message}: they are all the same unit", _init_fix(probe))
    return say(PASS, alike, limit, message)


def _init_fix(probe: Probe) -> str:
    return f"model.init: {ACTIVATIONS[probe.net.activation].inits[0]}"


def activation_statistics(probe: Probe) -> Check:
    """The standard deviation of each hidden layer's activations, against healthy networks'."""
    low, high = ACTIVATIONS[probe.net.activation].band
    layers = layer_table(probe)
    band = f"{low:g} to {high:g}"
    if not layers:
        return Check("activation-statistics", PASS, None, band, "no hidden layer")
    off = [row for row in layers if not low <= row["std"] <= high]
    worst = min(layers, key=lambda row: _closeness(float(row["std"]), low, high))
    stds = ", ".join(f"{row['std']:.3g}" for row in layers)
    say = partial(Check, "activation-statistics", value=worst["std"], expected=band)
    message = (
        f"std of the activations by layer: {stds}; {probe.net.activation} is healthy at {band}"
    )
    if not off:
        return say(PASS, message=message)
    trouble = "they shrink" if float(worst["std"]) < low else "they grow or saturate"
    fix = _init_fix(probe) + ", and data.preprocess.scale: standard"
    return say(WARN, message=f"{message}: {trouble}", fix=fix)


def _closeness(std: float, low: float, high: float) -> float:
    """1 inside the band, smaller the further outside."""
    return min(1.0, std / low, high / max(std, 1e-300)) if math.isfinite(std) else 0.0


def dead_units(probe: Probe) -> Check:
    """Units that have no gradient on any of the rows: they never fire, or never leave an end."""
    limits, layers = probe.context.config.sanity, layer_table(probe)
    say = partial(Check, "dead-units", expected=limits.dead_warn)
    if not layers:
        return say(PASS, value=0.0, message="no hidden layer")
    worst = max(layers, key=lambda row: row["dead"])
    share, n = worst["dead"], worst["units"]
    message = (
        f"{round(share * n)} of {n:g} units of layer {worst['layer']:g} have no gradient"
        f" on any of {len(probe.x)} rows"
    )
    if share <= limits.dead_warn:
        return say(PASS, value=share, message=message)
    fix = "model.bias_init: 0" if probe.context.config.model.bias_init < 0 else _init_fix(probe)
    verdict = FAIL if share > limits.dead_fail else WARN
    return say(verdict, value=share, message=message, fix=f"{fix}, and scaled inputs")


def zero_input_baseline(context: Context, done: Sequence[TrialResult]) -> Check:
    """A net that sees its inputs must beat one that sees zeros (Karpathy 2019)."""
    half = len(BASELINE_RATES)
    real = _best_tail([r for r in done if r.id < half])
    zero = _best_tail([r for r in done if r.id >= half])
    say = partial(Check, "zero-input-baseline")
    fix = "scale the inputs (data.preprocess.scale: standard), or another model.init"
    if real is None or zero is None:
        return say(FAIL, None, None, "training diverges at every learning rate", fix)
    gain = zero - real
    error = float(gain.std(ddof=1) / math.sqrt(len(gain)))
    better, needed = float(gain.mean()), context.config.sanity.baseline_errors * error
    message = (
        f"after {context.config.sanity.baseline_iterations} steps the loss is {real.mean():.4g}"
        f" with the inputs, {zero.mean():.4g} with zeros in their place"
    )
    if better > needed:
        return say(PASS, float(real.mean()), float(zero.mean()), message)
    return say(FAIL, float(real.mean()), float(zero.mean()),
               f"{message}: the net learns nothing from its inputs", fix)  # fmt: skip


def _best_tail(results: Sequence[TrialResult]) -> NDArray[np.float64] | None:
    """The last ten minibatch losses of the rate that ended lowest; None if all diverged."""
    tails = [
        np.array([loss for _, loss in r.losses[-10:]]) for r in results if r.status is Status.DONE
    ]
    return min(tails, key=lambda tail: float(tail.mean()), default=None)


CHECKS = (
    wiring, initial_loss, regularization_raises_loss, gradient_check, symmetry,
    activation_statistics, dead_units,
)  # fmt: skip
STAGE = Stage("sanity", plan, judge, ("data", "model", "train", "sanity"))
