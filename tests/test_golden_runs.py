"""Runs written by every format there has been: whatever reads a run opens them, as does who goes
on with them. `format-1` is from before there were checksums.
"""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from hpsearch import seal
from hpsearch.cli import app
from hpsearch.store import RunStore

GOLDEN = Path(__file__).parent / "golden" / "runs"
NAMES = sorted(path.name for path in GOLDEN.iterdir())
NEWER = "format 2, this hpsearch reads 1"


@pytest.fixture(params=NAMES)
def store(request, tmp_path):
    """A copy of a golden run."""
    shutil.copytree(GOLDEN / request.param, tmp_path / "runs" / request.param)
    return RunStore(tmp_path / "runs", request.param)


def shell(store, *words):
    return CliRunner().invoke(app, [*words, "--runs-dir", str(store.folder.parent)])


def trials(store):
    return {path: path.read_bytes() for path in store.folder.rglob("trials/*.json")}


def test_the_golden_runs_are_what_they_say():
    sealed = {name: b'"checksum"' in (GOLDEN / name / "run.json").read_bytes() for name in NAMES}
    assert sealed == {"format-1": False, "format-1-checksums": True}


@pytest.mark.parametrize("words", ["report", "status", "ls"])
def test_what_reads_a_run_opens_it(store, words):
    run = [] if words == "ls" else [store.name]
    found = shell(store, words, *run, "--json")
    assert found.exit_code == 0, found.output
    document = json.loads(found.stdout)
    if words == "ls":
        assert document["runs"][0]["trials"] >= 8 and "error" not in document["runs"][0]
    else:
        stages = {stage["stage"]: stage["verdict"] for stage in document["stages"]}
        assert len(stages) == 7 and set(stages.values()) <= {"pass", "warn"}


def test_its_trials_are_compared(store):
    same = shell(store, "diff", store.name, store.name)
    assert same.exit_code == 0 and "no difference" in same.stdout
    two = [f"{store.name}:coarse/{number}" for number in (1, 2)]
    found = json.loads(shell(store, "diff", *two, "--json").stdout)
    assert {"seed", "val_accuracy"} <= {row["key"] for row in found["differences"]}


@pytest.mark.parametrize("trial", ["coarse/1", "refine-1/2", "final/0"])
def test_its_trials_are_replayed(store, trial):
    """To the same bits where the matrix library has the same kernel."""
    found = shell(store, "replay", store.name, trial, "--json")
    assert found.exit_code in (0, 1), found.output
    place = (json.loads(found.stdout)["difference"] or {"place": "curves."})["place"]
    assert place.startswith(("curves.", "losses"))


def test_its_model_answers(store, digits, tmp_path):
    rows = digits.validation.gather()[:20]
    names = ",".join(store.arrays("models/best")["features"])
    np.savetxt(tmp_path / "rows.csv", rows, delimiter=",", header=names, comments="")
    found = shell(store, "predict", store.name, str(tmp_path / "rows.csv"), "--json")
    assert found.exit_code == 0, found.output
    answers = [int(row["class"]) for row in json.loads(found.stdout)["rows"]]
    assert np.mean(answers == digits.validation.y[:20]) > 0.6


def test_who_goes_on_with_it_trains_nothing_twice(store):
    before = trials(store)
    found = shell(store, "run", store.name, "--quiet", "--json")
    assert found.exit_code == 0, found.output
    assert trials(store) == before


def test_a_lost_trial_comes_out_as_it_was(store):
    before, path = store.result("coarse", 2), store.trial_path("coarse", 2)
    others = {p: content for p, content in trials(store).items() if p != path}
    path.unlink()
    found = shell(store, "search", store.name, "--stage", "coarse", "--quiet")
    assert found.exit_code == 0, found.output
    after = trials(store)
    assert b'"checksum": "crc32:' in after.pop(path) and after == others
    again = RunStore(store.folder.parent, store.name).result("coarse", 2)
    assert (again.seed, again.hparams) == (before.seed, before.hparams)
    np.testing.assert_allclose(again.curves.val_loss, before.curves.val_loss, rtol=1e-3)


@pytest.mark.parametrize(
    "words", ["report", "status", "search", "run", "predict", "replay", "diff", "data"]
)
def test_a_run_of_a_newer_format_is_refused(store, words):
    path = store.folder / "run.json"
    facts = json.loads(seal.opened(path.read_bytes()))
    path.write_text(json.dumps(facts | {"format": 2}))
    before = {p: p.read_bytes() for p in store.folder.rglob("*") if p.is_file()}
    given = {"predict": ["x.csv"], "replay": ["coarse/1"], "diff": [store.name]}.get(words, [])
    found = shell(store, words, store.name, *given)
    assert found.exit_code == 3 and NEWER in found.stderr, found.output
    assert {p: p.read_bytes() for p in store.folder.rglob("*") if p.is_file()} == before


def test_ls_says_so_of_a_newer_one(store):
    path = store.folder / "run.json"
    path.write_text('{"format": 2}')
    found = shell(store, "ls", "--json")
    assert found.exit_code == 0 and NEWER in json.loads(found.stdout)["runs"][0]["error"]
