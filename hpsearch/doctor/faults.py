"""What an examination says of that which cannot be read."""

from collections.abc import Callable, Iterator
from pathlib import Path

from hpsearch import records
from hpsearch.errors import HostError
from hpsearch.verdict import Check, Verdict


def fault(name: str, said: str, fix: str) -> Check:
    return Check(name, Verdict.FAIL, None, None, said, fix)


def fault_of(name: str, error: Exception, fix: str = "") -> Check:
    """What a reader said; its remedy stands behind the first semicolon."""
    said, _, remedy = str(error).replace("\n", "; ").partition("; ")
    return fault(name, said, fix or remedy)


def safely(name: str, part: Callable[[], Iterator[Check]]) -> Iterator[Check]:
    """The checks of a part, the last of which says so where it cannot go on."""
    try:
        yield from part()
    except HostError as error:
        yield fault_of(name, error)
    except OSError as error:
        yield fault(name, f"{error.filename}: cannot be read: {error.strerror}", records.READABLE)


def content_of(path: Path) -> bytes | None:
    """What the file holds; None where that cannot be read, which is said where its turn comes."""
    try:
        return records.bytes_of(path)
    except HostError:
        return None
