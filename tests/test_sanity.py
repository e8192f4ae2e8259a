"""Sanity, check by check: each fault is found by the check that is meant for it, with its reason,
and the same network without the fault passes.
"""

import math
from dataclasses import replace

import numpy as np
import pytest
from test_stages import conclude, config, small_table

from hpsearch.data import Rows, Source
from hpsearch.data import load as load_data
from hpsearch.lockstep import Lockstep
from hpsearch.nn import losses
from hpsearch.nn.activations import ACTIVATIONS
from hpsearch.search.space import parse_space
from hpsearch.stages import probe as probe_module
from hpsearch.stages import sanity
from hpsearch.stages.context import Context
from hpsearch.stages.probe import Probe, downhill, expected_loss
from hpsearch.stages.sanity import activations, baseline, evaluation, gradients
from hpsearch.stages.sanity import losses as loss_checks
from hpsearch.stages.sanity.searched import corners
from hpsearch.stages.searched import share_above

NAMES = [
    "wiring", "initial-loss", "regularization-raises-loss", "permuted-labels", "gradient-check",
    "row-independence", "symmetry", "activation-statistics", "dead-units", "saturated-units",
    "gradient-flow", "train-eval-agreement", "zero-input-baseline", "determinism",
]  # fmt: skip
TANH = ("model.activation=tanh", "model.init=xavier")
SIGMOID = ("model.activation=sigmoid", "model.init=xavier")
DEEP = "model.hidden=[30, 30, 30]"


@pytest.fixture(params=["digits", "table"])
def dataset(request, tmp_path, digits):
    return digits if request.param == "digits" else small_table(tmp_path)


def probe(tmp_path, dataset, *overrides):
    few = ("sanity.examples=200", *overrides)
    return Probe.of(Context(config(tmp_path, *few), dataset, "sanity"))


def test_the_checks_are_those_of_the_contract_in_its_order(tmp_path, digits):
    document = conclude(sanity.STAGE, Context(config(tmp_path), digits, "sanity"))
    assert [check.name for check in document.checks] == NAMES
    assert {str(check.verdict) for check in document.checks} == {"pass"}


# --- losses


def test_the_expected_loss_is_that_of_the_formulas():
    counts = np.array([10, 1])
    share = counts / counts.sum()
    assert expected_loss(counts) == pytest.approx(math.log(2))
    assert expected_loss(counts, np.log(share)) == pytest.approx(0.305, abs=5e-4)  # 1 to 10
    assert expected_loss(np.ones(10), np.full(10, 3.0)) == pytest.approx(math.log(10))
    assert expected_loss(np.ones(10), loss="hinge") == pytest.approx(9)
    assert expected_loss(np.array([1, 0]), np.array([1000.0, 0])) == 0


@pytest.mark.parametrize(
    "change, reason",
    [
        (lambda loss, y: loss * len(y), "summed"),
        (lambda loss, y: loss / math.log(2), "base 2"),
        (lambda loss, y: loss + math.log(11 / 10), "as if there were 11 classes"),
        (lambda loss, y: loss + math.nan, "not finite"),
    ],
)
def test_wiring_says_how_the_loss_is_wrong(tmp_path, digits, monkeypatch, change, reason):
    softmax = losses.LOSSES["softmax"]
    assert loss_checks.wiring(probe(tmp_path, digits)).verdict == "pass"
    wrong = softmax._replace(rows=lambda logits, y: change(softmax.rows(logits, y), y))
    monkeypatch.setitem(losses.LOSSES, "softmax", wrong)
    check = loss_checks.wiring(probe(tmp_path, digits))
    assert check.verdict == "fail" and reason in check.message


@pytest.mark.parametrize("shift, never", [(1, "output 0"), (0, "output 10")])
def test_an_output_that_is_no_label_is_named(tmp_path, digits, shift, never):
    """Labels that start at 1, or one class too many."""
    rows = Rows(digits.train.gather(), digits.train.y + shift)
    eleven = replace(digits, train=rows, classes=tuple(map(str, range(11))))
    check = loss_checks.wiring(probe(tmp_path, eleven))
    assert check.verdict == "fail" and f"{never} never occurs as a label" in check.message
    assert check.value == pytest.approx(math.log(11), abs=1e-3)
    assert check.expected == pytest.approx(math.log(10))
    assert ("start at 1" in check.fix) == bool(shift)


