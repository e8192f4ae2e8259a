"""Exports: where they go, what they refuse, and what they leave behind. `oracle/test_exports.py`
reads them back with the libraries that they are for.
"""

import csv
import json
import sys
from pathlib import Path

import pytest
from test_report_samples import full_run, search, settings, trial
from typer.testing import CliRunner

from hpsearch.cli import app
from hpsearch.exports import packages
from hpsearch.store import RunStore

LIBRARIES = {"optuna": "Optuna", "tensorboard": "tensorboardX", "mlflow": "MLflow"}


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run whose two stages have trials with one number."""
    monkeypatch.chdir(tmp_path)
    store = full_run(tmp_path / "runs")
    store.write_document(search(stage="refine-1", trials=1, completed=1))
    store.record(trial(3, [0.5], stage="refine-1", **settings(0.2)))
    return store


def shell(*words):
    return CliRunner().invoke(app, ["export", *words])


def test_csv_has_the_trials_of_all_stages(run, tmp_path):
    found = shell("r", "--to", "csv", "--json")
    assert found.exit_code == 0, found.stderr
    assert json.loads(found.stdout) == {"written": "r-csv", "format": "csv", "trials": 15}
    assert found.stderr.startswith("next: hpsearch ")
    with Path("r-csv/trials.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["stage"] for row in rows] == ["coarse"] * 14 + ["refine-1"]
    assert (rows[-1]["trial"], rows[-1]["learning_rate"], rows[-1]["hidden"]) == ("3", "0.2", "50")
    own = Path("runs/r/coarse/trials.csv").read_text().splitlines()
    theirs = Path("r-csv/trials.csv").read_text().splitlines()
    assert theirs[:15] == [f"stage,{own[0]}", *(f"coarse,{line}" for line in own[1:])]


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_what_is_there_is_replaced_by_force_alone(run, tmp_path):
    assert shell("r", "--to", "csv", "--out", "a/b").exit_code == 0
    Path("a/b/trials.csv").write_text("mine")
    refused = shell("r", "--to", "csv", "--out", "a/b")
    assert refused.exit_code == 2
    assert "a/b: is there already; --force writes over it" in refused.stderr
    assert Path("a/b/trials.csv").read_text() == "mine"
    assert shell("r", "--to", "csv", "--out", "a/b", "--force").exit_code == 0
    assert Path("a/b/trials.csv").read_text().startswith("stage,")
    Path("a/b/thesis.txt").touch()
    refused = shell("r", "--to", "csv", "--out", "a/b", "--force")
    assert refused.exit_code == 2 and "holds thesis.txt" in refused.stderr
    assert names(Path("a")) == ["b"], "nothing is left beside it"
    Path("file").touch()
    refused = shell("r", "--to", "csv", "--out", "file", "--force")
    assert refused.exit_code == 2 and "must be a folder" in refused.stderr


@pytest.mark.parametrize("out", ["runs/r", "runs/r/csv", "runs", "."])
def test_a_runs_folder_is_never_written_to(run, tmp_path, out):
    before = sorted(tmp_path.rglob("*"))
    found = shell("r", "--to", "csv", "--out", out, "--force")
    assert found.exit_code == 2 and "the run's own folder" in found.stderr
    assert sorted(tmp_path.rglob("*")) == before


def test_a_run_without_trials_and_one_that_is_damaged_leave_nothing(run, tmp_path):
    RunStore(tmp_path / "runs", "empty").write_config("name: empty\n")
    found = shell("empty", "--to", "csv")
    assert found.exit_code == 2 and "hpsearch search" in found.stderr
    run.trial_path("coarse", 5).write_text("{")
    found = shell("r", "--to", "csv")
    assert found.exit_code == 3 and "00005.json: damaged" in found.stderr
    run.trial_path("coarse", 5).unlink()
    run.write_document(search(space={"learning_rate": {"log_uniform": "x"}}))
    found = shell("r", "--to", "csv")
    assert found.exit_code == 3 and "coarse/stage.json: damaged" in found.stderr
    assert shell("none", "--to", "csv").exit_code == 2
    assert names(tmp_path) == ["runs"]


def test_a_place_that_cannot_be_written_is_the_machines_fault(run, tmp_path):
    Path("file").touch()
    found = shell("r", "--to", "csv", "--out", "file/x")
    assert found.exit_code == 3 and "file/x: cannot be written" in found.stderr


@pytest.mark.parametrize("kind", LIBRARIES)
def test_a_missing_library_is_asked_for(run, tmp_path, monkeypatch, kind):
    def missing(name):
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(packages, "import_module", missing)
    found = shell("r", "--to", kind)
    assert found.exit_code == 2
    assert f"--to {kind}: needs {LIBRARIES[kind]}" in found.stderr
    assert f"pip install 'hpsearch[{kind}]'" in found.stderr
    assert names(tmp_path) == ["runs"]


def test_a_format_that_is_none_is_refused_and_csv_needs_no_library(run, tmp_path):
    found = shell("r", "--to", "excel")
    assert found.exit_code == 2 and "tensorboard" in found.stderr
    before = {name for name in ("optuna", "mlflow", "tensorboardX") if name in sys.modules}
    assert shell("r", "--to", "csv", "--out", "x").exit_code == 0
    assert {name for name in ("optuna", "mlflow", "tensorboardX") if name in sys.modules} == before
