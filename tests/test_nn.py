"""The network against published figures, finite differences and the textbook equations."""

import numpy as np
import pytest

from hpsearch.nn.activations import ACTIVATIONS
from hpsearch.nn.gradcheck import Objective, check_gradient
from hpsearch.nn.losses import softmax_cross_entropy
from hpsearch.nn.net import Net, initialize
from hpsearch.nn.optimizers import OPTIMIZERS, CohortRates
from hpsearch.nn.params import BLOCK, Memory, pieces
from hpsearch.nn.schedules import SCHEDULES, Decay


def loss_of(net, flat, x, y, decay):
    return Objective(net, x, y, decay).loss_and_gradient(flat)[0]


def _rates(k=1, **given):
    values = dict.fromkeys(CohortRates._fields, 0.0) | given
    return CohortRates(*(np.full(k, values[name]) for name in CohortRates._fields))


def _memory(optimizer, w, *state):
    """One trial of one layer whose weights are `w` (n,), with one bias of 1."""
    slots = OPTIMIZERS[optimizer].slots
    memory = Memory(Net((len(w), 1)), np.append(w, 1.0)[None], slots=slots)
    for row, values in enumerate(state, 1):
        memory.tensors[0][row, 0] = values
    return memory


def _one_update(optimizer, memory, g, rates, t, bias_g=0.0):
    memory.grads.weights[0][:] = g
    memory.grads.biases[0][:] = bias_g
    kind = OPTIMIZERS[optimizer]
    kind.apply(memory, kind.prepare(rates, t, np.float64))
    return memory.params.weights[0][0, 0]


def test_momentum_of_cs231n_assignment_2():
    memory = _memory("momentum", np.linspace(-0.4, 0.6, 20), np.linspace(0.6, 0.9, 20))
    rates = _rates(learning_rate=1e-3, momentum=0.9)
    w = _one_update("momentum", memory, np.linspace(-0.6, 0.4, 20), rates, 1)
    expected = [0.1406, 0.20738947, 0.27417895, 0.34096842, 0.40775789]
    np.testing.assert_allclose(w[:5], expected, atol=1e-8)


def test_adam_of_cs231n_assignment_2():
    state = (np.linspace(0.6, 0.9, 20), np.linspace(0.7, 0.5, 20))
    memory = _memory("adam", np.linspace(-0.4, 0.6, 20), *state)
    rates = _rates(learning_rate=1e-2, beta1=0.9, beta2=0.999, epsilon=1e-8)
    w = _one_update("adam", memory, np.linspace(-0.6, 0.4, 20), rates, 6)
    expected = [-0.40094747, -0.34836187, -0.29577703, -0.24319299, -0.19060977]
    np.testing.assert_allclose(w[:5], expected, atol=1e-8)


def test_nesterov_is_momentum_looking_ahead(rng):
    """On f(w) = w^2/2: evaluating the gradient at w + mu v gives the same iterates, shifted."""
    rates = _rates(learning_rate=0.1, momentum=0.8)
    plain, velocity = rng.standard_normal(6), np.zeros(6)
    memory = _memory("nesterov", plain)
    for t in range(1, 6):
        w = _one_update("nesterov", memory, memory.params.weights[0].copy(), rates, t)
        ahead = plain + 0.8 * velocity
        velocity = 0.8 * velocity - 0.1 * ahead
        plain += velocity
        np.testing.assert_allclose(w, plain + 0.8 * velocity, atol=1e-12)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_descends_and_decays_weights_alone(name, rng):
    rates = _rates(learning_rate=0.05, momentum=0.9, beta1=0.9, beta2=0.999, epsilon=1e-8)
    memory = _memory(name, rng.standard_normal(8))
    before = float((memory.params.weights[0] ** 2).sum())
    for t in range(1, 20):
        w = _one_update(name, memory, 2 * memory.params.weights[0].copy(), rates, t)
    assert float((w**2).sum()) < 0.9 * before
    memory, decaying = _memory(name, np.ones(8)), rates._replace(weight_decay=np.array([0.5]))
    assert (_one_update(name, memory, 0.0, decaying, 1) < 1).all()
    assert (memory.params.biases[0] == 1).all()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_decay_is_the_gradient_of_half_its_square(name, rng):
    """A decay of 0.3 and the gradient g move the weights as no decay and g + 0.3 w do."""
    rates = _rates(learning_rate=0.05, momentum=0.9, beta1=0.9, beta2=0.999, epsilon=1e-8)
    decaying = rates._replace(weight_decay=np.array([0.3]))
    start = rng.standard_normal(8)
    one, other = _memory(name, start), _memory(name, start)
    for t in range(1, 6):
        g = rng.standard_normal(8)
        _one_update(name, one, g, decaying, t, bias_g=0.7)
        _one_update(name, other, g + 0.3 * other.params.weights[0][0, 0], rates, t, bias_g=0.7)
        np.testing.assert_allclose(one.flat(0), other.flat(0), atol=1e-12)


