"""What is told of a layer's activations: every one is counted once."""

import numpy as np
import pytest
from test_stages import conclude, config

from hpsearch.stages import probe as probe_module
from hpsearch.stages import sanity
from hpsearch.stages.context import Context
from hpsearch.stages.layers import BINS, SHOWN, histogram, shown
from hpsearch.stages.probe import Probe

BESIDE = ("below", "above", "zeros", "lost")


def counted(found):
    return sum(found["counts"]) + sum(found[name] for name in BESIDE)


@pytest.mark.parametrize(
    "values",
    [
        np.random.default_rng(0).standard_normal((50, 40)),
        np.maximum(0, np.random.default_rng(1).standard_normal((50, 40))),
        np.clip(np.random.default_rng(2).standard_normal((50, 40)), -1, 1),
        np.zeros((3, 4)), np.full((3, 4), 2.0), np.full((3, 4), -1e-300), np.full((2, 2), np.nan),
        np.array([[1.0, 1 + 1e-15, 1 - 1e-15]]), np.array([[5e-324, 1e-320, 0.0]]),
        np.array([[1e308, -1e308, np.inf, -np.inf, np.nan, 0.5]]), np.array([[1e99, -1e99, 3.0]]),
    ],
)  # fmt: skip
def test_every_activation_is_counted_once(values):
    found = histogram(values)
    assert counted(found) == values.size and len(found["counts"]) == BINS
    assert found["low"] < found["high"] and np.isfinite([found["low"], found["high"]]).all()


def test_the_bins_are_numpys_and_what_is_outside_is_as_the_percentiles_say():
    values = np.random.default_rng(2).standard_t(2, (100, 200))
    values[:, :50] = 0
    found, inside = histogram(values), values[values != 0]
    low, high = np.percentile(inside, (0.1, 99.9))
    assert (found["low"], found["high"]) == (low, high)
    assert found["counts"] == np.histogram(inside, 41, (low, high))[0].tolist()
    assert found["below"] == found["above"] == 15 and found["zeros"] == 5000
    assert found["lost"] == 0


def test_wide_layers_show_a_part_of_their_rows():
    assert shown(np.ones((500, 100))).size == SHOWN
    assert shown(np.ones((20, 100))).shape == (20, 100)
    assert shown(np.ones((10**6, 2))).shape == (10**6, 1)


@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid"])
def test_sanity_counts_the_activations_of_the_first_initialisation(
    tmp_path, digits, monkeypatch, activation
):
    """By an independent forward pass: W x + b, then the formula; in several groups."""
    monkeypatch.setattr(probe_module, "AT_ONCE", 10_000)
    set_ = ("model.hidden=[30, 20]", f"model.activation={activation}", "sanity.examples=100")
    context = Context(config(tmp_path, *set_), digits, "sanity")
    layers = conclude(sanity.STAGE, context).facts["layers"]
    probe = Probe.of(context)
    formula = {"relu": lambda z: np.maximum(z, 0), "tanh": np.tanh,
               "sigmoid": lambda z: 1 / (1 + np.exp(-z))}[activation]  # fmt: skip
    a, start = probe.x.T, 0
    for layer in layers:
        size = layer["units"] * len(a)
        a = formula(probe.draw(0)[start : start + size].reshape(layer["units"], len(a)) @ a)
        start += size
        found, edges = layer["histogram"], np.linspace(a[a != 0].min(), a.max(), 4)
        assert counted(found) == a.size == layer["units"] * 100
        assert found["zeros"] == (a == 0).sum() and found["lost"] == 0
        assert edges[0] <= found["low"] < found["high"] <= edges[-1]
        middle = found["low"] + np.arange(42) * (found["high"] - found["low"]) / 41
        expected = np.histogram(a[a != 0], middle)[0]
        assert np.abs(expected - found["counts"]).sum() <= 4  # rounding at the bins' bounds


def test_a_network_without_hidden_layers_has_no_histogram(tmp_path, digits):
    few = ("model.hidden=[]", "sanity.examples=50", "sanity.initializations=2")
    found = Probe.of(Context(config(tmp_path, *few), digits, "sanity")).draws
    assert found.layers == found.first == ()
