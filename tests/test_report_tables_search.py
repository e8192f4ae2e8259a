"""The tables behind the plots of a search, against independent answers."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from searched import (
    STATES,
    conditional,
    grids,
    half_way,
    healthy,
    losses,
    material,
    odd,
    of_stage,
    plain_search,
    scientific,
)
from test_report_samples import SPACE, search, settings, trial, trials

from hpsearch.errors import HostError
from hpsearch.report.progress import best_of
from hpsearch.report.tables import points
from hpsearch.report.tables.axis import axis
from hpsearch.report.tables.expected import expected_best
from hpsearch.report.tables.grids import by_chance, distinct, of_grid, waste
from hpsearch.report.tables.importance import shares
from hpsearch.report.tables.isolation import isolated_of_all
from hpsearch.search.space import parse_space
from hpsearch.stages.counting import best_of_n
from hpsearch.trial import Status, ranking, standard_error

KINDS = parse_space(
    {
        "log_uniform": {"log_uniform": [1e-5, 3.0]},
        "zero": {"zero_or_log_uniform": {"bounds": [1e-6, 1.0], "zero": 0.5}},
        "one_minus": {"one_minus_log_uniform": [0.5, 0.999]},
        "uniform": {"uniform": [-2, 7]},
        "int_uniform": {"int_uniform": [2, 300]},
        "int_log": {"int_log_uniform": [1, 4096]},
    }
)


def axis_of(kind, values):
    return axis("h", [kind], [trial(n, [0.5], h=v) for n, v in enumerate(values)])


@pytest.mark.parametrize("name", KINDS)
@given(shares=st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_values_of_a_range_stand_in_their_order_where_its_scale_has_them(name, shares):
    kind = KINDS[name]
    values = sorted({kind.at(share) for share in shares})
    found = axis_of(kind, values)
    places = [found.place(value) for value in values]
    assert places == sorted(set(places))
    for value, place in zip(values, places, strict=True):
        if value > 0 or not kind.log:
            assert place == pytest.approx(kind.to_scale(value))
            assert found.low - 1e-9 <= place <= found.high + 1e-9
    assert found.span[0] < min(places) and max(places) < found.span[1]


@pytest.mark.parametrize("name", KINDS)
def test_ticks_say_what_stands_there(name):
    found = axis_of(KINDS[name], [KINDS[name].at(0.5)])
    assert 3 <= len(found.ticks) <= 10
    for place, text in found.ticks:
        assert found.place(float(text)) == pytest.approx(place), text
    assert len({text for _, text in found.ticks}) == len(found.ticks)


def test_zero_and_what_is_absent_stand_below_the_range_each_at_its_own_tick():
    results = [trial(0, [0.5], h=0.0), trial(1, [0.5], h=1e-6), trial(2, [0.5])]
    found = axis("h", [KINDS["zero"]], results)
    zero, least, absent = (found.of(result.hparams) for result in results)
    assert absent < zero < least == found.low
    assert [text for _, text in found.ticks][:2] == ["–", "0"]
    assert [place for place, _ in found.ticks][:2] == [absent, zero]


def test_a_list_has_its_items_in_order_numbers_by_their_size():
    kinds = parse_space({"a": {"choice": [100, 20, 50]}, "b": {"choice": [[50], [64, 32]]}})
    numbers = axis_of(kinds["a"], [50, 20])
    assert [text for _, text in numbers.ticks] == ["20", "50", "100"]
    assert numbers.place(50) == 1.0 and math.isnan(numbers.place(7))
    assert axis_of(kinds["b"], [(64, 32)]).of({"h": (64, 32)}) == 1.0


def test_values_in_no_known_range_are_drawn_as_they_lie():
    wide = [trial(n, [0.5], h=10.0**n) for n in range(4)]
    assert axis("h", [], wide).scale == "log"
    assert axis("h", [], wide[:2]).scale == "linear"
    assert axis("h", [], [*wide, trial(9, [0.5], h="auto")]).scale == "list"
    same = axis("h", [], wide[:1])
    assert same.low < same.of(wide[0].hparams) < same.high


def test_the_axis_reaches_beyond_the_range_to_what_was_carried_over():
    found = axis_of(KINDS["log_uniform"], [1e-8])
    assert found.low == pytest.approx(-8)


@pytest.mark.parametrize("made", [healthy, half_way, conditional, losses, odd])
def test_the_best_so_far_is_the_running_extreme_of_the_completed(made):
    run = made()
    table, results = points.history(run), points.everything(run)
    sign = -1 if run.searches[-1].metric == "val_loss" else 1
    values = [r.value if r.status is Status.DONE else math.nan for r in results]
    scores = np.where(np.isfinite(values), sign * np.array(values), -np.inf)
    running = sign * np.maximum.accumulate(scores)
    assert np.array_equal(table["best"], np.where(np.isfinite(running), running, np.nan),
                          equal_nan=True)  # fmt: skip
    assert table["order"].tolist() == list(range(1, len(results) + 1))


def test_the_error_of_the_best_so_far_is_that_of_an_accuracy():
    table = points.history(healthy())
    wanted = [standard_error(best, 180) for best in table["best"]]
    assert table["error"].tolist() == wanted
    assert points.history(losses())["error"].isna().all()


def test_a_trial_without_a_value_has_none():
    table = points.trial_points(trials(), "val_accuracy")
    lost = table["status"] != "done"
    assert lost.sum() == 2 and table.loc[lost, "value"].isna().all()
    assert table.loc[~lost, "value"].tolist() == [r.value for r in trials()[:12]]
    assert table["learning_rate"].tolist() == [r.hparams["learning_rate"] for r in trials()]


def test_what_diverged_after_a_good_epoch_has_no_value_either():
    table = points.trial_points(points.everything(odd()), "val_accuracy").set_index("trial")
    assert math.isnan(table.loc["coarse/9", "value"]) and table.loc["coarse/5", "value"] == 0.5


def test_the_ranges_are_those_of_the_documents_and_the_next_one():
    table = points.ranges(half_way()).set_index(["stage", "hparam"])
    assert tuple(table.loc[("coarse", "learning_rate")]) == (1e-4, 1.0)
    assert tuple(table.loc[("refine-1", "learning_rate")]) == (0.1, 10.0)
    assert tuple(table.loc[("coarse", "momentum")]) == (0.8, 0.99)
    assert "hidden" not in table.index.get_level_values("hparam")
    only = points.ranges(material(plain_search(SPACE, trials(), next_space={
        **SPACE, "momentum": {"uniform": [0.9, 0.95]}})))  # fmt: skip
    following = only[only["stage"] == points.NEXT].set_index("hparam")
    assert tuple(following.loc["momentum", ["low", "high"]]) == (0.9, 0.95)
    assert points.NEXT not in set(points.ranges(healthy())["stage"]), "it is the same space"


def test_an_unknown_metric_is_a_damaged_document():
    document, results = plain_search(SPACE, trials(), metric="speed")
    with pytest.raises(HostError, match=r"coarse/stage\.json: damaged"):
        points.history(material((document, results)))


def test_importance_stands_by_stage_in_order_the_largest_first():
    table = shares(healthy())
    assert table["stage"].tolist() == ["coarse"] * 3 + ["refine-1"] * 2
    for _, part in table.groupby("stage"):
        assert part["share"].is_monotonic_decreasing and part["share"].sum() == pytest.approx(1)
    one = plain_search(SPACE, trials(), importance={"learning_rate": 1.0})
    assert shares(material(one)).empty


def test_the_expected_best_is_what_the_document_says():
    results = [trial(n, [0.5 + n**2 / 900], **settings(0.1)) for n in range(20)]
    told = best_of_n(ranking(results), np.zeros(0))
    table = expected_best(results, "val_accuracy").set_index("n")
    for n, plug_in, unbiased in zip(told["n"], told["plug_in"], told["unbiased"], strict=True):
        if n in table.index:
            assert (table.loc[n, "plug_in"], table.loc[n, "unbiased"]) == (plug_in, unbiased)
    assert {1, 2, 20} <= set(table.index)
    assert table.loc[1, "deviation"] == pytest.approx(np.std([r.value for r in results]))


def test_the_expected_best_of_a_loss_falls_and_diverged_trials_have_none():
    run = losses()
    table = expected_best(points.everything(run), "val_loss")
    assert table["unbiased"].is_monotonic_decreasing
    assert table["unbiased"].iloc[-1] == min(r.value for r in points.everything(run))
    assert expected_best(trials()[12:], "val_accuracy").empty


def test_a_grid_is_counted_by_its_distinct_values():
    run = grids()
    document, results = of_grid(run)
    table = distinct(document, results).set_index("hparam")
    assert table.index.tolist() == ["learning_rate", "weight_decay"], "the important one first"
    assert table["grid"].tolist() == [5, 5] and table["random"].tolist() == [25.0, 25.0]
    assert of_grid(healthy()) is None


def test_trials_that_were_carried_over_are_none_of_the_grid():
    document, results = plain_search(SPACE, trials(), sampler="grid", carried=[settings(0.9)] * 3)
    assert [r.id for r in of_grid(material((document, results)))[1]] == list(range(3, 14))


@pytest.mark.parametrize("name", ["zero", "int_uniform", "log_uniform"])
def test_what_random_trials_try_is_what_drawing_shows(name):
    kind, rng = KINDS[name], np.random.default_rng(1)
    tried = [len({kind.sample(rng) for _ in range(60)}) for _ in range(400)]
    error = np.std(tried) / math.sqrt(400)
    assert abs(np.mean(tried) - by_chance(kind, 60)) <= 4 * error + 1e-9


def test_waste_is_the_spread_within_and_between_the_values():
    _, results = of_grid(grids())
    found = waste(results, "learning_rate", "val_accuracy")
    columns = np.array([r.value for r in results]).reshape(5, 5)
    assert found.within == pytest.approx(math.sqrt(columns.var(axis=1, ddof=1).mean()))
    assert found.between == pytest.approx(columns.mean(axis=1).std(ddof=1))
    assert waste(results[:5], "learning_rate", "val_accuracy") is None, "one value"
    assert waste(results[::5], "learning_rate", "val_accuracy") is None, "none tried twice"


def test_isolated_values_have_names_of_all_stages():
    table = isolated_of_all(scientific())
    assert table["name_"].tolist() == ["relu", "64-32", "<b>"]
    assert set(table["stage"]) == {"coarse"}
    two = material((scientific().searches[0], trials()), (
        plain_search(SPACE, of_stage(trials(), "refine-1"), stage="refine-1")))  # fmt: skip
    assert set(isolated_of_all(two)["stage"]) == {"coarse"}


def test_every_state_has_a_material():
    for made in STATES.values():
        assert len(points.everything(made())) == sum(map(len, made().trials.values()))


@pytest.mark.parametrize("last", ["val_accuracy", "val_loss"])
def test_the_best_of_all_is_the_one_that_every_command_names(last):
    """Of equals the later one; a stage that searched another metric does not count."""
    found = []
    for stage, metric, loss in (("coarse", "val_accuracy", 0.1), ("refine-1", last, 0.2)):
        values = enumerate((0.5, 0.9, 0.7))
        results = [trial(n, [a], stage=stage, metric=metric) for n, a in values]
        results[1].curves.val_loss[0] = loss
        found.append((search(verdict=None, stage=stage, metric=metric), results))
    run = material(*found)
    best, named = points.best_first(run)[0], best_of(run.documents)
    assert (best.stage, best.id) == (named["stage"], named["trial"]) == ("refine-1", 1)
