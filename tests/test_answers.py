"""The verdict in one sentence and the five answers, on made-up runs of every state."""

from dataclasses import replace

import pytest
from test_report_samples import SPACE, diverged, full_run, search, settings, trial

from hpsearch.report.answers import Answer, answers, command, headline
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
    assert said[MATTERED].text.endswith("Not, in the range searched: weight_decay.")
    assert said[RANGE].text.startswith("Yes") and said[RANGE].verdict is PASS
    assert "0.0300 lower" in said[TRUST].text
    assert "0.7400, 95 % 0.7000 to 0.7800" in said[TRUST].text
    assert said[NEXT].text.endswith("Run: hpsearch predict r DATA")


def test_the_trust_counts_those_within_one_standard_error_itself(tmp_path):
    run = material(tmp_path, found(), trials=HEALTHY)
    error = (0.78 * 0.22 / 1000) ** 0.5  # of the best, on 1,000 rows
    tied = sum(0.6 + n / 50 >= 0.78 - error for n in range(10))
    said = answers(run)[TRUST]
    assert said.verdict is WARN and "promises too much until final" in said.text
    assert ("their order is noise" in said.text) == (tied > 1)
    run = material(tmp_path, found(), trials=[*HEALTHY, trial(10, [0.775])])
    assert "2 trials lie within one standard error" in answers(run)[TRUST].text


def test_a_wrong_range_is_said_in_the_first_sentence(tmp_path):
    flagged = search(WARN, best=found().best, decision="ends: the budget is spent",
                     next_command="hpsearch final", importance={"learning_rate": 1.0})  # fmt: skip
    run = material(tmp_path, *PASSED.values(), flagged, ENDED, trials=HEALTHY)
    assert headline(run).verdict is WARN
    assert "Yet the best learning_rate lies on the high edge of its range." in headline(run).text
    assert answers(run)[RANGE] == Answer(
        "Is the range right?", "No: learning_rate: best 0.9 is on the edge.", WARN
    )
    assert "with learning_rate as in coarse/next.yaml" in answers(run)[NEXT].text


def test_a_range_that_was_moved_is_told_and_one_that_was_never_searched_too(tmp_path):
    low = {**SPACE, "learning_rate": {"log_uniform": [1e-6, 1e-4]}}
    first, last = found(space=low), found(stage="refine-1", space=SPACE)
    run = material(tmp_path, first, last, trials=HEALTHY)
    assert "from [1e-6, 0.0001] to [0.0001, 1]" in answers(run)[RANGE].text
    sweep = replace(PASSED["sweep"], facts={"range": [0.003, 1.0]})
    run = material(tmp_path, sweep, found(space=low), trials=HEALTHY)
    said = answers(run)[RANGE]
    assert said.verdict is WARN and "the sweep proposes 0.003 to 1" in said.text
    run = material(tmp_path, sweep, found(space=low), found(stage="refine-1", space=SPACE))
    assert answers(run)[RANGE].verdict is PASS


def test_broken_data_stops_all_and_the_fix_is_there(tmp_path):
    bad = Check("labels", FAIL, 1, 1, "labels are shuffled", "sort them")
    run = material(tmp_path, CheckDocument("data", (bad, *PASSED["data"].checks)))
    assert headline(run) == Answer("", "data fails: labels are shuffled.", FAIL)
    said = answers(run)
    assert said[TRAINED].verdict is FAIL and "labels (data)" in said[TRAINED].text
    assert "To mend it: sort them." in said[TRAINED].text
    assert "Not run: sanity, overfit, sweep." in said[TRAINED].text
    assert said[NEXT].text == "Mend what data found: sort them. Run: hpsearch data r"


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


@pytest.mark.parametrize("fault", ["still-improving", "overfitting"])
def test_a_fault_of_half_of_the_best_curves_is_named_with_what_helps(tmp_path, fault):
    half = [replace(t, verdict=fault if n >= 5 else "healthy") for n, t in enumerate(HEALTHY)]
    run = material(tmp_path, *PASSED.values(), found(), ENDED, trials=half)
    said = answers(run)[TRAINED]
    assert said.verdict is WARN and "What helps:" in said.text
    assert f"most of the best trials are {fault.replace('-', ' ')}" in said.text
    fewer = [replace(t, verdict=fault if n >= 6 else "healthy") for n, t in enumerate(HEALTHY)]
    run = material(tmp_path, *PASSED.values(), found(), ENDED, trials=fewer)
    assert answers(run)[TRAINED].verdict is PASS


def test_of_a_whole_folder(tmp_path):
    run = Material.of(full_run(tmp_path))
    assert run.rows == 180 and [len(t) for t in run.trials.values()] == [14]
    assert headline(run).text == "overfit fails: loss 2.3 -> 2.2."
