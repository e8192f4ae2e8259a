"""What is seen of a run while it is written: the trace of its writer, `status`, and --watch."""

import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import defaultdict
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from poisoned import poisoned_cohort
from test_cli import SMALL, process
from test_executors import KINDS, train_all
from test_lockstep import bits
from test_report_samples import CHECKS, full_run, opened, quickly, trial
from test_report_views import shown
from typer.testing import CliRunner

from hpsearch import dispatch, live, recorder
from hpsearch.cli import app
from hpsearch.cohort import Pulse, Task
from hpsearch.live import Live, Running, Trace
from hpsearch.recorder import SMOOTHING
from hpsearch.report.status import Look, said, status_json
from hpsearch.report.terminal import status_view
from hpsearch.report.text import duration
from hpsearch.spec import Budget
from hpsearch.store import RunStore
from hpsearch.training import Watch, train_cohort

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")


# --- the trace


def test_who_reads_finds_what_the_writer_is_at(tmp_path):
    with Trace(tmp_path) as trace:
        assert live.live(tmp_path) == Live("", seconds=live.live(tmp_path).seconds)
        trace.begin("coarse", 6, 1000)
        trace.steps(250)
        trace.trial(trial(0, [0.5]))
        trace._written = -live.EVERY  # as if that were a second ago
        trace.pulse(Pulse(1, 30, 120, {1: 0.5, 2: float("nan")}))
        now = live.live(tmp_path)
        assert (now.stage, now.trials, now.finished, now.done, now.steps) == (
            "coarse", 6, 1, 250, 1000
        )  # fmt: skip
        assert now.running[0] == Running(1, 0.5, 30, 120) and now.running[0].share == 0.25
        assert now.running[1].trial == 2 and np.isnan(now.running[1].loss)
        trace.pulse(Pulse(1))
        assert live.live(tmp_path).running == ()
        trace.end(CHECKS["data"])
        assert live.live(tmp_path).stage == ""
    assert live.live(tmp_path) is None and not list(tmp_path.iterdir())


def test_pulses_are_written_at_most_once_in_a_while(tmp_path, monkeypatch):
    monkeypatch.setattr(live, "EVERY", float("inf"))
    with Trace(tmp_path) as trace:
        trace.begin("coarse", 2, 10)
        before = (tmp_path / live.NAME).stat().st_ino
        for step in range(1, 100):
            trace.pulse(Pulse(0, step, 100, {0: 1.0}))
        assert (tmp_path / live.NAME).stat().st_ino == before


