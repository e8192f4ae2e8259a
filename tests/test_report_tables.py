import json
import math

import pytest
from test_report_samples import (
    CHECKS,
    FAIL,
    PASS,
    WARN,
    diverged,
    full_run,
    opened,
    search,
    settings,
    trial,
    trials,
)

from hpsearch.errors import HostError
from hpsearch.report.progress import best_of, gates, run_json, runs_json
from hpsearch.report.status import status_json
from hpsearch.report.tables import stages as tables
from hpsearch.store import RunStore
from hpsearch.verdict import SearchDocument


def test_stages_has_one_row_per_document(tmp_path):
    frame = tables.stages(full_run(tmp_path))
    assert list(frame.stage) == [*CHECKS, "coarse"]
    assert list(frame.verdict) == [WARN, PASS, FAIL, PASS, WARN]
    assert list(frame.says) == [
        "largest class 12 times",
        "all 8 checks pass",
        "loss 2.3 -> 2.2",
        "learning rate 0.1 works",
        "best 0.9500 of 14 trials, 2 diverged; learning_rate on an edge",
    ]


def test_stages_of_an_empty_run(tmp_path):
    frame = tables.stages(RunStore(tmp_path, "none"))
    assert (len(frame), list(frame.columns)) == (0, ["stage", "verdict", "says"])


def test_a_search_under_way_counts_its_files(tmp_path):
    store = RunStore(tmp_path, "r")
    store.write_document(opened())
    for result in [trial(0, [0.9], **settings(0.1)), diverged(1, **settings(1.0))]:
        store.record(result)
    assert tables.stages(store).says[0] == "2 of 60 trials, best so far 0.9000"
    (document,) = tables.documents(store)
    assert (document.verdict, document.completed, document.diverged) == (None, 1, 1)


def test_checks_has_the_contracts_names():
    frame = tables.checks(CHECKS["data"])
    assert list(frame.name) == ["non-finite", "class-balance"]
    assert list(frame.columns) == list(tables.CHECK)


def test_trials_are_ranked_and_show_their_best_epoch():
    frame = tables.trials(trials())
    assert list(frame.trial) == [4, *[n for n in range(11, -1, -1) if n != 4], 12, 13]
    best, second, last = frame.iloc[0], frame.iloc[1], frame.iloc[-1]
    assert (best.val_accuracy, best.best_epoch, best.epochs) == (0.95, 3, 3)
    assert (second.val_accuracy, second.best_epoch) == (pytest.approx(0.72), 2)
    assert second.val_loss == pytest.approx(0.28)
    assert best.hidden == (64, 32)
    assert (last.status, last.epochs, last.step) == ("diverged", 0, 3)
    assert math.isnan(last.val_accuracy)


def test_trials_by_loss_are_ranked_upwards():
    results = [trial(n, [a], metric="val_loss") for n, a in enumerate([0.5, 0.9, 0.7])]
    assert list(tables.trials(results).trial) == [1, 2, 0]


def test_trials_of_nothing():
    assert list(tables.trials([]).columns) == list(tables.TRIAL)


def test_varying_names_what_differs():
    assert tables.varying(trials()) == ["learning_rate", "weight_decay", "hidden"]
    assert tables.varying(trials()[:1]) == list(settings(1))
    assert tables.varying([]) == []


def test_space_places_the_best_in_their_ranges():
    frame = tables.space(search(), trials()).set_index("hparam")
    rate = frame.loc["learning_rate"]
    assert (rate.kind, rate.low, rate.high, rate.best) == ("log_uniform", 1e-4, 1.0, 0.9)
    assert rate.position == pytest.approx(1 + math.log10(0.9) / 4)
    assert rate.top[1:] == pytest.approx([11 / 12, 10 / 12, 9 / 12, 8 / 12])
    assert (rate.next_low, rate.next_high, rate.edge, rate.side) == (0.1, 10.0, "warn", "high")
    assert rate.reason == "the best lie there"
    decay = frame.loc["weight_decay"]
    assert decay.position == pytest.approx(1 / 6)
    assert decay.top[1] == 0.0  # a decay of zero lies at the low end
    assert math.isnan(frame.loc["hidden"].position)
    assert frame.loc["hidden", "values"] == [[50], [64, 32]]
    assert frame.loc["hidden"].top == []


