"""Every member of every family of the network, against finite differences and its own promises.

The tests run over the tables, so that a new member is tested as soon as it is entered.
"""

import math
import statistics
from itertools import product

import numpy as np
import pytest

from hpsearch.nn.activations import ACTIVATIONS
from hpsearch.nn.dropout import Dropout
from hpsearch.nn.erf import normal
from hpsearch.nn.folding import fold
from hpsearch.nn.gradcheck import Objective, check_gradient
from hpsearch.nn.initializers import INITIALIZERS, Fan
from hpsearch.nn.losses import LOSSES
from hpsearch.nn.mlp import NO_SLOPE, Tape, follow, forward
from hpsearch.nn.net import Net, initialize
from hpsearch.nn.normalization import NORMALIZATIONS
from hpsearch.nn.params import Params
from hpsearch.nn.products import batch

SIZES = [(4, 3), (6, 5, 3), (8, 7, 6, 2)]
BOTH = ["none", *NORMALIZATIONS]


def disturbed(net, rng):
    """Initial numbers with every learned tensor away from its special first value."""
    flat = initialize(net, rng)
    flat[net.n_weights : net.n_params] += 0.3 * rng.standard_normal(net.n_params - net.n_weights)
    return flat


def masks_of(net, rng, rows, rate=0.4):
    masks = tuple(np.empty((1, width, rows)) for width in net.sizes[1:-1])
    Dropout(np.array([rate]), [(int(rng.integers(99)),)]).draw(masks)
    return masks


