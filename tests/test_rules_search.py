"""The rules of the search, each on results made for it: the edges, the next range, what the next
round begins with, and when it is enough.
"""

import math
from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError
from test_search import log_range
from test_stages import config, result

from hpsearch.config.schema import SEARCHABLE
from hpsearch.data import Rows
from hpsearch.nn.activations import ACTIVATIONS
from hpsearch.nn.initializers import INITIALIZERS
from hpsearch.nn.losses import LOSSES
from hpsearch.nn.normalization import NORMALIZATIONS
from hpsearch.nn.optimizers import OPTIMIZERS
from hpsearch.nn.schedules import SCHEDULES
from hpsearch.search.space import parse_space
from hpsearch.search.zoom import narrow
from hpsearch.stages import rounds, search, zooming
from hpsearch.stages.context import Context, Round
from hpsearch.trial import Curves, Status
from hpsearch.verdict import CheckDocument, Edge, SearchDocument, Verdict

SPACE = (
    "search.space={learning_rate: {log_uniform: [1e-4, 1]}, weight_decay: {log_uniform: [%s, 1]}}"
)
LOG_C = math.log(10)


@pytest.fixture
def context(tmp_path, digits):
    """A context of the search over digits, by its stage and changes of the config."""

    def make(stage, *overrides, **given):
        chosen = config(tmp_path, SPACE % 1e-6, *overrides)
        return Context(chosen, given.pop("data", digits), stage, **given)

    return make


def trial(number, accuracy=0.9, rate=1e-2, decay=1e-3, **changes):
    hparams = {"learning_rate": rate, "weight_decay": decay}
    return result(number, accuracy, hparams=hparams, **changes)


def lost(number, rate=0.9):
    return replace(trial(number, rate=rate), status=Status.DIVERGED, best_epoch=None)


# --- the verdict of a search


@pytest.mark.parametrize("done, gone, verdict", [(3, 3, "pass"), (2, 3, "warn"), (0, 3, "fail")])
def test_a_search_of_which_more_than_half_diverges_is_warned_of(context, done, gone, verdict):
    results = [trial(n) for n in range(done)] + [lost(done + n) for n in range(gone)]
    document = search.judge(context("coarse"), results)
    assert document.verdict == verdict and (document.completed, document.diverged) == (done, gone)
    assert ("the range reaches too far" in document.message) == (verdict == "warn")


@pytest.mark.parametrize(
    "metric, accuracy, balanced, baseline, verdict",
    [
        ("val_accuracy", 0.6, 0.6, 0.9, "fail"),
        ("val_accuracy", 1.0, 0.1, 0.9, "pass"),
        ("val_balanced_accuracy", 0.6, 0.6, 0.1, "pass"),
        ("val_balanced_accuracy", 1.0, 0.1, 0.1, "fail"),
    ],
)
def test_what_needs_no_learning_depends_on_the_metric(
    context, digits, metric, accuracy, balanced, baseline, verdict
):
    """Nine in ten validation rows are of the class that is most frequent in training."""
    most = np.bincount(digits.train.y).argmax()
    y = np.where(np.arange(200) % 10 == 0, (most + 1) % 10, most)
    lopsided = replace(digits, validation=Rows(np.zeros((200, digits.inputs)), y))
    found = context("coarse", f"search.metric={metric}", data=lopsided)
    curves = Curves([1.0], [1.0], [1.0], [accuracy], [balanced])
    done = [replace(trial(n, curves=curves), metric=metric) for n in range(3)]
    document = search.judge(found, done)
    assert document.baseline == pytest.approx(baseline) and document.verdict == verdict


def test_a_baseline_that_nothing_can_beat_is_said_with_a_way_out(context, digits):
    """Of a hundred rows 96 % are of one class: three standard errors above is more than 100 %."""
    most = np.bincount(digits.train.y).argmax()
    y = np.where(np.arange(100) % 25 == 0, (most + 1) % 10, most)
    lopsided = replace(digits, validation=Rows(np.zeros((100, digits.inputs)), y))
    curves = Curves([1.0], [1.0], [1.0], [1.0], [1.0])
    document = search.judge(context("coarse", data=lopsided), [trial(0, curves=curves)])
    assert document.verdict == "fail" and "too close for any trial" in document.message
    assert "search.metric: val_balanced_accuracy" in document.message
    few = replace(digits, validation=Rows(np.zeros((3, digits.inputs)), np.full(3, most)))
    few = replace(few, classes=digits.classes[:2])
    document = search.judge(context("coarse", data=few), [trial(0, curves=curves)])
    assert "val_balanced_accuracy" not in document.message, (
        "of no help to two classes of three rows"
    )
    assert "more validation rows (data.split.validation)" in document.message


