"""A disk that is really full, without a stand-in: files that may not grow, and what is written
to /dev/full or to a pipe that nobody reads. What is finished stays, and the run goes on from it.
"""

import resource
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
from tiny_run import config_in, left_by, quickly, run, trials_in

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs /dev/full")
HERE = Path(__file__).parent
COMMANDS = (
    ("run", "tiny.yaml", "--json"), ("run", "tiny.yaml"), ("search", "tiny.yaml", "--dry-run"),
    ("status", "tiny"), ("status", "tiny", "--json"), ("report", "tiny"), ("ls",),
    ("report", "tiny", "--json"), ("diff", "tiny", "tiny"), ("replay", "tiny", "coarse/1"),
    ("doctor", "tiny"),
    ("export", "tiny", "--to", "csv", "--out", "out", "--force"), ("schema",),
    ("--version", "--json"), ("--version",), ("--help",), ("init", "--force"),
)  # fmt: skip


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    return config_in(tmp_path_factory.mktemp("full"))


@pytest.fixture(scope="module")
def whole(config):
    """What an uninterrupted run leaves, and the sizes of its files."""
    runs = config.parent / "whole"
    with pytest.MonkeyPatch.context() as patch:
        quickly(patch)
        assert run(config, runs).exit_code == 0
    sizes = {p.stat().st_size for p in runs.rglob("*") if p.is_file() and p.name[0] != "."}
    return left_by(runs), sorted(sizes)


