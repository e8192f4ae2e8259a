"""What counts when a stage is judged: pruned trials, earlier ones, and none where all diverge."""

import math
from dataclasses import replace

import numpy as np
import pytest
from test_halving import result as halved
from test_rounds import WIDE, context, creeping, judged
from test_rules_search import lost, trial
from test_runner import runner

from hpsearch.config.schema import Halving
from hpsearch.curves import tally
from hpsearch.search.space import parse_space
from hpsearch.stages import edges, gates, halving, rounds, search, standing
from hpsearch.stages.context import Round
from hpsearch.stages.gathering import comparable, inside
from hpsearch.trial import Status, ranking, standard_error
from hpsearch.verdict import CheckDocument, Verdict

assert context  # a fixture
DONE, PRUNED = Status.DONE, Status.PRUNED


def scores(found):
    return {each.result.id: each.score for each in found}


def ended(curves, ladder, *, hparams=None, metric="val_accuracy"):
    """The trials of a halved stage whose whole curves are known, (trials, epochs)."""
    known = {}
    while (now := halving.course(known, len(curves), ladder)).going or now.pruned:
        for n in now.pruned:
            known[n] = replace(known[n], status=PRUNED)
        for n in now.going:
            made = made_of(curves[n, : now.pause], metric)
            known[n] = replace(made, id=n, status=Status.PAUSED if now.pause else DONE)
    return [replace(known[n], hparams=hparams[n] if hparams else {}) for n in sorted(known)]


def made_of(curve, metric="val_accuracy", status=DONE):
    given = {"loss": list(curve)} if metric == "val_loss" else {}
    return halved(0, list(curve), status=status, metric=metric, **given)


# --- pruned trials


def test_a_pruned_trial_would_have_gained_what_the_others_did():
    """From rung 3 to the end .1; from rung 1 .3 and .4 (of which .1 would have been gained)."""
    curves = np.array([[0.5, 0.6, 0.7, 0.8], [0.4, 0.6, 0.7, 0.7], [0.1, 0, 0, 0], [0.2, 0, 0, 0]])
    done = ended(curves, [halving.Rung(1, 2), halving.Rung(3, 1)])
    assert [r.status for r in done] == [DONE, PRUNED, PRUNED, PRUNED]
    found = comparable(done)
    assert scores(found) == pytest.approx({0: 0.8, 1: 0.8, 3: 0.55, 2: 0.45})
    assert [each.result.id for each in found] == [0, 1, 3, 2]
    spreads = [each.spread for each in found]
    assert spreads == pytest.approx([0, 0, 0.05, 0.05]), "half of .3 against .4"
    later = replace(done[0], curves=made_of([0.5, 0.6, 0.7, 0.9]).curves)
    widest = comparable([later, *done[1:], replace(later, id=9, curves=made_of([0.7] * 4).curves)])
    assert scores(widest)[1] == 0.7, "never better than the worst that went on"


def test_the_uncertainty_of_later_rungs_adds_to_that_of_earlier_ones():
    rung = [made_of([0.5, 0.6, last]) for last in (0.7, 0.9)]
    after = replace(made_of([0.4, 0.5], status=PRUNED), id=2)
    before = replace(made_of([0.1], status=PRUNED), id=3)
    found = {e.result.id: e for e in comparable([rung[0], replace(rung[1], id=1), after, before])}
    assert found[2].spread == pytest.approx(0.1) and found[2].score == pytest.approx(0.7)
    gains = [0.2, 0.4, 0.3]
    assert found[3].spread == pytest.approx(math.hypot(np.std(gains), 0.1 / math.sqrt(3)))
    assert found[3].score == pytest.approx(0.4)