def trained(dataset, network):
    """Weights that know the labels."""
    steps = downhill(network, network.draw(0))
    return [next(steps) for _ in range(60)][-1]


def test_weights_that_know_the_labels_are_noticed(tmp_path, dataset, monkeypatch):
    network = probe(tmp_path, dataset)
    assert loss_checks.permuted_labels(network).verdict == "pass"
    known = trained(dataset, network)
    monkeypatch.setattr(probe_module, "initialize", lambda net, rng: known)
    check = loss_checks.permuted_labels(probe(tmp_path, dataset))
    assert check.verdict == "fail" and check.value > 0.1


def test_the_labels_entropy_is_expected_where_the_biases_say_their_shares(
    tmp_path, digits, monkeypatch
):
    """Of ten classes, nine are rare; with biases of 0 the same network is expected at ln 10."""
    kept = np.concatenate([np.flatnonzero(digits.train.y == 0), np.arange(100)])
    uneven = replace(digits, train=digits.train.part(kept))
    assert probe(tmp_path, uneven).expected == pytest.approx(math.log(10))
    shares = np.bincount(uneven.train.y) / len(uneven.train.y)
    plain = probe_module.initialize

    def informed(net, rng):
        flat = plain(net, rng)
        flat[-10:] = np.log(shares)
        return flat

    monkeypatch.setattr(probe_module, "initialize", informed)
    network = probe(tmp_path, uneven, "sanity.examples=10000")
    assert network.expected == pytest.approx(-(shares * np.log(shares)).sum())
    check = loss_checks.initial_loss(network)
    assert check.verdict == "pass" and "the classes' shares" in check.message


@pytest.mark.parametrize(
    "written, limit, share",
    [
        ({"log_uniform": [1e-6, 1]}, 1e-3, 0.5),
        ({"log_uniform": [1e-6, 1]}, 10, 0),
        ({"log_uniform": [1e-6, 1]}, math.inf, 0),
        ({"log_uniform": [1e-2, 1]}, 1e-3, 1),
        ({"zero_or_log_uniform": {"bounds": [1e-6, 1], "zero": 0.5}}, 1e-3, 0.25),
        ({"uniform": [0, 4]}, 1, 0.75),
        ({"choice": [0.0, 1e-4, 10.0, 100.0]}, 1, 0.5),
    ],
)
def test_how_much_of_a_range_of_decays_is_lost(written, limit, share):
    kind = parse_space({"weight_decay": written})["weight_decay"]
    assert share_above(kind, limit) == pytest.approx(share)


@pytest.mark.parametrize("high, verdict", [(1e-2, "pass"), (1e6, "warn")])
def test_decays_too_strong_are_warned_of_before_the_search(tmp_path, digits, high, verdict):
    space = f"search.space.weight_decay={{log_uniform: [1e-3, {high}]}}"
    check = loss_checks.regularization_raises_loss(probe(tmp_path, digits, space))
    assert check.verdict == verdict
    assert ("in the searched space" in check.message) == (verdict == "warn")


def test_the_penalty_of_weights_on_huge_inputs_is_right_all_the_same(tmp_path):
    """A step on them makes weights whose last digit is more than their decay."""
    rng, y = np.random.default_rng(5), np.arange(150) % 3
    np.savez(tmp_path / "table.npz", x=1.7e9 + rng.standard_normal((150, 8)), y=y)
    data = load_data(Source("npz", tmp_path / "table.npz"), center="none", scale="none")
    assert loss_checks.regularization_raises_loss(probe(tmp_path, data)).verdict == "pass"


# --- gradients


