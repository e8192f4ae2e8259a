"""Who holds a run: the lock of an owner that dies, and a run that is moved while it is written."""

import os
import shutil
import sys
import time
from pathlib import Path

import pytest
from tiny_run import config_in, quickly, run, trials_in

from hpsearch import locking
from hpsearch.errors import HostError
from hpsearch.locking import LOOKS, NAME, locked
from hpsearch.store import RunStore

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks")
FDS = Path("/proc/self/fd")
WRITES = (
    "write_config", "write_run", "write_document", "record", "write_weights", "write_tables",
    "write_next",
)  # fmt: skip


def orphan(folder):
    """A lock whose owner is gone, but for a fork of it that has yet to close its files: what makes
    it do so.
    """
    (ready, told), (over, go) = os.pipe(), os.pipe()
    owner = os.fork()
    if owner == 0:
        with locked(folder):
            held = [os.dup(int(fd.name)) for fd in FDS.iterdir() if fd.resolve() == folder / NAME]
            if os.fork() == 0:
                os.close(go)
                os.write(told, b"x" * len(held))
                os.read(over, 1)
            else:
                os.read(ready, 1)
            os._exit(0)
    os.close(over)
    os.close(told)
    os.waitpid(owner, 0)

    def let_go():
        os.close(go)
        os.read(ready, 1)  # until the other side is closed
        os.close(ready)

    return let_go


@linux
def test_a_run_is_free_as_soon_as_a_fork_of_its_dead_owner_lets_go(tmp_path, monkeypatch):
    let_go, looks, sleep = orphan(tmp_path / "r"), [], time.sleep

    def pause(seconds):
        looks.append(seconds)
        if len(looks) == 3:
            let_go()
        elif len(looks) > 3:  # the system closes its files one after the other
            sleep(seconds)

    monkeypatch.setattr(locking.time, "sleep", pause)
    with locked(tmp_path / "r"):
        assert 3 <= len(looks) < LOOKS


@linux
def test_what_never_lets_go_is_not_waited_for_for_ever(tmp_path, monkeypatch):
    let_go, looks = orphan(tmp_path / "r"), []
    monkeypatch.setattr(locking.time, "sleep", looks.append)
    said = pytest.raises(HostError, match="another hpsearch writes this run")
    with said, locked(tmp_path / "r"):
        pass
    assert len(looks) == LOOKS
    let_go()


def test_who_meets_a_living_owner_is_told_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(locking.time, "sleep", lambda seconds: pytest.fail("it waits"))
    with (
        locked(tmp_path),
        pytest.raises(HostError, match=rf"\(process {os.getpid()} on "),
        locked(tmp_path),
    ):
        pass


# --- the folder moved


def moved(folder):
    folder.rename(folder.parent / "elsewhere")


def replaced(folder):
    """Moved, and another of its name begun."""
    moved(folder)
    folder.mkdir()
    (folder / ".lock").touch()


def without_lock(folder):
    shutil.copytree(folder, folder.parent / "elsewhere")
    (folder / ".lock").unlink()


WAYS = (moved, shutil.rmtree, replaced, without_lock)
QUICK = (("write_config", moved), ("record", shutil.rmtree), ("record", replaced))


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    return config_in(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(autouse=True)
def _quickly(monkeypatch):
    quickly(monkeypatch)
    monkeypatch.setattr("os.fsync", lambda descriptor: None)


def disturb(monkeypatch, name, what):
    """Does it to the folder before the first time that the store is asked to write in this way."""
    write, done = getattr(RunStore, name), []

    def disturbed(store, *given):
        if not done:
            done.append(what(store.folder))
        return write(store, *given)

    monkeypatch.setattr(RunStore, name, disturbed)


@pytest.mark.parametrize(
    ("name", "what"),
    [
        pytest.param(name, what, marks=() if (name, what) in QUICK else pytest.mark.slow)
        for name in WRITES for what in WAYS
    ],
)  # fmt: skip
def test_a_run_that_is_moved_while_it_is_written_ends_and_leaves_no_part(
    config, tmp_path, monkeypatch, name, what
):
    runs, before = tmp_path / "runs", {}

    def seen(folder):
        what(folder)
        before.update({p: p.read_bytes() for p in folder.rglob("*") if p.is_file()})

    disturb(monkeypatch, name, seen)
    ended = run(config, runs)
    assert ended.exit_code == 3 and "was moved or deleted" in ended.stderr, ended.output
    folder = runs / "tiny"
    assert {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()} == {
        p: content for p, content in before.items() if p.name != ".live.json"
    }
    assert folder.exists() == bool(before)


def test_it_goes_on_where_it_is_now(config, tmp_path, monkeypatch):
    runs = tmp_path / "runs"
    disturb(monkeypatch, "write_weights", moved)
    assert run(config, runs).exit_code == 3
    kept = trials_in(runs)
    ended = run(config, runs, "run", str(config), "--run", "elsewhere")
    assert ended.exit_code == 0, ended.output
    assert kept.items() <= trials_in(runs).items() and not (runs / "tiny").exists()


def test_a_run_that_goes_as_a_file_is_written_is_not_said_to_lack_room(
    config, tmp_path, monkeypatch
):
    """However late: before what is written gets its name."""
    folder = tmp_path / "runs" / "tiny"

    def late(files):
        if folder.exists():
            moved(folder)

    monkeypatch.setattr("hpsearch.atomic._sync", late)
    ended = run(config, tmp_path / "runs")
    assert ended.exit_code == 3 and "was moved or deleted" in ended.stderr, ended.output


def test_a_page_whose_run_is_moved_meanwhile_is_written_nowhere(config, tmp_path, monkeypatch):
    monkeypatch.setattr("hpsearch.report.page.page", lambda store: moved(store.folder) or "<html>")
    ended = run(config, tmp_path)
    assert ended.exit_code == 3 and "was moved or deleted" in ended.stderr, ended.output
    assert [path.name for path in tmp_path.iterdir()] == ["elsewhere"]


def test_a_folder_in_the_place_of_the_lock_is_to_be_removed(tmp_path):
    (tmp_path / "run" / NAME).mkdir(parents=True)
    with pytest.raises(HostError, match=f"remove .*{NAME}$"), locked(tmp_path / "run"):
        pass
