"""The rounds of a search: when they go on, when they widen, and what a budget lets train."""

from dataclasses import replace
from itertools import count

import numpy as np
import pytest
from test_rules_search import lost, trial
from test_runner import _one_by_one, contents, runner
from test_stages import config, result

from hpsearch import dispatch
from hpsearch.errors import ConfigError
from hpsearch.stages import gates, rounds, search
from hpsearch.stages.context import Context, Round
from hpsearch.stages.halving import cost
from hpsearch.trial import Curves, Status, standard_error
from hpsearch.verdict import Edge, SearchDocument, Verdict

SPACE = "search.space={learning_rate: {log_uniform: [1e-4, 1]}%s}"
NARROW, WIDE = ({"learning_rate": {"log_uniform": [1e-3, high]}} for high in (0.1, 1.0))


@pytest.fixture
def context(tmp_path, digits):
    def make(stage="refine", *overrides, also="", **given):
        return Context(config(tmp_path, SPACE % also, *overrides), digits, stage, **given)

    return make


def judged(stage, results, space=NARROW, following=NARROW, verdict=Verdict.PASS, **changes):
    document = SearchDocument(stage, verdict, len(results), space=space, next_space=following)
    return Round(replace(document, **changes), results)


def searched(*accuracies, **changes):
    return [replace(trial(n, a), **changes) for n, a in enumerate(accuracies)]


def after(*last_accuracies, before=(0.9,), changes=None, **last):
    """Coarse, and a round of refine after it."""
    results = searched(*last_accuracies, **(changes or {}))
    return [judged("coarse", searched(*before), epochs=5), judged("refine-1", results, **last)]


# --- the stop rule


def test_refining_goes_on_while_more_trials_or_rounds_buy_more_than_noise(context):
    error = standard_error(0.9, 180)
    for accuracies, going in (
        ((0.9,) * 8, ""),
        ((0.9 + 1.1 * error, *(0.9,) * 7), "the last round gained"),
        ((0.9, *(0.8,) * 7), "second half of trials bought"),
        ((0.9, 0.9, 0.9, *(0.8,) * 5), ""),
    ):
        name, why = rounds.due(context(rounds=after(*accuracies)))
        assert (name == "refine-2") == bool(going) and going in why


def test_what_another_seed_does_counts_as_noise(context):
    """The last round trained the best before it again, and came out lower by more than the gain
    of its trials.
    """
    repeated = [replace(r, hparams={"learning_rate": 0.05}) for r in searched(0.75)]
    last = [*searched(0.9, *(0.85,) * 7), *(replace(r, id=9) for r in repeated)]
    for epochs, name in ((15, None), (5, "refine-2")):
        known = [replace(r, hparams={"learning_rate": 0.05}) for r in searched(0.9)]
        made = [judged("coarse", known, epochs=epochs), judged("refine-1", last, epochs=15)]
        assert rounds.due(context(rounds=made))[0] == name


def test_refining_goes_on_while_the_best_trials_still_improve(context):
    for verdict, name in (("still-improving", "refine-2"), ("healthy", None)):
        made = after(*(0.9,) * 8, changes={"verdict": verdict})
        assert rounds.due(context(rounds=made))[0] == name


@pytest.mark.parametrize("share, name", [(0.04, None), (0.06, "refine-2")])
def test_a_strong_edge_counts_where_its_hparam_matters(context, share, name):
    edge = Edge("learning_rate", "high", "strong", 0.99, {}, "", (1e-3, 1.0))
    made = after(*(0.9,) * 8, edges=(edge,), importance={"learning_rate": share})
    assert rounds.due(context(rounds=made))[0] == name


