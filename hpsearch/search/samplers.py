"""Samplers: a trial's hparams as a pure function of its seed. One function each, in SAMPLERS."""

import hashlib
from collections.abc import Callable
from functools import cache

import numpy as np

from hpsearch.search.space import Space, Value

Sampler = Callable[[Space, int], dict[str, Value]]


def _random(space: Space, seed: int) -> dict[str, Value]:
    """Independent draws. Each hparam has a stream of its own, so that adding one to the space
    leaves the others' draws as they were.
    """
    return {name: kind.sample(_stream(seed, name)) for name, kind in space.items()}


def _stream(seed: int, name: str) -> np.random.Generator:
    """`default_rng([seed, 2, digest of the name])`, which takes twice as long to say so."""
    words = np.array([*_words(seed), 2, *_digest(name)], np.uint32)
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(words)))


@cache
def _digest(name: str) -> tuple[int, ...]:
    digest = hashlib.blake2b(name.encode(), digest_size=8).digest()
    return _words(int.from_bytes(digest, "big"))


def _words(number: int) -> tuple[int, ...]:
    """A number below 2^64 as NumPy's seeds take it: 32 bits at a time, the lowest first."""
    low, high = number & 0xFFFF_FFFF, number >> 32
    return (low, high) if high else (low,)


SAMPLERS: dict[str, Sampler] = {"random": _random}
