"""Overfit: what a few examples tell of a network, on networks that are broken in known ways."""

import math
from dataclasses import replace

import numpy as np
import pytest
from test_stages import conclude, config, result

from hpsearch.config.checking import Overfit
from hpsearch.data import Rows
from hpsearch.nn.losses import LOSSES
from hpsearch.stages import overfit
from hpsearch.stages.context import Context, chance
from hpsearch.stages.learning import FIXES, Outcome, diagnose, double_softmax, remedy
from hpsearch.trial import Curves, Status

LOG_C = math.log(10)


def learnt(tmp_path, dataset, *overrides):
    context = Context(config(tmp_path, *overrides), dataset, "overfit")
    return conclude(overfit.STAGE, context)


def trial(number, losses, *, rate=0.1, accuracy=0.5, status=Status.DONE, ratio=1e-3):
    curves = Curves(
        train_loss=losses, train_accuracy=[accuracy] * len(losses),
        update_ratio=[ratio] * len(losses),
    )  # fmt: skip
    steps = list(enumerate(losses, 1))
    given = result(number, 0.0, status=status, curves=curves, hparams={"learning_rate": rate})
    return replace(given, losses=steps)


def outcome(losses, *, accuracy=0.5, others=(), classes=10, **given):
    """What a best rate did that had these losses, epoch by epoch."""
    best = trial(0, losses, accuracy=accuracy, ratio=given.pop("ratio", 1e-3))
    limits = given.pop("limits", Overfit())
    return Outcome(
        [best, *others], best, chance=math.log(classes), limits=limits,
        floor=double_softmax(classes), label_entropy=given.pop("label_entropy", 2.16), **given,
    )  # fmt: skip


def level(loss, first=2.5):
    """A curve that has reached its plateau."""
    return [first] + [loss] * 199


def down(loss, first=2.5):
    """A curve that still falls by half in its last quarter."""
    return [*np.geomspace(first, 2 * loss, 150), *np.geomspace(2 * loss, loss, 50)]


@pytest.mark.parametrize("classes, floor", [(2, 0.3133), (3, 0.5514), (10, 1.4612), (100, 3.6222)])
@pytest.mark.parametrize("factor, stuck", [(1.009, True), (0.991, True), (1.02, False)])
def test_the_floor_of_a_double_softmax_is_known(classes, floor, factor, stuck):
    found = diagnose(outcome(level(floor * factor, 9.0), accuracy=1.0, classes=classes))
    assert (found == "double-softmax") == stuck
    passing = outcome(down(floor * factor, 9.0), accuracy=1.0, classes=classes)
    assert diagnose(passing) != "double-softmax", "it only comes by"


@pytest.mark.parametrize(
    "found, losses, given",
    [
        ("pass", level(0.0199 * LOG_C), {"accuracy": 1.0}),
        ("partial", level(0.0199 * LOG_C), {"accuracy": 0.95, "contradictions": 1}),
        ("almost", level(0.0201 * LOG_C), {"accuracy": 1.0}),
        ("almost", down(0.5 * LOG_C), {"accuracy": 1.0}),
        ("almost", down(0.5 * LOG_C), {"accuracy": 0.9}),
        ("partial", level(0.31 * LOG_C), {"accuracy": 0.9}),
        ("almost", level(0.29 * LOG_C), {"accuracy": 0.9}),
        ("stuck-at-log-c", level(1.009 * LOG_C), {"ratio": 0.0}),
        ("partial", level(0.98 * LOG_C), {"ratio": 0.0}),
        ("stuck-at-label-entropy", level(2.17), {}),
        ("partial", level(2.22), {}),
        ("flat", level(2.48), {}),
        ("rises", [2.5, *np.linspace(2.501, 2.6, 199)], {}),
        ("flat", [2.5, 2.49, *np.linspace(2.501, 2.6, 198)], {}),
    ],
)
def test_the_rules_to_the_number(found, losses, given):
    assert diagnose(outcome(losses, **given)) == found


@pytest.mark.parametrize("above, found", [(1.0, "explodes"), (0.01, "flat")])
def test_flat_beside_larger_rates_that_diverge_is_no_matter_of_the_rate(above, found):
    lost = trial(1, [2.5, 2.4, 1e9], rate=above, status=Status.DIVERGED)
    assert diagnose(outcome(level(2.49), others=[lost])) == found


def test_a_loss_rises_only_where_it_does_at_every_rate():
    upward = [2.5, *np.linspace(2.501, 2.6, 199)]
    lost = trial(1, [2.5, 9e9], rate=1.0, status=Status.DIVERGED)
    at_once = trial(2, [2.5], rate=9.0, status=Status.DIVERGED)
    dipped = trial(3, [2.5, 2.4, 9e9], rate=1.0, status=Status.DIVERGED)
    assert diagnose(outcome(upward, others=[lost, at_once])) == "rises"
    assert diagnose(outcome(upward, others=[lost, dipped])) == "explodes"


def test_from_a_hot_start_the_inputs_are_to_be_scaled_first():
    hot, cool = outcome(level(1.0, 4.01 * LOG_C)), outcome(level(1.0, 3.99 * LOG_C))
    assert remedy(hot, "partial").startswith("scale the inputs")
    assert remedy(cool, "partial") == FIXES["partial"] and remedy(hot, "pass") == ""