@pytest.mark.parametrize("metric", ["val_accuracy", "val_loss"])
def test_nobody_overtakes_those_that_went_on_when_he_did_not(metric, rng):
    sign = -1 if metric == "val_loss" else 1
    for _ in range(20):
        curves = 0.2 + np.cumsum(rng.random((27, 9)) ** 6, axis=1) / 20
        done = ended(sign * curves, halving.rungs(Halving(), 27, 9), metric=metric)
        found = comparable(done)
        assert len(found) == 27 and found[0].result == ranking(done)[0]
        for each in found:
            on = [e.score for e in found if e.result.epochs > each.result.epochs]
            assert each.score <= min(on, default=math.inf) and (each.spread > 0) <= bool(on)
            assert each.score >= each.result.score
        for rung in (1, 3):
            there = [e for e in found if e.result.epochs == rung]
            values = [e.result.score for e in there]
            assert values == sorted(values, reverse=True), "as they stood at the rung"


def test_without_pruned_trials_nothing_is_new():
    done = [replace(trial(n, 0.5 + n / 100), status=DONE) for n in range(9)]
    lost_ones = [lost(9), replace(lost(10), status=Status.FAILED)]
    found = comparable([*done, *lost_ones])
    assert [e.result for e in found] == ranking([*done, *lost_ones])
    assert all(e.score == e.result.score and e.spread == 0 for e in found)


def test_where_nobody_went_on_nobody_knows():
    assert comparable([made_of([0.5], status=PRUNED)]) == []
    early = replace(made_of([0.5]), id=1)
    assert [e.result for e in comparable([made_of([0.4], status=PRUNED), early])] == [early]


def test_another_curve_is_read_at_the_best_epoch_by_the_metric():
    done = halved(0, [0.1, 0.5, 0.7, 0.6], status=DONE, loss=[3.0, 1.0, 2.0, 0.5],
                  metric="val_loss")  # fmt: skip
    cut = halved(1, [0.2, 0.1], status=PRUNED, loss=[3.0, 3.5], metric="val_loss")
    assert scores(comparable([done, cut], "val_accuracy")) == pytest.approx({0: 0.6, 1: 0.3})
    assert scores(comparable([done, cut])) == pytest.approx({0: -0.5, 1: -2.5})


def test_the_error_of_a_score_is_of_both_kinds(context):
    done = [replace(made_of(c), id=n) for n, c in enumerate([[0.5, 0.6], [0.5, 0.8]])]
    cut = replace(made_of([0.3], status=PRUNED), id=2)
    errors = standing.standing(context("coarse"), comparable([*done, cut])).trials.errors
    assert errors[0] == pytest.approx(standard_error(0.8, 180))
    assert errors[2] == pytest.approx(math.hypot(standard_error(0.5, 180), 0.1))


def surface(number=81, epochs=27, top=-1.0, seed=0):
    """Trials of a rate, whose accuracy is best at 10^top; and the better, the faster it rises."""
    rng = np.random.default_rng(seed)
    rates = rng.uniform(-4, 0, number)
    reached = 0.9 - 0.03 * (rates - top) ** 2 + 0.005 * rng.standard_normal(number)
    curves = reached[:, None] * (1 - 0.4 / (1 + np.arange(epochs)))
    return curves, [{"learning_rate": float(10**rate)} for rate in rates]


@pytest.mark.parametrize("top", [-2.0, 1.0])
def test_a_halved_stage_is_judged_as_if_nobody_had_been_given_up(context, top):
    curves, hparams = surface(top=top)
    whole = [replace(made_of(c), id=n, hparams=hparams[n]) for n, c in enumerate(curves)]
    done = ended(curves, halving.rungs(Halving(), 81, 27), hparams=hparams)
    document, full = (search.judge(context("coarse"), each) for each in (done, whole))
    assert [(e.hparam, e.side, e.strength) for e in document.edges] == [
        (e.hparam, e.side, e.strength) for e in full.edges
    ]
    assert document.next_space == full.next_space and document.importance == full.importance
    assert "best of 81 trials lie in" in document.reasons["learning_rate"]
    assert document.best == ranking(done)[0].described and document.completed == 3
    assert document.best_of_n["n"] == [1, 2, 3]
    assert document.best_of_n["meter"].startswith("10 more trials buy")


def test_a_pruned_trial_has_trained_at_its_rate(context):
    cut = replace(trial(0, rate=0.5), status=PRUNED)
    assert standing.diverging_rate(context("coarse"), [trial(1), cut, lost(2, 0.2)]) is None
    assert standing.diverging_rate(context("coarse"), [trial(1), cut, lost(2, 0.6)]) == 0.6