@pytest.mark.parametrize(
    "settings, factor, verdict",
    [
        ((), 1.0, "pass"),
        ((), 1 + 1e-5, "pass"),  # kinks
        ((), 1 + 1e-3, "warn"),
        ((), 0.9, "fail"),
        ((), -1.0, "fail"),
        (SIGMOID, 1.0, "pass"),
        (SIGMOID, 1 + 1e-5, "warn"),
        (TANH, 1 + 1e-5, "warn"),
        (TANH, 0.9, "fail"),
    ],
)
def test_how_wrong_a_gradient_may_be(tmp_path, dataset, monkeypatch, settings, factor, verdict):
    network = probe(tmp_path, dataset, *settings, "model.hidden=10")
    activation = ACTIVATIONS[network.net.activation]

    def off(grad, z, a, slope):
        return np.multiply(activation.backward(grad, z, a, slope), factor, out=grad)

    wrong = activation._replace(backward=off)
    monkeypatch.setitem(ACTIVATIONS, network.net.activation, wrong)
    check = gradients.gradient_check(network)
    assert check.verdict == verdict, check.message
    if verdict != "pass":
        assert 0.5 < check.value / (abs(factor - 1) / max(1, factor)) < 2


@pytest.mark.parametrize("settings", [(), TANH, SIGMOID], ids=["relu", "tanh", "sigmoid"])
@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_right_gradients_are_never_alarmed_of(tmp_path, dataset, settings, depth):
    for seed in range(3):
        network = probe(
            tmp_path, dataset, *settings, f"model.hidden={[20] * depth}", f"seed={seed}"
        )
        check = gradients.gradient_check(network)
        assert check.verdict == "pass" and check.value < 1e-8
        assert gradients.gradient_flow(network).verdict == "pass"


@pytest.mark.parametrize(
    "settings, verdict, reason",
    [
        ((*SIGMOID, "model.init_scale=0.1"), "fail", "vanish"),
        (("model.init=small", "model.init_scale=1e-6"), "fail", "vanish"),
        ((*SIGMOID, "sanity.flow_norm=0.05", "sanity.flow_low=0.1"), "warn", "shrink"),
        (("model.init_scale=5",), "fail", "explode"),
        (("sanity.flow_high=1e-3",), "warn", "grow"),
        ((), "pass", ""),
    ],
)
def test_where_gradients_go(tmp_path, dataset, settings, verdict, reason):
    hidden = "model.hidden=[20, 20, 20, 20]"
    check = gradients.gradient_flow(probe(tmp_path, dataset, hidden, *settings))
    assert check.verdict == verdict and reason in check.message, check.message


def test_no_ratio_is_told_of_gradients_that_are_0(tmp_path, dataset):
    check = gradients.gradient_flow(probe(tmp_path, dataset, "model.init_scale=0"))
    assert check.verdict == "fail" and check.message == "gradients by layer: 0, 0: they vanish"


# --- activations


@pytest.mark.parametrize(
    "activation, init, why",
    [
        ("relu", "xavier", "halves"),
        ("tanh", "kaiming", "doubles"),
        ("sigmoid", "kaiming", "doubles"),
        ("relu", "constant", "the same"),
        ("relu", "kaiming", ""),
        ("tanh", "xavier", ""),
        ("sigmoid", "xavier", ""),
    ],
)
def test_an_initializer_made_for_another_activation(tmp_path, dataset, activation, init, why):
    chosen = (f"model.activation={activation}", f"model.init={init}")
    check = activations.activation_statistics(probe(tmp_path, dataset, *chosen))
    assert check.verdict == ("warn" if why else "pass") and why in check.message
    right = "kaiming" if activation == "relu" else "xavier"
    assert check.fix == (f"model.init: {right}" if why else "")


@pytest.mark.parametrize("scale, verdict", [(1e-2, "warn"), (0.15, "pass")])
def test_small_weights_are_warned_of_only_where_they_are_too_small(
    tmp_path, digits, scale, verdict
):
    chosen = ("model.init=small", f"model.init_scale={scale}", DEEP, *TANH[:1])
    check = activations.activation_statistics(probe(tmp_path, digits, *chosen))
    assert check.verdict == verdict, check.message


