"""PED-ANOVA against Optuna's."""

import numpy as np
import pytest
from searches import SIZES, SPACE, hparams, search

from hpsearch.search.importance import importance
from hpsearch.search.space import parse_space

from .golden_importance import shares


@pytest.mark.parametrize("trials", SIZES)
@pytest.mark.parametrize("number", range(5))
def test_the_importance_is_that_of_optuna(number, trials):
    columns, scores = search(number, trials)
    given = hparams(columns)
    found = importance(parse_space(SPACE), given, scores)
    expected = shares(SPACE, given, scores)
    np.testing.assert_allclose(list(found.values()), expected, rtol=1e-7, atol=1e-10)