def test_rounds_that_widen_are_not_counted_but_bounded(context):
    def due(*spaces, following=NARROW, most=2):
        made = [judged("coarse", searched(0.5))]
        for number, space in enumerate(spaces, 1):
            gaining = searched(min(0.5 + number / 12, 1.0))
            made.append(judged(f"refine-{number}", gaining, space, following))
        return rounds.due(context("refine", f"search.refine.rounds={most}", rounds=made))

    assert due(NARROW)[0] == "refine-2"
    name, why = due(NARROW, NARROW)
    assert name is None and "the 2 rounds that refine are done" in why and "gained" in why
    assert due(NARROW, WIDE)[0] == "refine-3", "the second one widened"
    assert due(NARROW, NARROW, following=WIDE)[0] == "refine-3", "the third one would"
    assert due(*(NARROW,) * 6, following=WIDE)[0] == "refine-7"
    assert due(*(NARROW,) * 7, following=WIDE)[0] is None
    assert due(*(NARROW,) * 5, following=WIDE, most=1)[0] is None


# --- where nothing is learnt


def creeping(stage="coarse"):
    """Trials at chance whose loss falls with the rate."""
    made = []
    for n in range(30):
        rate = 10 ** (-4 + n / 10)
        losses = [3.5, 3.5 - rate]
        curves = Curves(losses, [0.1] * 2, losses, [0.1] * 2, [0.1] * 2)
        hparams = {"learning_rate": rate}
        made.append(result(n, 0.1, stage=stage, hparams=hparams, curves=curves))
    return made


def test_a_failed_search_that_points_on_does_not_close_the_gate(context):
    done = creeping()
    narrow = context("coarse", "search.space={learning_rate: {log_uniform: [1e-4, 0.1]}}")
    document = search.COARSE.judge(narrow, done)
    pointing = replace(narrow, stage="refine-1", rounds=[Round(document, done)])
    assert document.verdict is Verdict.FAIL and gates.refusal(pointing, strict=False) is None
    assert not gates.closes(pointing, document, strict=False)
    name, why = rounds.due(replace(pointing, stage="refine"))
    assert name == "refine-1" and "no trial has learnt yet" in why
    decided = rounds.decided(narrow, Round(document, done), over="")
    assert decided.decision == f"goes on with refine-1: {why}"
    assert decided.next_command == "hpsearch search --stage refine"
    passed = SearchDocument("refine-1", Verdict.PASS, 1)
    assert gates.outcome(pointing, [document, passed]) is Verdict.PASS
    assert gates.outcome(pointing, [document]) is Verdict.FAIL


def test_a_failed_search_that_points_nowhere_closes_it(context):
    done = [replace(r, curves=replace(r.curves, train_loss=[3.5])) for r in creeping()]
    document = search.COARSE.judge(context("coarse"), done)
    after = context("refine-1", rounds=[Round(document, done)])
    assert document.verdict is Verdict.FAIL and gates.refusal(after, strict=False)
    decided = rounds.decided(context("coarse"), Round(document, done), over="")
    assert decided.decision.startswith("ends: coarse failed")
    assert decided.next_command == "hpsearch sweep"


def test_accuracies_of_networks_that_learnt_nothing_do_not_count(context):
    """Untrained networks differ by more than the standard error of one."""
    done = creeping()
    lucky = replace(done[3], curves=replace(done[3].curves, val_accuracy=[0.25, 0.25]))
    document = search.COARSE.judge(context("coarse"), [*done[:3], lucky, *done[4:]])
    assert document.verdict is not Verdict.FAIL
    assert document.next_space["learning_rate"]["log_uniform"][0] > lucky.number("learning_rate")


def best_of_run(root, rates, seed):
    """The best accuracy of all stages, of a search begun with these rates."""
    work = runner(
        root, f"search.space={{learning_rate: {{log_uniform: {rates}}}}}", f"seed={seed}",
        "search.coarse={trials: 24, epochs: 5}", "model.hidden=20",
        "search.refine={trials: 24, epochs: 15, rounds: 2}",
    )  # fmt: skip
    while stage := work.due()[0]:
        document = work.search(stage)
    assert document.decision.startswith("ends:")
    return max(r.value for s in work.store.search_stages() for r in work.store.results(s))


def test_a_search_begun_far_too_low_widens_to_where_others_begin(tmp_path):
    """Rates of 1e-7 to 1e-5, where the good ones lie near 0.1; the mean of two seeds."""
    bad, good = (
        np.mean([best_of_run(tmp_path / f"{rates}{seed}", rates, seed) for seed in (0, 1)])
        for rates in ("[1e-7, 1e-5]", "[1e-3, 1]")
    )
    assert bad >= good - standard_error(good, 180)