def test_losses_are_compared_where_all_were(context):
    """Nobody has learnt: the drop until the rung, not the larger one of those that went on."""

    def fell(number, losses, status=DONE):
        made = replace(made_of([0.1] * len(losses), status=status), id=number)
        return replace(made, curves=replace(made.curves, train_loss=losses))

    done = [fell(0, [3.0, 2.9, 2.8, 2.3]), fell(1, [3.0, 2.9, 2.95], PRUNED)]
    done += [fell(2, [3.0, 2.9, 2.7], PRUNED), fell(3, [3.0], PRUNED)]
    stand = standing.standing(context("coarse"), comparable(done))
    assert stand.by_loss and [r.id for r in stand.results] == [2, 0, 1]
    assert stand.trials.scores == pytest.approx([0.3, 0.2, 0.05])
    once = standing.standing(context("coarse"), comparable([done[0], done[3]]))
    assert once.trials.scores == pytest.approx([0.7])


def test_pruned_trials_beyond_a_bound_have_explored_it(context):
    """Three of them, that would clearly have been worse, or might not: they are close, or one of
    those that went on gained as much as they would have to.
    """
    space = {"learning_rate": {"log_uniform": [1e-4, 0.1]}}
    done = [trial(n, 0.9 - n / 20, rate=0.09 * 0.6**n) for n in range(10)]
    done = [replace(r, hparams={"learning_rate": r.number("learning_rate")}) for r in done]
    for first, second, reached, explored in (
        ([0.7, 0.9], [0.7, 0.89], 0.3, True),
        ([0.7, 0.9], [0.7, 0.89], 0.69, False),
        ([0.5, 0.9], [0.86, 0.88], 0.49, False),
    ):
        on = [replace(made_of(curve), id=3 + n, hparams={"learning_rate": 0.01})
              for n, curve in enumerate((first, second))]  # fmt: skip
        beyond = [replace(made_of([reached], status=PRUNED), id=n,
                          hparams={"learning_rate": 0.2 + n / 10}) for n in range(3)]  # fmt: skip
        earlier = judged("refine-1", [*on, *beyond], following=space, epochs=15)
        document = search.judge(context("refine-2", rounds=[earlier]), done)
        (strength,) = {e.strength for e in document.edges if e.side == "high"}
        assert (strength == "info") == explored


def test_the_words_for_cut_curves_are_not_counted():
    whole, cut = (replace(trial(0), verdict="too-short", status=s) for s in (DONE, PRUNED))
    assert tally([whole, cut, cut]) == {"too-short": 1}


def test_what_the_second_half_bought_is_told_by_all_trials(context):
    """Those that went on are alike; but of all trials few are as good."""
    finals = [replace(made_of([0.8, 0.9]), id=n) for n in range(4)]
    cut = [replace(made_of([0.1], status=PRUNED), id=4 + n) for n in range(20)]
    coarse = judged("coarse", [made_of([0.9])], epochs=5)
    for done, going in ((finals, False), ([*finals[:1], *cut], True)):
        name, why = rounds.due(context(rounds=[coarse, judged("refine-1", done)]))
        assert (name == "refine-2") == going and ("bought" in why) == going


# --- earlier trials


def spread_over(number, accuracy, rise=0.0):
    """Trials of refine-2, evenly from 1e-3 to almost 0.1."""
    done = [trial(n, accuracy + n * rise, stage="refine-2") for n in range(number)]
    return [replace(r, hparams={"learning_rate": 10 ** (-3 + 2 * r.id / number)}) for r in done]


