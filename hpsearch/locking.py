"""One writer per run: a lock that dies with its owner, and the word of who that is."""

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from hpsearch.atomic import FIXES, changing, make_folder
from hpsearch.errors import HostError

NAME = ".lock"
LOOKS, PAUSE = 50, 0.01  # at a lock whose named owner is gone; seconds between them


@dataclass(frozen=True)
class Held:
    """A folder that this process holds by the lock file in it, which nobody can have replaced by
    another with the same number while it is open here.
    """

    folder: Path
    file: tuple[int, int]

    @property
    def there(self) -> bool:
        """Whether it lies where it lay: neither moved nor deleted, nor another made since."""
        return _identity(self.folder / NAME) == self.file

    @contextmanager
    def kept(self) -> Iterator[None]:
        """To write in. HostError where it does not lie there any more, be it while it is written:
        what is written then would lie in a folder of its own.
        """
        self._require()
        try:
            yield
        except HostError:
            self._require()
            raise

    def _require(self) -> None:
        if not self.there:
            raise HostError(
                f"{self.folder}: was moved or deleted, or the .lock in it, while this hpsearch"
                " wrote it, which ends here; run it again where the folder is now"
            )


@contextmanager
def locked(folder: Path) -> Iterator[Held]:
    """Holds the folder for one process, at once or not at all; it is made if need be, and goes if
    nothing was written into it. HostError says who holds it, or that the disk has no locks: a
    file in the place of one would outlive its owner.
    """
    path, first = folder / NAME, not folder.parent.exists()
    with changing(folder):
        make_folder(folder)
    try:
        lock = _taken(path)
    except OSError as error:
        reason = error.strerror or str(error)
        fix = FIXES.get(error.errno or 0, "choose another --runs-dir, on a local disk")
        fix = f"remove {path}" if path.is_dir() else fix
        raise HostError(f"{folder}: cannot be locked: {reason}; {fix}") from error
    held = Held(folder, _identity(path))
    try:
        _sign(path)
        yield held
    finally:
        if held.there:
            _leave_nothing_empty(folder, first=first)
        lock.release()


def _leave_nothing_empty(folder: Path, *, first: bool) -> None:
    """A command that was refused before it wrote anything leaves no folder, nor, if it was the
    `first`, one for runs.
    """
    with suppress(OSError):  # where others have begun a run since, or the disk is what refused
        if [path.name for path in folder.iterdir()] == [NAME] and not folder.is_symlink():
            (folder / NAME).unlink()
            folder.rmdir()
            if first:
                folder.parent.rmdir()


def _identity(path: Path) -> tuple[int, int]:
    """Which file it is: its device and its number there; (0, 0) where it is none."""
    try:
        found = path.stat()
    except OSError:
        return 0, 0
    return found.st_dev, found.st_ino


def _taken(path: Path) -> FileLock:
    """The lock. Where who is named in it is gone, it is looked at again: a new owner is about to
    sign, or a worker that the old one had just forked has yet to run, and to let go of it.
    """
    lock = FileLock(path, timeout=0, fallback_to_soft=False)
    for _ in range(LOOKS):
        with suppress(Timeout):
            lock.acquire()
            return lock
        if owner := _owner(path):
            break
        time.sleep(PAUSE)
    raise HostError(
        f"{path.parent}: another hpsearch{owner} writes this run; wait for it, stop it, or use"
        " --run NAME"
    )


def _sign(path: Path) -> None:
    """Says in the lock's own file, which must stay the same file, who holds it."""
    now = datetime.now().astimezone().isoformat(" ", "seconds")
    who = {"process": os.getpid(), "host": socket.gethostname(), "since": now}
    with suppress(OSError), path.open("r+b") as file:  # the lock holds also where this fails
        file.truncate()
        file.write(json.dumps(who).encode())


def _owner(path: Path) -> str:
    """Who holds the lock, where that can be told."""
    with suppress(OSError, ValueError, TypeError, KeyError, OverflowError, RecursionError):
        who = json.loads(path.read_bytes())
        if _may_live(who):
            return f" (process {who['process']} on {who['host']}, since {who['since']})"
    return ""


def _may_live(who: dict[str, Any]) -> bool:
    """Whether the process is there; of another machine's nobody knows."""
    if who["host"] != socket.gethostname() or os.name != "posix":
        return True
    try:
        os.kill(int(who["process"]), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
