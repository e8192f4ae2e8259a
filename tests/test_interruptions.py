"""The real command killed, stopped and started twice; the scripts do it as often as one likes."""

import fcntl
import hashlib
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest
from test_cli import SMALL, process
from typer.testing import CliRunner

from hpsearch.cli import app

HERE = Path(__file__).parent
pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="looks into /proc, and forks"
)


def counted(script, *words):
    """What a script says of its count."""
    done = subprocess.run(
        [sys.executable, HERE / script, *words], capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(HERE.parent)},
    )  # fmt: skip
    assert done.stdout, done.stderr
    return json.loads(done.stdout)


def test_a_run_killed_again_and_again_ends_as_if_nobody_had():
    """At most a cohort's epoch is lost, a finished trial never; no byte of a result differs."""
    found = counted("kills.py", "--kills", "20", "--each", "20", "--work", "written-down")
    assert not found["faults"] and found["kills"] >= 20
    assert found["finished trials looked at again"] > 20 and len(found["moments"]) > 2


def test_a_signal_stops_soon_and_leaves_nothing():
    found = counted("stops.py", "--signals", "10", "--work", "halved")
    assert not found["faults"] and found["first"]["sent"] > 1


def test_of_two_at_once_one_wins_and_the_other_says_who():
    found = counted("pairs.py", "--pairs", "5")
    assert not found["faults"] and found["losers that named the winner"] == 5


STRUCK = """
import os, runpy, signal, sys

signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job may ignore it

class Struck:
    def find_spec(self, name, *rest):
        if name == "hpsearch.doctor.machine":
            os.kill(os.getpid(), {number})

sys.meta_path.insert(0, Struck())
sys.argv = ["hpsearch", "doctor"]
runpy.run_module("hpsearch", run_name="__main__")
"""


@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_command_that_trains_nothing_ends_at_a_signal_too(tmp_path, number, code):
    struck = STRUCK.format(number=int(number))
    found = subprocess.run(
        [sys.executable, "-c", struck], capture_output=True, text=True, cwd=tmp_path
    )
    assert (found.returncode, found.stdout) == (code, "") and not list(tmp_path.iterdir())
    assert found.stderr == "stopped; every finished trial is kept\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_the_interpreter_ends_prints_nothing(number):
    code = (
        "import atexit, os, signal, sys; from hpsearch.cli import main\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        f"atexit.register(lambda: os.kill(os.getpid(), {int(number)}))\n"
        "sys.argv = ['hpsearch', '--version']; main()"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (found.returncode, found.stderr) == (-number, "")
    assert found.stdout.startswith("hpsearch ")


IGNORED = """
import runpy, signal, sys

for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGCHLD"):
    signal.signal(getattr(signal, name), signal.SIG_IGN)
sys.argv[0] = "hpsearch"
runpy.run_module("hpsearch", run_name="__main__")
"""


def test_signals_that_are_ignored_at_the_start_stay_so(tmp_path):
    """As `nohup` has it, and a shell for what a script runs in the background; but for SIGCHLD,
    without which no worker can be waited for.
    """
    (tmp_path / "more.yaml").write_text(SMALL.replace("trials: 6", "trials: 100"))
    words = ["search", str(tmp_path / "more.yaml"), "--runs-dir", str(tmp_path), "--jobs", "2"]
    running = subprocess.Popen(
        [sys.executable, "-c", IGNORED, *words], stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL, env={**os.environ, "HPSEARCH_EXECUTOR": "processes"},
    )  # fmt: skip
    trials = tmp_path / "small" / "coarse" / "trials"
    while not list(trials.glob("*.json")) and running.poll() is None:
        time.sleep(0.01)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        running.send_signal(number)
    said = running.communicate()[1]
    assert running.returncode == 0 and len(list(trials.glob("*.json"))) == 100, said


def test_the_terminal_is_given_back(tmp_path):
    """As it was, with its cursor, and with nothing in it but what was printed."""
    (tmp_path / "long.yaml").write_text(SMALL.replace("trials: 6", "trials: 5000"))
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, b"\x28\0\x64\0\0\0\0\0")
    before = termios.tcgetattr(theirs)
    words = ["search", str(tmp_path / "long.yaml"), "--runs-dir", str(tmp_path), "--jobs", "2"]
    env = {k: v for k, v in os.environ.items() if k != "NO_COLOR"} | {"TERM": "xterm-256color"}
    running = subprocess.Popen(
        [sys.executable, "-m", "hpsearch", *words], stdin=theirs, stdout=theirs, stderr=theirs,
        env=env, start_new_session=True,
    )  # fmt: skip
    seen = b""
    while not list(tmp_path.glob("small/coarse/trials/*.json")) or b"\x1b[?25l" not in seen:
        assert running.poll() is None, seen
        seen += read(ours)
    os.killpg(running.pid, signal.SIGINT)
    while running.poll() is None:
        seen += read(ours)
    seen += read(ours)
    assert running.returncode == 130 and b"stopped" in seen
    assert seen.rfind(b"\x1b[?25h") > seen.rfind(b"\x1b[?25l")
    assert termios.tcgetattr(theirs) == before
    os.close(ours)
    os.close(theirs)


def read(file):
    """What comes in a moment."""
    ready, _, _ = select.select([file], [], [], 0.05)
    return os.read(file, 65536) if ready else b""


def tree(folder):
    """Every file's bytes and times, and every folder's."""
    found = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        stat = path.stat()
        found.update(repr((str(path), stat.st_mtime_ns, stat.st_ino, stat.st_size)).encode())
        found.update(path.read_bytes() if path.is_file() else b"")
    return found.hexdigest()


def test_readers_neither_wait_for_a_writer_nor_write(tmp_path, monkeypatch):
    """While a run is being written, and halted in the middle of that."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HPSEARCH_RUNS_DIR")
    (tmp_path / "long.yaml").write_text(SMALL.replace("trials: 6", "trials: 5000"))
    running = process("search", "long.yaml", "--jobs", "1")
    folder = tmp_path / "runs" / "small"
    try:
        while not list(folder.glob("coarse/trials/*.json")):
            assert running.poll() is None, running.communicate()
            time.sleep(0.01)
        running.send_signal(signal.SIGSTOP)
        before = tree(tmp_path / "runs")
        first, *_ = folder.glob("coarse/trials/*.json")
        trial = f"coarse/{int(first.stem)}"
        for words in (("status", "small"), ("status", "small", "--json"), ("ls", "--json"),
                      ("ls", "--where", "state~unfinished", "--columns", "name,trials"),
                      ("diff", "small", "small"), ("diff", *[f"small:{trial}"] * 2),
                      ("export", "small", "--to", "csv", "--out", str(tmp_path / "out")),
                      ("replay", "small", trial), ("search", "small", "--dry-run"),
                      ("predict", "small", str(first)), ("doctor", "small"),
                      ("report", "small", "--json")):  # fmt: skip
            ended = CliRunner().invoke(app, list(words))
            wanted = (2,) if words[0] == "predict" else (0, 1)  # there is no model yet
            assert ended.exit_code in wanted, (words, ended.output, ended.exception)
            assert "another hpsearch" not in ended.output or words[0] == "doctor"
            if words[0] != "report":
                assert tree(tmp_path / "runs") == before, words
        refused = CliRunner().invoke(app, ["search", "long.yaml"])
        assert refused.exit_code == 3
        who = rf"another hpsearch \(process {running.pid} on \S+, since 20"
        assert re.search(who, refused.stderr)
    finally:
        running.kill()
        running.communicate()
