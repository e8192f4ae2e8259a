"""The golden files are what the oracles say today, and nothing else is kept as one."""

import numpy as np
import pytest

from .golden import FOLDER, families


@pytest.mark.parametrize("family", families())
def test_a_golden_file_is_what_its_oracle_says(family):
    made = families()[family]()
    with np.load(FOLDER / f"{family}.npz") as stored:
        assert set(stored.files) == set(made)
        for name, expected in made.items():
            assert stored[name].dtype == expected.dtype
            np.testing.assert_allclose(stored[name], expected, rtol=1e-12, atol=1e-13)


def test_every_golden_file_has_its_oracle():
    assert {path.stem for path in FOLDER.iterdir() if path.is_file()} == set(families())
