import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from test_report_samples import CHECKS, diverged, full_run, quickly, search, settings, trial

from hpsearch.curves import ACTIONS
from hpsearch.report.tables import checking, learning
from hpsearch.report.tables.learning import Close
from hpsearch.report.tables.material import Material
from hpsearch.report.tables.stages import rows_of
from hpsearch.store import RunStore
from hpsearch.trial import Status
from hpsearch.verdict import Check, CheckDocument, FinalDocument, Verdict

MEASURES = ("val_accuracy", "train_loss")


def pruned(number, accuracies, **more):
    return replace(trial(number, accuracies, **more), status=Status.PRUNED)


@quickly
def stored(tmp_path, *documents, results=(), facts=None):
    """A run of these documents and trials, read."""
    store = RunStore(tmp_path, "r")
    store.write_config("name: r\n")
    if facts:
        store.write_run(facts)
    for document in documents:
        store.write_document(document)
    for result in results:
        store.record(result)
    return Material.of(store)


# --- the moving average


@pytest.mark.parametrize("window", [10, 50])
def test_the_moving_average_is_that_of_pandas(window):
    losses = np.random.default_rng(0).random(300)
    found = learning.averaged(list(range(1, 301)), losses.tolist(), window)
    assert found == pytest.approx(pd.Series(losses).ewm(alpha=1 / window).mean().tolist())


def test_steps_that_were_left_out_count_in_the_average_as_time():
    """pandas has it by half-life and clock; a step is a second here."""
    rng, window = np.random.default_rng(1), 20
    steps = np.sort(rng.choice(np.arange(1, 2000), 200, replace=False))
    losses = rng.random(200)
    half = pd.Timedelta(seconds=-math.log(2) / math.log(1 - 1 / window))
    clock = pd.to_datetime(steps, unit="s")
    expected = pd.Series(losses).ewm(halflife=half, times=clock).mean()
    found = learning.averaged(steps.tolist(), losses.tolist(), window)
    assert found == pytest.approx(expected.tolist(), rel=1e-6)


def test_losses_that_are_none_do_not_spoil_the_average():
    losses = [math.nan, 2.0, math.inf, 2.0, math.nan]
    found = learning.averaged([1, 2, 3, 4, 5], losses, 10)
    assert math.isnan(found[0]) and found[1:] == pytest.approx([2.0] * 4)


def test_the_window_is_ten_minibatches_or_a_fiftieth_of_the_run():
    def last(count):
        losses = [(step, 1.0 if step == count else 0.0) for step in range(1, count + 1)]
        result = replace(trial(0, [0.5]), losses=losses, step=count)
        return learning.minibatches(Close(result, "", 10.0)).average.iloc[-1]

    assert last(400) == pytest.approx(1 / 10) and last(2500) == pytest.approx(1 / 50)


# --- epochs


def test_epochs_are_counted_by_the_minibatches_that_one_has():
    done = replace(trial(0, [0.1, 0.2], batch_size=7), step=30)
    assert learning.batches(done, 1000, {"train.batch_size": 100}) == 15
    lost = replace(diverged(1, learning_rate=1.0), step=3)
    assert learning.batches(lost, 1001, {"train.batch_size": 100}) == 11
    assert learning.batches(diverged(2, batch_size=50), 1001, {"train.batch_size": 100}) == 21
    assert learning.batches(lost, None, {"train.batch_size": 100}) == 3
    assert learning.batches(lost, 1000, {}) == 3
    assert learning.batches(replace(lost, step=0), None, {}) == 1


def test_training_rows_are_those_of_the_run_or_the_audit(tmp_path):
    assert rows_of(stored(tmp_path / "a", CHECKS["data"]).store, "train") == 1437
    facts = {"rows": {"train": 900}}
    assert rows_of(stored(tmp_path / "b", CHECKS["data"], facts=facts).store, "train") == 900
    assert rows_of(stored(tmp_path / "c", CHECKS["sanity"]).store, "train") is None
    assert rows_of(stored(tmp_path / "d", facts={"rows": "?"}).store, "train") is None


# --- curves


def test_courses_have_every_epoch_of_every_trial_best_first():
    results = [trial(0, [0.1, 0.2]), diverged(1), trial(2, [0.3, 0.9, 0.5]), pruned(3, [0.8])]
    frame = learning.courses(results, MEASURES)
    assert frame.trial.tolist() == [2, 2, 2, 0, 0, 3]
    assert frame.place.tolist() == [1, 1, 1, 2, 2, 0]
    assert frame.epoch.tolist() == [1, 2, 3, 1, 2, 1]
    assert frame.val_accuracy.tolist() == [0.3, 0.9, 0.5, 0.1, 0.2, 0.8]
    assert frame.train_loss.tolist() == pytest.approx([0.7, 0.1, 0.5, 0.9, 0.8, 0.2])
    assert learning.courses([], MEASURES).empty


