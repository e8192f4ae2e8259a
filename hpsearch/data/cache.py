"""Decoded images, kept in the user's cache folder; without one, they are decoded each time."""

import contextlib
import hashlib
import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from hpsearch.data.arrays import archive
from hpsearch.errors import DataError

FORMAT = 2
UNFINISHED = ".unfinished-"
ENTRY = re.compile(r"[0-9a-f]{64}\.npz")


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


def path_of(entry: str) -> Path:
    """Where an entry lies, if it does."""
    return folder() / f"{entry}.npz"


def read(entry: str, *, rows: int) -> NDArray[np.uint8] | None:
    """The images (rows, H, W, C), large ones as a read-only map of the file; None where there are
    none, or none that can be read. DataError where they are not what was written: an archive has
    a checksum, which is compared here.
    """
    path = path_of(entry)
    try:
        if not path.exists():
            return None
    except (OSError, RuntimeError):
        return None
    images = images_in(path)
    if len(images) != rows:
        raise DataError(f"{path}: must hold {rows} images, holds {len(images)}; delete it")
    return images


def images_in(path: Path) -> NDArray[np.uint8]:
    """An entry's images (N, H, W, C); DataError where they are not as they were written."""
    found = archive(path).get("images")
    images: NDArray[Any] = np.empty(0) if found is None else found.read()
    if images.dtype != np.uint8 or images.ndim != 4:
        raise DataError(f"{path}: must hold (N, H, W, C) bytes, holds others; delete it")
    return images


def damaged() -> Iterator[tuple[Path, str]]:
    """The entries that are not as they were written, and why: everything in the cache is read."""
    for path in entries():
        try:
            images_in(path)
        except DataError as error:
            yield path, str(error).partition("; ")[0]


def entries() -> list[Path]:
    """Everything in the cache; nothing where there is none."""
    with contextlib.suppress(OSError, RuntimeError):
        return sorted(path for path in folder().glob("*.npz") if ENTRY.fullmatch(path.name))
    return []


def write(entry: str, images: NDArray[np.uint8]) -> None:
    """Keep `images`, whole or not at all; a folder that cannot be written, or in which somebody
    else writes just now, is no error. What a writer left that was killed is removed.
    """
    with contextlib.suppress(OSError, RuntimeError):
        folder().mkdir(parents=True, exist_ok=True)
        with FileLock(folder() / ".lock", timeout=0):
            for left in folder().glob(f"{UNFINISHED}*.tmp"):
                left.unlink()
            _replace(path_of(entry), images)


def _replace(path: Path, images: NDArray[np.uint8]) -> None:
    handle, beside = tempfile.mkstemp(dir=path.parent, prefix=UNFINISHED, suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            np.savez(file, images=images)
            file.flush()
            os.fsync(file.fileno())
        Path(beside).replace(path)
    except BaseException:
        Path(beside).unlink(missing_ok=True)
        raise
