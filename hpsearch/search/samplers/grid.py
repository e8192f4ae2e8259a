"""The grid, for teaching (random search tries more values of each hparam): a space of lists."""

from math import prod

from hpsearch.search.distributions import (
    MOST_VALUES,
    Bounded,
    Choice,
    Drawn,
    Item,
    ZeroOrLogUniform,
)
from hpsearch.search.space import Distribution, Space


def grid(space: Space, trials: int) -> dict[str, Distribution]:
    """The space with every range replaced by a list: its bounds and points evenly between them
    on its scale, as many for each as all together allow in so many trials. Lists stay whole, so
    that those alone may have more combinations than there are trials.
    """
    counts = _counts(space, trials)
    return {
        name: Choice(choice=_points(kind, counts[name]), when=kind.when)
        if isinstance(kind, Bounded) else kind
        for name, kind in space.items()
    }  # fmt: skip


def _counts(space: Space, trials: int) -> dict[str, int]:
    """How many points each hparam has: one more in turn, while the trials are enough."""
    most = {name: _most(kind) for name, kind in space.items()}
    counts = {n: 1 if isinstance(k, Bounded) else most[n] for n, k in space.items()}
    growing = [name for name in space if counts[name] < most[name]]
    while growing:
        for name in tuple(growing):
            others = prod(counts.values()) // counts[name]
            if counts[name] < most[name] and others * (counts[name] + 1) <= trials:
                counts[name] += 1
            else:
                growing.remove(name)
    return counts


def _most(kind: Drawn) -> int:
    if isinstance(kind, Bounded) and kind.integer:
        low, high = kind.bounds
        return min(int(high - low) + 1, MOST_VALUES)
    return len(kind.values or ()) if isinstance(kind, Choice) else MOST_VALUES


def _points(kind: Bounded, count: int) -> list[Item]:
    """So many values from bound to bound, the middle where it is one; 0 among them where it may
    be drawn.
    """
    zeros: list[Item] = []
    if isinstance(kind, ZeroOrLogUniform) and kind.zero_or_log_uniform.zero > 0 and count > 1:
        zeros, count = [0.0], count - 1
    places = [n / (count - 1) for n in range(count)] if count > 1 else [0.5]
    return [*zeros, *dict.fromkeys(kind.placed(place) for place in places)]
