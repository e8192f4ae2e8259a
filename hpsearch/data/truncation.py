"""What is said where a data file is cut short while it is mapped, which ends the process.

Nothing can be raised then: the system stops the thread where it reads what is no longer there, in
the middle of a call of NumPy's, and takes it up there again after a signal handler of Python's.
So this handler stands below Python's, and does not return.
"""

import ctypes
import faulthandler
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hpsearch.errors import DataError

SHOW_CURSOR = b"\x1b[?25h\r\n"
HANDLER = ctypes.CFUNCTYPE(None, ctypes.c_int)


@contextmanager
def truncation_said(path: Path | str) -> Iterator[None]:
    """Within, this process ends with a message about the data at `path`, and with a DataError's
    exit code, where a file that it maps is cut short. A worker forked meanwhile is killed by
    SIGBUS, as any process is without this: its parent is told so. Where another handler is asked
    for (`python -X faulthandler`), that one stays.
    """
    if not hasattr(signal, "SIGBUS") or faulthandler.is_enabled():
        yield
        return
    said = f"{path}: must stay as it is while it is in use, got: it was cut short, or its disk"
    said = f"{said} fails; leave it alone and run the command again"
    content = "".join(c if c.isprintable() else "?" for c in said).encode() + b"\n"
    owner, handle = os.getpid(), _handle()

    def end(number: int) -> None:
        if os.getpid() != owner:
            handle(number, None)  # and dies of it, at once
            return
        try:
            os.write(2, (SHOW_CURSOR if os.isatty(2) else b"") + content)
        finally:
            os._exit(DataError.exit_code)

    ours = HANDLER(end)
    handle(signal.SIGBUS, ctypes.cast(ours, ctypes.c_void_p))
    try:
        yield
    finally:
        handle(signal.SIGBUS, None)


def _handle() -> "ctypes._NamedFuncPointer":
    """The system's signal(number, handler), None for what it does by itself."""
    handle = ctypes.CDLL(None).signal
    handle.argtypes, handle.restype = [ctypes.c_int, ctypes.c_void_p], ctypes.c_void_p
    return handle
