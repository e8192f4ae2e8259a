"""Early stopping: a trial that gets no better leaves, and nobody else's numbers know of it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpsearch.cohort import Task, tasks
from hpsearch.config.find import find
from hpsearch.config.load import load as load_config
from hpsearch.data import Source, load
from hpsearch.errors import ConfigError
from hpsearch.nn.net import Net
from hpsearch.spec import Budget, Rates, TrialSpec, View
from hpsearch.stages import CHECKS
from hpsearch.stages.context import Context
from hpsearch.training import Watch, train_cohort
from hpsearch.trial import Status

DIGITS = load(Source("digits"), center="feature", scale="standard")
EPOCHS = 12


def spec(number, rate=0.05, **changes):
    given = {
        "stage": "coarse", "seed": 77 + number, "order_seed": 3, "batch_size": 300,
        "net": Net((DIGITS.inputs, 12, DIGITS.n_classes)), "optimizer": "momentum",
        "rates": Rates(rate), "budget": Budget(EPOCHS), "hparams": {"learning_rate": rate},
    }  # fmt: skip
    return TrialSpec(id=number, **{**given, **changes})


def train(*specs, watch=None):
    return train_cohort(Task(specs), DIGITS, watch or Watch())


def configured(folder, *overrides):
    return load_config(find("digits", runs_dir=folder, cwd=folder), list(overrides))


def bits(result):
    curves = {name: np.array(curve).tobytes() for name, curve in vars(result.curves).items()}
    return (result.status, result.step, result.best_epoch, curves, repr(result.losses),
            result.reason, result.verdict)  # fmt: skip


@settings(max_examples=25, deadline=None)
@given(
    company=st.lists(
        st.tuples(st.floats(-3, 2), st.sampled_from([None, 1, 2, 3, 6])), min_size=1, max_size=9
    ),
    watched=st.tuples(st.floats(-3, 1), st.sampled_from([None, 1, 2, 3])),
    metric=st.sampled_from(["val_accuracy", "val_loss", "val_balanced_accuracy"]),
)
def test_patience_is_each_trials_own(company, watched, metric):
    """Some leave for lack of patience, some diverge, some stay: none of it shows in the others."""
    cohort = [
        spec(n, 10.0**rate, patience=patience, metric=metric)
        for n, (rate, patience) in enumerate([*company, watched])
    ]
    assert len({one.shape for one in cohort}) == 1 and len(tasks(cohort, jobs=1)) == 1
    together = train(*cohort)[-1]
    assert bits(together) == bits(train(cohort[-1])[0])


@pytest.mark.parametrize("patience", [1, 2, 4])
@pytest.mark.parametrize("metric", ["val_accuracy", "val_loss"])
def test_a_trial_stops_when_its_patience_ends_and_keeps_its_best_weights(patience, metric):
    """Up to there it is the trial that it would have been without."""
    plain = {"metric": metric, "budget": Budget(30)}
    for number in range(4):
        whole = train(spec(number, 0.3, **plain))[0]
        short = train(spec(number, 0.3, patience=patience, **plain))[0]
        curve = np.array(getattr(whole.curves, metric)) * (-1 if metric == "val_loss" else 1)
        best = [int(np.argmax(curve[: n + 1])) for n in range(len(curve))]
        waited = [n - at >= patience for n, at in enumerate(best)]
        end = waited.index(True) + 1 if True in waited else len(curve)
        assert short.status is Status.DONE and short.epochs == end and short.step == 5 * end
        assert short.best_epoch == best[end - 1] + 1
        assert list(short.curves.val_loss) == list(whole.curves.val_loss[:end])
        stopped = "stopped early: no better for" in short.reason
        assert stopped == (end < len(curve)) and (not stopped or str(patience) in short.reason)
        again = train(spec(number, 0.3, **{**plain, "budget": Budget(short.best_epoch)}))[0]
        np.testing.assert_array_equal(short.weights, again.weights)
    assert end < 30, "or this shows nothing"


def test_a_trial_that_trained_to_its_end_was_not_stopped():
    """Though its patience ended just there."""
    short = train(spec(0, 0.3, patience=2, budget=Budget(30)))[0]
    assert short.epochs < 30 and short.reason
    whole = train(spec(0, 0.3, patience=2, budget=Budget(short.epochs)))[0]
    assert whole.reason == "" and whole.curves == short.curves


def test_a_trial_that_gets_better_every_epoch_is_never_stopped():
    result = train(spec(0, 1e-4, patience=1, metric="val_loss"))[0]
    assert result.epochs == EPOCHS and result.reason == ""


def test_all_steps_are_told_whoever_leaves():
    """The bar that counts them is full in the end."""
    told = []
    cohort = [spec(0, 0.5, patience=1), spec(1, 1e5), spec(2, 0.01), spec(3, 0.5, patience=2)]
    results = train(*cohort, watch=Watch(steps=told.append))
    assert sum(r.step < EPOCHS * 5 for r in results) >= 2, "or nobody left"
    assert sum(told) == len(cohort) * EPOCHS * 5


def test_a_cohort_ends_when_all_have_stopped():
    results = train(*(spec(n, 0.5, patience=1, budget=Budget(200)) for n in range(3)))
    assert all(r.status is Status.DONE and r.epochs < 200 for r in results)
    assert sum(r.weights is not None for r in results) == 1


def test_nothing_stops_where_nothing_is_measured():
    rows = View(rows=tuple(range(20)))
    one = spec(0, 0.1, patience=1, view=rows, batch_size=20, evaluate=False)
    assert train(one)[0].epochs == EPOCHS


@pytest.mark.parametrize("stage", [stage.name for stage in CHECKS])
def test_the_checking_stages_know_no_patience(stage, tmp_path):
    config = configured(tmp_path, "train.patience=1")
    plan = next(one.plan for one in CHECKS if one.name == stage)
    for planned in plan(Context(config, DIGITS, stage), []):
        assert planned.patience is None or not planned.evaluate


def test_patience_is_searched_like_any_key(tmp_path):
    """Over whole numbers, from 1; trials of a round may differ in it and share a cohort."""
    config = configured(tmp_path, "search.space.patience={int_uniform: [1, 4]}")
    context = Context(config, DIGITS, "coarse")
    drawn = [context.spec(n, Budget(5), hparams={"patience": n}) for n in (1, 2)]
    assert [one.patience for one in drawn] == [1, 2] and drawn[0].shape == drawn[1].shape
    for wrong in ("train.patience=0", "search.space.patience={int_uniform: [0, 4]}"):
        with pytest.raises(ConfigError, match="patience"):
            configured(tmp_path, wrong)