def test_space_without_a_completed_trial():
    frame = tables.space(search(), [diverged(0, **settings(1.0))])
    assert list(frame.hparam) == list(settings(1))
    assert frame.best.isna().all()
    assert frame.position.isna().all()


def test_a_space_that_cannot_be_read_is_a_damaged_file():
    with pytest.raises(HostError, match=r"coarse/stage\.json"):
        tables.space(search(space={"learning_rate": {"log_uniform": "x"}}), trials())


def test_the_standard_error_is_that_of_an_accuracy():
    assert tables.error_of("val_accuracy", 0.5, 100) == pytest.approx(0.05)
    assert tables.error_of("val_loss", 0.5, 100) is None
    assert tables.error_of("val_accuracy", 0.5, None) is None
    assert tables.error_of("val_accuracy", None, 100) is None


def test_gates_are_the_whole_recipe(tmp_path):
    store = RunStore(tmp_path, "r")
    store.write_document(CHECKS["data"])
    store.write_document(opened())
    shown = {gate.stage: gate.state for gate in gates(tables.documents(store))}
    assert list(shown) == ["data", "sanity", "overfit", "sweep", "coarse", "refine-1", "final"]
    assert list(shown.values()) == ["warn", *["not run"] * 3, "unfinished 0/60", *["not run"] * 2]


def best_at(value, metric="val_accuracy"):
    return {"trial": 1, "metric": metric, "value": value, "hparams": {}}


def test_the_best_of_all_stages():
    def found(*values, metric="val_accuracy"):
        documents = [
            SearchDocument(f"refine-{n}", WARN, 9, metric=metric, best=best_at(value, metric))
            for n, value in enumerate(values, 1)
        ]
        best = best_of(documents)
        return best and best["stage"]

    assert found(0.5, 0.9, 0.7) == "refine-2"
    assert found(0.9, 0.9) == "refine-2"
    assert found(0.5, 0.9, metric="val_loss") == "refine-1"
    assert found() is None
    mixed = [
        SearchDocument("coarse", WARN, 9, metric="val_loss", best=best_at(0.99, "val_loss")),
        SearchDocument("refine-1", WARN, 9, best=best_at(0.7)),
    ]
    best = best_of(mixed)
    assert best is not None
    assert best["stage"] == "refine-1"


def test_json_is_strict_and_complete(tmp_path):
    store = full_run(tmp_path)
    run, status = run_json(store), status_json(store)
    for value in (run, status, runs_json([store])):
        assert json.loads(json.dumps(value, allow_nan=False))
    assert [document["stage"] for document in run["stages"]] == [*CHECKS, "coarse"]
    assert run["best"]["trial"] == 4
    assert (run["best"]["stage"], run["best"]["hparams"]["hidden"]) == ("coarse", [64, 32])
    verdicts = [WARN, PASS, FAIL, PASS, WARN, None, None]
    assert [gate["verdict"] for gate in status["stages"]] == verdicts
    assert status["stages"][4]["finished"] == 14


def test_runs_json_goes_past_a_damaged_run(tmp_path):
    broken = full_run(tmp_path, "a")
    broken.document_path("sanity").write_text("{", "utf-8")
    damaged, whole = runs_json([broken, full_run(tmp_path, "b")])["runs"]
    assert "sanity.json" in damaged["error"]
    assert (whole["name"], whole["stage"], whole["state"]) == ("b", "coarse", "warn")
    assert whole["trials"] == 14
    assert whole["changed"] is not None
    with pytest.raises(HostError, match=r"sanity\.json"):
        run_json(broken)