# --- earlier trials


def test_earlier_trials_of_the_same_length_count_as_evidence(context):
    """The best of the round before lies in the middle, of this one on the edge."""
    middle = [trial(n, 0.99, rate=0.01) for n in range(3)]
    edge = [trial(n, 0.9 if n < 3 else 0.5, rate=10 ** (-3 + n / 5)) for n in range(10)]
    done = [replace(r, hparams={"learning_rate": r.number("learning_rate")}) for r in edge]
    known = [replace(r, hparams={"learning_rate": 0.01}) for r in middle]
    found = {}
    for epochs in (15, 5):
        made = [judged("coarse", searched(0.5)), judged("refine-1", known, epochs=epochs)]
        here = context("refine-2", rounds=made)
        document = search.REFINE.judge(here, done)
        found[epochs] = [e.evidence["best_on_edge"] for e in document.edges]
        assert document.best["value"] == 0.9, "the stage's own"
    assert not any(found[15]) and any(found[5])


# --- the budget


@pytest.mark.parametrize("budget", [11, 18, 25])
def test_what_fits_in_trial_epochs_is_trained_and_a_larger_budget_goes_on(tmp_path, budget):
    """Coarse asks for 9 trials of 2 epochs, refine for 6 of 3."""

    def go(folder, *overrides, **given):
        work = runner(tmp_path / folder, "search.refine.rounds=1", *overrides, **given)
        while name := work.due()[0]:
            work.search(name)
        return work

    limited = f"search.budget.trial_epochs={budget}"
    part = go("part", limited)
    coarse, refined = min(9, budget // 2), max(0, budget - 18) // 3
    stages = {s: [r.id for r in part.store.results(s)] for s in part.store.search_stages()}
    assert stages.pop("coarse") == list(range(coarse))
    assert stages == ({"refine-1": list(range(refined))} if refined else {})
    last = part.store.search_document(part.store.search_stages()[-1])
    assert "search.budget.trial_epochs" in last.decision + last.message
    go("jobs", limited, jobs=2)
    assert contents(tmp_path / "jobs") == contents(tmp_path / "part")
    go("part", "search.budget.trial_epochs=36"), go("whole", "search.budget.trial_epochs=36")
    assert contents(tmp_path / "part") == contents(tmp_path / "whole")


def test_a_budget_for_no_trial_is_refused(tmp_path):
    work = runner(tmp_path, "search.budget.trial_epochs=1")
    with pytest.raises(ConfigError, match=r"search\.budget\.trial_epochs: 1 leaves no room"):
        work.search("coarse")
    assert not work.store.search_stages()


def test_when_the_seconds_are_up_what_is_reached_is_judged_and_kept(tmp_path, monkeypatch):
    ticks = count()
    monkeypatch.setattr(dispatch, "monotonic", lambda: float(next(ticks)))
    work = runner(tmp_path / "part", "search.budget.seconds=8")
    _one_by_one(work)
    document = work.search("coarse")
    reached = len(work.store.results("coarse"))
    assert 1 <= reached < 9 and document.completed == reached and document.trials == 9
    assert f"after {reached} of 9 trials (search.budget.seconds: 8)" in document.message
    assert document.decision == f"ends: {work.due()[1]}" and work.due()[0] is None
    more = runner(tmp_path / "part", "search.budget.seconds=1e9")
    assert more.due()[0] == "coarse"
    more.search("coarse")
    runner(tmp_path / "whole", "search.budget.seconds=1e9").search("coarse")
    assert contents(tmp_path / "part") == contents(tmp_path / "whole")


def test_a_budget_that_is_up_before_anything_is_trained_lets_the_search_begin(
    tmp_path, monkeypatch
):
    ticks = count()
    monkeypatch.setattr(dispatch, "monotonic", lambda: float(next(ticks)))
    work = runner(tmp_path, "search.budget.seconds=0.5")
    _one_by_one(work)
    assert work.due()[0] == "coarse"
    document = work.search("coarse")
    assert len(work.store.results("coarse")) == 1 and document.trials == 9
    assert work.due() == (None, "the budget is spent (search.budget.seconds)")


@pytest.mark.parametrize("halving", ["null", "{eta: 2, min_epochs: 1}", "{eta: 3, min_epochs: 2}"])
def test_as_many_trials_fit_as_the_budget_pays_for(context, halving):
    asked = [f"search.coarse={{trials: 40, epochs: 9, halving: {halving}}}"]
    for limit in (1, 8, 9, 50, 100, 200, 10**9):
        here = context("coarse", *asked, f"search.budget.trial_epochs={limit}")
        part = here.config.search.coarse.halving
        fit = search.room(here)
        assert cost(part, fit, 9) * (fit > 0) <= limit < cost(part, fit + 1, 9)


# --- limits


@pytest.mark.parametrize(
    "name, space, near, bounds",
    [
        ("batch_size", "{int_log_uniform: [8, 256]}", "low", {"none": 1, "batch": 2}),
        ("momentum", "{uniform: [0.5, 0.95]}", "high", {"none": 0.975}),
        ("dropout", "{uniform: [0.1, 0.5]}", "low", {"none": 0.0}),
    ],
)
def test_a_range_is_widened_as_far_as_its_key_admits(context, name, space, near, bounds):
    for normalization, bound in bounds.items():
        here = context("coarse", f"model.normalization={normalization}", also=f", {name}: {space}")
        kind = search.space_of(here)[name]
        places = [n / 40 if near == "low" else 1 - n / 40 for n in range(40)]
        done = [
            replace(trial(n, 0.9 - n / 50), hparams={"learning_rate": 0.01, name: kind.placed(p)})
            for n, p in enumerate(places)
        ]
        document = search.COARSE.judge(here, done)
        ((low, high),) = document.next_space[name].values()
        assert (low if near == "low" else high) == pytest.approx(bound)
        assert f"widened {near}" in document.reasons[name]


def test_a_size_that_memory_did_not_suffice_for_is_not_offered_again(context):
    failed = replace(lost(7), status=Status.FAILED, reason="MemoryError: no room")
    for space, sizes, refused, left in (
        ("{choice: [10, 20, 4000]}", (10, 20), 4000, [10, 20]),
        ("{choice: [[10], [20, 4000]]}", ([10],), [20, 4000], [[10]]),
        ("{int_log_uniform: [8, 4000]}", (10, 20, 3000), 3500, 3499),
        ("{choice: [10, 20]}", (10, 20), 20, [10, 20]),
    ):
        here = context("coarse", also=f", hidden: {space}")
        given = [{"learning_rate": 0.01, "hidden": size} for size in sizes]
        done = [replace(trial(n), hparams=hparams) for n, hparams in enumerate(given)]
        out = replace(failed, hparams={"learning_rate": 0.01, "hidden": refused})
        ((kind, values),) = search.COARSE.judge(here, [*done, out]).next_space["hidden"].items()
        shown = [list(v) if isinstance(v, tuple) else v for v in values]
        assert shown == left if kind == "choice" else shown[1] == left
    broken = replace(failed, reason="LinAlgError: a bug", hparams={"hidden": 4000})
    here = context("coarse", also=", hidden: {choice: [10, 4000]}")
    document = search.COARSE.judge(here, [*done[:1], broken])
    assert list(document.next_space["hidden"]["choice"]) == [10, 4000]


def test_halving_whose_seconds_were_up_goes_on_from_its_checkpoints(tmp_path):
    given = ("search.coarse={trials: 9, epochs: 3, halving: {eta: 3, min_epochs: 1}}",)
    work = runner(tmp_path / "part", *given, "search.budget.seconds=1e-9")
    document = work.search("coarse")
    assert (document.completed, document.pruned, document.verdict) == (0, 6, "fail")
    assert "after 6 of 9 trials (search.budget.seconds: 1e-09)" in document.message
    assert work.store.checkpoints("coarse").exist
    runner(tmp_path / "part", *given).search("coarse")
    runner(tmp_path / "whole", *given).search("coarse")
    assert contents(tmp_path / "part") == contents(tmp_path / "whole")