def test_it_is_said_what_is_of_earlier_rounds(context):
    """Three of the last round are better, and inside; two are not inside, or had other epochs."""
    rates = [0.01, 0.011, 0.012, 0.9]
    known = [replace(trial(n, 0.99), hparams={"learning_rate": r}) for n, r in enumerate(rates)]
    known = [replace(r, stage="refine-1") for r in known]
    done = spread_over(20, 0.5, 0.01)
    made = [judged("coarse", known, epochs=5), judged("refine-1", known, epochs=15)]
    document = search.judge(context("refine-2", rounds=made), done)
    reason = document.reasons["learning_rate"]
    assert reason.startswith("the 6 best of 23 trials, 3 of refine-1 among them, lie in")
    assert document.best["value"] == pytest.approx(0.69) and document.completed == 20
    alone = search.judge(context("refine-2", rounds=made[:1]), done)
    assert "of 20 trials lie in" in alone.reasons["learning_rate"]


def test_a_best_trial_of_an_earlier_round_is_named_so(context):
    known = [trial(n, 0.99 - n / 100, stage="refine-1") for n in range(9)]
    known = [replace(r, hparams={"learning_rate": 0.098 / (1 + r.id)}) for r in known]
    done = spread_over(20, 0.5)
    rounds_ = [judged("refine-1", known, epochs=15)]
    (edge,) = search.judge(context("refine-2", rounds=rounds_), done).edges
    assert edge.message.startswith("learning_rate: best 0.098, of refine-1, is at 100% of")
    own = [replace(done[0], hparams={"learning_rate": 0.099}, curves=made_of([1.0]).curves)]
    (edge,) = search.judge(context("refine-2", rounds=rounds_), [*own, *done[1:]]).edges
    assert edge.message.startswith("learning_rate: best 0.099 is at 100% of")


def test_a_carried_trial_counts_as_often_as_it_was_trained(context):
    done = [replace(trial(n, stage=s), hparams={"learning_rate": 0.01})
            for n, s in enumerate(("refine-1", "refine-2"))]  # fmt: skip
    here = context("refine-2", rounds=[judged("refine-1", done[:1], epochs=15)])
    assert [e.result.stage for e in search.evidence(here, done[1:])] == ["refine-1", "refine-2"]


def test_the_stage_named_is_that_of_the_best_trial_which_has_the_hparam(context):
    done = [replace(trial(0), stage="refine-1", hparams={}), replace(trial(1), stage="refine-2")]
    assert edges._source(context("refine-2"), "weight_decay", done) == ""
    assert edges._source(context("refine-1"), "weight_decay", done) == ", of refine-2,"


def test_whether_a_round_pointed_on_is_decided_by_what_was_there_then(context):
    """Nobody of the second round has learnt; one before it had, or one after it."""
    failed = judged("refine-2", creeping("refine-2"), WIDE, WIDE, Verdict.FAIL, epochs=15)
    wider = {"learning_rate": {"log_uniform": [1e-3, 10.0]}}
    failed = replace(failed, document=replace(failed.document, next_space=wider))
    good = [replace(made_of([0.5, 0.9]), hparams={"learning_rate": 0.1})]
    before, after = (judged(f"refine-{n}", good, epochs=15) for n in (1, 3))
    assert rounds.points_on(context(rounds=[failed]), failed)
    assert not rounds.points_on(context(rounds=[before, failed]), failed)
    assert rounds.points_on(context(rounds=[failed, after]), failed)


def test_a_round_after_one_that_diverged_has_nothing_to_be_compared_with(context):
    made = [judged("coarse", [lost(0)]), judged("refine-1", [trial(n) for n in range(8)])]
    name, why = rounds.due(context(rounds=made))
    assert name == "refine-2" and "no earlier round to compare" in why


def test_earlier_trials_that_were_given_up_count_as_their_round_tells(context):
    """What those that went on gained is known, though they lie outside."""
    on = replace(made_of([0.5, 0.9]), stage="refine-1", hparams={"learning_rate": 0.9})
    cut = replace(made_of([0.4], status=PRUNED), id=1, stage="refine-1",
                  hparams={"learning_rate": 0.01})  # fmt: skip
    here = context("refine-2", rounds=[judged("refine-1", [on, cut], epochs=15)])
    assert scores(search.evidence(here, [])) == pytest.approx({1: 0.8})


