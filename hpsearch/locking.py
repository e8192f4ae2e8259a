"""One writer per run: a lock that dies with its owner, and the word of who that is."""

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from hpsearch.atomic import make_folder
from hpsearch.errors import HostError

NAME = ".lock"
LOOKS, PAUSE = 20, 0.01  # for the name of an owner who has only just become one; seconds


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Holds the folder for one process, at once or not at all; HostError says who holds it."""
    path = folder / NAME
    lock = FileLock(path, timeout=0)
    try:
        make_folder(folder)
        lock.acquire()
    except Timeout as error:
        raise HostError(
            f"{folder}: another hpsearch{_owner(path)} writes this run; wait for it, stop it, or"
            " use --run NAME"
        ) from error
    except OSError as error:
        raise HostError(f"{folder}: {error}; choose another --runs-dir") from error
    try:
        _sign(path)
        yield
    finally:
        lock.release()


def _sign(path: Path) -> None:
    """Says in the lock's own file, which must stay the same file, who holds it."""
    now = datetime.now().astimezone().isoformat(" ", "seconds")
    who = {"process": os.getpid(), "host": socket.gethostname(), "since": now}
    with suppress(OSError), path.open("r+b") as file:  # the lock holds also where this fails
        file.truncate()
        file.write(json.dumps(who).encode())


def _owner(path: Path) -> str:
    """Who holds the lock, where that can be told; one that is gone has not held it for long."""
    for _ in range(LOOKS):
        with suppress(OSError, ValueError, TypeError, KeyError):
            who = json.loads(path.read_bytes())
            if _may_live(who):
                return f" (process {who['process']} on {who['host']}, since {who['since']})"
        time.sleep(PAUSE)
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