@pytest.mark.parametrize(
    "bias, verdict, layer", [(0, "pass", 1), (-3, "warn", 1), (-60, "fail", 1)]
)
def test_units_that_never_fire(tmp_path, digits, bias, verdict, layer):
    network = probe(tmp_path, digits, f"model.bias_init={bias}")
    check = activations.dead_units(network)
    dead = [unit.dead for unit in network.draws.layers]
    assert check.verdict == verdict and check.value == max(dead), check.message
    assert f"of layer {layer}" in check.message
    assert check.fix.startswith("model.bias_init: 0") == (verdict != "pass")


@pytest.mark.parametrize(
    "settings, verdict",
    [
        (TANH, "pass"), ((*TANH, "model.init_scale=30"), "warn"),
        (SIGMOID, "pass"), ((*SIGMOID, "model.init_scale=30"), "warn"),
        (("model.init_scale=30",), "pass"),
    ],
)  # fmt: skip
def test_saturated_activations(tmp_path, dataset, settings, verdict):
    network = probe(tmp_path, dataset, *settings)
    check = activations.saturated_units(network)
    assert check.verdict == verdict and (check.value > 0.5) == (verdict == "warn")


# --- evaluation


def _mix(tape):
    tape.logits[:] += tape.logits.mean(axis=2, keepdims=True)


def _roll(tape):
    tape.logits[:] = np.roll(tape.logits, 1, axis=2)


@pytest.mark.parametrize("change, verdict", [(None, "pass"), (_mix, "fail"), (_roll, "fail")])
def test_rows_that_are_mixed(tmp_path, dataset, monkeypatch, change, verdict):
    plain = probe_module.forward

    def forward(net, params, x, tape):
        plain(net, params, x, tape)
        if change:
            change(tape)
        return tape.logits

    monkeypatch.setattr(probe_module, "forward", forward)
    assert evaluation.row_independence(probe(tmp_path, dataset)).verdict == verdict


def _jitters(losses, rows, calls):
    return losses * (1 + 1e-12 * calls)


def _depends_on_the_batch(losses, rows, calls):
    return losses * (1 + 1 / rows)


def _differs_from_training(losses, rows, calls):
    return losses * 1.01


@pytest.mark.parametrize(
    "change, reason",
    [
        (None, ""),
        (_jitters, "evaluated again"),
        (_depends_on_the_batch, "in two parts"),
        (_differs_from_training, "should be the same"),
    ],
)
def test_an_evaluation_that_is_none(tmp_path, dataset, monkeypatch, change, reason):
    plain, calls = Lockstep.evaluate, []

    def evaluate(cohort, data, rows, *, zero=False):
        scores = plain(cohort, data, rows, zero=zero)
        calls.append(1)
        loss = change(scores.loss, len(rows), len(calls)) if change else scores.loss
        return scores._replace(loss=loss)

    monkeypatch.setattr(Lockstep, "evaluate", evaluate)
    check = evaluation.train_eval_agreement(probe(tmp_path, dataset))
    assert check.verdict == ("fail" if change else "pass") and reason in check.message


# --- short trainings


def trials(tmp_path, digits, *overrides):
    few = ("model.hidden=5", "sanity.baseline_iterations=20", *overrides)
    context, done = Context(config(tmp_path, *few), digits, "sanity"), []
    conclude(replace(sanity.STAGE, judge=lambda context, found: done.extend(found)), context)
    return context, done


def test_other_bits_of_the_same_seed_are_noticed(tmp_path, digits):
    context, done = trials(tmp_path, digits)
    assert baseline.determinism(context, done).verdict == "pass"
    (repeat,) = [trial for trial in done if trial.id == baseline.REPEAT]
    step, loss = repeat.losses[7]
    changed = [*repeat.losses]
    changed[7] = (step, math.nextafter(loss, math.inf))
    others = [replace(trial, losses=changed) if trial is repeat else trial for trial in done]
    check = baseline.determinism(context, others)
    assert check.verdict == "fail" and f"from step {step} on" in check.message
    short = [replace(t, losses=t.losses[:-1]) if t is repeat else t for t in done]
    assert baseline.determinism(context, short).verdict == "fail"
    assert baseline.determinism(context, done[:-1]).verdict == "fail"


