"""Optimizers against published figures, PyTorch's trajectories and their own equations."""

from pathlib import Path

import numpy as np
import pytest
from descent import rates_in, rates_of, trajectory

from hpsearch.nn.net import Net
from hpsearch.nn.optimizers import OPTIMIZERS, RATES
from hpsearch.nn.params import Memory

USUAL = {"learning_rate": 0.05, "momentum": 0.9, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8}
COUPLED = [name for name, kind in OPTIMIZERS.items() if not kind.decoupled]
DECOUPLED = [name for name, kind in OPTIMIZERS.items() if kind.decoupled]


@pytest.fixture(scope="module")
def golden():
    with np.load(Path(__file__).parent / "golden/optimizers.npz") as file:
        return dict(file)


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


# --- published figures: CS231n's assignment 2


@pytest.mark.parametrize(
    "name, rates, t, state, expected",
    [
        ("momentum", {"learning_rate": 1e-3, "momentum": 0.9}, 1, [(0.6, 0.9)],
         [0.1406, 0.20738947, 0.27417895, 0.34096842, 0.40775789]),
        ("rmsprop", {"learning_rate": 1e-2, "beta2": 0.99, "epsilon": 1e-8}, 1, [(0.6, 0.9)],
         [-0.39223849, -0.34037513, -0.28849239, -0.23659121, -0.18467247]),
        ("adam", {"learning_rate": 1e-2, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8}, 6,
         [(0.6, 0.9), (0.7, 0.5)],
         [-0.40094747, -0.34836187, -0.29577703, -0.24319299, -0.19060977]),
    ],
    ids=["momentum", "rmsprop", "adam"],
)  # fmt: skip
def test_an_update_of_cs231n_assignment_2_as_printed(name, rates, t, state, expected):
    memory = _memory(name, np.linspace(-0.4, 0.6, 20), *(np.linspace(*s, 20) for s in state))
    w = _one_update(name, memory, np.linspace(-0.6, 0.4, 20), rates_of(**rates), t)
    assert [float(f"{value:.8f}") for value in w[:5]] == expected


# --- PyTorch


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_hundred_steps_of_every_optimizer_are_those_of_pytorch(name, golden):
    """Without decay and with it, in one cohort (tests/oracle compares every single step)."""
    assert name in golden, f"give tests/oracle/golden_optimizers.py PyTorch's {name}; rebuild it"
    decays = golden["rates.weight_decay"]
    ours = trajectory(name, golden, rates_of(len(decays), **rates_in(golden)))
    np.testing.assert_allclose(ours[:, golden["kept"] - 1], golden[name], rtol=0, atol=1e-11)
    assert np.abs(np.diff(golden[name], axis=1)).max(axis=(0, 2)).min() > 1e-3, "it does not move"


@pytest.mark.parametrize("name", ["momentum", "nesterov"])
def test_a_falling_rate_leaves_the_velocity_as_it_is(name, golden):
    """The one difference to PyTorch, which multiplies the whole velocity by the rate of the day:
    with a rate of 0 after step 10 the weights here run on, each update mu times the one before.
    """
    rates = rates_of(learning_rate=0.03, momentum=0.5)
    path = trajectory(name, golden, rates, [1.0] * 10 + [0.0] * 90)[0]
    updates = np.diff(path[9:20], axis=0)
    np.testing.assert_allclose(updates[1:], 0.5 * updates[:-1], atol=1e-12)
    assert np.abs(updates[0]).max() > 1e-5


# --- what holds for every member


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_descends_and_decays_weights_alone(name, rng):
    rates = rates_of(**USUAL)
    memory = _memory(name, rng.standard_normal(8))
    before = float((memory.params.weights[0] ** 2).sum())
    for t in range(1, 20):
        w = _one_update(name, memory, 2 * memory.params.weights[0].copy(), rates, t)
    assert float((w**2).sum()) < 0.9 * before
    memory, decaying = _memory(name, np.ones(8)), rates._replace(weight_decay=np.array([0.5]))
    assert (_one_update(name, memory, 0.0, decaying, 1) < 1).all()
    assert (memory.params.biases[0] == 1).all()


def _pair(name, rng, with_decay, gradient, shrink=1.0):
    """Two trials after each of five steps: one with a decay of 0.3, the other with none but with
    `gradient(g, w)` in place of g, its weights times `shrink` beforehand.
    """
    start = rng.standard_normal(8)
    one, other = _memory(name, start), _memory(name, start)
    for t in range(1, 6):
        g, weights = rng.standard_normal(8), other.params.weights[0]
        _one_update(name, one, g, with_decay, t, bias_g=0.7)
        instead = gradient(g, weights[0, 0])
        weights *= shrink
        _one_update(name, other, instead, with_decay._replace(weight_decay=np.zeros(1)), t,
                    bias_g=0.7)  # fmt: skip
        yield one.flat(0), other.flat(0)


@pytest.mark.parametrize("name", COUPLED)
def test_decay_is_the_gradient_of_half_its_square(name, rng):
    """A decay of 0.3 and the gradient g move the weights as no decay and g + 0.3 w do."""
    decaying = rates_of(**USUAL, weight_decay=0.3)
    for one, other in _pair(name, rng, decaying, lambda g, w: g + 0.3 * w):
        np.testing.assert_allclose(one, other, atol=1e-12)


@pytest.mark.parametrize("name", DECOUPLED)
def test_decoupled_decay_shrinks_the_weights_and_leaves_the_gradient_alone(name, rng):
    """A decay of 0.3 and the gradient g: the weights times 1 - rate 0.3, then no decay and g."""
    decaying = rates_of(**USUAL, weight_decay=0.3)
    for one, other in _pair(name, rng, decaying, lambda g, w: g, shrink=1 - 0.05 * 0.3):
        np.testing.assert_allclose(one, other, atol=1e-12)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer_reads_what_it_says_and_nothing_else(name, golden):
    """Every one reads the rate and the decay; the other keys change its way if it names them."""
    plain = rates_of(**rates_in(golden) | {"weight_decay": 0.3})
    path = trajectory(name, golden, plain)
    for key in RATES:
        other = plain._replace(**{key: getattr(plain, key) * 0.9 + 0.01})
        changed = not np.array_equal(trajectory(name, golden, other), path)
        always = key in ("learning_rate", "weight_decay")
        assert changed == (always or key in OPTIMIZERS[name].reads), key


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_no_gradient_no_step(name):
    """At a stationary point nothing divides by the mean square of nothing."""
    memory = _memory(name, np.linspace(-1, 1, 6))
    before = memory.flat(0)
    for t in range(1, 4):
        _one_update(name, memory, 0.0, rates_of(**USUAL), t)
    np.testing.assert_array_equal(memory.flat(0), before)


def test_nesterov_is_momentum_looking_ahead(rng):
    """On f(w) = w^2/2: evaluating the gradient at w + mu v gives the same iterates, shifted."""
    rates = rates_of(learning_rate=0.1, momentum=0.8)
    plain, velocity = rng.standard_normal(6), np.zeros(6)
    memory = _memory("nesterov", plain)
    for t in range(1, 6):
        w = _one_update("nesterov", memory, memory.params.weights[0].copy(), rates, t)
        ahead = plain + 0.8 * velocity
        velocity = 0.8 * velocity - 0.1 * ahead
        plain += velocity
        np.testing.assert_allclose(w, plain + 0.8 * velocity, atol=1e-12)
