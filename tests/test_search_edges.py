"""The evidence at the edges: the lecture's tables, known surfaces, and what must not matter."""

import numpy as np
import pytest
from lecture import COARSE, REFINED

from hpsearch.search import edges
from hpsearch.search.edges import Scored, Signals, edge_mass, trend, unlike
from hpsearch.search.evidence import Trials, _effects, evidence
from hpsearch.search.space import parse_space

RANGES = {
    COARSE: {"rate": {"log_uniform": [1e-6, 1e-3]}, "decay": {"log_uniform": [1e-5, 1e5]}},
    REFINED: {"rate": {"log_uniform": [1e-4, 1e-3]}, "decay": {"log_uniform": [1e-4, 1]}},
}


def stream(name):
    return np.random.default_rng(list(name.encode()))


def lecture(table):
    ranked = sorted(table, reverse=True)
    scores = np.array([row[0] for row in ranked])
    given = [{"rate": rate, "decay": decay} for _, rate, decay in ranked]
    return Trials(given, scores, np.sqrt(scores * (1 - scores) / 999))


def weighed(table):
    return evidence(parse_space(RANGES[table]), lecture(table), stream)


def searched(response, trials=60, noise=0.01, seed=0, **more):
    """Trials of a rate in [1e-4, 1] whose score is `response` of its place, and of a dud."""
    rng = np.random.default_rng(seed)
    places, duds = rng.random(trials), rng.random(trials)
    scores = response(places) + noise * rng.standard_normal(trials)
    order = np.argsort(-scores)
    given = [{"rate": 10 ** (4 * places[n] - 4), "dud": duds[n], **more} for n in order]
    space = {"rate": {"log_uniform": [1e-4, 1]}, "dud": {"uniform": [0, 1]}}
    return parse_space(space), Trials(given, scores[order], np.full(trials, noise))


# --- the lecture's tables: M, T and K of the recipe, to within Monte Carlo's error


@pytest.mark.parametrize(
    "table, name, mass, rising, crowd",
    [
        (COARSE, "rate", (0.0, 0.0), (0.0, 0.999), (0, 1)),
        (REFINED, "rate", (0.0, 0.363), (0.0, 0.326), (0, 2)),
        (REFINED, "decay", (0.105, 0.175), (0.59, 0.24), (1, 1)),
    ],
)
def test_the_signals_of_the_lectures_tables(table, name, mass, rising, crowd):
    found = weighed(table)[name].sides
    sides = [found["low"], found["high"]]
    assert [s.edge_mass for s in sides] == pytest.approx(mass, abs=0.045)
    assert [s.trend for s in sides] == pytest.approx(rising, abs=0.045)
    assert tuple(s.crowding for s in sides) == crowd


def test_the_lectures_mistake_is_seen_in_its_coarse_search_and_plain_in_its_refined_one():
    coarse, refined = weighed(COARSE), weighed(REFINED)
    assert coarse["rate"].flagged() == [("high", "warn")] and coarse["decay"].flagged() == []
    assert refined["rate"].flagged() == [("high", "strong")] and refined["decay"].flagged() == []
    assert refined["rate"].matters and not refined["decay"].matters


def test_a_strong_edge_needs_best_trials_unlike_the_rest():
    found = weighed(REFINED)["rate"]
    assert found.unlike and found._replace(unlike=False).flagged() == [("high", "warn")]
    assert found._replace(matters=False).flagged() == [("high", "info")]


# --- surfaces whose optimum is known


@pytest.mark.parametrize("best, side", [(-0.3, "low"), (0.5, None), (1.3, "high")])
def test_a_parabola_is_flagged_where_its_top_lies_outside(best, side):
    found = evidence(*searched(lambda u: 0.9 - 0.2 * (u - best) ** 2), stream)["rate"]
    assert [flag for flag, _ in found.flagged()] == ([side] if side else [])
    for each, signals in found.sides.items():
        assert (signals.trend > 0.95) == (each == side)
        assert (signals.trend < 0.05) == (each != side)