def test_inputs_that_do_not_help_are_given_more_time(tmp_path, digits):
    context, done = trials(tmp_path, digits)
    assert len(done) == baseline.LONGER and baseline.plan(context, done)[-1] == done_spec(context)
    never, undecided = trials(tmp_path, digits, "sanity.baseline_errors=1e9")
    longer = baseline.plan(never, undecided)[baseline.LONGER :]
    assert len(undecided) == baseline.LONGER + len(longer) and len(longer) == 14
    assert {spec.budget.iterations for spec in longer} == {60}
    check = baseline.zero_input_baseline(never, undecided)
    assert check.verdict == "fail" and "after 60 steps" in check.message


@pytest.mark.parametrize("share, verdict", [(2e-4, "pass"), (5e-5, "fail")])
def test_inputs_that_help_by_next_to_nothing_do_not_help(tmp_path, digits, share, verdict):
    """However sure it is: both ladders see the same minibatches."""
    context, done = trials(tmp_path, digits)
    half = len(baseline.RATES)

    def level(trial):
        loss = 2.3 * (1 - share) if trial.id < half else 2.3
        return replace(trial, losses=[(step, loss) for step, _ in trial.losses])

    found = baseline.zero_input_baseline(context, [level(trial) for trial in done])
    assert found.verdict == verdict


def done_spec(context):
    """The repeated trial: that of rate 0.01, but for its number and its evaluation."""
    specs = {spec.id: spec for spec in baseline.plan(context, [])}
    repeated = specs[baseline.REPEATED]
    assert repeated.rates.learning_rate == 1e-2
    assert specs[baseline.REPEAT].shape != repeated.shape, "they would share a cohort"
    return replace(repeated, id=baseline.REPEAT, evaluate=True)


# --- the searched space

SPACE = (
    "search.space={hidden: {choice: [[10], [40], [5, 5, 5]]},"
    " init_scale: {log_uniform: [0.1, 50]}, activation: {choice: [relu, tanh]},"
    " learning_rate: {log_uniform: [1e-4, 1]}}"
)


def searched(tmp_path, digits, *overrides):
    few = ("sanity.examples=100", "sanity.initializations=3", *overrides)
    return Context(config(tmp_path, *few), digits, "sanity")


def test_the_corners_of_a_space_are_its_extremes(tmp_path, digits):
    found = corners(searched(tmp_path, digits, "model.hidden=40", SPACE))
    assert [corner.corner for corner in found] == [
        "model.hidden 5-5-5",
        "model.hidden 5-5-5, model.init_scale 50.0",
        "model.hidden 5-5-5, model.init_scale 0.1",
        "model.hidden 5-5-5, model.activation tanh",
    ]  # relu and 40 wide is the configured network
    assert found[-1].net.sizes == (64, 5, 5, 5, 10) and found[-1].net.activation == "tanh"
    assert found[1].net.init_scale == 50
    assert corners(searched(tmp_path, digits)) == [], "nothing of the model is searched"


def test_a_bad_corner_warns_and_never_fails(tmp_path, digits):
    context = searched(tmp_path, digits, SPACE)
    document = conclude(sanity.STAGE, context)
    found = {check.name: check for check in document.checks}
    assert document.verdict == "warn"
    for name in ("initial-loss", "activation-statistics", "gradient-flow"):
        assert found[name].verdict == "warn" and found[name].fix
        assert "in the searched space, model.hidden 5-5-5, model." in found[name].message
    alone = conclude(sanity.STAGE, searched(tmp_path, digits)).checks
    assert found["initial-loss"].value == alone[1].value, "the configured network's own"


def test_a_wrong_gradient_of_a_searched_activation_is_found(tmp_path, digits, monkeypatch):
    wrong = ACTIVATIONS["tanh"]._replace(backward=lambda grad, *_: np.multiply(grad, 0.5, grad))
    monkeypatch.setitem(ACTIVATIONS, "tanh", wrong)
    document = conclude(sanity.STAGE, searched(tmp_path, digits, SPACE))
    found = {check.name: check for check in document.checks}["gradient-check"]
    assert found.verdict == "warn" and "model.activation tanh" in found.message
