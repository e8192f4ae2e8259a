"""The benchmarks: their arithmetic, their order, their tables, and a miniature; never speed."""

import argparse
import io
import json
import math

import pytest
from rich.console import Console

from benchmarks import __main__ as entry
from benchmarks import (
    anytime,
    core,
    halving,
    jobs,
    measure,
    memory,
    mixed,
    scale,
    search,
    searches,
)
from hpsearch.config.schema import Halving
from hpsearch.nn.net import Net
from hpsearch.stages.halving import Rung

OPTIONS = argparse.Namespace(rounds=1, out=None)


def _one_table(middle):
    return [measure.Table("Both", ["who", "s"], [[k, str(r["s"])] for k, r in middle.items()])]


def _document(rounds=5):
    readings = {"a": [{"s": 1.0}] * rounds, "b": [{"s": 2.0}] * rounds}
    return measure.document("core", "core", OPTIONS, readings, _one_table)


def test_rounds_alternate_backwards_and_forwards():
    seen = []

    def contender(name):
        return lambda: seen.append(name) or {"s": float(len(seen))}

    readings = measure.alternate({name: contender(name) for name in "abc"}, 3)
    assert "".join(seen) == "abc" "cba" "abc"
    assert readings["a"] == [{"s": 1.0}, {"s": 6.0}, {"s": 7.0}]


def test_a_contender_that_drops_out_keeps_its_readings():
    contenders = {name: lambda: {"s": 1.0} for name in "ab"}
    readings = measure.alternate(contenders, 3, going_on=lambda readings: ["b"])
    assert [len(readings[name]) for name in "ab"] == [1, 3]


def test_medians_are_taken_number_by_number():
    readings = {"a": [{"s": 3.0, "t": 1.0}, {"s": 1.0, "t": 9.0}, {"s": 2.0, "t": 5.0}], "b": []}
    assert measure.medians(readings) == {"a": {"s": 2.0, "t": 5.0}}


@pytest.mark.parametrize("name", core.NETS)
def test_flops_are_those_of_the_products_of_a_step(name):
    """Counted product by product: a (N, I) by an (I, O) takes 2 N I O."""
    sizes, batch = core.sizes_of(name), 7
    layers = Net(sizes).layers
    forward = weights = sum(2 * batch * i * o for i, o in layers)
    inputs = sum(2 * batch * i * o for i, o in layers[1:])
    assert core.flops(sizes, batch) == forward + weights + inputs


def test_the_document_holds_all_and_becomes_the_tables(tmp_path, capsys):
    made = _document()
    measure.finish(made, tmp_path)
    read = json.loads((tmp_path / "core.json").read_text("utf-8"))
    assert read["readings"]["b"] == [{"s": 2.0}] * 5 and read["medians"]["b"] == {"s": 2.0}
    assert {"date", "processor", "cores", "blas", "python", "packages"} <= set(read["facts"])
    assert "who" in capsys.readouterr().out
    text = entry.results(tmp_path)
    assert "| a | 1.0 |\n| b | 2.0 |" in text and "Medians of 5 alternating rounds;" in text


