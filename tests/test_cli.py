"""The command line as a shell sees it: output, exit codes, errors, and nothing left behind."""

import errno
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import weights_of
from typer.testing import CliRunner

from hpsearch.cli import _answer, app
from hpsearch.errors import HostError, UsageError

SMALL = """
name: small
model: {hidden: [12]}
overfit: {epochs: 400}
search:
  space:
    learning_rate: {log_uniform: [1e-3, 0.5]}
    weight_decay: {log_uniform: [1e-6, 1e-2]}
  coarse: {trials: 6, epochs: 2}
  refine: {trials: 4, epochs: 2, rounds: 1}
"""


@pytest.fixture
def shell(tmp_path, monkeypatch):
    """Runs hpsearch in an empty folder: shell("sanity", ...) -> result."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HPSEARCH_RUNS_DIR")
    monkeypatch.setenv("NO_COLOR", "1")

    def run(*words):
        return CliRunner().invoke(app, list(words))

    return run


@pytest.fixture
def small(tmp_path):
    path = tmp_path / "small.yaml"
    path.write_text(SMALL)
    return str(path)


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_change_neither_the_search_nor_the_exit_code(tmp_path, closed):
    command = f"{sys.executable} -m hpsearch search digits --runs-dir {tmp_path} --jobs 2"
    small = "--set 'search.coarse={trials: 4, epochs: 1}'"
    env = {**os.environ, "HPSEARCH_EXECUTOR": "processes"}
    codes = [
        subprocess.run(["sh", "-c", f"{command} {given} {closed}"], env=env).returncode
        for given in (small, "--set nonsense=1")
    ]
    assert codes == [0, 2]
    assert len(list(tmp_path.glob("digits/coarse/trials/*.json"))) == 4


def process(*words, **options):
    """hpsearch as a process of its own."""
    command = [sys.executable, "-m", "hpsearch", *words]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
    )


def test_the_four_commands_of_the_brief_in_an_empty_folder(shell):
    for words, following in (
        (("sanity",), "hpsearch overfit"),
        (("overfit",), "hpsearch sweep"),
        (("search", "--stage", "coarse"), "hpsearch search --stage refine"),
        (("report",), "hpsearch"),
    ):
        result = shell(*words)
        assert result.exit_code == 0, result.stderr
        assert "next: " + following in result.stderr
        assert result.stdout.strip()
    assert Path("runs/digits/report.html").exists()


@pytest.mark.parametrize("command", ["data", "sanity", "overfit", "sweep"])
def test_json_is_one_document_and_nothing_else(shell, small, command):
    result = shell(command, small, "--json")
    document = json.loads(result.stdout)
    assert document["stage"] == command and document["verdict"] in ("pass", "warn", "fail")
    for check in document["checks"]:
        assert {"name", "verdict", "value", "expected", "message", "fix"} <= set(check)
    worst = max(document["checks"], key=lambda c: ["pass", "warn", "fail"].index(c["verdict"]))
    assert document["verdict"] == worst["verdict"]
    assert result.exit_code == (1 if document["verdict"] == "fail" else 0)


def test_search_json_has_the_keys_of_the_contract(shell, small):
    document = json.loads(shell("search", small, "--json").stdout)
    assert {"stage", "verdict", "trials", "completed", "diverged", "pruned", "failed", "best",
            "edges", "next_space", "next_command"} <= set(document)  # fmt: skip
    assert {"trial", "metric", "value", "val_accuracy", "epoch", "hparams"} <= set(
        document["best"]
    )
    assert document["stage"] == "coarse" and document["trials"] == 6


def test_run_json_lists_every_stage_in_order(shell, small):
    result = shell("run", small, "--json")
    stages = [d["stage"] for d in json.loads(result.stdout)["stages"]]
    assert stages == ["data", "sanity", "overfit", "sweep", "coarse", "refine-1", "final"]
    assert result.exit_code == 0


def test_the_run_ends_with_the_path_of_the_report(shell, small):
    result = shell("run", small)
    assert result.stdout.rstrip().endswith(str(Path("runs/small/report.html")))
    assert Path("runs/small/report.html").exists()


def test_reading_commands_write_nothing_but_the_report(shell, small):
    shell("search", small)
    folder = Path("runs/small")
    before = {p: p.stat().st_mtime_ns for p in folder.rglob("*")}
    for words in (("status",), ("report",), ("report", "--json"), ("status", "--json")):
        assert shell(*words, small).exit_code == 0
    assert shell("ls").exit_code == 0
    after = {p: p.stat().st_mtime_ns for p in folder.rglob("*")}
    assert set(after) - set(before) == {folder / "report.html"}
    assert all(after[p] == before[p] for p in before if p != folder)


def test_dry_run_lists_the_trials_and_trains_none(shell, small):
    listed = json.loads(shell("search", small, "--dry-run", "--json").stdout)
    assert len(listed["trials"]) == 6 and listed["estimated_seconds"] >= 0
    assert not Path("runs").exists()
    shell("search", small, "--quiet")
    done = json.loads(Path("runs/small/coarse/trials/00003.json").read_text())
    assert done["hparams"] == listed["trials"][3]["hparams"]


def test_what_takes_long_before_training_is_said(shell, small, monkeypatch):
    monkeypatch.setattr("hpsearch.commands.searching.MANY", 6)
    assert "all 6 are drawn before" in shell("search", small, "--dry-run").stderr
    assert "are drawn before" not in shell("search", small, "--dry-run", "--quiet").stderr
    monkeypatch.setattr("hpsearch.commands.searching.MANY", 7)
    assert "are drawn before" not in shell("search", small, "--dry-run").stderr


def test_status_names_the_next_stage_and_what_does_all_that_is_left(shell, small):
    shell("data", small, "--quiet")
    said = shell("status", small).stderr
    assert f"next: hpsearch sanity {small}" in said
    assert f"(all that is left: hpsearch run {small})" in said


def test_data_in_the_place_of_a_config_are_told_from_one(shell, tmp_path):
    (tmp_path / "a table.csv").write_text("a,b\n1,2\n")
    found = shell("data", "a table.csv")
    assert found.exit_code == 2 and "hpsearch init --data 'a table.csv' writes" in found.stderr


def test_a_file_where_the_runs_should_lie_is_in_the_way(shell, small, tmp_path):
    (tmp_path / "runs").write_text("")
    found = shell("data", small)
    assert found.exit_code == 3 and "remove the file in its way" in found.stderr


def test_refine_without_coarse_searches_the_configs_space_and_says_so(shell, small):
    result = shell("search", small, "--stage", "refine", "--json")
    assert result.exit_code == 0 and "coarse have not been run" in result.stderr
    document = json.loads(result.stdout)
    assert document["stage"] == "refine-1"
    assert document["space"]["learning_rate"] == {"log_uniform": [1e-3, 0.5]}
    again = json.loads(shell("search", small, "--stage", "refine", "--json").stdout)
    assert again["stage"] is None and "rounds" in again["message"]


@pytest.mark.parametrize("kind, goes_on", [("log_uniform", True), ("choice", False)])
def test_a_failed_search_that_points_on_asks_for_no_mending(shell, small, kind, goes_on):
    space = f"search.space={{learning_rate: {{{kind}: [1e20, 1e30]}}}}"
    result = shell("search", small, "--set", space)
    assert result.exit_code == 1
    assert ("after mending" in result.stderr) != goes_on
    assert ("--stage refine" in result.stderr) == goes_on


def test_train_watches_the_configured_model_and_a_trial(shell, small):
    result = shell("train", small, "--epochs", "3")
    assert result.exit_code == 0 and result.stderr.count("\n    ") >= 3
    assert "next: hpsearch data" in result.stderr, "there is nothing to report yet"
    assert "no stage has run there yet" in shell("report", small).stderr
    assert "no such run" in shell("report", small, "--run", "other").stderr
    assert Path("runs/small/models/train.npz").exists()
    document = json.loads(shell("search", small, "--json").stdout)
    best = document["best"]
    again = json.loads(
        shell("train", small, "--trial", f"coarse/{best['trial']}", "--json").stdout
    )
    stored = json.loads(Path(f"runs/small/coarse/trials/{best['trial']:05d}.json").read_text())
    assert again["curves"] == stored["curves"] and again["losses"] == stored["losses"]
    weights = weights_of(Path(f"runs/small/models/coarse-{best['trial']}.npz"))
    assert (weights == weights_of(Path("runs/small/coarse/best.npz"))).all()


def test_init_writes_a_config_that_runs(shell, tmp_path):
    table = tmp_path / "my table.csv"
    table.write_text("a,b,kind\n" + "".join(f"{i},{i % 7},{'xy'[i % 2]}\n" for i in range(60)))
    result = shell("init", "--data", str(table), "--target", "kind")
    assert result.exit_code == 0 and "next: hpsearch data" in result.stderr
    assert shell("data").exit_code == 0
    json.loads(Path("hpsearch.schema.json").read_text())
    refused = shell("init")
    assert refused.exit_code == 2 and "--force" in refused.stderr


def test_schema_is_json_schema(shell):
    schema = json.loads(shell("schema").stdout)
    assert schema["properties"]["search"] and schema.get("type") == "object"


BROKEN = {
    "misspelt key": ("search: {coarse: {trails: 5}}", 'did you mean "trials"'),
    "not YAML": ("search: [}", ":1:"),
    "a list": ("- 1\n- 2", "mapping"),
    "wrong type": ("seed: many", "must be a whole number"),
    "out of bounds": ("search: {coarse: {trials: 0}}", "must be at least 1"),
    "unknown activation": ("model: {activation: swish}", "relu"),
    "duplicate key": ("seed: 1\nseed: 2", "seed"),
    "no path": ("data: {source: csv, target: y}", "path"),
    "missing file": ("data: {source: csv, path: nowhere.csv, target: y}", "nowhere.csv"),
    "unsearchable": ("search: {space: {epochs: {int_uniform: [1, 5]}}}", "epochs"),
    "bad name": ("name: ../up", "name"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_config_is_one_located_message(shell, tmp_path, what):
    text, expected = BROKEN[what]
    Path("broken.yaml").write_text(text)
    before = sorted(tmp_path.rglob("*"))
    result = shell("sanity", "broken.yaml")
    assert result.exit_code == 2
    assert expected in result.stderr and "Traceback" not in result.output
    located = "broken.yaml:" if what != "missing file" else "nowhere.csv"
    assert located in result.stderr and result.stdout == ""
    assert sorted(tmp_path.rglob("*")) == before, "nothing is written"


TABLES = {
    "missing value": ("a,b,y\n1,2,u\n3,,v\n" + "1,2,u\n2,1,v\n" * 20, 2, "missing value"),
    "text in a numeric column": ("a,b,y\n1,2,u\n3,oops,v\n" + "1,2,u\n2,1,v\n" * 20, 2, "oops"),
    "continuous target": (
        "a,b,y\n" + "".join(f"{i % 5},{i % 3},{i / 7:.4f}\n" for i in range(300)), 2, "regression",
    ),
    "constant column": (
        "a,b,y\n" + "".join(f"{i * 37 % 101},7,{'uv'[i % 2]}\n" for i in range(100)), 0, "b",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", TABLES)
def test_a_broken_table_is_caught_by_the_audit(shell, what):
    text, code, expected = TABLES[what]
    Path("table.csv").write_text(text)
    Path("t.yaml").write_text("data: {source: csv, path: table.csv, target: y}")
    result = shell("data", "t.yaml")
    assert result.exit_code == code, result.output
    assert expected in result.output and "Traceback" not in result.output
    if what == "constant column":
        checks = {
            c["name"]: c for c in json.loads(shell("data", "t.yaml", "--json").stdout)["checks"]
        }
        assert checks["constant-features"]["verdict"] == "warn"
        assert shell("data", "t.yaml", "--strict").exit_code == 1
    else:
        assert "table.csv" in result.stderr and not Path("runs").exists()


def test_text_classes_are_fine(shell):
    rows = "".join(f"{i % 10},{i % 7},{['cat', 'dog'][i % 10 > 4]}\n" for i in range(140))
    Path("animals.csv").write_text("length,weight,animal\n" + rows)
    result = shell(
        "sanity", "digits", "--set", "data={source: csv, path: animals.csv, target: animal}"
    )
    assert result.exit_code == 0, result.output


def test_raw_pixels_with_kaiming_fail_sanity_and_close_the_gate(shell, tmp_path, digits):
    rows = np.vstack([digits.train.gather(), digits.validation.gather()])
    x = (rows.astype(float) / 16 * 255).astype(np.uint8)
    np.savez(tmp_path / "raw.npz", x=x, y=np.concatenate([digits.train.y, digits.validation.y]))
    Path("raw.yaml").write_text(
        "data: {source: npz, path: raw.npz, preprocess: {center: none, scale: none}}"
    )
    document = json.loads(shell("sanity", "raw.yaml", "--json").stdout)
    checks = {check["name"]: check for check in document["checks"]}
    assert document["verdict"] == "fail" and checks["initial-loss"]["verdict"] == "fail"
    assert "data.preprocess.scale: standard" in checks["initial-loss"]["fix"]
    refused = shell("search", "raw.yaml")
    assert refused.exit_code == 1 and "sanity says fail" in refused.stderr
    mended = shell(
        "sanity", "raw.yaml", "--set", "data.preprocess={center: feature, scale: standard}"
    )
    assert mended.exit_code == 0


def test_constant_weights_are_caught_by_sanity(shell):
    document = json.loads(shell("sanity", "--set", "model.init=constant", "--json").stdout)
    failed = {c["name"] for c in document["checks"] if c["verdict"] == "fail"}
    assert failed == {"symmetry", "gradient-flow"}


def test_a_learning_rate_of_a_million(shell):
    result = shell("sweep", "--set", "train.learning_rate=1e6", "--json")
    check = json.loads(result.stdout)["checks"][0]
    assert check["verdict"] == "warn" and "1e+06" in check["message"]
    assert "diverges" in check["message"] and "train.learning_rate: " in check["fix"]
    trained = shell("train", "--set", "train.learning_rate=1e6")
    assert trained.exit_code == 1 and "diverged" in trained.stdout


@pytest.mark.parametrize(
    "words", [("nonsense",), ("sanity", "--nonsense"), ("search", "--stage", "fine"),
              ("sanity", "nowhere"), ("sanity", "--set", "seed"), ("report", "digits"),
              ("train", "--trial", "coarse/9"), ("sanity", "--jobs", "0"),
              ("sanity", "--run", "a/b")],
)  # fmt: skip
def test_bad_usage_is_exit_2_and_leaves_nothing(shell, tmp_path, words):
    result = shell(*words)
    assert result.exit_code == 2 and result.stderr and "Traceback" not in result.output
    assert words[0] == "train" or sorted(tmp_path.rglob("*")) == []


def test_a_bug_is_one_line_and_a_file(shell, monkeypatch):
    from hpsearch import runner

    def broken(self, name):
        raise RuntimeError("surprise")

    monkeypatch.setattr(runner.Runner, "check", broken)
    result = shell("sanity", "--quiet")
    assert result.exit_code == 4 and "surprise" in result.stderr
    log = re.search(r"(/\S+crash-\S+\.log)", result.stderr)
    assert log and "RuntimeError" in Path(log[1]).read_text()


def test_a_folder_that_cannot_be_written_is_exit_3(shell):
    Path("runs").write_text("a file where a folder should be")
    result = shell("sanity")
    assert result.exit_code == 3 and "Traceback" not in result.output


def test_options_of_the_run(shell, small):
    result = shell(
        "search", small, "--run", "other", "--runs-dir", "elsewhere", "--seed", "7", "--quiet"
    )
    assert result.exit_code == 0 and result.stderr == ""
    facts = json.loads(Path("elsewhere/other/run.json").read_text())
    assert facts["format"] == 1 and facts["seed"] == 7
    assert {"numpy", "python", "blas", "machine", "data", "config"} <= set(facts)


def test_a_run_is_found_by_its_name(shell, small):
    shell("data", small)
    Path(small).unlink()
    assert shell("sanity", "small").exit_code == 0


def test_python_dash_m_and_version():
    out, _ = process("--version").communicate(timeout=60)
    assert re.match(r"hpsearch \d", out)


def test_help_does_not_import_the_heavy_packages():
    code = (
        "import sys; sys.argv = ['hpsearch', '--help']\n"
        "from hpsearch.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print(sorted({'numpy', 'pandas', 'pydantic', 'yaml'} & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip().endswith("[]")


@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_signal_stops_cleanly_and_keeps_what_is_finished(tmp_path, number, code, jobs):
    config = tmp_path / "long.yaml"
    config.write_text(SMALL.replace("trials: 6, epochs: 2", "trials: 400, epochs: 40"))
    words = ("search", str(config), "--jobs", jobs, "--runs-dir", str(tmp_path / "runs"))
    running = process(*words, env={**os.environ, "PYTHONUNBUFFERED": "1"})
    trials = tmp_path / "runs" / "small" / "coarse" / "trials"
    while not list(trials.glob("0*.json")):
        assert running.poll() is None, "it ended before its first trial"
        time.sleep(0.02)
    running.send_signal(number)
    _, errors = running.communicate(timeout=30)
    assert running.returncode == code, errors
    assert "kept" in errors and "Traceback" not in errors
    kept = sorted(trials.glob("*"))
    assert 0 < len(kept) < 400
    assert all(json.loads(path.read_text())["status"] for path in kept)
    assert (trials.parent / "trials.csv").read_text().count("\n") == len(kept) + 1


PRESSED = """
import os, runpy, signal, sys

signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job may ignore it

class Pressed:
    def find_spec(self, name, *rest):
        if name == "hpsearch.commands":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Pressed())
runpy.run_module("hpsearch", run_name="__main__")
"""


def test_ctrl_c_while_modules_are_imported_ends_without_a_word():
    found = subprocess.run([sys.executable, "-c", PRESSED], capture_output=True, check=False)
    assert (found.returncode, found.stdout, found.stderr) == (130, b"", b"")


def test_init_refuses_what_the_next_command_would(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((4, 2), np.float32))
    for words, said in (
        (["--target", "label"], "--target label: is for a CSV file"),
        ([], "must be named x.npy"),
    ):
        found = CliRunner().invoke(
            app, ["init", str(tmp_path), "--data", str(tmp_path / "a.npy"), *words]
        )
        assert found.exit_code == 2 and said in found.output
    assert not (tmp_path / "hpsearch.yaml").exists()


def test_init_takes_a_table_with_gaps_and_the_next_command_tells_of_them(shell, tmp_path):
    rows = "".join(f"{n % 7},{n % 3 or ''},{'ab'[n % 2]}\n" for n in range(60))
    (tmp_path / "gaps.csv").write_text("x,y,kind\n" + rows)
    assert shell("init", "--data", str(tmp_path / "gaps.csv"), "--target", "kind").exit_code == 0
    told = shell("data")
    assert told.exit_code == 2 and "data.missing: drop" in told.stderr
    assert shell("data", "--set", "data.missing=drop").exit_code in (0, 1)


def test_a_bundled_configs_name_means_the_run_but_not_for_another_run(shell):
    """`digits` is the run once it is there, which is said if it is unlike the bundled config; with
    --run it is the bundled config, whatever the run of that name was made with.
    """
    changed = ("--set", "model.hidden=[7]")
    assert shell("data", "digits", *changed).exit_code == 0
    again = shell("data", "digits")
    assert "digits: taking runs/digits/config.yaml, not the bundled config" in again.stderr
    other = shell("data", "digits", "--run", "other")
    assert "taking" not in other.stderr
    written = Path("runs/other/config.yaml").read_text()
    assert "hidden: [7]" in Path("runs/digits/config.yaml").read_text()
    assert "hidden: [7]" not in written and "hidden: [50]" in written


class Full(io.StringIO):
    def write(self, text):
        raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["ls", "--help"]])
def test_answers_that_nobody_can_take_are_said_by_name(words, monkeypatch):
    monkeypatch.setattr("sys.argv", ["hpsearch", *words])
    monkeypatch.setattr("sys.stdout", Full())
    with pytest.raises(HostError, match=r"^stdout: .*No space left on device; make room"):
        _answer()


@pytest.mark.parametrize("words", ["hpsearch ls", None])
def test_a_shell_that_completes_nothing_is_told_so(words, monkeypatch):
    monkeypatch.setattr("sys.argv", ["hpsearch"])
    monkeypatch.setenv("_HPSEARCH_COMPLETE", "complete_bash")
    if words:
        monkeypatch.setenv("COMP_WORDS", words)
        monkeypatch.setenv("COMP_CWORD", "none")
    with pytest.raises(UsageError, match="unset it"):
        _answer()


def test_a_config_that_is_a_pipe_is_said_to_be_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.mkfifo("a.yaml")
    result = CliRunner().invoke(app, ["data", "a.yaml"])
    assert result.exit_code == 2 and "got a device or pipe; save the config" in result.stderr
