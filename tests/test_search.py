"""The space, the samplers, the edges and the zoom; the lecture's own tables are the oracle."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lecture import COARSE, REFINED

from hpsearch.search.edges import best_on_edge, crowding
from hpsearch.search.space import KINDS, parse_space, write_space
from hpsearch.search.zoom import narrow, survivors, widen

SPACES = {
    "uniform": {"uniform": [-1, 3]},
    "log_uniform": {"log_uniform": [1e-4, 1]},
    "int_uniform": {"int_uniform": [2, 5]},
    "int_log_uniform": {"int_log_uniform": [1, 1000]},
    "zero_or_log_uniform": {"zero_or_log_uniform": {"bounds": [1e-6, 1e-2], "zero": 0.3}},
    "one_minus_log_uniform": {"one_minus_log_uniform": [0.5, 0.999]},
    "choice": {"choice": [[10], [20, 30], 4, "relu"]},
}


def log_range(low, high):
    return parse_space({"x": {"log_uniform": [low, high]}})["x"]


def test_every_kind_is_tried_here():
    assert set(SPACES) == set(KINDS)


@pytest.mark.parametrize("name", SPACES)
def test_draws_stay_inside_and_fill_the_range(name):
    kind = parse_space({"x": SPACES[name]})["x"]
    drawn = [kind.sample(np.random.default_rng(n)) for n in range(2000)]
    assert parse_space(write_space({"x": kind})) == {"x": kind}
    if name == "choice":
        assert {repr(v) for v in drawn} == {"(10,)", "(20, 30)", "4", "'relu'"}
        return
    low, high = kind.bounds
    positive = [v for v in drawn if v != 0 or name == "uniform"]
    assert all(low <= v <= high for v in positive)
    places = sorted(kind.position(v) for v in positive)
    assert places[0] < 0.05 and places[-1] > 0.95
    if not kind.integer:
        assert abs(np.mean(places) - 0.5) < 0.03, "uniform on its own scale"
    zeros = sum(v == 0 for v in drawn) / len(drawn)
    assert zeros == pytest.approx(0.3 if name.startswith("zero") else 0.0, abs=0.04)


def test_integers_are_equally_likely():
    kind = parse_space({"x": SPACES["int_uniform"]})["x"]
    counts = np.bincount([kind.sample(np.random.default_rng(n)) for n in range(4000)])
    assert set(np.flatnonzero(counts)) == {2, 3, 4, 5}
    assert counts[2:].min() > 0.8 * counts[2:].max()


def test_bounds_may_come_in_either_order():
    assert log_range(1, 1e-4) == log_range(1e-4, 1)


def test_narrowing_the_lectures_coarse_search_gives_its_own_refinement():
    scores = np.array([row[0] for row in COARSE])
    error = math.sqrt(0.482 * 0.518 / 1000)
    kept = survivors(scores, error)
    assert sorted(scores[kept]) == [0.412, 0.441, 0.482]
    rates = [row[1] for row, keep in zip(COARSE, kept, strict=True) if keep]
    decays = [row[2] for row, keep in zip(COARSE, kept, strict=True) if keep]
    assert narrow(log_range(1e-6, 1e-3), rates, whole_decades=True).bounds == (1e-4, 1e-3)
    assert narrow(log_range(1e-5, 1e5), decays, whole_decades=True).bounds == (1e-4, 1.0)


def test_the_lectures_refined_search_has_its_best_rate_on_the_edge():
    best = max(REFINED)
    on_edge = best_on_edge(log_range(1e-4, 1e-3), best[1])
    assert on_edge is not None and on_edge.side == "high"
    assert on_edge.position == pytest.approx(0.976, abs=5e-4)
    assert on_edge.distance == pytest.approx(0.024, abs=5e-4)
    assert best_on_edge(log_range(1e-4, 1), best[2]) is None
    places = [log_range(1e-4, 1e-3).position(row[1]) for row in sorted(REFINED, reverse=True)[:5]]
    assert crowding(np.array(places), "high") == 2


def test_the_lectures_coarse_search_has_no_edge_by_this_rule():
    best = max(COARSE)
    assert best_on_edge(log_range(1e-6, 1e-3), best[1]) is None
    assert log_range(1e-6, 1e-3).position(best[1]) == pytest.approx(0.878, abs=5e-4)


@given(st.floats(-8, 4), st.floats(0.3, 8), st.floats(0, 1))
def test_edges_are_where_the_rule_says(low, width, place):
    kind = log_range(10**low, 10 ** (low + width))
    near = max(0.05, min(0.1, 0.1 / width))
    found = best_on_edge(kind, 10 ** (low + place * width))
    if abs(place - near) > 1e-6 and abs(1 - place - near) > 1e-6:
        side = "low" if place < near else "high" if place > 1 - near else None
        assert (found.side if found else None) == side


@pytest.mark.parametrize("best, side", [(16, "low"), (64, None), (256, "high"), ("relu", None)])
def test_lists_of_numbers_have_ends(best, side):
    kind = parse_space({"x": {"choice": [16, 64, 256]}})["x"]
    found = best_on_edge(kind, best)
    assert (found.side if found else None) == side


@given(
    st.lists(st.floats(0, 1), min_size=1, max_size=30),
    st.sampled_from([k for k in SPACES if k != "choice"]),
    st.booleans(),
)
def test_a_narrowed_range_keeps_its_trials_and_stays_inside_the_old(places, name, whole):
    kind = parse_space({"x": SPACES[name]})["x"]
    low, high = map(kind.to_scale, kind.bounds)
    values = [kind.from_scale(low + place * (high - low)) for place in places]
    narrowed = narrow(kind, values, whole_decades=whole)
    assert kind.bounds[0] <= narrowed.bounds[0] < narrowed.bounds[1] <= kind.bounds[1]
    slack = 0.006 * abs(max(values, key=abs)) + 1e-9  # bounds are written to three digits
    assert all(narrowed.bounds[0] - slack <= v <= narrowed.bounds[1] + slack for v in values)


def test_narrowing_never_goes_below_half_a_decade():
    low, high = narrow(log_range(1e-6, 1), [1e-3, 1.01e-3], whole_decades=False).bounds
    assert math.log10(high / low) == pytest.approx(0.5, abs=0.01)


def test_widening_goes_a_decade_beyond_the_old_bound_and_stops_at_the_limit():
    old = log_range(1e-4, 1e-3)
    assert widen(log_range(3e-4, 1e-3), old, "high").bounds == pytest.approx((3e-4, 1e-2))
    capped = widen(log_range(3e-4, 1e-3), old, "high", limit=2e-3)
    assert capped.bounds == pytest.approx((3e-4, 2e-3))
    assert widen(log_range(3e-4, 1e-3), old, "high", limit=1e-5).bounds[1] == 1e-3
    assert widen(log_range(1e-4, 3e-4), old, "low").bounds == pytest.approx((1e-5, 3e-4))


def test_survivors_are_at_least_three_and_all_that_cannot_be_told_apart():
    scores = np.array([0.9, 0.89, 0.88, 0.5, 0.4, 0.3, 0.2, 0.1])
    assert survivors(scores, 0.0).sum() == 3
    assert survivors(scores, 0.3).sum() == 5
    assert survivors(np.array([0.5]), 0.0).tolist() == [True]
