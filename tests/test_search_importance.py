"""Importance: Optuna's numbers, and what every share must satisfy."""

from pathlib import Path

import numpy as np
import pytest
from lecture import REFINED
from searches import SIZES, SPACE, hparams, search, without_depth

from hpsearch.search.importance import importance, matters
from hpsearch.search.space import parse_space

GOLDEN = Path(__file__).parent / "golden" / "importance.npz"


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDEN) as stored:
        return dict(stored)


@pytest.mark.parametrize("trials", SIZES)
def test_the_importance_is_what_optuna_says(golden, trials):
    columns, scores = search(1, trials)
    found = importance(parse_space(SPACE), hparams(columns), scores)
    assert list(found) == list(SPACE)
    np.testing.assert_allclose(list(found.values()), golden[f"shares_{trials}"], rtol=1e-7)


def test_only_the_rate_mattered_in_the_lectures_refined_search(golden):
    ranges = {"rate": [1e-4, 1e-3], "decay": [1e-4, 1]}
    space = parse_space({name: {"log_uniform": bounds} for name, bounds in ranges.items()})
    given = [{"rate": rate, "decay": decay} for _, rate, decay in REFINED]
    found = importance(space, given, np.array([row[0] for row in REFINED]))
    assert found == pytest.approx({"rate": 0.997, "decay": 0.003}, abs=5e-4)
    np.testing.assert_allclose(list(found.values()), golden["lecture"], rtol=1e-7)


@pytest.mark.parametrize("number", range(5))
def test_shares_are_one_in_all_whatever_the_order_of_the_trials(number):
    columns, scores = search(number, 60)
    given, order = hparams(columns), np.random.default_rng(number).permutation(60)
    found = importance(parse_space(SPACE), given, scores)
    assert sum(found.values()) == pytest.approx(1) and min(found.values()) >= 0
    assert found == importance(parse_space(SPACE), [given[n] for n in order], scores[order])


def test_the_scale_is_the_hparams_own():
    """A logarithm taken beforehand changes nothing."""
    rng = np.random.default_rng(0)
    exponents, other = rng.uniform(-5, 0, 80), rng.uniform(0, 1, 80)
    scores = -(np.abs(exponents + 3))
    log = parse_space({"x": {"log_uniform": [1e-5, 1]}, "y": {"uniform": [0, 1]}})
    flat = parse_space({"x": {"uniform": [-5, 0]}, "y": {"uniform": [0, 1]}})
    pairs = list(zip(exponents, other, strict=True))
    ours = importance(log, [{"x": 10**x, "y": y} for x, y in pairs], scores)
    assert ours == pytest.approx(importance(flat, [{"x": x, "y": y} for x, y in pairs], scores))
    assert ours["x"] > 0.9


def test_zero_is_a_value_like_none_of_the_range():
    """Where all that matters is whether the decay is 0, it counts as a list of yes and no does."""
    rng = np.random.default_rng(0)
    zero = rng.random(200) < 0.5
    decays = np.where(zero, 0.0, 10 ** rng.uniform(-5, -1, 200))
    kind = {"zero_or_log_uniform": {"bounds": [1e-5, 0.1]}}
    space = parse_space({"decay": kind, "none": {"choice": [True, False]}})
    given = [{"decay": d, "none": bool(z)} for d, z in zip(decays, zero, strict=True)]
    found = importance(space, given, ~zero + 1e-3 * rng.random(200))
    assert found["none"] < found["decay"] < 2 * found["none"]
    found = importance(space, given, zero + 1e-3 * rng.random(200))
    assert found["none"] == pytest.approx(found["decay"], rel=0.3)


def test_an_hparam_that_some_trials_lack_counts_where_it_is(golden):
    columns, scores = search(3, 60)
    given = hparams(columns)
    found = importance(parse_space(SPACE), without_depth(given), scores)
    np.testing.assert_allclose(list(found.values()), golden["conditional"], rtol=1e-7)
    none = [{k: v for k, v in one.items() if k != "depth"} for one in given]
    assert importance(parse_space(SPACE), none, scores)["depth"] == 0


@pytest.mark.parametrize("scores", [np.arange(5.0), np.ones(40)], ids=["few", "equal"])
def test_nothing_is_said_where_best_and_all_are_the_same(scores):
    columns, _ = search(0, len(scores))
    assert importance(parse_space(SPACE), hparams(columns), scores) == {}


@pytest.mark.parametrize(
    "share, unlike, among, trials, expected",
    [
        (0.01, 0.5, 2, 50, False), (0.01, 1.5, 2, 50, True), (0.35, 0.5, 2, 50, True),
        (0.35, 0.5, 1, 50, False), (0.01, 0.5, 2, 19, True), (0.1, 0.5, 5, 50, False),
        (0.13, 0.5, 5, 50, True),
    ],
)  # fmt: skip
def test_an_hparam_does_nothing_if_all_evidence_agrees(share, unlike, among, trials, expected):
    assert matters(share, unlike, among=among, trials=trials) == expected
