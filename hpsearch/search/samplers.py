"""Samplers: a trial's hparams as a pure function of its seed. One function each, in SAMPLERS."""

import hashlib
from collections.abc import Callable

import numpy as np

from hpsearch.search.space import Space, Value

Sampler = Callable[[Space, int], dict[str, Value]]


def _random(space: Space, seed: int) -> dict[str, Value]:
    """Independent draws. Each hparam has a stream of its own, so that adding one to the space
    leaves the others' draws as they were.
    """
    return {name: kind.sample(_stream(seed, name)) for name, kind in space.items()}


def _stream(seed: int, name: str) -> np.random.Generator:
    digest = hashlib.blake2b(name.encode(), digest_size=8).digest()
    return np.random.default_rng([seed, 2, int.from_bytes(digest, "big")])


SAMPLERS: dict[str, Sampler] = {"random": _random}
