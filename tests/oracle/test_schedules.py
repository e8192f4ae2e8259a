"""The learning rates of every schedule at every step, equal to PyTorch's."""

import numpy as np
import pytest
from descent import rates_of

from hpsearch.nn.schedules import SCHEDULES, Clock

from . import golden_schedules as pytorch


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", SCHEDULES)
def test_every_step_has_the_rate_of_pytorch(name, seed):
    """Of parameters at random; those in epochs are whole numbers of steps, as PyTorch's are."""
    rng = np.random.default_rng(seed)
    given = {
        "learning_rate": 10 ** rng.uniform(-4, 0, 6), "decay_factor": rng.uniform(0.05, 1, 6),
        "decay_epochs": rng.integers(1, 40, 6) / pytorch.PER_EPOCH,
        "pct_start": rng.uniform(0.02, 0.98, 6),
    }  # fmt: skip
    rates = rates_of(6, **given)
    clocks = [Clock(step, pytorch.STEPS, pytorch.PER_EPOCH) for step in range(pytorch.STEPS)]
    ours = np.array([rates.learning_rate * SCHEDULES[name].factor(now, rates) for now in clocks])
    for k, path in enumerate(ours.T):
        mine = {key: float(values[k]) for key, values in given.items()}
        theirs = pytorch.rates_by_step(pytorch.SCHEDULES[name], mine)
        np.testing.assert_allclose(path, theirs, rtol=1e-10, atol=1e-15)


def test_every_schedule_has_its_oracle():
    assert set(pytorch.SCHEDULES) == set(SCHEDULES)