def test_ends_are_where_training_was_given_up():
    lost = replace(trial(4, [0.5, 0.4]), status=Status.DIVERGED, step=25)
    results = [diverged(1), lost, pruned(3, [0.8])]
    frame = learning.ends(results, {1: 10, 3: 10, 4: 10}, MEASURES)
    assert frame.trial.tolist() == [1, 3, 4]
    assert frame.epochs.tolist() == [0.3, 1.0, 2.5]
    assert frame.val_accuracy.isna().tolist() == [True, False, False]
    assert frame.val_accuracy.iloc[2] == 0.4 and frame.train_loss.iloc[2] == 0.6


def test_pruned_trials_follow_the_completed_ones_the_furthest_first():
    results = [
        pruned(0, [0.9]), pruned(1, [0.2, 0.3]), pruned(2, [0.2, 0.4]), trial(3, [0.1]),
        diverged(4), trial(5, [0.2]),
    ]  # fmt: skip
    assert [r.id for r in learning.leading(results)] == [5, 3, 2, 1, 0]


# --- trials from close by


def judged(result, word):
    return replace(result, verdict=word)


def run_of_many(tmp_path):
    coarse = [judged(trial(n, [n / 10]), "healthy") for n in range(3)]
    coarse += [judged(trial(3, [0.1]), "stuck"), judged(pruned(4, [0.1]), "noisy-end")]
    coarse += [judged(diverged(5), "diverged"), judged(trial(6, [0.15]), "stuck")]
    coarse += [judged(trial(7, [0.1]), "bad-init")]
    refined = [judged(trial(n, [n / 20], stage="refine-1"), "healthy") for n in range(8)]
    refined += [judged(trial(8, [0.01], stage="refine-1"), "underfitting")]
    refined += [judged(pruned(9, [0.1], stage="refine-1"), "stuck")]
    candidate = {"stage": "refine-1", "trial": 7, "ids": [3, 4, 5], "value": 0.35, "epochs": 1,
                 "params": 9, "hparams": {}}  # fmt: skip
    candidates = [{**candidate, "ids": [0]}, candidate]
    final = FinalDocument(None, candidates, "val_accuracy", 3, winner=1)
    nets = [trial(n, [0.5], stage="final") for n in (0, 3, 4)]
    return stored(
        tmp_path, search(), search(stage="refine-1"), final, results=[*coarse, *refined, *nets]
    )


def test_the_best_the_odd_and_the_winners_are_looked_at(tmp_path):
    found = learning.close(run_of_many(tmp_path))
    assert [each.name for each in found] == [
        *(f"refine-1/{n}" for n in (7, 6, 5, 4, 3)), "coarse/5", "coarse/3", "coarse/7",
        "final/3", "final/4",
    ]  # fmt: skip
    assert [each.why for each in found] == [
        "best", "place 2", "place 3", "place 4", "place 5", *["an example"] * 3,
        "the winner, seed 1", "the winner, seed 2",
    ]  # fmt: skip
    assert all(each.result.losses == [(1, 2.3)] for each in found if each.name != "coarse/5")


def test_of_a_stage_without_trials_the_one_before_is_looked_at(tmp_path):
    material = stored(tmp_path, search(), search(stage="refine-1"), results=[trial(0, [0.5])])
    assert [each.name for each in learning.close(material)] == ["coarse/0"]
    assert learning.close(stored(tmp_path / "none", search())) == []


def test_where_all_diverged_they_are_looked_at(tmp_path):
    results = [judged(diverged(n), "diverged") for n in range(4)]
    found = learning.close(stored(tmp_path, search(), results=results))
    assert [(each.name, each.why) for each in found] == [("coarse/0", "an example")]


def test_minibatches_and_epochs_are_those_of_the_trials_file(tmp_path):
    losses = [(step, 3.0 / step) for step in range(1, 31)]
    result = replace(trial(0, [0.2, 0.4, 0.3]), losses=losses, step=30)
    (found,) = learning.close(stored(tmp_path, search(), results=[result]))
    frame = learning.minibatches(found)
    assert frame.loss.tolist() == pytest.approx([loss for _, loss in losses], rel=1e-5)
    assert frame.epoch.tolist() == pytest.approx([step / 10 for step, _ in losses])
    epochs = learning.epochs(found)
    assert epochs.val_accuracy.tolist() == [0.2, 0.4, 0.3] and epochs.epoch.tolist() == [1, 2, 3]
    assert epochs.update_ratio.tolist() == [1e-3] * 3


