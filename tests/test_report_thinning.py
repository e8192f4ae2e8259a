"""Which trials are drawn of very many."""

import random
from itertools import pairwise

import pytest
from test_report_samples import diverged, trial

from hpsearch.report.tables.thinning import thinned
from hpsearch.trial import Status, ranking


def many(count, lost_every=7):
    chance = random.Random(3)
    return [
        trial(n, [chance.random()], rate=0.1) if n % lost_every else diverged(n, rate=1.0)
        for n in range(count)
    ]


def test_few_trials_are_all_drawn_and_nothing_is_said():
    results = many(30)
    assert thinned(results, 30) == (results, "")


@pytest.mark.parametrize("most", [2000, 500, 200, 3, 1])
def test_what_is_drawn_is_as_many_as_asked_for_in_order_and_has_the_best(most):
    results = many(3000)
    drawn, said = thinned(results, most)
    assert len(drawn) == most and drawn == sorted(drawn, key=lambda r: r.id)
    best = {r.id for r in ranking(results)[: min(200, most // 2)]}
    assert best <= {r.id for r in drawn}
    lost = sum(r.status is Status.DIVERGED for r in drawn)
    others = most - len(best) - lost
    assert f"{most:,} of 3,000 trials" in said and f"the best {len(best)}, " in said
    assert f"{others:,} of the {3000 - 429 - len(best):,} others" in said
    assert f"{lost:,} of the 429 that diverged" in said


def test_the_rest_are_thinned_evenly():
    results = many(4000, lost_every=4)
    best = {r.id for r in ranking(results)[:200]}
    drawn, _ = thinned(results, 1200)
    lost = [r.id for r in drawn if r.status is Status.DIVERGED]
    assert {b - a for a, b in pairwise(lost)} <= {12, 16}  # every fourth is one
    rest = [r.id for r in drawn if r.status is Status.DONE and r.id not in best]
    assert max(b - a for a, b in pairwise(rest)) < 12


@pytest.mark.parametrize("every", [1, 10**9])
def test_all_lost_and_none_lost(every):
    results = many(50, every)[1:]
    drawn, said = thinned(results, 10)
    assert len(drawn) == 10 and ("diverged" in said) == (every == 1)