def test_a_trace_that_cannot_be_written_costs_nothing(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    with Trace(folder) as trace:
        shutil.rmtree(folder)
        trace.begin("coarse", 2, 10)
        trace.pulse(Pulse(0))
    assert not folder.exists()


def test_a_trace_that_cannot_be_begun_or_deleted_costs_nothing(tmp_path, monkeypatch):
    with Trace(tmp_path / "gone") as trace:
        trace.begin("coarse", 2, 10)
    with Trace(tmp_path):
        monkeypatch.setattr(Path, "unlink", Mock(side_effect=PermissionError))
    assert (tmp_path / live.NAME).exists()
    monkeypatch.setattr(live, "_born", lambda process: "later")
    assert live.live(tmp_path) is None, "its writer has ended"


@quickly
def test_a_run_that_is_moved_while_it_is_watched_is_said_to_be_gone(tmp_path, monkeypatch):
    store = full_run(tmp_path)
    moving = Mock(side_effect=lambda seconds: store.folder.rename(tmp_path / "elsewhere"))
    monkeypatch.setattr("hpsearch.commands.watching.time.sleep", moving)
    with Trace(store.folder):
        words = ["status", "r", "--watch", "--runs-dir", str(tmp_path)]
        ended = CliRunner().invoke(app, words)
    assert moving.call_count == 1 and ended.exit_code == 3
    assert "r: was moved or deleted" in ended.stderr and "coarse" in ended.stdout
    assert ended.stderr.count("\n") == 1 and not store.folder.exists()


def test_who_does_not_write_leaves_no_trace(tmp_path):
    trace = Trace(tmp_path)
    trace.begin("coarse", 2, 10)
    trace.pulse(Pulse(0))
    assert not list(tmp_path.iterdir())


LEFT = """
import os, sys
from pathlib import Path
from hpsearch.live import Trace
trace = Trace(Path(sys.argv[1])).__enter__()
trace.begin("coarse", 3, 10)
os._exit(9)
"""


@linux
def test_what_a_killed_writer_left_is_nobodys(tmp_path):
    assert subprocess.run([sys.executable, "-c", LEFT, str(tmp_path)], check=False).returncode == 9
    left = (tmp_path / live.NAME).read_bytes()
    assert json.loads(left)["stage"] == "coarse"
    assert live.live(tmp_path) is None
    assert (tmp_path / live.NAME).read_bytes() == left
    with Trace(tmp_path):
        assert live.live(tmp_path).stage == ""
    assert not list(tmp_path.iterdir())


@linux
def test_another_process_with_the_writers_number_is_not_the_writer(tmp_path):
    with Trace(tmp_path):
        record = json.loads((tmp_path / live.NAME).read_text())
        record["writer"]["born"] = "1"
        (tmp_path / live.NAME).write_text(json.dumps(record))
        assert live.live(tmp_path) is None


def test_a_copy_of_the_folder_is_not_being_written(tmp_path):
    (tmp_path / "a").mkdir()
    with Trace(tmp_path / "a"):
        shutil.copytree(tmp_path / "a", tmp_path / "b", copy_function=shutil.copy2)
        assert live.live(tmp_path / "a") is not None
        assert live.live(tmp_path / "b") is None


@pytest.mark.parametrize("change", [{"host": "elsewhere"}, {"born": None}])
def test_a_writer_that_cannot_be_looked_up_is_there_until_it_falls_silent(tmp_path, change):
    with Trace(tmp_path):
        path = tmp_path / live.NAME
        record = json.loads(path.read_text())
        record["writer"] |= change
        path.write_text(json.dumps(record))
        assert live.live(tmp_path) is not None
        os.utime(path, (0, 0))
        assert live.live(tmp_path) is None


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", "{}", '{"running": 3}', '{"writer": 1, "running": {}}', "\xff",
             '{"stage": "x", "running": {"a": [1, 2]}}', '{"running": {"1": [0, 1e999, 1]}}',
             "[" * 100_000],
    ids=lambda text: text[:40],
)  # fmt: skip
def test_a_trace_that_says_nothing_is_none(tmp_path, text):
    (tmp_path / live.NAME).write_text(text, "latin-1")
    assert live.live(tmp_path) is None


def test_a_trace_that_never_ends_is_not_read(tmp_path):
    os.mkfifo(tmp_path / live.NAME)
    assert live.live(tmp_path) is None


def test_the_time_left_is_what_the_rest_takes_at_the_speed_so_far():
    assert Live("coarse", steps=100, done=25, seconds=10.0).left == 30.0
    assert Live("coarse", steps=100, done=100, seconds=10.0).left == 0.0
    assert Live("coarse", steps=100, done=0, seconds=10.0).left is None
    assert Live("coarse", steps=100, done=50, seconds=0.5).left is None
    times = [duration(s) for s in (0.4, 4.4, 99, 100, 3600, 5999, 6000, 7200)]
    assert times == ["under 1 s", "4 s", "99 s", "2 min", "60 min", "1 h 40 min", "1 h 40 min",
                     "2 h"]  # fmt: skip


# --- pulses


def smoothed(losses):
    """Their exponential mean after each, as Adam's authors correct its start (2015)."""
    mean, found = 0.0, []
    for n, loss in enumerate(losses, 1):
        mean = SMOOTHING * mean + (1 - SMOOTHING) * loss
        found.append(mean / (1 - SMOOTHING**n))
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_pulses_tell_the_smoothed_losses_wherever_trials_are_trained(
    digits, make_spec, monkeypatch, kind
):
    monkeypatch.setattr(recorder, "PULSE", 0.0)
    told = []
    specs = [make_spec(n, 10.0 ** (n - 4), budget=Budget(1)) for n in range(4)]
    results, _ = train_all(digits, specs, kind, monkeypatch, watch=Watch(pulse=told.append))
    seen = defaultdict(list)
    for pulse in told:
        for number, loss in pulse.losses.items():
            assert pulse.steps == 15
            seen[number].append((pulse.step, loss))
    for number, result in results.items():
        steps, losses = zip(*seen[number], strict=True)
        assert steps == tuple(range(1, len(steps) + 1)) and len(steps) >= result.step - 1
        want = smoothed([loss for _, loss in result.losses])[: len(losses)]
        np.testing.assert_allclose(losses, want, rtol=1e-5)
    last = {pulse.cohort: pulse for pulse in told}
    assert last and all(not pulse.losses for pulse in last.values()), "all have left"


