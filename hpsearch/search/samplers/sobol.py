"""Scrambled Sobol points: every hparam has one of the first 2^m in each 2^m-th of its range.

Sobol 1967 in the order of Gray codes (Antonov & Saleev 1979), with the direction numbers of Joe
& Kuo 2008 (Constructing Sobol sequences with better two-dimensional projections; their table
new-joe-kuo-6.21201), scrambled as Owen 1995 by the hash of Laine & Karras 2011, with the
constants of Burley 2020 (Practical Hash-based Owen Scrambling). The hparams take the dimensions
in the order of the space: one added at its end leaves the others' draws as they were.
"""

from functools import cache

from hpsearch.search.distributions import Value
from hpsearch.search.samplers.independent import stream
from hpsearch.search.samplers.place import Place
from hpsearch.search.space import Space

BITS = 32
MASK = 2**BITS - 1

# For each dimension after the first: the polynomial's inner coefficients a, and m_1 .. m_s.
TABLE: tuple[tuple[int, tuple[int, ...]], ...] = (
    (0, (1,)), (1, (1, 3)), (1, (1, 3, 1)), (2, (1, 1, 1)), (1, (1, 1, 3, 3)),
    (4, (1, 3, 5, 13)), (2, (1, 1, 5, 5, 17)), (4, (1, 1, 5, 5, 5)), (7, (1, 1, 7, 11, 19)),
    (11, (1, 1, 5, 1, 1)), (13, (1, 1, 1, 3, 11)), (14, (1, 3, 5, 5, 31)),
    (1, (1, 3, 3, 9, 7, 49)), (13, (1, 1, 1, 15, 21, 21)), (16, (1, 3, 1, 13, 27, 49)),
    (19, (1, 1, 1, 15, 7, 5)), (22, (1, 3, 1, 15, 13, 25)), (25, (1, 1, 5, 5, 19, 61)),
    (1, (1, 3, 7, 11, 23, 15, 103)), (4, (1, 3, 7, 13, 13, 15, 69)),
    (7, (1, 1, 3, 13, 7, 35, 63)), (8, (1, 3, 5, 9, 1, 25, 53)), (14, (1, 3, 1, 13, 9, 35, 107)),
    (19, (1, 3, 1, 5, 27, 61, 31)), (21, (1, 1, 5, 11, 19, 41, 61)),
    (28, (1, 3, 5, 3, 3, 13, 69)), (31, (1, 1, 7, 13, 1, 19, 1)), (32, (1, 3, 7, 5, 13, 19, 59)),
    (37, (1, 1, 3, 9, 25, 29, 41)), (41, (1, 3, 5, 13, 23, 1, 55)),
    (42, (1, 3, 7, 3, 13, 59, 17)),
)  # fmt: skip
DIMENSIONS = len(TABLE) + 1


def draw(space: Space, place: Place) -> dict[str, Value]:
    """The stage's point with the trial's number, a coordinate per hparam."""
    return {
        name: kind.at((scrambled(place.number, at, _seed(place.stage_seed, name)) + 0.5) / 2**BITS)
        for at, (name, kind) in enumerate(space.items())
    }


def point(number: int, dimension: int) -> int:
    """The coordinate as a whole number of 2^-32."""
    gray, found = number ^ (number >> 1), 0
    for direction in directions(dimension):
        if gray & 1:
            found ^= direction
        gray >>= 1
    return found


def scrambled(number: int, dimension: int, seed: int) -> int:
    """The coordinate with each bit flipped or not, as the bits before it and the seed decide."""
    x = (_reversed(point(number, dimension)) + seed) & MASK
    for factor in (0x6C50B47C, 0xB82F1E52, 0xC7AFE638, 0x8D22F6E6):
        x ^= (x * factor) & MASK
    return _reversed(x)


@cache
def directions(dimension: int) -> tuple[int, ...]:
    """v_1 .. v_32 of a dimension, the first being 0, as whole numbers of 2^-32."""
    if dimension == 0:
        return tuple(1 << (BITS - at) for at in range(1, BITS + 1))
    inner, initial = TABLE[dimension - 1]
    degree = len(initial)
    found = [m << (BITS - at) for at, m in enumerate(initial, 1)]
    for at in range(degree, BITS):
        value = found[at - degree] ^ (found[at - degree] >> degree)
        for k in range(1, degree):
            if inner >> (degree - 1 - k) & 1:
                value ^= found[at - k]
        found.append(value)
    return tuple(found)


@cache
def _seed(stage_seed: int, name: str) -> int:
    return int(stream(stage_seed, name).integers(2**BITS))


def _reversed(x: int) -> int:
    return int(f"{x:0{BITS}b}"[::-1], 2)