@pytest.mark.parametrize("activation, normalization", list(product(ACTIVATIONS, BOTH)))
@pytest.mark.parametrize("sizes", SIZES)
def test_backpropagation_agrees_with_finite_differences(activation, normalization, sizes, rng):
    net = Net(sizes, activation, "xavier", bias_init=0.1, normalization=normalization)
    x, y = rng.standard_normal((9, sizes[0])), rng.integers(0, sizes[-1], 9)
    flat = disturbed(net, rng)
    kinds = {tensor.kind for tensor in net.tensors if tensor.learned}
    for decay, masks in ((0.0, ()), (0.3, masks_of(net, rng, 9) if len(sizes) > 2 else ())):
        objective = Objective(net, x, y, decay, masks=masks)
        errors = check_gradient(objective, flat, rng=rng, per_tensor=10)
        assert len({e.tensor for e in errors}) >= len(kinds)
        assert max(e.relative for e in errors) < 1e-6
    assert objective.loss_and_gradient(flat)[1][net.n_params :].max(initial=0) == 0


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_every_loss_has_the_gradient_of_its_value(loss, smoothing, rng):
    net = Net((6, 5, 4))
    x, y = rng.standard_normal((11, 6)), rng.integers(0, 4, 11)
    objective = Objective(net, x, y, 0.1, loss=loss, smoothing=smoothing)
    errors = check_gradient(objective, disturbed(net, rng), rng=rng, per_tensor=20)
    assert len(errors) > 30 and max(e.relative for e in errors) < 1e-6


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_backward_is_the_derivative_of_forward(activation):
    """Of each function by itself, on a line of numbers that has no kink on it."""
    pair = ACTIVATIONS[activation]
    slope, h = np.full((1, 1, 1), 0.3), 1e-6
    z = np.linspace(-3, 3, 13)[None, None] + 0.01
    if pair.pieces == 2:
        z = np.concatenate([z, 0.3 * z[:, :, ::-1]], axis=1)

    def f(at):
        a = np.empty((1, at.shape[1] // pair.pieces, at.shape[2]))
        z = at.copy() if pair.keeps else a
        z[...] = at
        pair.forward(z, a, slope)
        return z, a

    at, a = f(z)
    found = pair.backward(np.ones_like(a), at, a.copy(), slope)
    for piece in range(pair.pieces):
        step = np.zeros_like(z)
        step[:, piece] = h
        numeric = (f(z + step)[1] - f(z - step)[1]) / (2 * h)
        np.testing.assert_allclose(found[:, piece], numeric[:, 0], atol=1e-8)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_saturated_units_have_no_gradient_and_others_have(activation, rng):
    pair = ACTIVATIONS[activation]
    z = 6 * rng.standard_normal((1, 40 * pair.pieces, 30))
    a, slope = np.empty((1, 40, 30)), np.full((1, 1, 1), pair.slope or 0.0)
    at = z if pair.keeps else a
    at[...] = z
    pair.forward(at, a, slope)
    stuck = pair.saturated(at, a)
    if activation in ("leaky_relu", "prelu", "elu", "maxout"):
        assert not stuck.any()
        return
    slopes = np.abs(pair.backward(np.ones_like(a), at, a, slope))
    assert slopes[stuck].max() < 0.05 < slopes[~stuck].max()
    assert 0.2 < stuck.mean() < 0.99


@pytest.mark.parametrize("name", INITIALIZERS)
def test_initializers_have_the_spread_they_promise(name, rng):
    draw, scale = INITIALIZERS[name]
    expected = {
        "constant": 0.0, "small": 0.01, "xavier": 400**-0.5, "glorot": (2 / 700) ** 0.5,
        "kaiming": (2 / 400) ** 0.5, "lecun": 400**-0.5,
    }  # fmt: skip
    w = draw(rng, Fan(400, 300), scale)
    assert w.shape == (300, 400)
    assert w.std() == pytest.approx(expected[name], rel=0.02)
    leaky = INITIALIZERS["kaiming"].draw(rng, Fan(400, 300, 0.5), 1.0)
    assert leaky.std() == pytest.approx((2 / 400 / 1.25) ** 0.5, rel=0.02)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_suited_initializer_keeps_the_signal_through_eight_layers(activation):
    """And by that measure is why it is the default: the band holds at every depth."""
    pair = ACTIVATIONS[activation]
    net = Net((200, *[200] * 8, 5), activation, pair.inits[0])
    x = np.random.default_rng(1).standard_normal((100, 200))
    tape = Tape.for_(net, 1, 100, np.float64, train=False)
    flat = initialize(net, np.random.default_rng(0))[None]
    forward(net, Params.over(flat, net), batch(x), tape)
    stds = [float(a.std()) for a in tape.a[:-1]]
    assert min(stds) > 0.5 * pair.band[0] and max(stds) < 2 * pair.band[1], stds


@pytest.mark.parametrize("dtype, error", [(np.float64, 2e-15), (np.float32, 3e-7)])
def test_the_normal_distribution_is_that_of_the_mathematics_library(dtype, error):
    z = np.linspace(-9, 9, 4001).astype(dtype)
    exact = statistics.NormalDist()
    below, density = normal(z)
    assert below.dtype == density.dtype == dtype
    expected = [0.5 * math.erfc(-float(each) / math.sqrt(2)) for each in z]
    np.testing.assert_allclose(below, expected, atol=error)
    np.testing.assert_allclose(density, [exact.pdf(float(each)) for each in z], atol=error)
    assert np.isnan(normal(np.array([np.nan], dtype))).all()
    with np.errstate(over="ignore"):
        below, density = normal(np.array([-np.inf, -1e19, 1e19, np.inf], dtype))
    assert below.tolist() == [0, 0, 1, 1] and not density.any()


def test_gelu_far_below_0_is_nothing():
    z = np.array([[[-30.0, -1e4, -1e19]]], np.float32)
    with np.errstate(over="ignore"):
        ACTIVATIONS["gelu"].forward(z, a := np.empty_like(z), NO_SLOPE)
    assert not a.any() and not z.any()


def test_selu_keeps_mean_0_and_variance_1():
    """Its fixed point, for standard normal input (Klambauer et al. 2017)."""
    z = np.random.default_rng(0).standard_normal((1, 1, 4_000_000))
    a = np.empty_like(z)
    ACTIVATIONS["selu"].forward(z, a, np.zeros((1, 1, 1)))
    assert abs(a.mean()) < 2e-3 and a.var() == pytest.approx(1, abs=5e-3)


@pytest.mark.parametrize("kind", NORMALIZATIONS)
def test_normalized_layers_have_mean_beta_and_sd_gamma(kind, rng):
    net = Net((6, 40, 3), "tanh", normalization=kind)
    flat = initialize(net, rng)
    params = Params.over(flat[None], net)
    params.gammas[0][:], params.biases[0][:] = 3.0, 0.5
    tape = Tape.for_(net, 1, 50, np.float64)
    tape = Tape(**{**vars(tape), "z": (np.empty_like(tape.a[0]), tape.a[1])})  # keeps z
    forward(net, params, batch(5 + 100 * rng.standard_normal((50, 6))), tape)
    axis = 2 if kind == "batch" else 1
    np.testing.assert_allclose(tape.z[0].mean(axis), 0.5, atol=1e-9)
    np.testing.assert_allclose(tape.z[0].std(axis), 3.0, atol=1e-3)


def test_running_statistics_are_those_of_the_minibatches(rng):
    """The mean of the first ten, then a tenth of the way to each; the variance unbiased."""
    net = Net((3, 4, 2), normalization="batch", init="constant", init_scale=1.0)
    params = Params.over(initialize(net, rng)[None], net)
    tape, means, variances = Tape.for_(net, 1, 20, np.float64), [], []
    for t in range(1, 13):
        x = rng.standard_normal((20, 3))
        forward(net, params, batch(x), tape)
        follow(params, tape, t)
        means.append(x.sum(1).mean())
        variances.append(x.sum(1).var(ddof=1))
    for seen, expected in ((params.means[0], means), (params.variances[0], variances)):
        value = np.mean(expected[:10])
        for late in expected[10:]:
            value += 0.1 * (late - value)
        np.testing.assert_allclose(seen, value, rtol=1e-9)


def test_a_minibatch_of_one_row_teaches_no_variance(rng):
    net = Net((3, 4, 2), normalization="batch")
    params = Params.over(initialize(net, rng)[None], net)
    tape = Tape.for_(net, 1, 1, np.float64)
    forward(net, params, batch(rng.standard_normal((1, 3))), tape)
    follow(params, tape, 1)
    assert (params.variances[0] == 1).all() and (params.means[0] == 0).all()


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_folded_batch_normalization_answers_alike(activation, rng):
    net = Net((6, 9, 8, 3), activation, normalization="batch")
    flat = disturbed(net, rng)
    params = Params.over(flat[None], net)
    for layer in range(2):
        params.means[layer][:] = rng.standard_normal(params.means[layer].shape)
        params.variances[layer][:] = 0.1 + rng.random(params.variances[layer].shape)
    plain, folded = fold(net, flat)
    assert plain.normalization == "none" and len(folded) == plain.n_numbers
    x, answers = batch(rng.standard_normal((7, 6))), []
    for each, numbers in ((net, flat), (plain, folded)):
        tape = Tape.for_(each, 1, 7, np.float64, train=False)
        answers.append(forward(each, Params.over(numbers[None], each), x, tape).copy())
    np.testing.assert_allclose(*answers, rtol=1e-9, atol=1e-12)


def test_what_is_not_batch_normalized_is_folded_to_itself(rng):
    for kind in ("none", "layer"):
        net = Net((4, 5, 3), normalization=kind)
        flat = initialize(net, rng)
        assert fold(net, flat) == (net, flat)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_dropout_keeps_the_expectation_and_its_share(rate):
    masks = (np.empty((2, 200, 300)), np.empty((2, 50, 300)))
    Dropout(np.array([rate, 0.0]), [(1, 2), (3, 2)]).draw(masks)
    for mask in masks:
        assert (mask[0] == 0).mean() == pytest.approx(rate, abs=0.01)
        assert mask[0].mean() == pytest.approx(1, abs=0.05)
        assert len(np.unique(mask[0])) == 2 and (mask[1] == 1).all()


def test_dropout_of_a_trial_does_not_know_its_company():
    alone, together = [np.empty((1, 4, 5))], [np.empty((3, 4, 5))]
    one = Dropout(np.array([0.4]), [(7, 2)])
    three = Dropout(np.array([0.9, 0.4, 0.0]), [(1, 2), (7, 2), (2, 2)])
    for _ in range(3):
        one.draw(alone)
        three.draw(together)
        assert (alone[0][0] == together[0][1]).all()
    three.keep(np.array([False, True, True]))
    one.draw(alone)
    three.draw(together := [np.empty((2, 4, 5))])
    assert (alone[0][0] == together[0][0]).all()


def test_hinge_of_cs231n_and_its_expected_first_loss(rng):
    """The notes' example, scores 13, -7, 11 with delta 10 and label 0: 8; here delta is 1."""
    hinge = LOSSES["hinge"].rows
    scores = np.array([[1.3], [-0.7], [1.1]])[None]
    assert hinge(scores, np.array([0]))[0, 0] == pytest.approx(0.8)
    for classes in (2, 3, 10):
        assert hinge(np.zeros((1, classes, 4)), np.zeros(4, int)).tolist() == [[classes - 1] * 4]
        assert LOSSES["hinge"].indifferent(classes) == classes - 1


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("shares", [(0.5, 0.5), (0.96, 0.04), (0.6, 0.3, 0.1), (0.1,) * 10])
def test_no_constant_answer_is_better_than_the_best_one(loss, shares, smoothing, rng):
    kind, counts = LOSSES[loss], (np.array(shares) * 100).round().astype(int)
    labels = np.repeat(np.arange(len(shares)), counts)
    best = kind.constant(np.array(shares), smoothing)
    smoothed = (1 - smoothing) * np.array(shares) + smoothing / len(shares)

    def mean(answer):
        logits = np.tile(answer[None, :, None], (1, 1, len(labels)))
        return kind.rows(logits, labels, np.array([smoothing])).mean()

    tried = [mean(3 * rng.standard_normal(len(shares))) for _ in range(500)]
    assert min(tried) >= best - 1e-9
    if loss == "softmax":
        assert mean(np.log(smoothed)) == pytest.approx(best)
    elif shares == (0.96, 0.04):
        assert mean(np.array([0.5, -0.5])) == pytest.approx(best) == pytest.approx(0.08)
    assert best <= kind.indifferent(len(shares)) + 1e-9


def test_smoothed_labels_are_a_mixture(rng):
    """-sum q log p by hand, with q = (1 - s) onehot + s/C."""
    logits, labels = 3 * rng.standard_normal((2, 5, 6)), rng.integers(0, 5, 6)
    s = np.array([0.0, 0.3])
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    q = (1 - s)[:, None, None] * np.eye(5)[labels].T + s[:, None, None] / 5
    found = LOSSES["softmax"].rows(logits.copy(), labels, s)
    np.testing.assert_allclose(found, -(q * np.log(p)).sum(1), rtol=1e-10)