@pytest.mark.parametrize("shape", [(1, 10), (3, BLOCK), (7, 100), (2, BLOCK + 5), (40, 5000)])
def test_pieces_cover_everything_once(shape):
    seen = np.zeros(shape, int)
    for rows, columns in pieces(*shape):
        seen[rows, columns] += 1
        assert seen[rows, columns].size <= BLOCK
    assert (seen == 1).all()


def test_gradient_check_sees_a_wrong_gradient(rng, monkeypatch):
    relu = ACTIVATIONS["relu"]

    def leaky(grad, z, a, slope):
        grad *= np.where(a > 0, 1.0, 0.3)
        return grad

    monkeypatch.setitem(ACTIVATIONS, "relu", relu._replace(backward=leaky))
    net = Net((6, 5, 3))
    x, y = rng.standard_normal((9, 6)), rng.integers(0, 3, 9)
    errors = check_gradient(Objective(net, x, y), initialize(net, rng), rng=rng)
    assert max(e.relative for e in errors) > 1e-2


@pytest.mark.parametrize("classes", [2, 3, 10, 40])
def test_softmax_cross_entropy_of_nothing_is_log_c_and_survives_huge_logits(classes, rng):
    labels = rng.integers(0, classes, 7)
    losses = softmax_cross_entropy(np.zeros((2, classes, 7)), labels)
    np.testing.assert_allclose(losses, np.log(classes))
    huge = rng.standard_normal((2, classes, 7)) * 1e4
    assert np.isfinite(softmax_cross_entropy(huge, labels)).all()


def test_initial_loss_of_the_lecture_with_its_penalty():
    """CS231n: 3072-50-10, std 1e-4: log C, and 3.0731 +- 0.0028 with lambda = 1e3."""
    net = Net((3072, 50, 10), init="small", init_scale=1e-4)
    x = np.random.default_rng(1).uniform(-128, 128, (50, 3072))
    flat = initialize(net, np.random.default_rng(2))
    labels = np.arange(50) % 10
    assert loss_of(net, flat, x, labels, 0.0) == pytest.approx(2.3026, abs=1e-3)
    with_decay = loss_of(net, flat, x, labels, 1e3)
    assert with_decay == pytest.approx(3.0731, abs=4 * 0.0028)


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_start_at_one_and_never_rise(name):
    decay = Decay(np.array([0.5, 0.9]), np.array([2.0, 1.0]))
    factors = np.array([SCHEDULES[name](epoch, decay) for epoch in np.linspace(0, 10, 41)])
    assert (factors[0] == 1).all()
    assert (np.diff(factors, axis=0) <= 0).all()


def test_decays_per_epoch_as_the_lecture_does():
    decay = Decay(np.array([0.9]), np.array([1.0]))
    assert [SCHEDULES["step"](e, decay)[0] for e in (0.99, 1.0, 2.5)] == [1.0, 0.9, 0.9**2]
    assert SCHEDULES["exponential"](2.5, decay)[0] == pytest.approx(0.9**2.5)
