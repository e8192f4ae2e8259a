"""Who holds a run is said where it is known, and never made up; what can be no lock is refused."""

import errno
import fcntl
import json
import os
import socket
import subprocess
import sys

import pytest
from filelock import FileLock

from hpsearch import locking
from hpsearch.errors import HostError
from hpsearch.locking import NAME, locked

GONE = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True)
HERE = {"process": os.getpid(), "host": socket.gethostname(), "since": "today"}


@pytest.fixture(autouse=True)
def _at_once(monkeypatch):
    monkeypatch.setattr(locking.time, "sleep", lambda seconds: None)


def refusal(folder, content):
    """What the loser is told where this stands in the lock."""
    with FileLock(folder / NAME):
        (folder / NAME).write_bytes(content)
        with pytest.raises(HostError, match="another hpsearch") as caught, locked(folder):
            pass
        assert (folder / NAME).read_bytes() == content, "the owner's word is left alone"
    return str(caught.value)


def test_the_owner_is_named(tmp_path):
    said = refusal(tmp_path, json.dumps(HERE).encode())
    assert f"(process {os.getpid()} on {socket.gethostname()}, since today)" in said
    assert "elsewhere" in refusal(tmp_path, json.dumps(HERE | {"host": "elsewhere"}).encode())


@pytest.mark.parametrize(
    "content",
    [json.dumps(HERE | {"process": int(GONE.stdout)}).encode(),  # of the owner before this one
     json.dumps(HERE | {"process": 10**30}).encode(), b"[" * 100_000, b"", b"null", b"\xff",
     b'{"process": 1}'],
    ids=["gone", "huge", "deep", "empty", "null", "not-text", "half"],
)  # fmt: skip
def test_nobody_is_named_where_it_is_not_known(tmp_path, content):
    assert "(process" not in refusal(tmp_path, content)


def test_a_disk_without_locks_is_refused(tmp_path, monkeypatch):
    """A file that stands for a lock would outlive an owner that is killed."""

    def refuse(*given):
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(fcntl, "flock", refuse)
    said = f"cannot be locked: {os.strerror(errno.ENOSYS)}; choose"
    with pytest.raises(HostError, match=said), locked(tmp_path / "run"):
        pass


def test_a_fork_neither_keeps_the_lock_nor_frees_it(tmp_path):
    """A worker begins as a copy of who holds it."""
    end, begin = os.pipe()
    with locked(tmp_path):
        child = os.fork()
        if child == 0:
            os.close(begin)
            os.read(end, 1)
            os._exit(0)
        assert "another hpsearch" in refused_elsewhere(tmp_path)
    assert refused_elsewhere(tmp_path) == ""
    os.close(begin)
    os.waitpid(child, 0)
    os.close(end)


def refused_elsewhere(folder):
    """What another process is told that wants to write there."""
    code = (
        "import sys; from pathlib import Path; from hpsearch.locking import locked\n"
        "with locked(Path(sys.argv[1])): pass"
    )
    done = subprocess.run([sys.executable, "-c", code, folder], capture_output=True, text=True)
    return done.stderr
