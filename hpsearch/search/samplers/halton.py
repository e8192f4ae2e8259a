"""Scrambled Halton points: every hparam has a prime base, and its digits are permuted.

Halton 1960; a permutation per digit and base, drawn from the seed, as in Owen 2017 (A randomized
Halton algorithm in R, arXiv 1706.02808). The hparams take the primes in the order of the space:
one added at its end leaves the others' draws as they were.
"""

import math
from functools import cache

from hpsearch.search.distributions import Value
from hpsearch.search.samplers.independent import stream
from hpsearch.search.samplers.place import Place
from hpsearch.search.space import Space

BITS = 53  # of a float: further digits change nothing
BELOW_ONE: float = 1 - 2**-BITS


def draw(space: Space, place: Place) -> dict[str, Value]:
    """The stage's point with the trial's number, a coordinate per hparam."""
    return {
        name: kind.at(scrambled(place.number, prime(at), place.stage_seed, name))
        for at, (name, kind) in enumerate(space.items())
    }


def scrambled(number: int, base: int, seed: int, name: str) -> float:
    """The number's digits in the base mirrored at the point (6 = 110 in base 2 gives 0.011), every
    one permuted, also the zeros that follow; in [0, 1).
    """
    permutations, rest = _permutations(base, seed, name)
    share, unit, digits = 0.0, 1.0, 0
    while number and digits < len(permutations):
        number, digit = divmod(number, base)
        unit /= base
        share += permutations[digits][digit] * unit
        digits += 1
    return min(share + rest[digits], BELOW_ONE)


@cache
def _permutations(base: int, seed: int, name: str) -> tuple[list[list[int]], list[float]]:
    """A permutation for every digit, and what all the zeros from each digit on amount to."""
    rng, digits = stream(seed, name), math.ceil(BITS / math.log2(base))
    permutations = [rng.permutation(base).tolist() for _ in range(digits)]
    rest = [0.0]
    for at in range(digits - 1, -1, -1):
        rest.append(rest[-1] + permutations[at][0] / base ** (at + 1))
    return permutations, rest[::-1]


@cache
def prime(at: int) -> int:
    """The prime number with this index: 2, 3, 5, ..."""
    number = 2 if at == 0 else prime(at - 1) + 1
    while any(number % divisor == 0 for divisor in range(2, math.isqrt(number) + 1)):
        number += 1
    return number
