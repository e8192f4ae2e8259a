"""A hundred steps of every optimizer in float64, equal to PyTorch's."""

import numpy as np
import pytest
from descent import rates_of, trajectory

from hpsearch.nn.optimizers import OPTIMIZERS

from . import golden_optimizers as pytorch

TINY_EPSILON = {**pytorch.RATES, "epsilon": 1e-8, "beta2": 0.999, "learning_rate": 3e-3}


@pytest.mark.parametrize("rates", [pytorch.RATES, TINY_EPSILON], ids=["large eps", "usual eps"])
@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_hundred_steps_are_those_of_pytorch(name, seed, rates):
    """All of a cohort at once, without decay and with; float64, so that only last bits differ."""
    given = pytorch.problem(seed)
    decays = np.array(pytorch.DECAYS)
    ours = trajectory(name, given, rates_of(len(decays), weight_decay=decays, **rates))
    for path, decay in zip(ours, decays, strict=True):
        theirs = pytorch.trajectory(name, given, {**rates, "weight_decay": decay})
        np.testing.assert_allclose(path, theirs, rtol=0, atol=1e-11)
        assert np.abs(theirs[-1] - given["start"]).max() > 0.01, "it has hardly moved"


def test_every_optimizer_has_its_oracle():
    assert set(pytorch.OPTIMIZERS) == set(OPTIMIZERS)