def test_what_another_hparam_does_hides_no_trend():
    seen, trials = 0, 60
    for seed in range(20):
        rng = np.random.default_rng(seed)
        rates, widths = rng.random((2, trials))
        scores = 0.9 - 0.15 * (rates - 1.6) ** 2 - 0.4 * (widths - 0.4) ** 2
        order = np.argsort(-scores)
        given = [{"rate": 10 ** rates[n], "width": widths[n]} for n in order]
        space = parse_space({"rate": {"log_uniform": [1, 10]}, "width": {"uniform": [0, 1]}})
        found = evidence(space, Trials(given, scores[order], np.full(trials, 0.02)), stream)
        seen += found["rate"].sides["high"].trend > 0.99
        assert found["width"].sides["high"].trend < 0.5
    assert seen >= 18


def test_the_effects_of_hparams_are_found_and_taken_off():
    rng = np.random.default_rng(0)
    u, n = rng.random(80), rng.integers(0, 3, 80)
    space = parse_space({"x": {"uniform": [0, 1]}, "c": {"choice": ["a", [8, 4], "c"]}})
    names = ["a", (8, 4), "c"]
    given = [{"x": x, "c": names[k]} for x, k in zip(u, n, strict=True)]
    scores = 3 - (u - 0.3) ** 2 + np.array([0.0, 0.5, -1.0])[n]
    effects = _effects(space, Trials(given, scores, np.zeros(80)))
    assert np.ptp(scores - effects["x"] - effects["c"]) < 1e-9
    assert np.ptp(effects["c"][n == 1]) == 0 and set(n[effects["c"] > 0]) == {1}
    few = Trials(given[:20], scores[:20], np.zeros(20))
    assert _effects(space, few) == {}


def test_both_sides_may_be_flagged():
    found = evidence(*searched(lambda u: 0.5 + 0.3 * np.abs(u - 0.5), noise=0.001), stream)
    masses = [found["rate"].sides[side].edge_mass for side in edges.SIDES]
    assert sum(masses) > 0.9 and found["rate"].matters


def test_what_does_not_matter_is_only_info():
    """Even where its best value lies on the edge."""
    flags = []
    for seed in range(60):
        found = evidence(*searched(lambda u: 0.9 - (u - 0.5) ** 2, seed=seed), stream)["dud"]
        flags += [strength for _, strength in found.flagged()]
    assert set(flags) == {"info"}


# --- the parts


def test_the_posterior_is_that_of_two_scores():
    """P(N(0.5, 0.02) > N(0.49, 0.02)) = Phi(0.01 / (0.02 sqrt 2)) = .638."""
    scored = Scored(np.array([0.95, 0.5]), np.array([0.5, 0.49]), np.array([0.02, 0.02]))
    found = edge_mass(scored, np.random.default_rng(0))
    assert found["high"] == pytest.approx(0.638, abs=0.045) and found["low"] == 0


def test_without_noise_the_best_is_the_best():
    scored = Scored(np.array([0.05, 0.5, 0.99]), np.array([3.0, 2.0, 1.0]), np.zeros(3))
    assert edge_mass(scored, np.random.default_rng(0)) == {"low": 1.0, "high": 0.0}


def test_the_top_of_a_parabola_without_noise_is_found():
    places = np.linspace(0, 1, 30)
    for best in (0.02, 0.3, 0.5, 0.8, 0.97):
        tops = edges._tops(places, -((places - best) ** 2), 50, np.random.default_rng(0))
        assert tops == pytest.approx(np.full(50, best), abs=1e-5)
    for slope, top in ((1, 1.0), (-1, 0.0)):
        convex = slope * places + (places - 0.5) ** 2 / 10
        assert set(edges._tops(places, convex, 50, np.random.default_rng(0))) == {top}


