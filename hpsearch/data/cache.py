"""Decoded images, kept in the user's cache folder; without one, they are decoded each time."""

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

FORMAT = 1


def folder() -> Path:
    """`$HPSEARCH_CACHE_DIR`, else `hpsearch` in `$XDG_CACHE_HOME` or `~/.cache`."""
    if own := os.environ.get("HPSEARCH_CACHE_DIR"):
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()) / "hpsearch"


def key(files: Sequence[tuple[str, int, int]]) -> str:
    """The name of an entry: sha256 over (path, bytes, time of change) of every file, in order."""
    digest = hashlib.sha256(f"hpsearch images {FORMAT}".encode())
    for path, size, changed in files:
        digest.update(f"\0{path}\0{size}\0{changed}".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def read(entry: str, *, rows: int) -> NDArray[np.uint8] | None:
    """The images (rows, H, W, C) as a read-only map of the file; None where it is not usable."""
    try:
        images = np.load(folder() / f"{entry}.npy", mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError, RuntimeError):
        return None
    usable = images.dtype == np.uint8 and images.ndim == 4 and len(images) == rows
    return np.asarray(images) if usable else None


def write(entry: str, images: NDArray[np.uint8]) -> None:
    """Keep `images`, whole or not at all; a folder that cannot be written is no error."""
    with contextlib.suppress(OSError, RuntimeError):
        folder().mkdir(parents=True, exist_ok=True)
        handle, beside = tempfile.mkstemp(dir=folder(), suffix=".tmp")
        try:
            with os.fdopen(handle, "wb") as file:
                np.save(file, images, allow_pickle=False)
                file.flush()
                os.fsync(file.fileno())
            Path(beside).replace(folder() / f"{entry}.npy")
        except BaseException:
            Path(beside).unlink(missing_ok=True)
            raise
