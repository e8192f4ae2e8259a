"""Tasks that end badly, importable by a worker in little time."""

import ctypes
import os
import signal
from pathlib import Path

from hpsearch.errors import DataError, Stopped

BAD = ("kill", "exit", "segfault", "limit", "hang", "memory", "bug", "error", "unportable")


class Unportable(Exception):
    """Cannot be rebuilt from its arguments."""

    def __init__(self, one, two):
        super().__init__(one)


def break_down(how):
    """One of the ways in which a task ends badly."""
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "exit":
        os._exit(7)
    if how == "bus":
        os.kill(os.getpid(), signal.SIGBUS)
    if how == "segfault":
        ctypes.string_at(0)
    if how == "limit":
        _fill_memory()
    while how == "hang":
        pass
    raise {
        "memory": MemoryError("no room"), "bug": ZeroDivisionError("a bug"),
        "error": DataError("the data are bad"), "unportable": Unportable("one", "two"),
    }[how]  # fmt: skip


def _fill_memory():
    """Takes more than this process may."""
    import resource

    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 2**26, resource.RLIM_INFINITY))
    bytearray(2**27)


def work(task, steps, stop):
    """What the workers of these tests do."""
    if task in BAD:
        break_down(task)
    if task == "unpicklable":
        return lambda: None
    if task == "wait":
        steps(5)
        assert stop.wait(60)
        raise Stopped("as told")
    return task, os.getpid()
