"""A checksum at the end of every record: whatever changed of the file since is noticed.

It is CRC-32 over all bytes before it: sure to see what changes within four bytes, and misses one
in 2^32 of all else. A JSON file has it as its last key, an .npz archive in its comment, so that
both stay readable to everyone. A file without a trace of it, from before there was one or
because someone who changed it took it out, passes unchecked.
"""

import re
import zlib

KEY = b',\n"checksum": "crc32:'
COMMENT = b"checksum crc32:"
DIGITS = 8
LAST = 64  # bytes at the end of a file that a seal may be in
MOVED = re.compile(rb'"checksum"\s*:\s*"crc32:')  # by who wrote the JSON again
TRACE = re.compile(rb'"checksum"|crc32:')  # which no other record ends in
ENDS = slice(-22, -18), b"PK\5\6"  # an archive without a comment
NAMED = 3

unvouched: list[str] = []  # of the records opened since it was last cleared, the first without one


class Changed(ValueError):
    """The bytes are not those that were sealed."""

    def __init__(self) -> None:
        super().__init__("changed since it was written: its checksum is another")


def sealed(text: str) -> bytes:
    """A JSON object that is not empty, its checksum added as the last key."""
    return _closed(text.rstrip().removesuffix("}").rstrip().encode())


def opened(content: bytes, name: str = "") -> bytes:
    """The JSON without its checksum, Changed where that does not hold. The `name` of what has
    none is remembered among the `unvouched`.
    """
    body, mark, _ = content.rpartition(KEY)
    if mark and content == _closed(body):
        return body + b"\n}\n"
    if TRACE.search(content[-LAST:]) or MOVED.search(content):
        raise Changed
    if len(unvouched) < NAMED:
        unvouched.append(name)
    return content


def is_sealed(content: bytes) -> bool:
    """Whether a JSON file has a checksum, be it right or wrong."""
    return KEY in content


def sealed_archive(content: bytes) -> bytes:
    """A zip archive that has no comment, its checksum added as one."""
    size = len(COMMENT) + DIGITS
    body = content[:-2] + size.to_bytes(2, "little") + COMMENT
    return body + _digits(body)


def check_archive(content: bytes) -> None:
    """Raises Changed where the archive's checksum does not hold, or its end is no archive's."""
    body, digits = content[:-DIGITS], content[-DIGITS:]
    if body.endswith(COMMENT) and digits == _digits(body):
        return
    place, mark = ENDS
    if content[place] != mark or content[-2:] != bytes(2):
        raise Changed


def _closed(body: bytes) -> bytes:
    return body + KEY + _digits(body) + b'"\n}\n'


def _digits(body: bytes) -> bytes:
    return b"%08x" % zlib.crc32(body)
