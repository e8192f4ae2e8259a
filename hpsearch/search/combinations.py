"""Spaces that are finite: every combination once, in an order drawn from a seed."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice, product
from math import prod
from random import Random

from hpsearch.search.conditions import Hparams, Settings, alike, applying
from hpsearch.search.distributions import Value
from hpsearch.search.space import Space

Lists = Mapping[str, Sequence[Value]]


def lists_of(space: Space) -> dict[str, Sequence[Value]] | None:
    """The values of every hparam, where all of them have few and equally likely ones: lists, and
    short ranges of whole numbers. None where the space is not finite.
    """
    lists = {name: values for name, kind in space.items() if (values := kind.values) is not None}
    return lists if len(lists) == len(space) else None


class Combinations:
    """What a finite space can draw, without replacement.

    The order depends on the seed alone. It is that of independent draws that are passed over
    where they were seen before: with conditions, settings of fewer hparams come earlier.
    """

    def __init__(self, space: Space, lists: Lists, settings: Settings, seed: int) -> None:
        self.space, self.lists, self.settings, self.seed = space, lists, settings, seed
        self.total = _total(space, lists, settings)

    def __iter__(self) -> Iterator[Hparams]:
        return islice(self._distinct(), self.total)

    def __contains__(self, hparams: Mapping[str, object]) -> bool:
        """Whether these hparams are among them: those that apply, each with a value listed."""
        values = {name: hparams.get(name, values[0]) for name, values in self.lists.items()}
        if hparams.keys() != applying(self.space, values, self.settings).keys():  # type: ignore[arg-type]
            return False
        return all(any(alike(v, one) for one in self.lists[n]) for n, v in hparams.items())

    def _distinct(self) -> Iterator[Hparams]:
        seen = set()
        for number in shuffled(prod(map(len, self.lists.values())), self.seed):
            hparams = applying(self.space, _numbered(self.lists, number), self.settings)
            if (key := repr(hparams)) not in seen:
                seen.add(key)
                yield hparams


def shuffled(size: int, seed: int) -> Iterator[int]:
    """0 .. size - 1 in random order (Fisher & Yates), drawn only as far as they are asked for."""
    rng, moved = Random(seed), dict[int, int]()
    for last in range(size - 1, -1, -1):
        place = rng.randrange(last + 1)
        yield moved.get(place, place)
        moved[place] = moved.pop(last, last)


def _numbered(lists: Lists, number: int) -> dict[str, Value]:
    values = {}
    for name, listed in lists.items():
        number, place = divmod(number, len(listed))
        values[name] = listed[place]
    return values


def _total(space: Space, lists: Lists, settings: Settings) -> int:
    """How many there are: for all values of the hparams that conditions ask for, what the others
    that then apply allow.
    """
    asked = [name for name in space if any(name in (k.when or ()) for k in space.values())]
    first = {name: values[0] for name, values in lists.items()}
    counts = {}
    for chosen in product(*(lists[name] for name in asked)):
        applied = applying(space, first | dict(zip(asked, chosen, strict=True)), settings)
        key = repr([(name, applied[name]) for name in asked if name in applied])
        counts[key] = prod(len(lists[name]) for name in applied if name not in asked)
    return sum(counts.values())