@pytest.mark.parametrize("places", [[0.5], [0.1, 0.9, 0.9, 0.5, 0.1]])
def test_three_places_are_no_trend(places):
    scores = np.linspace(1, 0, len(places))
    assert trend(np.array(places), scores, np.random.default_rng(0)) == {"low": 0, "high": 0}


def test_many_trials_are_drawn_in_blocks(monkeypatch):
    rng = np.random.default_rng(0)
    places = rng.random(500)
    scores = -((places - 1) ** 2) + 0.1 * rng.standard_normal(500)
    whole = trend(places, scores, np.random.default_rng(1))["high"]
    monkeypatch.setattr(edges, "CELLS", 10**5)
    assert edges._blocks(500) == [20] * 10 and sum(edges._blocks(10**6)) == 100
    assert trend(places, scores, np.random.default_rng(1))["high"] == pytest.approx(whole, abs=0.1)


def test_places_that_do_not_matter_are_unlike_in_one_search_of_twenty():
    rng = np.random.default_rng(0)
    found = np.array([unlike(rng.random(60)) for _ in range(800)])
    assert 0.02 < (found >= 1.36).mean() < 0.07
    assert unlike(np.sort(rng.random(60))) > 3 and unlike(np.array([0.5, 0.6])) == 0


@pytest.mark.parametrize(
    "best, mass, rising, agreed, crowd, strength",
    [
        (False, 0.9, 0.89, 1.0, 5, None),
        (False, 0.0, 0.95, 0.4, 0, None),
        (False, 0.0, 0.95, 0.5, 0, "warn"),
        (True, 0.2, 0.4, 0.0, 2, "warn"),
        (True, 0.3, 0.0, 0.0, 0, "strong"),
        (True, 0.0, 0.5, 0.0, 0, "strong"),
        (True, 0.0, 0.0, 0.0, 3, "strong"),
    ],
)
def test_what_the_signals_mean_together(best, mass, rising, agreed, crowd, strength):
    assert Signals(best, mass, rising, agreed, crowd).strength == strength


# --- spaces that are not plain


def test_a_list_has_ends_and_no_trend():
    space, trials = searched(lambda u: u)
    given = [{**one, "width": 64 if n == 0 else 16} for n, one in enumerate(trials.hparams)]
    space = {**space, **parse_space({"width": {"choice": [16, 32, 64]}})}
    found = evidence(space, trials._replace(hparams=given), stream)["width"]
    assert found.sides is None and found.edge.side == "high"


def test_trials_that_lack_an_hparam_say_nothing_of_it():
    space, trials = searched(lambda u: 0.9 - 0.2 * (u - 1.3) ** 2)
    given = [dict(one) for one in trials.hparams]
    for one in given[::2]:
        del one["dud"]
    found = evidence(space, trials._replace(hparams=given), stream)
    assert found["dud"].best == trials.hparams[1]["dud"]
    assert found["rate"] == evidence(space, trials, stream)["rate"]._replace(
        share=found["rate"].share
    )
    nobody = [{"rate": one["rate"]} for one in given]
    assert set(evidence(space, trials._replace(hparams=nobody), stream)) == {"rate"}


@pytest.mark.parametrize("zeros", [1, 10, 60])
def test_a_zero_has_no_place_on_a_log_scale(zeros):
    space, trials = searched(lambda u: 0.9 - 0.2 * (u - 0.5) ** 2)
    given = [{**one, "decay": 0.0 if n < zeros else 1e-3 * (n + 1)}
             for n, one in enumerate(trials.hparams)]  # fmt: skip
    kind = {"zero_or_log_uniform": {"bounds": [1e-3, 0.1], "zero": 0.5}}
    found = evidence({**space, **parse_space({"decay": kind})}, trials._replace(hparams=given),
                     stream)["decay"]  # fmt: skip
    assert found.best == 0 and found.edge is None and (found.sides is None) == (zeros == 60)
