"""From trials to the document: edges, the next space, importance, and the meter."""

import json
from dataclasses import replace

import numpy as np
import pytest
from test_stages import config, result

from hpsearch.stages import edges, search, standing
from hpsearch.stages.context import Context, Round
from hpsearch.stages.counting import best_of_n
from hpsearch.stages.gathering import comparable, tried
from hpsearch.trial import Curves, Status
from hpsearch.verdict import CheckDocument, SearchDocument, Verdict

SPACE = "search.space={learning_rate: {log_uniform: [1e-4, 1e-1]}, %s}"
DECAY = "weight_decay: {log_uniform: [1e-4, 1]}"


@pytest.fixture
def context(tmp_path, digits):
    def make(stage="coarse", also=DECAY, *overrides, **given):
        return Context(config(tmp_path, SPACE % also, *overrides), digits, stage, **given)

    return make


def trials(response, number=60, other="weight_decay", seed=1, noise=0.01):
    """Trials of a rate in [1e-4, 0.1] whose accuracy is `response` of its place and the
    other's."""
    rng = np.random.default_rng(seed)
    made = []
    for n in range(number):
        place, beside = map(float, rng.random(2))
        value = 10 ** (4 * beside - 4) if other == "weight_decay" else 0.5 * beside
        hparams = {"learning_rate": 10 ** (3 * place - 4), other: value}
        accuracy = float(response(place, beside) + noise * rng.standard_normal())
        made.append(result(n, min(max(accuracy, 0.0), 1.0), hparams=hparams))
    return made


def found_edges(document):
    return {(e.hparam, e.side): e.strength for e in document.edges}


def rising(u, other):
    return 0.9 - 0.3 * (u - 1.3) ** 2


def test_the_edge_says_where_how_sure_and_what_is_next(context):
    document = search.COARSE.judge(context(), trials(rising, noise=0.0))
    (edge,) = document.edges
    assert (edge.hparam, edge.side, edge.strength) == ("learning_rate", "high", "strong")
    assert set(edge.evidence) == {"best_on_edge", "edge_mass", "trend", "crowding"}
    assert edge.evidence["trend"] > 0.9 and edge.next[1] == pytest.approx(1.0)
    for words in ("below the upper bound", "the top 10 %", "of resamples", "Next: "):
        assert words in edge.message
    assert "widened high: the best lies on that edge" in document.reasons["learning_rate"]
    assert document.importance["learning_rate"] > 0.8
    assert document.next_space["weight_decay"] == {"log_uniform": [1e-4, 1.0]}
    assert "does not matter here" in document.reasons["weight_decay"]


def test_the_document_depends_on_no_order_of_the_trials(context):
    done = trials(rising)
    for order in (range(59, -1, -1), np.random.default_rng(0).permutation(60)):
        mixed = search.COARSE.judge(context(), [done[n] for n in order])
        assert mixed == search.COARSE.judge(context(), done)


def test_the_evidence_is_drawn_anew_for_another_seed_or_stage(context):
    done, seen = trials(rising), set()
    for changes in ((), ("seed=1",)):
        for stage in ("coarse", "refine-1"):
            ours = context(stage, DECAY, *changes)
            stand = standing.standing(ours, comparable(done))
            space = search.space_of(replace(ours, stage="coarse"))
            seen.add(repr(edges.weigh(ours, space, done, stand)["weight_decay"].sides))
    assert len(seen) == 4


def test_both_sides_of_one_range_and_two_hparams_may_be_widened(context):
    done = trials(lambda u, v: 0.9 - 0.15 * (u - 1.6) ** 2 - 0.15 * (v + 0.6) ** 2, number=200)
    document = search.COARSE.judge(context(), done)
    assert set(found_edges(document)) == {("learning_rate", "high"), ("weight_decay", "low")}
    assert document.next_space["learning_rate"]["log_uniform"][1] > 0.1
    assert document.next_space["weight_decay"]["log_uniform"][0] < 1e-4


@pytest.mark.parametrize("low, strengths", [(0, ("info",)), (0.05, ("warn", "strong"))])
def test_no_optimum_lies_beyond_what_a_key_may_be(context, low, strengths):
    done = trials(lambda u, v: 0.9 - 0.3 * (v + 0.3) ** 2, other="dropout")
    done = [replace(r, hparams=r.hparams | {"dropout": max(low, r.hparams["dropout"])})
            for r in done]  # fmt: skip
    document = search.COARSE.judge(
        context("coarse", f"dropout: {{uniform: [{low}, 0.5]}}"), done
    )
    edge = next(edge for edge in document.edges if edge.hparam == "dropout")
    assert (edge.side, edge.strength in strengths) == ("low", True)
    assert ("no dropout lies beyond" in edge.message) == (low == 0)
    assert document.next_space["dropout"]["uniform"][0] == 0


def test_the_range_ends_where_training_diverges(context):
    """The best rates lie just below those that diverge, far from the range's bound."""
    done = [
        replace(r, status=Status.DIVERGED, best_epoch=None)
        if r.hparams["learning_rate"] > 1e-2 else r
        for r in trials(lambda u, v: 0.9 - 0.5 * (u - 0.9) ** 2, noise=0)
    ]  # fmt: skip
    document = search.COARSE.judge(context(), done)
    assert found_edges(document) == {("learning_rate", "high"): "stability"}
    assert "training diverges from" in document.edges[0].message
    assert document.next_space["learning_rate"]["log_uniform"][1] <= 1e-2


