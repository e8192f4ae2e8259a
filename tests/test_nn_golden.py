"""The network against PyTorch, by its stored answers (tests/oracle makes them)."""

from itertools import product
from pathlib import Path

import numpy as np
import pytest

from hpsearch.nn.activations import ACTIVATIONS
from hpsearch.nn.gradcheck import Objective
from hpsearch.nn.losses import LOSSES
from hpsearch.nn.mlp import Tape, follow, forward
from hpsearch.nn.net import Net
from hpsearch.nn.normalization import NORMALIZATIONS
from hpsearch.nn.params import Params
from hpsearch.nn.products import batch

FOLDER = Path(__file__).parent / "golden"
TOLERANCE = {"rtol": 1e-10, "atol": 1e-12}
SLOPES = {"leaky_relu": 0.03, "elu": 0.7}


def stored(family):
    with np.load(FOLDER / f"{family}.npz") as file:
        return {name: file[name] for name in file.files}


NETWORKS, ROWS = stored("networks"), stored("losses")


@pytest.mark.parametrize(
    "activation, normalization", list(product(ACTIVATIONS, ["none", *NORMALIZATIONS]))
)
def test_networks_are_those_of_pytorch(activation, normalization):
    """Logits, loss, gradient and running statistics, in training with dropout and without."""
    name, x, y = f"{activation}.{normalization}", NETWORKS["x"], NETWORKS["y"]
    slope = SLOPES.get(activation)
    net = Net((6, 5, 4, 3), activation, normalization=normalization, slope=slope)
    start = NETWORKS[f"{name}.start"]
    if slope is not None:  # PyTorch takes it as a setting, we keep it behind the learned ones
        start = np.insert(start, net.n_params, [slope, slope])
    masks = tuple(NETWORKS[f"mask{layer}"].T[None].copy() for layer in range(2))
    loss, gradient = Objective(net, x, y, masks=masks).loss_and_gradient(start)
    np.testing.assert_allclose(loss, NETWORKS[f"{name}.loss"], **TOLERANCE)
    np.testing.assert_allclose(
        gradient[: net.n_params], NETWORKS[f"{name}.gradient"], **TOLERANCE
    )
    values = start[None].copy()
    params, seen = Params.over(values, net), {}
    for key, train in (("evaluated", False), ("logits", True)):
        tape = Tape.for_(net, 1, len(y), np.float64, train=train)
        seen[key] = forward(net, params, batch(x), tape.with_masks(masks) if train else tape)
        np.testing.assert_allclose(seen[key][0].T, NETWORKS[f"{name}.{key}"], **TOLERANCE)
    follow(params, tape, 3)
    after = values[0] if slope is None else np.delete(values[0], [net.n_params, net.n_params + 1])
    np.testing.assert_allclose(after, NETWORKS[f"{name}.after"], **TOLERANCE)


@pytest.mark.parametrize("loss, smoothing", list(product(LOSSES, [0.0, 0.1, 0.6])))
def test_losses_are_those_of_pytorch(loss, smoothing):
    logits = ROWS["logits"].T[None].copy()
    share = np.array([smoothing]) if smoothing else None
    found = LOSSES[loss].rows(logits, ROWS["labels"], share, gradient=True)
    np.testing.assert_allclose(found[0], ROWS[f"{loss}.{smoothing}"], **TOLERANCE)
    np.testing.assert_allclose(logits[0].T, ROWS[f"{loss}.{smoothing}.gradient"], **TOLERANCE)
