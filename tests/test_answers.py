"""The verdict in one sentence and the five answers, on made-up runs of every state."""

from dataclasses import replace

import pytest
from test_report_samples import SPACE, diverged, full_run, search, settings, trial

from hpsearch.report.advice import command, next_line
from hpsearch.report.answers import Answer, answers, headline
from hpsearch.report.tables.material import Material
from hpsearch.store import RunStore
from hpsearch.verdict import CHECKING, Check, CheckDocument, FinalDocument, SearchDocument, Verdict

PASS, WARN, FAIL = Verdict.PASS, Verdict.WARN, Verdict.FAIL
TRAINED, MATTERED, RANGE, TRUST, NEXT = range(5)
HEALTHY = [
    replace(trial(n, [0.2, 0.5, 0.6 + n / 50], **settings(0.01 * (n + 1))), verdict="healthy")
    for n in range(10)
]
PASSED = {
    stage: CheckDocument(stage, (Check("one", PASS, 1, 1, "fine"), Check("two", PASS, 1, 1, "ok")))
    for stage in CHECKING
}
ENDED = FinalDocument(
    PASS, [{"stage": "coarse", "trial": 9, "ids": [0, 1, 2], "value": 0.78, "mean": 0.75,
            "hparams": {}, "params": 10, "epochs": 3}],
    "val_accuracy", 3, completed=3, winner=0, optimism=0.03, chosen="one net",
    test={"rows": 400, "accuracy": 0.74, "interval": [0.70, 0.78], "one_net": 0.74},
)  # fmt: skip


def material(tmp_path, *documents, trials=()):
    rows = 1000 if documents else None
    searches = [d.stage for d in documents if isinstance(d, SearchDocument)]
    by_stage = {stage: [replace(t, stage=stage) for t in trials] for stage in searches}
    return Material(RunStore(tmp_path, "r"), list(documents), by_stage, rows)


def found(**changes):
    """A healthy coarse search."""
    best = {"trial": 9, "metric": "val_accuracy", "value": 0.78, "val_accuracy": 0.78, "epoch": 3,
            "hparams": {}}  # fmt: skip
    given = {"best": best, "edges": (), "trials": 10, "completed": 10, "diverged": 0,
             "message": "best 78%", "importance": {"learning_rate": 0.9, "weight_decay": 0.02},
             "decision": "ends: enough", "next_command": "hpsearch final"}  # fmt: skip
    return search(**{"verdict": PASS, **given, **changes})


def test_nothing_has_run(tmp_path):
    empty = material(tmp_path)
    assert headline(empty) == Answer("", "Nothing has been run yet.", None)
    assert [answer.verdict for answer in answers(empty)] == [None] * 5
    assert command(empty) == "hpsearch data r"


def test_a_healthy_run(tmp_path):
    run = material(tmp_path, *PASSED.values(), found(), ENDED, trials=HEALTHY)
    said = answers(run)
    assert headline(run).verdict is PASS
    assert "right on 74.0% of 400 test rows" in headline(run).text
    assert "Yet" not in headline(run).text
    assert said[TRAINED].text.startswith("Yes: all 8 checks")
    assert "10 healthy" in said[TRAINED].text
    assert "learning_rate (90.0%)" in said[MATTERED].text
    assert said[MATTERED].text.endswith("hardly weight_decay.")
    assert said[RANGE].text.startswith("Yes") and said[RANGE].verdict is PASS
    assert "0.0300 lower" in said[TRUST].text
    assert "0.7400, 95 % 0.7000 to 0.7800" in said[TRUST].text
    assert said[NEXT].text.endswith("Run: hpsearch predict r DATA")


def test_the_trust_counts_the_others_of_all_stages_within_one_standard_error(tmp_path):
    said = answers(material(tmp_path, found(), trials=HEALTHY))[TRUST]
    assert said.verdict is WARN and "promises too much until final" in said.text
    assert "is noise" not in said.text  # the next is .02 below, the standard error is .013
    run = material(tmp_path, found(), trials=[*HEALTHY, trial(10, [0.775])])
    assert "1 other lies within one standard error" in answers(run)[TRUST].text
    twice = found(stage="refine-1")
    run = material(tmp_path, found(), twice, trials=[*HEALTHY, trial(10, [0.775])])
    assert "3 others lie within one standard error" in answers(run)[TRUST].text