@pytest.mark.parametrize(
    "hparams, settled",
    [
        ({"a": 0.1, "b": (8, 8)}, True),
        ({"a": 0.1, "b": 16}, True),
        ({"a": 0.1, "b": 9}, False),
        ({"a": 2.0, "b": 16}, False),
        ({"a": 0.1}, False),
        ({"a": 0.1, "b": 16, "c": 1}, False),
    ],
)
def test_inside_is_what_could_have_been_drawn(hparams, settled):
    space = parse_space({"a": {"log_uniform": [0.01, 1]}, "b": {"choice": [[8, 8], 16]}})
    assert inside(replace(trial(0), hparams=hparams), space, {}) == settled


# --- where every trial diverges


@pytest.mark.parametrize(
    "swept, diverged, bounds",
    [
        (None, [3.0, 30.0], (0.1, 1.5)),
        ((1e-3, 0.5), [3.0, 30.0], (1e-3, 1.5)),
        ((2.0, 5.0), [3.0, 30.0], (0.1, 1.5)),
        (None, [1.2, 30.0], (0.06, 0.6)),
    ],
)
def test_where_all_diverge_the_rates_go_down(context, swept, diverged, bounds):
    checks = {"sweep": CheckDocument("sweep", (), {"range": swept})}
    here = context("coarse", "search.space={learning_rate: {log_uniform: [1, 100]}}",
                   checks=checks)  # fmt: skip
    done = [replace(lost(n, rate), hparams={"learning_rate": rate})
            for n, rate in enumerate(diverged)]  # fmt: skip
    document = search.judge(here, done)
    assert document.verdict is Verdict.FAIL and document.best is None
    assert document.next_space["learning_rate"]["log_uniform"] == pytest.approx(bounds)
    assert document.reasons["learning_rate"].startswith("every trial diverged; widened low")
    made = Round(document, done)
    after = replace(here, stage="refine", rounds=[made])
    assert rounds.due(after) == ("refine-1", "every trial diverged, and smaller rates are left")
    assert gates.refusal(replace(after, stage="refine-1"), strict=False) is None
    assert rounds.decided(here, made, over="").next_command == "hpsearch search --stage refine"


@pytest.mark.parametrize(
    "kind, changes",
    [
        ("{log_uniform: [1, 100]}", {"hparams": {"learning_rate": 2.0, "weight_decay": 1.0}}),
        ("{log_uniform: [1, 100]}", {"status": Status.FAILED}),
        ("{choice: [1, 2, 3]}", {}),
        ("{int_uniform: [1, 3]}", {}),
    ],
)
def test_where_the_rate_is_not_to_blame_or_cannot_go_down_it_fails(context, kind, changes):
    here = context("coarse", f"search.space={{learning_rate: {kind}}}")
    one = replace(lost(0), hparams={"learning_rate": 2.0})
    fails(here, [replace(one, **changes)])


def test_where_some_were_given_up_not_every_trial_diverged(context):
    here = context("coarse", "search.space={learning_rate: {log_uniform: [1, 100]}}")
    one, two = (replace(lost(n), hparams={"learning_rate": 1.0 + n}) for n in range(2))
    fails(here, [replace(one, status=PRUNED), two])


def fails(context, done):
    document = search.judge(context, done)
    assert parse_space(document.next_space) == search.space_of(context)
    found = Round(document, done)
    assert document.verdict is Verdict.FAIL and not rounds.points_on(context, found)


def test_rates_that_all_diverge_are_searched_below_until_they_do_not(tmp_path):
    work = runner(
        tmp_path, "search.space={learning_rate: {log_uniform: [30, 3000]}}",
        "search.coarse={trials: 6, epochs: 2}", "search.refine={trials: 12, epochs: 3, rounds: 1}",
    )  # fmt: skip
    found = []
    while name := work.due()[0]:
        found.append(work.search(name))
    assert found[0].verdict is Verdict.FAIL and found[0].diverged == 6
    assert found[-1].verdict is not Verdict.FAIL and found[-1].best["value"] > 0.8


def test_the_projection_needs_no_order(rng):
    curves, hparams = surface(27, 9)
    done = ended(curves, halving.rungs(Halving(), 27, 9), hparams=hparams)
    shuffled = [done[n] for n in rng.permutation(27)]
    assert comparable(shuffled) == comparable(done)
