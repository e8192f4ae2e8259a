"""Files changed a few bytes at a time: flipped, put in, taken out."""

import random
from collections.abc import Iterator

MOST = 8  # bytes put in or taken out


def mutations(content: bytes, seed: int) -> Iterator[bytes]:
    """The content changed at random, for ever; never as it was."""
    rng = random.Random(seed)
    while True:
        changed = rng.choice([_flipped, _inserted, _deleted, _swapped, _cut])(content, rng)
        if changed != content:
            yield changed


def _flipped(content: bytes, rng: random.Random) -> bytes:
    """One bit."""
    at = rng.randrange(len(content))
    return content[:at] + bytes([content[at] ^ 1 << rng.randrange(8)]) + content[at + 1 :]


def _swapped(content: bytes, rng: random.Random) -> bytes:
    """A digit or letter for another, which leaves JSON what it is."""
    at = rng.randrange(len(content))
    return content[:at] + rng.choice(b"0123456789eE-. ,n").to_bytes() + content[at + 1 :]


def _inserted(content: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(content) + 1)
    return content[:at] + rng.randbytes(rng.randint(1, MOST)) + content[at:]


def _deleted(content: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(content))
    return content[:at] + content[at + rng.randint(1, MOST) :]


def _cut(content: bytes, rng: random.Random) -> bytes:
    return content[: rng.randrange(len(content))]
