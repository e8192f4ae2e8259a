"""What the loss must be before training: its wiring, its height, the penalty, the labels."""

import math
from functools import partial

import numpy as np

from hpsearch.lockstep import Lockstep
from hpsearch.nn.optimizers import OPTIMIZERS
from hpsearch.spec import Budget
from hpsearch.stages.probe import Floats, Probe
from hpsearch.stages.searched import share_above
from hpsearch.verdict import Check, Verdict

PASS, WARN, FAIL = Verdict.PASS, Verdict.WARN, Verdict.FAIL
NAMED = 5  # outputs named in a message


def wiring(probe: Probe) -> Check:
    """With practically no logits, the loss is ln C whatever the initialisation, on any number of
    rows. Source: CS231n, "Look for correct loss at chance performance".
    """
    flat, rows, expected = probe.quiet(probe.draw(0)), len(probe.x), probe.unit
    loss, half = probe.loss(flat, rows), probe.loss(flat, max(1, rows // 2))
    unused = np.flatnonzero(probe.label_counts == 0)
    message = (
        f"loss {loss:.4f} with the last layer scaled to nothing,"
        f" {probe.unit_name} is {expected:.4f}"
    )
    off = max(abs(loss - expected), abs(half - expected))
    if off < probe.context.config.sanity.wiring_tolerance and not len(unused):
        return Check("wiring", PASS, loss, expected, message)
    why = _miswired(loss, loss / half if half else math.nan, probe)
    return Check("wiring", FAIL, loss, expected, f"{message}: {why}",
                 _rewire(probe) if len(unused) else "look at the loss function")  # fmt: skip


def _miswired(loss: float, growth: float, probe: Probe) -> str:
    """Why the loss is not what it should be; `growth` is its ratio to that of half the rows."""
    classes, unused = probe.net.sizes[-1], np.flatnonzero(probe.label_counts == 0)
    if not math.isfinite(loss):
        return "the inputs are not finite"
    if len(unused):
        return (
            f"as if there were {classes} classes; output {', '.join(map(str, unused[:NAMED]))}"
            f" never occurs as a label: the labels are offset, or the number of classes is wrong"
        )
    rows = len(probe.x)
    if abs(growth - rows / max(1, rows // 2)) < 0.05 * growth:
        return "it grows with the rows: it is summed over them, not averaged"
    if abs(loss - probe.unit / math.log(2)) < 0.02:
        return "the logarithm is to base 2"
    other = round(math.exp(min(loss, 20)))
    return (
        f"as if there were {other} classes"
        if other != classes
        else "the loss or the labels are wrong"
    )


def _rewire(probe: Probe) -> str:
    first = int(np.flatnonzero(probe.label_counts)[0])
    start = f": they start at {first}" if first else ""
    return f"number the labels 0 to C - 1{start}"


def initial_loss(probe: Probe) -> Check:
    """The mean over fresh initialisations: about ln C + s^2/2, s^2 the variance of the logits;
    with biases at the log shares of the classes the entropy takes the place of ln C. Source:
    CS231n lecture 6, step 1; the second-order term was checked by measurement. No logits of that
    variance cost more than 2 (1 + s) ln C: beyond it the loss itself is wrong.
    """
    limits, draws = probe.context.config.sanity, probe.draws
    loss, spread, expected = (float(np.mean(draws.losses)), float(np.mean(draws.spread)),
                              probe.expected)  # fmt: skip
    message = (
        f"initial loss {loss:.4g}, expected about {expected:.3g} ({_named(probe)})"
        f"; the logits' variance is {spread:.3g}"
    )
    say = partial(Check, "initial-loss", value=loss, expected=expected)
    ratio = 1 + (loss - expected) / probe.unit
    if loss - expected > 2 * probe.unit * (1 + math.sqrt(spread)):
        return say(FAIL, message=f"{message}, which does not account for it: the loss is wrong",
                   fix="look at the loss function (see wiring)")  # fmt: skip
    if not ratio <= limits.initial_loss_fail:
        return say(FAIL, message=f"{message}: the inputs or the weights are far too large",
                   fix=probe.remedy)  # fmt: skip
    noise = limits.standard_errors * standard_error_of(draws.losses) / probe.unit
    if ratio - noise > limits.initial_loss_warn:
        return say(WARN, message=f"{message}: the last layer is hot", fix=probe.remedy)
    if ratio + noise < limits.initial_loss_low:
        return say(FAIL, message=f"{message}: the network knows the labels before training",
                   fix="look for the target among the features")  # fmt: skip
    return say(PASS, message=message)


def _named(probe: Probe) -> str:
    if probe.expected == probe.unit:
        return probe.unit_name
    return "that of the classes' shares"


def standard_error_of(values: Floats) -> float:
    """Of their mean; 0 of a single value."""
    return float(values.std(ddof=1) / math.sqrt(len(values))) if len(values) > 1 else 0.0


def permuted_labels(probe: Probe) -> Check:
    """A network that has not been trained is as wrong about permuted labels as about the right
    ones: the mean difference over fresh initialisations, each with a permutation of its own, lies
    within so many of its standard errors. Measured on 300 healthy networks: beyond 3 of them 1.3
    % of the time, beyond 4 never (twenty draws have the t distribution's tails).
    """
    limits, draws = probe.context.config.sanity, probe.draws
    gain = draws.permuted - draws.losses
    mean, error = float(np.mean(gain)), standard_error_of(gain)
    allowed = limits.permuted_errors * error + 1e-9 * probe.unit
    message = (
        f"permuting the labels changes the initial loss by {mean:+.3g},"
        f" {error:.2g} is the standard error over {len(gain)} initialisations"
    )
    say = partial(Check, "permuted-labels", value=mean, expected=0.0)
    if abs(mean) <= allowed or not math.isfinite(mean):
        return say(PASS, message=message)
    fix = "look for the target among the features, or for weights that were trained"
    return say(FAIL, fix=fix,
               message=f"{message}: the network knows the labels before training")  # fmt: skip


def regularization_raises_loss(probe: Probe) -> Check:
    """Weight decay adds exactly 0.5 lambda sum(W^2) to the loss, and to a training step exactly
    lambda W of every weight, of no bias. Source: CS231n, "Before learning: sanity checks"; the
    share of the penalty in the loss: TheDeepChecker.
    """
    flat, decay = probe.draw(0), probe.decay
    data_loss, _ = probe.gradient(flat)
    squares = sum(float((w**2).sum()) for w in probe.weights(flat))
    added = {
        strength: probe.gradient(flat, strength)[0] - data_loss
        for strength in (decay, 1e3 * decay)
    }
    expected = 0.5 * decay * squares
    train = probe.context.config.train
    beside = OPTIMIZERS[train.optimizer].decoupled
    message = f"weight decay {decay:g} adds {added[decay]:.4g} to a loss of {data_loss:.4g}"
    if beside:
        message += f" as an L2 penalty; {train.optimizer} has none and decays the weights itself"
    say = partial(Check, "regularization-raises-loss", value=added[decay], expected=expected)
    exact = all(
        abs(more - 0.5 * strength * squares) <= 1e-8 * strength * squares + 1e-12 * abs(data_loss)
        for strength, more in added.items()
    )
    if not exact or not _decays_as_it_should(probe):
        return say(FAIL, message=f"{message}, expected {expected:.4g}, and the same in a step",
                   fix="the penalty is not wired into the loss or the update")  # fmt: skip
    limits = probe.context.config.sanity
    heavy = limits.penalty_warn * data_loss / (0.5 * squares) if squares else math.inf
    if beside:
        return say(PASS, message=message)
    if train.weight_decay > heavy:
        return say(WARN, message=f"{message}: the net would mainly shrink its weights",
                   fix="a smaller train.weight_decay: start at 1e-4")  # fmt: skip
    space = probe.context.config.search.space.get("weight_decay")
    lost = share_above(space, heavy) if space else 0.0
    if lost > limits.penalty_searched:
        return say(WARN, fix="a smaller upper bound of search.space.weight_decay", message=(
            f"{message}; in the searched space {lost:.0%} of the decays lie above {heavy:.2g},"
            " where the net would mainly shrink its weights"))  # fmt: skip
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
    rounding = 1e-15 * np.abs(plain)  # of weights that a step on huge inputs has made huge
    allowed = 1e-6 * np.abs(shrunk) + rounding + 1e-12
    return bool((np.abs(plain - decayed - shrunk) <= allowed).all())