@pytest.mark.parametrize(
    "diagnosis, overrides",
    [
        ("pass", []),
        ("almost", ["overfit={epochs: 25, longer: 1, learning_rates: [0.1]}"]),
        ("pass", ["overfit={epochs: 25, learning_rates: [0.1]}"]),
        ("stuck-at-log-c", ["model.init=constant", "model.init_scale=0", "model.hidden=[9, 9]",
                            "overfit.learning_rates=[1e-9]", "train.learning_rate=1e-9"]),
        ("stuck-at-label-entropy", ["model.bias_init=-60"]),
        ("partial", ["model.init=constant", "overfit.epochs=100"]),
        ("explodes", ["overfit.learning_rates=[1e7]", "train.learning_rate=1e6"]),
        ("flat", ["overfit.learning_rates=[1e-9]", "train.learning_rate=1e-8"]),
    ],
)  # fmt: skip
def test_overfit_names_what_is_wrong(tmp_path, digits, diagnosis, overrides):
    check = learnt(tmp_path, digits, *overrides).checks[0]
    assert check.diagnosis == diagnosis, check.message
    assert str(check.verdict) == {"pass": "pass", "almost": "warn"}.get(diagnosis, "fail")


def _uphill(logits, labels, *, gradient, plain):
    losses = plain(logits, labels, gradient=gradient)
    if gradient:
        logits *= -1
    return losses


def _twice(logits, labels, *, gradient, plain):
    """Softmax, and the loss that takes it for logits."""
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    logits[...] = p
    losses = plain(logits, labels, gradient=gradient)
    if gradient:
        logits[...] = p * (logits - (p * logits).sum(axis=1, keepdims=True))
    return losses


@pytest.mark.parametrize("fault, found", [(_uphill, "rises"), (_twice, "double-softmax")])
def test_overfit_sees_a_loss_that_is_wrong(tmp_path, digits, monkeypatch, fault, found):
    softmax = LOSSES["softmax"]

    def broken(logits, labels, smoothing=None, *, gradient=False):
        return fault(logits, labels, gradient=gradient, plain=softmax.rows)

    monkeypatch.setitem(LOSSES, "softmax", softmax._replace(rows=broken))
    assert learnt(tmp_path, digits, "overfit.epochs=100").checks[0].diagnosis == found


@pytest.mark.parametrize("equal, count", [(2, 1), (3, 2)])
def test_equal_examples_that_differ_in_label_are_named(tmp_path, digits, equal, count):
    x = digits.train.gather().copy()
    x[:equal] = x[0]
    y = np.append(np.arange(equal), digits.train.y[equal:])
    check = learnt(tmp_path, replace(digits, train=Rows(x, y))).checks[0]
    assert (check.diagnosis, check.verdict) == ("partial", "warn")
    assert f"{count} cannot be learnt" in check.message and "duplicate-rows" in check.fix


def test_rows_that_contradict_each_other_are_counted_by_group():
    x = np.array([[0, 1], [0, 1], [0, 1], [2, 3], [2, 3], [4, 5]], float)
    for y, wrong in [((1, 1, 0, 0, 1, 1), 2), ((1, 1, 1, 0, 0, 1), 0), ((0, 1, 2, 0, 0, 0), 2)]:
        assert overfit.contradictions(x, np.array(y)) == wrong


def test_only_what_has_begun_to_be_learnt_gets_more_epochs(tmp_path, digits):
    """And only at its best rate, and a third of it; the report has those runs as its last rows."""
    few = "overfit={epochs: 20, longer: 7, learning_rates: [0.1]}"
    table = learnt(tmp_path, digits, few).facts["rates"]
    assert [(row["learning_rate"], row["epochs"]) for row in table] == [
        (0.1, 20), (0.01, 20), (0.1, 140), (0.1 / 3, 140),
    ]  # fmt: skip
    dead = learnt(tmp_path, digits, "model.bias_init=-60").facts["rates"]
    assert {row["epochs"] for row in dead} == {200}


def test_nothing_hinders_the_learning_by_heart(tmp_path, digits):
    """Whatever is configured: plain gradient descent on all the rows, no penalty, no schedule."""
    chosen = config(
        tmp_path, "train={weight_decay: 1, optimizer: adam, schedule: step, batch_size: 3}"
    )
    for spec in overfit.plan(Context(chosen, digits, "overfit"), []):
        assert (spec.optimizer, spec.schedule, spec.rates.weight_decay) == ("sgd", "constant", 0)
        assert spec.batch_size == len(spec.view.rows) == 20 and not spec.evaluate


def test_the_examples_hold_two_classes_whatever_the_order(digits):
    order = np.argsort(digits.train.y, kind="stable")
    sorted_rows = replace(digits, train=digits.train.part(order))
    rows = overfit.examples(sorted_rows, 20)
    assert len(rows) == 20 and len(np.unique(sorted_rows.train.y[list(rows)])) == 10
    assert overfit.examples(digits, 20) == tuple(range(20))


def test_the_target_is_in_units_of_chance(tmp_path, digits):
    context = Context(config(tmp_path, "overfit.loss=0.5"), digits, "overfit")
    assert chance(context) == LOG_C
    assert overfit.judge(context, [trial(0, level(1.0))]).checks[0].expected == 0.5 * LOG_C