def test_few_rounds_are_marked_and_kept_apart(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(measure, "RESULTS", tmp_path / "kept")
    monkeypatch.setattr(measure, "QUICK", tmp_path / "quick")
    measure.finish(_document(rounds=4), None)
    assert (tmp_path / "quick" / "core.json").exists() and not (tmp_path / "kept").exists()
    assert "not to be quoted" in measure.markdown(_document(rounds=4))


def test_tables_go_between_the_marks_and_nowhere_else():
    readme = (measure.ROOT / "benchmarks" / "README.md").read_text("utf-8")
    once = entry.written_into(readme, "the tables\n")
    assert entry.written_into(once, "the tables\n") == once
    assert once.split(entry.START)[0] == readme.split(entry.START)[0]
    assert once.split(entry.END)[1] == readme.split(entry.END)[1]


def test_the_list_and_the_readme_name_every_benchmark():
    listing = entry.listing()
    readme = (measure.ROOT / "benchmarks" / "README.md").read_text("utf-8")
    assert all(len(line) <= measure.WIDTH for line in listing.splitlines())
    for name in entry.NAMES:
        assert f"| `{name}` |" in readme
    for name in entry.available():
        assert f"\n  {name} " in listing


def test_a_miniature_of_core(tmp_path, capsys):
    small = ["--rounds", "1", "--nets", "8-5-3", "--batches", "16", "--cohorts", "1", "4"]
    assert core.main([*small, "--least", "0.01", "--out", str(tmp_path)]) == 0
    made = json.loads((tmp_path / "core.json").read_text("utf-8"))
    places = ["1 core", "2 processes"]
    for place in places:
        assert {f"sgemm, {place}", f"8-5-3, batch 16, K 4, {place}"} <= set(made["medians"])
    assert all(reading["rate"] > 0 for many in made["readings"].values() for reading in many)
    (table,) = made["tables"]
    assert table["columns"] == ["net", "batch", "K", *places]
    assert len({row[2].strip("*") for row in table["rows"]}) == len(table["rows"]) >= 2
    assert all(len(line) <= measure.WIDTH for line in capsys.readouterr().out.splitlines()[:-1])


def test_a_search_is_run_and_read():
    found = searches.searched(searches.Search("digits", None, 3, 2), jobs=1)
    assert 0 < found.stage < found.whole and 0.1 < found.best <= 1
    assert len(found.hparams) == 3 and found.diverged == 0
    low, high = searches.LEARNING_RATE
    assert all(low <= hparams["learning_rate"] <= high for hparams in found.hparams)


def test_peers_get_the_very_rows_of_the_search(tmp_path, digits):
    import numpy as np

    work = search.written(digits, tmp_path)
    x, y, cut = np.load(tmp_path / "x.npy"), np.load(tmp_path / "y.npy"), work["train_rows"]
    assert x.dtype == np.float32 and len(x) == len(y) == cut + work["validation_rows"]
    assert (x[:cut] == digits.batch(digits.train, slice(None))).all()
    assert (y[cut:] == digits.validation.y).all()
    loaded = searches.loaded(searches.Search("digits", None, 1, 1))
    assert loaded.fingerprint == digits.fingerprint


def _search_medians():
    names = [search.OURS, *(setting.name for setting in search.SETTINGS)]
    times = [0.5, 10.0, 9.0, 16.0, 30.0, 50.0, 20.0]
    return {
        name: {"whole": 2 * time, "stage": time, "best": 0.9, "diverged": 0.0}
        for name, time in zip(names, times, strict=True)
    }


def test_the_best_setting_of_a_peer_counts_and_those_far_behind_leave():
    middle = _search_medians()
    staying = search.going_on({name: [reading] for name, reading in middle.items()})
    left = {name: middle[name]["stage"] for name in staying}
    assert sorted(left.values()) == [0.5, 9.0, 10.0, 20.0, 30.0]
    asked = searches.Search("digits", None, 100, 20)
    everyone, ratios = search.tables(asked, 1437, middle)
    assert [row[1] for row in ratios.rows] == ["18.00x", "40.00x"]
    assert everyone.rows[0][2] == "16.7 us"  # 0.5 s by 100 trials x 20 epochs x 15 minibatches


def test_the_tables_of_a_search_fit_the_width():
    made = _document() | {"tables": [
        table._asdict()
        for table in search.tables(searches.Search("cifar10", None, 100, 5), 49_000,
                                   _search_medians())
    ]}  # fmt: skip
    text = io.StringIO()
    measure.show(made, Console(file=text, width=measure.WIDTH))
    lines = text.getvalue().splitlines()
    assert all(len(line) <= measure.WIDTH for line in lines)
    for name in _search_medians():
        assert any(line.startswith(name) for line in lines), "a name is broken over lines"


def test_mixed_expects_each_trial_to_take_what_it_takes_among_its_like():
    counts = {mixed.label((25, 50)): 6.0, mixed.label((50, 50)): 2.0}
    assert mixed.expected(counts, {(25, 50): 8.0, (50, 50): 16.0}, 8) == 6 * 1.0 + 2 * 2.0


def test_jobs_show_the_ratio():
    middle = {
        jobs.label(kind, n): {"stage": 3.6 / n, "whole": 4.0}
        for kind in searches.EXECUTORS for n in (1, 2)
    }  # fmt: skip
    (table,) = jobs.tables(searches.Search("digits", None, 8, 1), 2, middle)
    assert {row[3] for row in table.rows} == {"2.00x"}


def test_memory_adds_a_process_and_its_descendants():
    assert sorted(memory.tree(2, {1: 0, 2: 1, 3: 2, 4: 3, 5: 1})) == [2, 3, 4]
    text = "0-1 ---p 0 0:0 0 [rollup]\nRss: 12 kB\nPss: 8 kB\nPss_File: 3 kB\n"
    assert memory.rollup(text) == {"Rss": 12 * 1024, "Pss": 8 * 1024, "Pss_File": 3 * 1024}


def test_an_unknown_benchmark_is_said_to_be_one(capsys):
    assert entry.main(["cores"]) == 2
    assert "no benchmark cores" in capsys.readouterr().err


def _trained(*accuracies, ended=()):
    """Trials by their accuracies; those that `ended` diverged in an epoch more."""
    return [anytime.Trained(len(a) + (n in ended), a) for n, a in enumerate(accuracies)]


def test_trial_epochs_are_counted_in_the_order_of_training():
    """Three trials, of which the first diverges in its second epoch and the last goes on alone."""
    trials = _trained([0.2], [0.1], [0.3, 0.5, 0.4, 0.6], ended=(0,))
    whole = list(anytime.legs(trials, [Rung(2, 1)], 4))
    assert whole == [anytime.Leg([0, 1, 2], 0, 2), anytime.Leg([2], 2, 4)]
    assert anytime.total(trials) == 7 and anytime.best(trials) == 0.6

    def counted(order):
        return [anytime.until(a, trials, order) for a in (0.2, 0.3, 0.5, 0.6, 0.7)]

    assert counted(whole) == [3, 3, 5, 7, math.inf]
    assert counted(list(anytime.one_by_one(whole))) == [1, 4, 5, 7, math.inf]


def test_cohorts_of_a_leg_are_those_that_are_trained():
    whole = [anytime.Leg(range(9), 0, 1), anytime.Leg([2, 4], 1, 3)]
    cohorts = list(anytime.in_cohorts(whole, (3072, 50, 10)))
    first, second, last = (list(leg.trials) for leg in cohorts)
    assert sorted(first + second) == list(range(9)) and (len(first), len(second)) == (5, 4)
    assert (last, cohorts[-1].start, cohorts[-1].stop) == ([2, 4], 1, 3)


def test_as_many_trials_are_halved_as_fit():
    three = Halving(eta=3, min_epochs=1)
    assert halving.affordable(three, 9, 63) == 27 and halving.affordable(three, 9, 62) == 26
    assert halving.affordable(three, 9, 0.5) == 1


def test_halving_is_as_good_within_a_standard_error():
    def readings(*values):
        other = {"trials": 9.0, "trial_epochs": 9.0, "one by one": math.inf}
        return [{"best": value, **other} for value in values]

    found = {"plain": readings(0.9, 0.8, 0.7), "worse": readings(0.8, 0.7, 0.6),
             "once": readings(0.9, 0.8, 0.4), "better": readings(0.9, 0.9, 0.6)}  # fmt: skip
    table = halving.best_table(found)
    both = [row[4:6] for row in table.rows]
    assert both == [["", ""], ["no", "no"], ["no", "yes"], ["yes", "yes"]]
    assert halving.soon_table(0.5, found).rows[0] == ["plain", "one by one", "never", "-", "3"]


def test_a_miniature_of_halving(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(halving, "find_spec", lambda name: None)
    small = ["--seeds", "1", "--trials", "6", "--epochs", "2", "--min-epochs", "1"]
    asked = [*small, "--accuracy", ".01", "--keep", str(tmp_path), "--out", str(tmp_path)]
    assert halving.main(asked) == 0
    made = json.loads((tmp_path / "halving-digits.json").read_text("utf-8"))
    assert [each[0]["trial_epochs"] for each in made["readings"].values()] == [12, 8, 4]
    assert [each[0]["in cohorts"] for each in made["readings"].values()] == [6, 6, 3]
    assert made["readings"]["halved 1"][0]["best"] <= made["readings"]["plain"][0]["best"]
    assert "Optuna is missing" in capsys.readouterr().err


def test_a_miniature_of_scale(tmp_path):
    made = scale.Invented(tmp_path, 60)
    assert len(made.record(made.plan())) == 2
    made.finish()
    document = made.store.search_document("coarse")
    assert document.completed + document.diverged == document.trials == 60
    assert 0 < document.diverged < 30
