"""A disk that breaks at its k-th change, and one that says what a power loss would leave.

`Disk` stands between the program and the calls by which files below a folder change: it numbers
them, and at the k-th the machine dies (nothing changes from then on, whatever cleans up), or the
call fails. `PowerLoss` plays a list of such calls again, and forgets what no fsync has asked for.
"""

import io
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PASSING = ".live.json"
WHEN = ("before", "half-way", "after")
Op = tuple[Any, ...]


class Killed(BaseException):
    """The process is dead."""


@dataclass
class Disk:
    """`at` is the number of the change that breaks, from 1; without `errno` the process dies
    there, `when` before it, after it, or when half of what is written is.
    """

    root: Path
    at: int = 0
    when: str = "before"
    errno: int = 0
    for_ever: bool = False
    trace: list[Op] = field(default_factory=list)
    dead: bool = False
    told: int = 0  # changes so far
    broken: Op = ()  # the first that did not work
    lock: Any = field(default_factory=threading.RLock)

    def step(self, op: Op, do: Callable[[], Any], half: Callable[[], Any] | None = None) -> Any:
        with self.lock:
            if self.dead:
                raise Killed
            self.told += 1
            if not self._breaks():
                found = do()
                self.trace.append(op)
                return found
            self.broken = self.broken or op
            if self.errno:
                if half:
                    half()
                raise OSError(self.errno, os.strerror(self.errno), str(op[1]))
            self._die(do, half)

    def _breaks(self) -> bool:
        return self.told == self.at or (self.for_ever and self.told > self.at > 0)

    def _die(self, do: Callable[[], Any], half: Callable[[], Any] | None) -> None:
        self.dead = True
        if self.when == "after":
            _close(do())
        elif self.when == "half-way" and half:
            half()
        raise Killed

    def below(self, path: Any) -> Path | None:
        """The path relative to the root; None where it does not lie below it, or tells only who
        watches, at times that a clock decides.
        """
        if isinstance(path, int):
            path = Path(f"/proc/self/fd/{path}").readlink()
        found = Path(os.fsdecode(path)).absolute()
        if not found.is_relative_to(self.root):
            return None
        if PASSING in found.name:
            if self.dead:
                raise Killed
            return None
        return found.relative_to(self.root)

    @contextmanager
    def between(self) -> Iterator["Disk"]:
        """Stands in the way of `os` and `io.open` while it lasts."""
        real = {name: getattr(os, name) for name in SIMPLE}
        plain = io.open
        for name in SIMPLE:
            setattr(os, name, self._instead(name, real[name]))
        io.open = self._opening(plain)
        try:
            yield self
        finally:
            io.open = plain
            for name in SIMPLE:
                setattr(os, name, real[name])

    def _instead(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(path: Any, *args: Any, **kwargs: Any) -> Any:
            place = self.below(path)
            if place is None:
                return real(path, *args, **kwargs)
            more = [self.below(args[0])] if name == "replace" else []
            return self.step((name, place, *more), lambda: real(path, *args, **kwargs))

        return call

    def _opening(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(path: Any, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
            place = self.below(path) if "w" in mode else None
            if place is None:
                return real(path, mode, *args, **kwargs)
            made = self.step(("create", place), lambda: real(path, mode, *args, **kwargs))
            return Written(self, place, made)

        return call


def _close(opened: Any) -> None:
    """What a process that dies leaves open, the system closes."""
    if isinstance(opened, int):
        os.close(opened)
    elif opened is not None and hasattr(opened, "close"):
        opened.close()


SIMPLE = ("open", "mkdir", "fsync", "replace", "unlink", "rmdir")


class Written:
    """A file that is open for writing."""

    def __init__(self, disk: Disk, place: Path, real: Any) -> None:
        self.disk, self.place, self.real = disk, place, real

    def writelines(self, pieces: Any) -> None:
        content = b"".join(pieces)
        self.disk.step(
            ("write", self.place, content), lambda: self.real.write(content),
            lambda: (self.real.write(content[: len(content) // 2]), self.real.flush()),
        )  # fmt: skip

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    def __enter__(self) -> "Written":
        return self

    def __exit__(self, *_: object) -> None:
        self.real.close()


@dataclass
class File:
    """What is in a file, and what of it is sure to be on the disk."""

    live: bytes = b""
    sure: bytes | None = None


class PowerLoss:
    """The disk's state after some calls, as far as the system has been told to keep it."""

    def __init__(self, trace: list[Op]) -> None:
        self.live: dict[Path, File | None] = {Path(): None}  # None: a folder
        self.sure: dict[Path, File | None] = {Path(): None}
        for name, path, *more in trace:
            getattr(self, f"_{name}")(path, *more)

    def _mkdir(self, path: Path) -> None:
        self.live[path] = None

    def _create(self, path: Path) -> None:
        self.live[path] = File()

    def _write(self, path: Path, content: bytes) -> None:
        self._file(path).live = content

    def _open(self, path: Path) -> None:
        if path not in self.live:  # the lock
            self.live[path] = File(sure=b"")

    def _fsync(self, path: Path) -> None:
        found = self.live[path]
        if isinstance(found, File):
            found.sure = found.live
            return
        gone = [p for p in self.sure if p.parent == path and p != path and p not in self.live]
        for each in gone:
            del self.sure[each]
        self.sure |= {p: f for p, f in self.live.items() if p.parent == path}

    def _replace(self, path: Path, target: Path) -> None:
        self.live[target] = self.live.pop(path)

    def _unlink(self, path: Path) -> None:
        self.live.pop(path, None)

    _rmdir = _unlink

    def _file(self, path: Path) -> File:
        found = self.live[path]
        assert found is not None
        return found

    def left(self, root: Path, *, names: str, data: str) -> None:
        """Writes below `root` what is there when the power is back: of what was not synced, names
        are "lost" or "kept", data "dropped", "zeroed" or "torn".
        """
        found = self.sure if names == "lost" else self.live
        for path in sorted(found):
            if all(parent in found for parent in path.parents):
                content = found[path]
                if content is None:
                    (root / path).mkdir(exist_ok=True)
                else:
                    (root / path).write_bytes(_after(content, data))


def _after(file: File, data: str) -> bytes:
    if file.sure == file.live:
        return file.live
    if data == "dropped":
        return file.sure or b""
    return bytes(len(file.live)) if data == "zeroed" else file.live[: len(file.live) // 2]