def test_a_cohort_that_fails_has_left(digits, make_spec, monkeypatch):
    monkeypatch.setattr(dispatch, "train_cohort", poisoned_cohort)
    told = []
    spec = make_spec(0, hparams={"poison": "bug"})
    train_all(digits, [spec], "in-process", monkeypatch, watch=Watch(pulse=told.append), jobs=1)
    assert told == [Pulse(0), Pulse(0)]


def test_who_is_looked_at_has_the_bits_of_who_is_not(digits, make_spec, monkeypatch):
    specs = tuple(make_spec(n, 10.0 ** (n - 3)) for n in range(5))
    alone = train_cohort(Task(specs), digits, Watch())
    monkeypatch.setattr(recorder, "PULSE", 0.0)
    told = []
    seen = train_cohort(Task(specs), digits, Watch(pulse=told.append))
    assert [bits(r) for r in alone] == [bits(r) for r in seen] and len(told) > 20


# --- the view


def look(documents, **changes):
    return Look("r", documents, Live("coarse", **changes))


NOW = tuple(Running(n, 2.5 - n / 10, 10 * n, 200) for n in range(15))


def test_the_view_shows_what_is_in_training(tmp_path):
    store = full_run(tmp_path)
    now = look([opened()], running=NOW, steps=100, done=50, seconds=90.0)
    text = shown(status_view(store, now))
    assert "running 0/60" in text
    assert "being run: coarse  15 in training at loss 1.1 to 2.5, 90 s left" in text
    rows = text[text.index("loss now") :].splitlines()
    assert rows[1].split() == ["14", "1.100", "████████▍", "70.0%", "140/200"]
    assert len(rows) == 12 and "and 5 more, at a higher loss" in rows[-1]


@pytest.mark.parametrize("width", [40, 60, 80, 100, 200])
def test_the_view_fits(tmp_path, width):
    now = look([opened()], running=NOW, steps=100, done=50, seconds=9000.0)
    text = shown(status_view(full_run(tmp_path), now), width)
    assert max(map(len, text.splitlines())) <= width


def test_a_check_that_is_run_again_is_running():
    now = Look("r", [CHECKS["sanity"]], Live("sanity", trials=7, finished=3))
    gate = next(gate for gate in now.gates if gate.stage == "sanity")
    assert now.state(gate) == "running 3/7"
    assert Look("r", [CHECKS["sanity"]], None).state(gate) == "pass"
    assert list(now.lines().values()) == ["sanity  running 3/7  all 8 checks pass"]


def test_losses_that_are_not_finite_are_said_nothing_of():
    assert said(Live("x", running=(Running(0, float("nan"), 1, 2),))) == "1 in training"
    assert said(Live("x", running=(Running(0, 0.5, 1, 2),))) == "1 in training at loss 0.5"
    assert said(Live("x")) == ""


def test_a_line_is_told_again_only_when_more_is_known():
    one = look([opened()], running=NOW)
    other = look([opened()], running=NOW[:3], steps=9, done=3, seconds=10.0)
    assert one.lines().keys() == other.lines().keys()
    assert one.lines() != other.lines()
    assert list(other.lines().values()) == [
        "coarse  running 0/60  0 of 60 trials, none completed  3 in training at loss 2.3 to 2.5,"
        " 20 s left"
    ]


def tree(folder):
    return {
        path: (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else b"")
        for path in [folder, *folder.rglob("*")]
    }


@quickly
def test_reading_errs_never_while_a_writer_writes(tmp_path):
    store, ended = full_run(tmp_path), threading.Event()

    def write():
        number = 0
        while not ended.is_set():
            number += 1
            trace.begin(f"refine-{number % 3 + 1}", 3, 10)
            trace.pulse(Pulse(number, 3, 10, {number: 1.0}))
            store.write_document(opened())
            store.record(trial(number % 40, [0.5, number / 1e6]))
            trace.pulse(Pulse(number))

    writer = threading.Thread(target=write)
    with Trace(store.folder) as trace:
        writer.start()
        try:
            reader = RunStore(tmp_path, "r")
            seen = {status_json(reader)["live"]["stage"] for _ in range(200)}
            assert all("coarse" in shown(status_view(reader)) for _ in range(10))
        finally:
            ended.set()
            writer.join()
    assert seen <= {"", "refine-1", "refine-2", "refine-3"}


