"""How files are written: whole or not at all. And how to see that one has changed."""

import errno
import os
import re
import threading
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from hpsearch.errors import HostError

State = tuple[int, int, int]
ROOM = "make room, or choose another folder"
FEWER = "raise the limit of open files (ulimit -n), or name fewer --jobs"
WRITABLE = "make it writable, or choose another folder"
FIXES = {
    errno.EMFILE: FEWER, errno.ENFILE: FEWER,
    errno.EROFS: WRITABLE, errno.EACCES: WRITABLE, errno.EPERM: WRITABLE,
    errno.EEXIST: "remove the file in its way, or choose another folder",
    errno.ENOTDIR: "remove the file in its way, or choose another folder",
}  # fmt: skip
SYNCED = 4  # files at a time
UNABLE = {errno.EBADF, errno.EINVAL, errno.ENOTSUP}  # of network disks that sync files alone
LEFTOVER = re.compile(r"\..+\.\d+-\d+-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def write_atomically(path: Path, content: bytes | Iterable[bytes]) -> None:
    """The file is the old one or the new one, never half of either, power loss included."""
    write_together({path: content})


def write_together(contents: Mapping[Path, bytes | Iterable[bytes]]) -> None:
    """Each file as `write_atomically` does, in a fraction of the time: the disk writes them all
    at once, and their folders are brought up to date once.
    """
    beside = {path: _beside(path) for path in contents}
    folders = {path.parent for path in contents}
    with changing(min(contents if len(contents) == 1 else folders, default=Path())):
        try:
            for folder in folders:
                make_folder(folder)
            with ExitStack() as opened:
                files = [opened.enter_context(_written(beside[p], contents[p])) for p in contents]
                _sync([file.fileno() for file in files])
            for path, temporary in beside.items():
                temporary.replace(path)
            for folder in folders:
                _sync_folder(folder)
        except BaseException:
            for temporary in beside.values():
                with suppress(OSError):
                    temporary.unlink(missing_ok=True)
            raise


@contextmanager
def changing(where: Path) -> Iterator[None]:
    """HostError, with a remedy, where the disk refuses."""
    try:
        yield
    except OSError as error:
        reason, fix = error.strerror or str(error), FIXES.get(error.errno or 0, ROOM)
        raise HostError(f"{where}: cannot be written: {reason}; {fix}") from error


def delete(paths: Iterable[Path]) -> None:
    """Deletes those of a folder's files that are there; no power loss brings one back."""
    there = [path for path in paths if path.exists()]
    if there:
        with changing(folder := there[0].parent):
            for path in there:
                path.unlink(missing_ok=True)
            _sync_folder(folder)


def delete_empty(folder: Path) -> None:
    """Deletes the folder if it is there and nothing is in it."""
    with changing(folder):
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def write_passing(path: Path, content: bytes) -> None:
    """Whole or not at all for who reads meanwhile, at the cost of no disk: lost with the power,
    and not written where it cannot be.
    """
    temporary = _beside(path)
    with suppress(OSError):
        temporary.write_bytes(content)
        temporary.replace(path)
        return
    with suppress(OSError):
        temporary.unlink(missing_ok=True)


def make_folder(folder: Path) -> None:
    """The folder, with those above it that are missing; a power loss leaves all of them too."""
    if folder.is_dir():
        return
    if folder.parent != folder:
        make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    _sync_folder(folder.parent)


def _beside(path: Path) -> Path:
    owner = f"{os.getpid()}-{threading.get_ident()}-{uuid.uuid4()}"
    return path.with_name(f".{path.name}.{owner}")


def leftovers(folder: Path) -> list[Path]:
    """What a process that was killed while it wrote has left below `folder`, or what one that
    writes is at.
    """
    return [path for path in folder.rglob(".*") if LEFTOVER.fullmatch(path.name)]


def take_over(folder: Path) -> None:
    """Deletes what a killed process has left half written, and has the disk keep the names of
    what it left whole: all that is written from now on builds on it. Only for who alone may
    write there.
    """
    with changing(folder):
        for path in leftovers(folder):
            path.unlink(missing_ok=True)
        for each in (folder.parent, *(Path(inner) for inner, _, _ in os.walk(folder))):
            _sync_folder(each)


def _written(path: Path, content: bytes | Iterable[bytes]) -> BinaryIO:
    """The file, written but still open; where the system can be told, it is already at work."""
    file = path.open("wb")
    try:
        file.writelines([content] if isinstance(content, bytes) else content)
        file.flush()
        if hasattr(os, "posix_fadvise"):
            with suppress(OSError):  # a hint: Linux begins to write what it is told is not needed
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    except BaseException:
        file.close()
        raise
    return file


def state_of(file: Path | os.DirEntry[str]) -> State | None:
    """What changes whenever the file does; None where there is none."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def stays_inside(folder: Path) -> Path:
    """A run's folder; HostError where it, or one in it, is a link that leads out of the runs
    folder: nothing is written where nobody looks for it.
    """
    inner = folder.iterdir() if folder.is_dir() else ()
    for link in (path for path in (folder, *inner) if path.is_symlink()):
        try:
            there = link.resolve()
        except (OSError, RuntimeError) as error:  # a loop: before Python 3.13 the latter
            where = f"{link}: must lead somewhere, is a loop of links"
            raise HostError(f"{where}; remove it") from error
        if not there.is_relative_to(folder.parent.resolve()):
            where = f"{link}: must lie in {folder.parent}, is a link to {there}"
            raise HostError(f"{where}; remove the link, or choose another --runs-dir")
    return folder


def _sync(descriptors: Sequence[int]) -> None:
    """Waits for the disk, for several files at a time: a disk flushes many as fast as one."""
    if len(descriptors) == 1:
        os.fsync(descriptors[0])
        return
    with ThreadPoolExecutor(SYNCED) as pool:
        list(pool.map(_sync_each, (descriptors[n::SYNCED] for n in range(SYNCED))))


def _sync_each(descriptors: Sequence[int]) -> None:
    for descriptor in descriptors:
        os.fsync(descriptor)


def _sync_folder(folder: Path) -> None:
    """Has the disk keep the names in the folder as they are, where the system can be asked to."""
    if os.name != "posix":  # a folder is nothing to open there
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in UNABLE:
            raise
    finally:
        os.close(descriptor)