@pytest.mark.parametrize(("name", "verdict"), [("leakage", FAIL), ("duplicate-rows", WARN)])
def test_data_that_mislead_are_said_first_wherever_the_number_is(tmp_path, name, verdict):
    bad = Check(name, WARN, 1, 1, "one column tells all", "drop it")
    data = CheckDocument("data", (bad, *PASSED["data"].checks))
    run = material(tmp_path, *{**PASSED, "data": data}.values(), found(), ENDED, trials=HEALTHY)
    assert f"the data may mislead ({name})" in headline(run).text
    assert headline(run).verdict is verdict
    said = answers(run)
    assert said[TRUST].verdict is verdict and "Trust the" not in said[TRUST].text
    assert "before the data are mended: one column tells all." in said[TRUST].text
    assert next_line(run) == f"Mend the data ({name}): drop it; then run again"
    assert ("predict" in said[NEXT].text) == (verdict is WARN)


@pytest.mark.parametrize(("test", "odd"), [(0.74, False), (0.55, True), (0.95, True)])
def test_test_rows_unlike_the_validation_rows_are_no_small_matter(tmp_path, test, odd):
    rows = {"name": "one net", "rows": 400, "accuracy": 0.75}
    ended = replace(ENDED, predictors=[rows], test={**ENDED.test, "accuracy": test})
    run = material(tmp_path, *PASSED.values(), found(), ended, trials=HEALTHY)
    error = (0.75 * 0.25 / 400 + test * (1 - test) / 400) ** 0.5
    assert (abs(test - 0.75) > 2.5 * error) == odd
    assert ("more than by chance" in headline(run).text) == odd
    assert ("more than chance explains" in answers(run)[TRUST].text) == odd
    assert answers(run)[TRUST].verdict is (WARN if odd else PASS)


def test_a_test_set_that_was_read_again_is_not_said_to_be_unseen(tmp_path):
    again = replace(ENDED, earlier=({"chosen": "one net"},))
    said = answers(material(tmp_path, *PASSED.values(), found(), again, trials=HEALTHY))[TRUST]
    assert said.verdict is WARN and "400 rows that --force has read 2 times" in said.text
    assert "Trust" not in said.text and "nothing was chosen by" not in said.text


@pytest.mark.parametrize("optimism, text", [(0.03, "0.03 higher"), (-0.03, "0.03 lower")])
def test_a_loss_that_promised_too_much_is_higher_when_trained_again(tmp_path, optimism, text):
    ended = replace(ENDED, metric="val_loss", optimism=optimism)
    run = material(tmp_path, found(), ended, trials=HEALTHY)
    assert f"with fresh seeds it is {text}." in answers(run)[TRUST].text


def test_of_a_single_trial_nobody_says_luckiest(tmp_path):
    one = found(trials=1, completed=1)
    said = answers(material(tmp_path, one, trials=HEALTHY[9:]))[TRUST].text
    assert "comes from the only trial" in said and "within one" not in said


def test_where_no_share_is_large_the_largest_matters(tmp_path):
    shares = {f"h{n}": 0.04 - n / 10_000 for n in range(25)}
    said = answers(material(tmp_path, found(importance=shares), trials=HEALTHY))[MATTERED]
    assert "coarse: h0 (4.0%); hardly h1, h2" in said.text


def test_one_check_warns_and_two_warn(tmp_path):
    odd = replace(PASSED["data"].checks[0], verdict=WARN)
    for count, verb in ((1, "warns"), (2, "warn")):
        run = material(tmp_path, CheckDocument("data", (*PASSED["data"].checks, *[odd] * count)))
        assert f"{count} of {count + 2} checks {verb}." in answers(run)[TRAINED].text


def test_a_wrong_range_is_said_in_the_first_sentence(tmp_path):
    flagged = search(WARN, best=found().best, decision="ends: the budget is spent",
                     next_command="hpsearch final", importance={"learning_rate": 1.0})  # fmt: skip
    run = material(tmp_path, *PASSED.values(), flagged, ENDED, trials=HEALTHY)
    assert headline(run).verdict is WARN
    assert "Yet the best learning_rate lies on the high edge of its range." in headline(run).text
    assert answers(run)[RANGE] == Answer(
        "Is the range right?", "No: learning_rate: best 0.9 is on the edge.", WARN
    )
    wider = "--set 'search.space.learning_rate={log_uniform: [0.1, 10]}'"
    assert next_line(run) == f"Search again: hpsearch run r --run r-again {wider}"
    assert answers(run)[NEXT].text.startswith(f"{next_line(run)}.")
    assert "if what there is will do: hpsearch predict r DATA" in answers(run)[NEXT].text


