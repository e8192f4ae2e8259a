"""A trial trained again gives its numbers again; what is not so is found. And what differs."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hpsearch.cli import app

CONFIG = """
name: small
model: {hidden: [12], dropout: 0.2}
search:
  space:
    learning_rate: {log_uniform: [1e-3, 100]}
    normalization: {choice: [none, batch]}
  coarse: {trials: 8, epochs: 2}
  refine: {trials: 6, epochs: 2, rounds: 1, halving: {eta: 2, min_epochs: 1}}
final: {top: 2, seeds: 2}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Runs `small` and `other`, of which only the seed differs."""
    path = tmp_path_factory.mktemp("replayed")
    (path / "small.yaml").write_text(CONFIG)
    runs = ["--runs-dir", str(path / "runs")]
    for words in (["search"], ["search"], ["final"], ["search", "--seed", "1", "--run", "other"]):
        found = CliRunner().invoke(app, [words[0], str(path / "small.yaml"), *words[1:], *runs])
        assert found.exit_code == 0, found.output
    return path


def shell(folder, *words):
    return CliRunner().invoke(app, [*words, "--runs-dir", str(folder / "runs")])


def record(folder, stage, number):
    return folder / f"runs/small/{stage}/trials/{number:05d}.json"


def status_of(path: Path) -> str:
    return str(json.loads(path.read_text())["status"])


@pytest.mark.parametrize("stage", ["coarse", "refine-1", "final"])
def test_every_trial_matches(folder, stage):
    before = {p: p.stat().st_mtime_ns for p in folder.rglob("*")}
    paths = sorted((folder / f"runs/small/{stage}/trials").iterdir())
    ends = {"coarse": {"done", "diverged"}, "refine-1": {"done", "pruned"}, "final": {"done"}}
    assert {status_of(path) for path in paths} >= ends[stage]
    for path in paths:
        found = shell(folder, "replay", "small", f"{stage}/{int(path.stem)}")
        assert found.exit_code == 0 and found.stdout.startswith("match: all "), found.output
    assert {p: p.stat().st_mtime_ns for p in folder.rglob("*")} == before


@pytest.mark.parametrize(
    ("key", "change", "place"),
    [
        ("curves", lambda c: c["val_loss"].__setitem__(1, c["val_loss"][1] * (1 + 1e-15)),
         "curves.val_loss, epoch 2"),
        ("curves", lambda c: c["train_loss"].pop(), "curves.train_loss, epoch 2"),
        ("losses", lambda c: c[3].__setitem__(1, c[3][1] + 1e-3), "losses, step 4"),
        ("seed", 5, "seed"),
        ("step", 7, "step"),
    ],
)  # fmt: skip
def test_what_is_not_so_is_found(folder, key, change, place):
    number = next(n for n in range(8) if status_of(record(folder, "coarse", n)) == "done")
    path = record(folder, "coarse", number)
    text = path.read_text()
    stored = json.loads(text)
    del stored["checksum"]
    if callable(change):
        change(stored[key])
    else:
        stored[key] = change
    if place == "curves.train_loss, epoch 2":
        stored["best_epoch"] = 1
    path.write_text(json.dumps(stored))
    try:
        found = shell(folder, "replay", "small", f"coarse/{number}", "--json")
    finally:
        path.write_text(text)
    said = json.loads(found.stdout)
    assert found.exit_code == 1 and not said["match"]
    assert said["difference"]["place"] == place


def test_no_such_trial_or_run(folder):
    for run, trial, said in (
        ("small", "coarse/99", "is not among the 8 finished trials"),
        ("small", "fine/1", "must be STAGE/ID"),
        ("small", "coarse", "must be STAGE/ID"),
        ("nobody", "coarse/1", "no such config or run"),
        ("digits", "coarse/1", "no such run"),
    ):
        found = shell(folder, "replay", run, trial)
        assert found.exit_code == 2 and said in found.stderr, found.stderr


def test_two_runs_and_only_what_differs(folder):
    assert "no difference" in shell(folder, "diff", "small", "small").stdout
    rows = json.loads(shell(folder, "diff", "small", "other", "--json").stdout)["differences"]
    found = {row["key"]: (row["a"], row["b"]) for row in rows}
    assert found["seed"] == (0, 1)
    assert found["final: verdict"][1] is None and found["refine-1: trials"] == (6, None)
    assert not any(key.startswith(("model.", "train.", "data.s")) for key in found)
    shown = shell(folder, "diff", "small", "other").stdout
    assert "seed" in shown and max(map(len, shown.splitlines())) <= 100


def test_two_trials_and_only_what_differs(folder):
    assert "no difference" in shell(folder, "diff", "small:coarse/1", "small:coarse/1").stdout
    rows = json.loads(
        shell(folder, "diff", "small:coarse/1", "small:coarse/2", "--json").stdout
    )["differences"]
    found = {row["key"]: (row["a"], row["b"]) for row in rows}
    stored = [json.loads(record(folder, "coarse", n).read_text()) for n in (1, 2)]
    rates = tuple(each["hparams"]["learning_rate"] for each in stored)
    assert found["train.learning_rate"] == rates and "train.momentum" not in found
    assert found["seed"] == tuple(each["seed"] for each in stored)
    for a, b, said in (
        ("small", "small:coarse/1", "must be two runs, or two trials"),
        ("small:coarse/1", "small:coarse/99", "no such trial"),
        ("small:coarse/1", "small:../1", "no such trial"),
        ("small", "nobody", "no such run"),
    ):
        wrong = shell(folder, "diff", a, b)
        assert wrong.exit_code == 2 and said in wrong.stderr
