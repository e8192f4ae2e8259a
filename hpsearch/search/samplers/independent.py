"""The random sampler: independent draws."""

import hashlib
from functools import cache

import numpy as np

from hpsearch.search.distributions import Value
from hpsearch.search.samplers.place import Place
from hpsearch.search.space import Space


def draw(space: Space, place: Place) -> dict[str, Value]:
    """Independent draws. Each hparam has a stream of its own, so that adding one to the space
    leaves the others' draws as they were.
    """
    return {name: kind.sample(stream(place.seed, name)) for name, kind in space.items()}


def stream(seed: int, name: str) -> np.random.Generator:
    """`default_rng([seed, 2, digest of the name])`, which takes twice as long to say so."""
    words = np.array([*_words(seed), 2, *digest(name)], np.uint32)
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(words)))


@cache
def digest(name: str) -> tuple[int, ...]:
    """64 bits of a name, 32 at a time."""
    found = hashlib.blake2b(name.encode(), digest_size=8).digest()
    return _words(int.from_bytes(found, "big"))


def _words(number: int) -> tuple[int, ...]:
    """A number below 2^64 as NumPy's seeds take it: 32 bits at a time, the lowest first."""
    low, high = number & 0xFFFF_FFFF, number >> 32
    return (low, high) if high else (low,)