def test_every_verdict_has_its_action():
    assert all(learning.action(word) == ACTIONS[word] for word in ACTIONS)
    assert learning.action("") == learning.action("odd") == ""


# --- the checking stages


def test_rates_of_the_sweep_and_their_courses():
    facts = CHECKS["sweep"].facts
    rows = [{**row, "steps": [1, 50], "losses": [2.3, row["score"]]} for row in facts["rates"]]
    document = replace(CHECKS["sweep"], facts={**facts, "rates": rows})
    rates = checking.sweep_rates(document)
    assert rates.rate.tolist() == [10.0, 0.1, 1e-3, 1e-5]
    assert rates.best.tolist() == [False, True, False, False]
    assert rates.diverged.tolist() == [True, False, False, False]
    courses = checking.sweep_courses(document)
    assert len(courses) == 8 and courses[courses.rate == 0.1].loss.tolist() == [2.3, 0.2]
    assert checking.sweep_courses(CHECKS["sweep"]).empty


def test_a_layer_in_a_word():
    def word(**layer):
        facts = {"layers": [{"layer": 1, "std": 1.0, "saturated": 0.0, **layer}]}
        check = Check("activation-statistics", Verdict.PASS, 1.0, "0.5 to 2", "")
        return checking.layers(CheckDocument("sanity", (check,), facts)).state.iloc[0]

    assert [word(std=std) for std in (0.4, 0.5, 2.0, 2.1)] == [
        "shrinking", "healthy", "healthy", "growing",
    ]  # fmt: skip
    assert word(saturated=0.6) == "saturated"
    assert checking.layers(CHECKS["sanity"]).state.tolist() == [""]  # nobody said what is healthy


def test_the_bins_of_a_layer_are_shares_of_all_its_activations():
    histogram = {"low": -1.0, "high": 1.0, "counts": [1, 2, 3, 0], "below": 1, "above": 1,
                 "zeros": 2, "lost": 0}  # fmt: skip
    facts = {"layers": [{"layer": 1, "histogram": histogram}, {"layer": 2}]}
    frame = checking.histograms(CheckDocument("sanity", (), facts))
    assert frame.layer.tolist() == [1] * 4
    assert frame.low.tolist() == [-1, -0.5, 0, 0.5] and frame.high.tolist() == [-0.5, 0, 0.5, 1]
    assert frame.share.tolist() == [0.1, 0.2, 0.3, 0.0]


def test_the_rates_of_overfit_mark_the_best():
    facts = {"learning_rate": 0.1, "epochs": 2000, "curve": [2.0, None, 0.1], "rates": [
        {"learning_rate": 0.1, "status": "done", "epochs": 200, "first_loss": 2.0, "loss": 0.5},
        {"learning_rate": 0.1, "status": "done", "epochs": 2000, "first_loss": 2.0, "loss": 0.1},
    ]}  # fmt: skip
    document = CheckDocument("overfit", (), facts)
    assert checking.overfit_rates(document).best.tolist() == [False, True]
    assert checking.overfit_course(document) == pytest.approx([2.0, math.nan, 0.1], nan_ok=True)


@pytest.mark.parametrize("facts", [
    {}, {"rates": None, "layers": 3, "curve": "x", "ramp": []}, {"rates": [3], "layers": [None]},
    {"ramp": {"rates": ["x"], "losses": [None], "smoothed": [True]},
     "layers": [{"histogram": {"counts": []}}], "rates": [{}]},
])  # fmt: skip
def test_odd_facts_are_read_as_none(facts):
    document = CheckDocument("any", (), facts)
    checking.sweep_rates(document), checking.layers(document), checking.overfit_rates(document)
    assert checking.sweep_courses(document).empty and checking.histograms(document).empty
    assert checking.ramp(document).dropna().empty
    assert all(map(math.isnan, checking.overfit_course(document)))


def test_the_sample_run_has_its_tables(tmp_path):
    material = Material.of(full_run(tmp_path))
    assert len(learning.courses(material.trials["coarse"], MEASURES)) == 36
    assert settings(0.9)["learning_rate"] == material.searches[0].best["hparams"]["learning_rate"]
