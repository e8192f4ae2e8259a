"""What a sampler is given: the space, and which trial it draws for."""

from collections.abc import Callable
from typing import NamedTuple

from hpsearch.search.distributions import Value
from hpsearch.search.space import Space


class Place(NamedTuple):
    """A trial's place in its stage: its number, a seed of its own, and the one of the stage."""

    number: int
    seed: int
    stage_seed: int


Sampler = Callable[[Space, Place], dict[str, Value]]
