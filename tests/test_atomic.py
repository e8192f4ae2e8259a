"""Files are written whole or not at all, on every disk, and what a killed process left holds."""

import errno
import itertools
import os
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from faulty_disk import Disk, Killed, PowerLoss

from hpsearch.atomic import leftovers, take_over, write_atomically, write_together
from hpsearch.errors import HostError


@pytest.mark.parametrize("number", [errno.EBADF, errno.EINVAL, errno.ENOTSUP, errno.EIO])
def test_a_disk_that_cannot_sync_folders_can_be_written_and_a_broken_one_not(
    tmp_path, monkeypatch, number
):
    plain = os.fsync

    def fsync(descriptor):
        if os.path.isdir(f"/proc/self/fd/{descriptor}"):  # noqa: PTH112
            raise OSError(number, os.strerror(number))
        plain(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    if number == errno.EIO:
        with pytest.raises(HostError, match=os.strerror(number)):
            write_atomically(tmp_path / "a", b"new")
        return
    write_atomically(tmp_path / "inner" / "a", b"new")
    assert (tmp_path / "inner" / "a").read_bytes() == b"new"


def test_where_a_folder_is_nothing_to_open_files_are_written_all_the_same(tmp_path, monkeypatch):
    plain = os.open

    def refuse(path, *given):
        if Path(path).is_dir():
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return plain(path, *given)

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(HostError, match="Permission denied"):
        write_atomically(tmp_path / "a", b"new")
    monkeypatch.setattr(os, "name", "other")
    write_atomically(tmp_path / "inner" / "b", b"new")
    assert (tmp_path / "inner" / "b").read_bytes() == b"new"


@pytest.mark.parametrize("files", [1, 9])
def test_what_could_not_be_written_leaves_nothing(tmp_path, files):
    """At whichever change it fails; the files are the old ones or the new ones."""
    contents = {tmp_path / str(n): b"new" for n in range(files)}
    for path in contents:
        path.write_bytes(b"old")
    for at in range(1, 3 * files + 1):
        disk = Disk(tmp_path, at=at, errno=errno.ENOSPC)
        with disk.between(), pytest.raises(HostError, match="No space left"):
            write_together(contents)
        assert leftovers(tmp_path) == []
        assert {path.read_bytes() for path in contents} <= {b"old", b"new"}


def test_every_file_of_many_is_synced(tmp_path):
    disk, paths = Disk(tmp_path), [tmp_path / str(n) for n in range(11)]
    with disk.between():
        write_together(dict.fromkeys(paths, b"new"))
    found = PowerLoss(disk.trace).sure
    assert {found[path.relative_to(tmp_path)].sure for path in paths} == {b"new"}


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")
def test_no_file_stays_open(tmp_path):
    """Nor the folder, where it was written and where it was not."""
    before = os.listdir("/proc/self/fd")  # noqa: PTH208
    for number in (0, errno.ENOSPC):
        for at in range(1, 12):
            disk = Disk(tmp_path, at=at if number else 0, errno=number)
            with disk.between(), suppress(HostError):
                write_together({tmp_path / str(at) / str(n): b"new" for n in range(2)})
    assert os.listdir("/proc/self/fd") == before  # noqa: PTH208


def test_what_a_killed_process_left_is_kept_once_something_builds_on_it(tmp_path):
    """Killed at any change, and the power is lost after the next command has written."""
    one, two = (Path("run", "coarse", "trials", f"{n}.json") for n in (1, 2))
    for at in itertools.count(1):
        root = tmp_path / str(at)
        root.mkdir()
        first, second = Disk(root, at=at), Disk(root)
        with first.between(), suppress(Killed):
            write_atomically(root / one, b"one")
        there = {one} if (root / one).exists() else set()
        if (root / "run").exists():
            with second.between():
                take_over(root / "run")
                write_atomically(root / two, b"two")
            sure = set(PowerLoss(first.trace + second.trace).sure)
            kept = there | {two}
            assert kept | {folder for path in kept for folder in path.parents} <= sure
        if not first.dead:
            return