def test_a_range_that_was_moved_is_told_and_one_that_was_never_searched_too(tmp_path):
    low = {**SPACE, "learning_rate": {"log_uniform": [1e-6, 1e-4]}}
    first, last = found(space=low), found(stage="refine-1", space=SPACE)
    run = material(tmp_path, first, last, trials=HEALTHY)
    assert "from [1e-6, 0.0001] to [0.0001, 1]" in answers(run)[RANGE].text
    rates = [{"rate": rate, "score": rate, "usable": rate < 1} for rate in (1.0, 0.1, 0.2)]
    sweep = replace(PASSED["sweep"], facts={"range": [0.003, 1.0], "rates": rates})
    run = material(tmp_path, sweep, found(space=low), trials=HEALTHY)
    said = answers(run)[RANGE]
    assert said.verdict is WARN and "0.1, the best of the sweep, was never tried" in said.text
    run = material(tmp_path, sweep, found(space=low), found(stage="refine-1", space=SPACE))
    assert answers(run)[RANGE].verdict is PASS


def test_broken_data_stops_all_and_the_fix_is_there(tmp_path):
    bad = Check("labels", FAIL, 1, 1, "labels are shuffled", "sort them")
    run = material(tmp_path, CheckDocument("data", (bad, *PASSED["data"].checks)))
    assert headline(run) == Answer("", "data fails: labels are shuffled.", FAIL)
    said = answers(run)
    assert said[TRAINED].verdict is FAIL and "labels (data)" in said[TRAINED].text
    assert "To mend it: sort them." in said[TRAINED].text
    assert "Not run: sanity, overfit, sweep, the search." in said[TRAINED].text
    assert said[NEXT].text == "Mend what data found: sort them. Then run: hpsearch data r"


def test_half_way_and_all_lost(tmp_path):
    run = material(tmp_path, *PASSED.values())
    assert "nothing has been searched yet" in headline(run).text
    run = material(tmp_path, PASSED["data"])
    assert "still to check: sanity, overfit, sweep" in headline(run).text
    running = found(verdict=None, completed=4, importance={}, decision="")
    run = material(tmp_path, running, trials=HEALTHY[:4])
    assert headline(run).text == "Under way: coarse has 4 of 10 trials, best so far 0.7800."
    lost = found(verdict=None, best=None, completed=0, diverged=10, message="all 10 diverged")
    lost = replace(lost, verdict=FAIL, importance={})
    run = material(tmp_path, lost, trials=[diverged(n) for n in range(10)])
    assert headline(run).text == "coarse fails: all 10 diverged."
    assert answers(run)[RANGE].text == "No: all 10 diverged."
    assert answers(run)[TRUST].text == "There is none yet."


def test_trials_that_still_improve_are_given_twice_the_epochs(tmp_path):
    late = [replace(t, verdict="still-improving") for t in HEALTHY]
    run = material(tmp_path, *PASSED.values(), found(epochs=7), ENDED, trials=late)
    assert next_line(run).endswith("--run r-again --set search.coarse.epochs=14")


def test_what_mattered_is_told_of_the_widest_range_first(tmp_path):
    narrow = found(stage="refine-1", importance={"learning_rate": 0.48, "weight_decay": 0.52})
    said = answers(material(tmp_path, found(), narrow, trials=HEALTHY))[MATTERED].text
    assert said.startswith("Over the range of coarse: learning_rate (90.0%); hardly weight_decay.")
    assert said.endswith("in refine-1: weight_decay (52.0%), learning_rate (48.0%), about alike.")
    alone = found(importance={"learning_rate": 1.0})
    said = answers(material(tmp_path, alone, trials=HEALTHY))[MATTERED].text
    assert "nothing else was searched" in said
    lost = found(verdict=FAIL, decision="")
    assert "nothing was learnt" in answers(material(tmp_path, lost, trials=HEALTHY))[MATTERED].text


@pytest.mark.parametrize("fault", ["still-improving", "overfitting"])
def test_a_fault_of_half_of_the_best_curves_is_named_with_what_helps(tmp_path, fault):
    half = [replace(t, verdict=fault if n >= 5 else "healthy") for n, t in enumerate(HEALTHY)]
    run = material(tmp_path, *PASSED.values(), found(), ENDED, trials=half)
    said = answers(run)[TRAINED]
    assert said.verdict is WARN and "What helps:" in said.text
    assert f"half of the best trials are {fault.replace('-', ' ')}" in said.text
    fewer = [replace(t, verdict=fault if n >= 6 else "healthy") for n, t in enumerate(HEALTHY)]
    run = material(tmp_path, *PASSED.values(), found(), ENDED, trials=fewer)
    assert answers(run)[TRAINED].verdict is PASS


def test_of_a_whole_folder(tmp_path):
    run = Material.of(full_run(tmp_path))
    assert run.rows == 180 and [len(t) for t in run.trials.values()] == [14]
    assert headline(run).text == "overfit fails: loss 2.3 -> 2.2."