def test_a_trend_towards_what_diverges_is_no_more_than_a_remark(context):
    done = trials(lambda u, v: 0.6 * u)
    done = [r for r in done if place_of(r) <= 0.93]
    checks = {"sweep": CheckDocument("sweep", (), {"diverging": 0.15})}
    document = search.COARSE.judge(context(checks=checks), done)
    assert found_edges(document) == {("learning_rate", "high"): "info"}
    assert document.verdict is Verdict.PASS


def place_of(result):
    return (np.log10(result.hparams["learning_rate"]) + 4) / 3


def test_an_edge_beyond_which_was_worse_is_only_info(context):
    """Worse than now, after as many epochs; after others, than what was best then."""
    worse = [result(n, 0.2, hparams={"learning_rate": 0.3, "weight_decay": 0.1}) for n in range(5)]
    better = result(5, 0.5, hparams={"learning_rate": 0.01, "weight_decay": 0.1})
    for epochs, known, explored in (
        (5, worse, False), (5, [*worse, better], True), (15, worse, True),
    ):  # fmt: skip
        before = Round(SearchDocument("coarse", Verdict.PASS, 5, epochs=epochs), known)
        ours = context("refine-1", DECAY, "search.round=refine-1", rounds=[before])
        document = search.REFINE.judge(ours, trials(rising))
        strength = found_edges(document)["learning_rate", "high"]
        assert (strength == "info") == explored
    assert "an earlier stage searched beyond it" in document.edges[0].message


# --- where nothing beats chance


def creeping(number=60):
    """Trials that learn so slowly that no accuracy shows it; the loss falls with the rate."""
    made = []
    for r in trials(lambda u, v: 0.1, number, seed=3):
        fall = 10 * r.hparams["learning_rate"]
        losses = [2.5, 2.5 - fall / 2, 2.5 - fall]
        accuracy = list(r.curves.val_accuracy) * 3
        made.append(replace(r, curves=Curves(losses, accuracy, losses, accuracy, accuracy)))
    return made


def test_a_search_in_which_all_is_chance_still_points_the_way(context):
    done = creeping()
    document = search.COARSE.judge(context(), done)
    assert document.verdict is Verdict.FAIL
    assert found_edges(document) == {("learning_rate", "high"): "strong"}
    assert "drop of the training loss" in document.edges[0].message
    low, high = document.next_space["learning_rate"]["log_uniform"]
    assert low >= 1e-2 and high == pytest.approx(1.0)
    assert document.importance["learning_rate"] > 0.8


def test_a_loss_that_fell_in_nobody_ranks_nobody(context):
    done = [replace(r, curves=replace(r.curves, train_loss=[2.3])) for r in creeping()]
    assert not standing.standing(context(), comparable(done)).by_loss
    assert standing.standing(context(), comparable(creeping())).by_loss


# --- counting


def counted(done):
    return best_of_n(search.ranking(done), tried(done, 0))


def test_best_of_n_is_in_the_metrics_own_unit():
    done = [result(n, 0.5 + 0.01 * n) for n in range(10)]
    found = counted(done)
    assert found["n"] == [1, 2, 4, 8, 10]
    assert (found["plug_in"][0], found["unbiased"][0]) == pytest.approx((0.545, 0.545))
    assert found["unbiased"][-1] == pytest.approx(0.59)
    assert found["plug_in"][-1] < 0.586
    assert found["meter"] == "10 more trials buy about 0.8 points"
    losses = [replace(r, metric="val_loss", curves=replace(r.curves, val_loss=[2.0 - r.id / 10]))
              for r in done]  # fmt: skip
    found = counted(losses)
    assert found["unbiased"][-1] == pytest.approx(1.1)
    assert found["plug_in"][-1] > 1.14
    assert found["meter"].startswith("10 more trials lower the best loss by about 0.08")
    assert counted([]) == {} and counted(done[:1])["meter"] == ""
    flat = counted([result(n, 0.5) for n in range(10)])
    assert flat["meter"] == "10 more trials buy less than 0.1 points"


def test_of_ten_more_trials_as_many_diverge_as_before():
    done = [result(n, 0.5 + 0.01 * n) for n in range(10)]
    worst = [result(n, 0.5) for n in range(10, 20)]
    lost = [replace(r, status=Status.DIVERGED, best_epoch=None) for r in worst]
    bought = counted(done + lost)
    assert bought["meter"] == counted(done + worst)["meter"] != counted(done)["meter"]
    assert bought["n"] == [1, 2, 4, 8, 10]
    assert counted(lost) == {}


def test_documents_of_before_are_read_and_those_of_now_come_back(context):
    document = search.COARSE.judge(context(), trials(rising))
    record = json.loads(json.dumps(document.to_json()))
    assert SearchDocument.from_json(record).to_json() == record
    del record["importance"], record["best_of_n"]
    old = SearchDocument.from_json(record)
    assert old.importance == {} and old.best_of_n == {}
