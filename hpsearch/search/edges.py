"""Edges: does the best trial lie at a bound of the range that was searched?"""

from typing import Literal, NamedTuple

from hpsearch.search.space import Choice, Distribution, Range

Side = Literal["low", "high"]

OUTER = 0.05  # of the range, on its scale
DECADES = 0.1  # from a bound, for log scales


class OnEdge(NamedTuple):
    """The side, the best value's position (0 low bound, 1 high bound), and its distance from the
    bound on the scale (decades for log scales).
    """

    side: Side
    position: float
    distance: float


def best_on_edge(kind: Distribution, best: object) -> OnEdge | None:
    """The lecture's rule: a best value in the outer twentieth of the range, or within a tenth of
    a decade of a bound (of a tenth of the range, where that is less), is on the edge. A list of
    three or more numbers has edges too: its smallest and its largest.
    """
    if isinstance(kind, Choice):
        return _end_of_list(kind, best)
    if not isinstance(best, int | float) or (kind.log and best <= 0):
        return None
    low, high = map(kind.to_scale, kind.bounds)
    position = kind.position(best)
    near = max(OUTER, min(0.1, DECADES / (high - low))) if kind.log else OUTER
    if position <= near:
        return OnEdge("low", position, position * (high - low))
    if position >= 1 - near:
        return OnEdge("high", position, (1 - position) * (high - low))
    return None


def _end_of_list(kind: Choice, best: object) -> OnEdge | None:
    numbers = sorted(
        {v for v in kind.choice if isinstance(v, int | float) and not isinstance(v, bool)}
    )
    if len(numbers) < 3 or len(numbers) < len(set(map(repr, kind.choice))):
        return None
    if best == numbers[0]:
        return OnEdge("low", 0.0, 0.0)
    return OnEdge("high", 1.0, 0.0) if best == numbers[-1] else None


def crowding(kind: Range, top: list[float], side: Side) -> int:
    """How many of the (five) best values lie in the outer fifth of the range on that side."""
    places = [kind.position(value) for value in top]
    return sum(place >= 0.8 if side == "high" else place <= 0.2 for place in places)
