"""Files and folders as users name them: checked before anything is read or allocated."""

import json
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from hpsearch.data.dataset import Source
from hpsearch.errors import DataError

BOMB = 2**26  # bytes: less is no harm
BOMB_RATIO = 500  # deflate has at most 1032, images of digits 10, zeros and ones 100


def quoted(text: object) -> str:
    """Text of a file as a message may show it: one line, short, control characters escaped."""
    shown = json.dumps(str(text)[:60], ensure_ascii=False)
    more = "..." if len(str(text)) > 60 else ""
    return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in shown) + more


def is_utf8(text: str) -> bool:
    """Whether it is text to others too: a file's name may hold bytes that are none."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn what the operating system says about `path` into a DataError."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error) or type(error).__name__
        raise DataError(
            f"{path}: must be readable, got: {reason}; check the file and its permissions"
        ) from error


def needed_path(source: Source) -> Path:
    """The source's path, or a DataError where none is given."""
    if source.path is None:
        raise DataError(
            f"data.path: needed for source {source.source}, got none; "
            "name the file or folder that holds the data"
        )
    return source.path


def needed_file(path: Path) -> Path:
    """`path`, or a DataError where it is not a regular file with something in it."""
    with reading(path):
        _must_exist(path)
        if not path.is_file():
            kind = "a folder" if path.is_dir() else "a device or pipe"
            raise DataError(f"{path}: must be a file, got {kind}; name the file itself")
        if path.stat().st_size == 0:
            raise DataError(f"{path}: must hold data, got an empty file; save it again")
    return path


def needed_folder(path: Path) -> Path:
    """`path`, or a DataError where it is not a folder."""
    with reading(path):
        _must_exist(path)
        if not path.is_dir():
            raise DataError(f"{path}: must be a folder, got a file; name the folder that holds it")
    return path


def _must_exist(path: Path) -> None:
    if not path.exists():
        raise DataError(
            f"{path}: must exist, found nothing there; correct data.path (--set data.path=...)"
        )


def explicit_splits(source: Source, own: Collection[str] = ()) -> dict[str, Path]:
    """The files or folders that the config names for `validation` and `test`.

    DataError where the source brings that split along already (`own`).
    """
    shares = {"validation": source.validation, "test": source.test}
    found = {name: share for name, share in shares.items() if isinstance(share, str)}
    for name in found:
        if name in own:
            raise own_split_error(source, name)
    return {name: source.base / share for name, share in found.items()}


def own_split_error(source: Source, name: str) -> DataError:
    """For a split that is both in the data and asked for in the config."""
    asked = source.validation if name == "validation" else source.test
    without = ", or set it to 0 to go without" if name == "test" else ""
    return DataError(
        f"data.split.{name}: {source.path or source.source} has its own {name} split, got {asked} "
        f"as well; leave data.split.{name} out{without}"
    )


def no_bomb(path: Path, packed: int, unpacked: int) -> None:
    """DataError where so few bytes unpack to so many that nobody's numbers are in them."""
    if unpacked > BOMB and unpacked > BOMB_RATIO * packed:
        raise DataError(
            f"{path}: must unpack to at most {BOMB_RATIO} times its {packed:,} bytes, announces "
            f"{unpacked:,}; store it unpacked"
        )


def fits_memory(place: str, nbytes: int) -> None:
    """DataError where `nbytes` are more than this machine's memory."""
    try:
        limit = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        limit = 2**36
    if nbytes > limit:
        raise DataError(
            f"{place}: must fit into memory ({limit / 2**30:.0f} GiB), announces "
            f"{nbytes / 2**30:.0f} GiB; use fewer rows, or check that the file is not damaged"
        )