# --- when it is enough


@pytest.mark.parametrize(
    "gain, strengths, goes_on",
    [
        (0.1, [], True),
        (0.005, [], False),  # less than the standard error of 0.03
        (-0.1, [], False),
        (0.005, ["warn"], False),
        (0.005, ["info", "strong"], True),
        (-0.1, ["strong"], True),
        (0.005, ["stability", "info"], False),
    ],
)
def test_refining_ends_where_nothing_is_gained_and_no_edge_is_strong(
    context, gain, strengths, goes_on
):
    space = {"learning_rate": {"log_uniform": [1e-3, 1e-1]}}

    def rounds_with(following):
        edges = tuple(
            Edge("learning_rate", "high", s, 0.99, {}, "", (1e-3, following)) for s in strengths
        )
        last = SearchDocument("refine-1", Verdict.PASS, 1, edges=edges, space=space)
        first = Round(SearchDocument("coarse", Verdict.PASS, 1), [trial(0, 0.8)])
        return [first, Round(last, [trial(0, 0.8 + gain)])]

    made = rounds_with(following=1.0)
    more = context("refine", "search.refine.rounds=5", rounds=made)
    assert rounds.due(more)[0] == ("refine-2" if goes_on else None)
    stuck = context("refine", "search.refine.rounds=5", rounds=rounds_with(following=1e-1))
    assert rounds.due(stuck)[0] == ("refine-2" if gain == 0.1 else None), "no range to go on in"
    assert rounds.due(context("refine", "search.refine.rounds=1", rounds=made))[0] is None


# --- edges


@pytest.mark.parametrize("bound, strength", [(1e-6, "info"), (1e-5, "info"), (1e-3, "warn")])
def test_a_lower_decay_than_practically_none_is_not_looked_for(context, bound, strength):
    done = [trial(0, 0.9, decay=1.1 * bound), trial(1, 0.8), trial(2, 0.7)]
    document = search.judge(context("coarse", SPACE % bound), done)
    assert [(e.hparam, e.side, e.strength) for e in document.edges] == [
        ("weight_decay", "low", strength)
    ]
    assert document.verdict == ("warn" if strength == "warn" else "pass")


@pytest.mark.parametrize(
    "swept, stable, diverged, limit",
    [
        (1e-1, [1e-2], [], 5e-2),
        (1e-3, [1e-2], [], None),  # it diverged in the sweep, and then it did not
        (None, [1e-2], [0.4, 0.1], 5e-2),
        (None, [1e-2], [1e-3], None),
        (1e-1, [1e-2], [1e-3, 4e-2], 2e-2),
        (None, [1e-2], [], None),
    ],
)
def test_the_limit_is_half_the_smallest_rate_above_all_that_train(
    context, swept, stable, diverged, limit
):
    done = [trial(n, rate=rate) for n, rate in enumerate(stable)]
    done += [lost(9 + n, rate) for n, rate in enumerate(diverged)]
    checks = {"sweep": CheckDocument("sweep", (), {"diverging": swept})}
    found = zooming.diverging_limit(context("coarse", checks=checks), "learning_rate", done)
    assert found == (None if limit is None else pytest.approx(limit))


# --- the next range


@pytest.mark.parametrize(
    "exponents, pad", [([-4, -2.8], 0.6), ([-4, -3, -2.7], 0.5), ([-4, -3.8], 0.25)]
)
def test_a_refined_range_is_padded_by_half_the_largest_gap(exponents, pad):
    kind = log_range(1e-6, 1)
    found = narrow(kind, [10.0**e for e in exponents], whole_decades=False)
    expected = [exponents[0] - pad, exponents[-1] + pad]
    assert list(map(math.log10, found.bounds)) == pytest.approx(expected, abs=3e-3)


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("width", [0.08, 0.8, 80.0])
def test_a_linear_range_keeps_an_eighth_of_its_width(width, whole):
    """Half a decade, where the range counts as four."""
    kind = parse_space({"x": {"uniform": [0, width]}})["x"]
    found = narrow(kind, [width / 2], whole_decades=whole)
    assert found.bounds == pytest.approx((width * 7 / 16, width * 9 / 16), rel=1e-2)