# --- the command, in processes of its own

LONG = SMALL.replace("trials: 6, epochs: 2", "trials: 6, epochs: 100000")


class Terminal:
    """hpsearch on a terminal of its own, and all that it writes there."""

    def __init__(self, *words):
        ours, theirs = pty.openpty()
        environment = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "LINES")}
        environment |= {"TERM": "xterm-256color", "COLUMNS": "100"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "hpsearch", *words],
            stdin=theirs, stdout=theirs, stderr=theirs, env=environment,
        )  # fmt: skip
        os.close(theirs)
        self.text, self._ours = "", ours
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self):
        try:
            while part := os.read(self._ours, 1 << 16):
                self.text += part.decode("utf-8", "replace")
        except OSError:  # so Linux says that the other end is closed
            return

    def ended(self):
        """Its exit code."""
        code = self.process.wait(60)
        self._reader.join()
        os.close(self._ours)
        return code


def wait_for(true, process):
    while not true():
        assert process.poll() is None, "it ended before"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    """A long search, watched on a terminal, in a pipe, as JSON, and on a terminal where Ctrl-C is
    pressed, and then stopped: what each of them saw.
    """
    folder = tmp_path_factory.mktemp("watched")
    (folder / "long.yaml").write_text(LONG)
    runs = ("--runs-dir", str(folder / "runs"))
    where = folder / "runs" / "small"
    search = process("search", str(folder / "long.yaml"), "--jobs", "2", *runs)
    words = ("status", "small", "--watch", "--interval", "0.1", *runs)
    try:
        wait_for(lambda: (now := live.live(where)) and now.running, search)
        terminals = Terminal(*words), Terminal(*words)
        pipes = process(*words), process(*words, "--json")
        for terminal in terminals:
            wait_for(lambda t=terminal: "in training at" in t.text, terminal.process)
        terminals[1].process.send_signal(signal.SIGINT)
        stopped = terminals[1].ended()
        lines = [pipe.stdout.readline() for pipe in pipes]
    finally:
        search.send_signal(signal.SIGINT)
        search.communicate(timeout=60)
    both = zip(lines, pipes, strict=True)
    outputs = [line + pipe.communicate(timeout=60)[0] for line, pipe in both]
    codes = terminals[0].ended(), stopped, *(pipe.returncode for pipe in pipes)
    return [t.text for t in terminals], outputs, codes, where


@linux
def test_watching_ends_with_the_writer_or_by_a_signal(watched):
    assert watched[2] == (0, 130, 0, 0)


@linux
def test_a_terminal_shows_the_trials_and_is_given_back(watched):
    for text in watched[0]:
        assert "running 0/6" in text and "loss now" in text and "/1,500,000" in text
        assert text.count("\x1b[?25l") == 1 and text.count("\x1b[?25h") == 1
        assert text.rfind("\x1b[?25h") > text.rfind("\x1b[?25l"), "the cursor is back"
        assert "Traceback" not in text
    last = watched[0][0][watched[0][0].rfind("run \x1b") :]
    assert "unfinished 0/6" in last and "in training" not in last


@linux
def test_a_pipe_gets_plain_lines_of_what_changed(watched):
    lines = watched[1][0].splitlines()
    assert len(lines) == 2 and "\x1b" not in watched[1][0]
    assert lines[0].startswith("coarse  running 0/6  ") and "in training at loss" in lines[0]
    assert lines[1] == "coarse  unfinished 0/6  0 of 6 trials, none completed"


@linux
def test_with_json_every_line_is_a_document(watched):
    documents = [json.loads(line) for line in watched[1][1].splitlines()]
    assert len(documents) > 1
    assert all(document["name"] == "small" for document in documents)
    now = documents[0]["live"]
    assert now["stage"] == "coarse" and now["trials"] == 6
    assert {"trial", "loss", "step", "steps"} == set(now["running"][0])
    assert documents[-1]["live"] is None


@linux
def test_looking_writes_nothing(watched):
    before = tree(watched[3])
    for words in (("status", "small"), ("status", "small", "--watch", "--json"), ("ls",)):
        found = CliRunner().invoke(app, [*words, "--runs-dir", str(watched[3].parent)])
        assert found.exit_code == 0, found.output
    assert tree(watched[3]) == before
    assert Path(watched[3] / ".lock").exists() and not (watched[3] / live.NAME).exists()