@contextmanager
def no_file_above(size):
    """A disk's quota, as the kernel keeps it: a write beyond it is cut, the next one EFBIG."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def stops_cleanly(config, runs, whole, size):
    """Twice: from the beginning, and where it stopped; then with room it comes to its end."""
    assert signal.getsignal(signal.SIGXFSZ) is signal.SIG_IGN  # as Python has it
    before = {}
    for _ in range(2):
        with no_file_above(size):
            done = run(config, runs)
        assert done.exit_code == 3, done.output
        assert str(runs) in done.stderr and "File too large" in done.stderr
        assert "Traceback" not in done.stderr and "bug" not in done.stderr
        now = trials_in(runs)
        assert {name: now[name] for name in before} == before
        assert all(path.stat().st_size <= size for path in runs.rglob("*") if path.is_file())
        assert not [path for path in runs.rglob(".*") if path.name != ".lock"]
        before = now
    done = run(config, runs)
    assert done.exit_code == 0 and left_by(runs) == whole[0]
    assert before.items() <= trials_in(runs).items()


@pytest.mark.parametrize("part", [pytest.param(0.1, marks=pytest.mark.slow), 0.8])
def test_a_file_that_may_not_grow_is_a_clean_error(config, whole, tmp_path, monkeypatch, part):
    quickly(monkeypatch)
    size = whole[1][int(part * len(whole[1]))]
    stops_cleanly(config, tmp_path / "runs", whole, size - 1)


@pytest.mark.slow
def test_whichever_file_may_not_grow_it_is_a_clean_error(config, whole, tmp_path, monkeypatch):
    """The limit just below every size that there is, and at nothing."""
    quickly(monkeypatch)
    for size in (1, *whole[1]):
        stops_cleanly(config, tmp_path / str(size), whole, size - 1)


def shell(config, *words, **more):
    """The real command in a shell of its own; SIGXFSZ and SIGPIPE kill who does not see to it."""
    folder = config.parent
    given = [sys.executable, "-m", "hpsearch", *words]
    if words[0] not in ("schema", "init") and words[0][0] != "-":
        given += ["--runs-dir", str(more.pop("runs", folder / "whole"))]
    return subprocess.run(
        given, cwd=more.pop("cwd", folder), stdin=subprocess.DEVNULL, text=True,
        restore_signals=True, **{"stderr": subprocess.PIPE, **more},
    )  # fmt: skip


@pytest.mark.slow
def test_a_quota_ends_the_real_command_cleanly(config, tmp_path):
    done = shell(
        config, "run", "tiny.yaml", "--jobs", "1", runs=tmp_path / "runs", stdout=subprocess.PIPE,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (700, 700)),
    )  # fmt: skip
    assert done.returncode == 3, done.stderr
    assert f"{tmp_path / 'runs'}" in done.stderr and "File too large" in done.stderr
    assert "Traceback" not in done.stderr and not list(tmp_path.rglob("*-*-*-*"))


@pytest.mark.slow
@pytest.mark.parametrize("words", COMMANDS)
def test_what_cannot_be_written_to_stdout_is_said(config, whole, tmp_path, words):
    before = left_by(config.parent / "whole")
    with Path("/dev/full").open("w") as full:
        done = shell(config, *words, stdout=full, **_beside(words, tmp_path))
    assert done.returncode == 3, done.stderr
    assert "No space left on device" in done.stderr
    assert ("stdout: " in done.stderr) or words[0] in ("schema", "--version", "--help", "init")
    assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr
    assert left_by(config.parent / "whole").items() >= _but_the_page(before).items()


@pytest.mark.slow
@pytest.mark.parametrize("stream", ["stdout", "stderr", "both"])
@pytest.mark.parametrize("gone", ["/dev/full", "pipe"])
def test_a_run_that_nobody_hears_stops_and_can_be_taken_up(
    config, whole, tmp_path, monkeypatch, stream, gone
):
    """Unless it has nothing to say before it is done; it never claims to be where it is not."""
    runs, nowhere = tmp_path / "runs", _nowhere(gone)
    given = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    given |= {name: nowhere for name in given if stream in (name, "both")}
    done = shell(config, "run", "tiny.yaml", "--jobs", "1", runs=runs, **given)
    nowhere.close()
    assert done.returncode == 3
    quickly(monkeypatch)
    before = trials_in(runs)
    assert run(config, runs).exit_code == 0 and left_by(runs) == whole[0]
    assert before.items() <= trials_in(runs).items()


@pytest.mark.slow
@pytest.mark.parametrize("words", COMMANDS[2:-3])
def test_who_reads_only_a_part_is_no_error(config, whole, tmp_path, words):
    with _nowhere("pipe") as nowhere:
        done = shell(config, *words, stdout=nowhere, **_beside(words, tmp_path))
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_run_whose_reader_leaves_does_not_claim_to_be_done(config, tmp_path, stream):
    with _nowhere("pipe") as nowhere:
        given = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, stream: nowhere}
        done = shell(config, "run", "tiny.yaml", "--jobs", "1", runs=tmp_path / "runs", **given)
    assert done.returncode == 3 and not (tmp_path / "runs" / "tiny" / "final.json").exists()
    assert stream == "stderr" or "nobody reads its words any more" in done.stderr


def test_an_export_does_not_take_the_place_of_a_device(config, whole, monkeypatch):
    quickly(monkeypatch)
    for force in ((), ("--force",)):
        words = ("export", "tiny", "--to", "csv", "--out", "/dev/full", *force)
        done = run(config, config.parent / "whole", *words)
        assert done.exit_code == 2 and "/dev/full: " in done.stderr
    assert Path("/dev/full").is_char_device()


def _nowhere(kind):
    """A file that takes nothing: full, or a pipe whose other end is closed."""
    if kind == "/dev/full":
        return Path(kind).open("w")
    reader = subprocess.Popen(["true"], stdin=subprocess.PIPE, text=True)
    reader.wait()
    assert reader.stdin
    return reader.stdin


def _beside(words, folder):
    """Where a command works that writes: a run of its own, or an empty folder."""
    if words[0] == "run":
        return {"runs": folder / "runs"}
    return {"cwd": folder} if words[0] in ("init", "export") else {}


def _but_the_page(found):
    return {name: content for name, content in found.items() if "report.html" not in name}
