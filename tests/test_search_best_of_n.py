"""Expected best of n: against every way to draw, the lecture's tables, and what more would buy."""

import math
from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lecture import COARSE, REFINED

from hpsearch.search.best_of_n import meter, plug_in, unbiased

LECTURE = [
    (COARSE, plug_in, (1, 2, 4, 8, 11), (0.2481, 0.3199, 0.3886, 0.4431, 0.4592)),
    (COARSE, unbiased, (1, 2, 4, 8, 11), (0.2481, 0.3270, 0.4061, 0.4682, 0.4820)),
    (REFINED, plug_in, (1, 2, 4, 8, 16, 22), (0.4976, 0.5107, 0.5199, 0.5257, 0.5291, 0.5300)),
    (REFINED, unbiased, (1, 2, 4, 8, 16, 22), (0.4976, 0.5113, 0.5209, 0.5270, 0.5305, 0.5310)),
]
some = st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=6).map(np.array)


@pytest.mark.parametrize("table, estimator, numbers, expected", LECTURE)
def test_the_lectures_searches(table, estimator, numbers, expected):
    scores = np.array([row[0] for row in table])
    found = [estimator(scores, n) for n in numbers]
    assert found == pytest.approx(expected, abs=5e-5)


@given(some, st.integers(1, 4))
def test_plug_in_is_the_mean_over_all_draws_with_replacement(scores, n):
    expected = np.mean([max(drawn) for drawn in product(scores, repeat=n)])
    assert plug_in(scores, n) == pytest.approx(expected, rel=1e-9, abs=1e-9)


@given(some)
def test_unbiased_is_the_mean_over_all_subsets(scores):
    for n in range(1, len(scores) + 1):
        expected = np.mean([max(drawn) for drawn in combinations(scores, n)])
        assert unbiased(scores, n) == pytest.approx(expected, rel=1e-9, abs=1e-9)
    with pytest.raises(ValueError, match="between 1 and"):
        unbiased(scores, len(scores) + 1)


def test_of_uniform_scores_the_best_of_n_is_known():
    scores = np.random.default_rng(0).random(20_000)
    for n in (1, 3, 10, 50):
        assert unbiased(scores, n) == pytest.approx(n / (n + 1), abs=0.01)
        assert plug_in(scores, n) == pytest.approx(unbiased(scores, n), abs=1e-3)


def test_the_meter_continues_the_last_doubling():
    """Scores of an exponential distribution: the best of n grows as log n."""
    quantiles = -np.log(1 - (np.arange(400) + 0.5) / 400)
    found = meter(quantiles)
    assert found is not None and (found.trials, found.more) == (400, 10)
    assert found.gain == pytest.approx(math.log(410 / 400), rel=0.1)
    assert meter(np.ones(40)).gain == 0 and meter(np.arange(3.0)) is None
    assert meter(quantiles, 400).gain > 20 * found.gain
