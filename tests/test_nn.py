"""The network against published figures, finite differences and the textbook equations."""

import numpy as np
import pytest

from hpsearch.nn.activations import ACTIVATIONS
from hpsearch.nn.gradcheck import Objective, check_gradient
from hpsearch.nn.losses import softmax_cross_entropy
from hpsearch.nn.net import Net, initialize
from hpsearch.nn.params import BLOCK, pieces


def loss_of(net, flat, x, y, decay):
    return Objective(net, x, y, decay).loss_and_gradient(flat)[0]


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