def test_a_range_of_whole_decades_is_never_empty():
    low, high = narrow(log_range(1e-6, 1), [1e-3], whole_decades=True).bounds
    assert low < 1e-3 < high and math.log10(high / low) == pytest.approx(0.5, abs=1e-2)


# --- the trials of a round


def refining(context, *overrides):
    """A first round of refine after five trials, the best of them outside its range."""
    rates = [0.5, 0.02, 0.03, 0.04, 0.05]
    done = [trial(n, 0.9 - 0.1 * n, rate) for n, rate in enumerate(rates)]
    odd = [replace(trial(9, 0.89), hparams={"learning_rate": 0.02})]
    ranges = {"learning_rate": {"log_uniform": [1e-3, 1e-1]},
              "weight_decay": {"log_uniform": [1e-4, 1e-2]}}  # fmt: skip
    judged = SearchDocument("coarse", Verdict.PASS, 5, next_space=ranges)
    return context("refine-1", *overrides, rounds=[Round(judged, done + odd)])


@pytest.mark.parametrize("trials, rates", [(30, [0.02, 0.03, 0.04]), (20, [0.02, 0.03]), (9, [])])
def test_the_best_trials_inside_the_next_range_are_run_again(context, trials, rates):
    found = refining(context, f"search.refine.trials={trials}")
    assert [h["learning_rate"] for h in search.opening(found, {}).carried] == rates
    planned = search.plan(found, [])
    assert len(planned) == trials
    assert [s.rates.learning_rate for s in planned[: len(rates)]] == rates
    assert all(1e-3 <= s.rates.learning_rate <= 1e-1 for s in planned)


@pytest.mark.parametrize("few, many", [(1, 9), (9, 10), (20, 40)])
@pytest.mark.parametrize("stage", ["coarse", "refine-1"])
def test_more_trials_are_the_same_ones_and_more(context, stage, few, many):
    make = refining if stage == "refine-1" else lambda context, *given: context(stage, *given)
    part = stage.split("-")[0]
    begun, raised = (make(context, f"search.{part}.trials={n}") for n in (few, many))
    opened = search.opening(begun, {})
    plans = [search.plan(replace(c, opened=opened), []) for c in (begun, raised)]
    assert [len(plan) for plan in plans] == [few, many]
    assert plans[1][:few] == plans[0]


@pytest.mark.parametrize(
    "stage, changes, schedule",
    [
        ("coarse", ["train.schedule=step"], "step"),
        ("coarse", ["train.schedule=step", "search.coarse.schedule=exponential"], "exponential"),
        ("refine-1", ["train.schedule=step"], "constant"),
        ("refine-1", ["train.schedule=step", "search.refine.schedule=null"], "step"),
    ],
)
def test_a_stages_schedule_goes_over_that_of_train(context, stage, changes, schedule):
    assert search.spec_of(context(stage, *changes), 0, {}).schedule == schedule


NAMES = sorted({
    *ACTIVATIONS, *INITIALIZERS, *OPTIMIZERS, *SCHEDULES, *LOSSES, *NORMALIZATIONS, "none",
    "zero", "log_prior", "flip", "shift2",
})  # fmt: skip
OFFERED = [
    key for key, section in SEARCHABLE.items()
    if section.model_fields[key].description != "not offered yet"
]  # fmt: skip


def legal(key, value):
    try:
        SEARCHABLE[key].model_validate({key: value})
    except ValidationError:
        return False
    return True


@pytest.mark.parametrize("key", OFFERED)
@pytest.mark.parametrize("stage", ["coarse", "refine-1"])
def test_whatever_is_searched_reaches_the_trial(context, stage, key):
    values = [value for value in (0.25, 0.5, 16, 32, *NAMES) if legal(key, value)]
    specs = [
        replace(search.spec_of(context(stage), 0, {key: value}), hparams={}) for value in values
    ]
    assert len(values) > 1
    assert all(one != other for n, one in enumerate(specs) for other in specs[:n])
