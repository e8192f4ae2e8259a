"""The keys that each mapping of the config may have, and the one that a mistyped key means."""

from collections.abc import Iterator
from typing import get_args

from hpsearch.config.schema import SEARCHABLE, Config
from hpsearch.config.section import Section
from hpsearch.config.suggest import distance, nearest, reach
from hpsearch.config.yaml12 import KeyPath
from hpsearch.search.space import ZeroOr


def _levels(section: type[Section], path: KeyPath) -> Iterator[tuple[KeyPath, tuple[str, ...]]]:
    yield path, tuple(section.model_fields)
    for key, field in section.model_fields.items():
        for part in (field.annotation, *get_args(field.annotation)):
            if isinstance(part, type) and issubclass(part, Section):
                yield from _levels(part, (*path, key))


LEVELS: dict[KeyPath, tuple[str, ...]] = {
    **dict(_levels(Config, ())),
    ("search", "space"): tuple(SEARCHABLE),
}


def keys_of(path: KeyPath) -> tuple[str, ...]:
    """The keys that the mapping at `path` may have."""
    if path in LEVELS:
        return LEVELS[path]
    if path[:2] != ("search", "space"):
        return ()
    if len(path) > 4:  # a value that is a mapping
        return LEVELS["data", "augment"]
    return tuple(SEARCHABLE if path[3:] == ("when",) else ZeroOr.model_fields)


def key_meant(word: str, level: KeyPath) -> str | None:
    """The key that was meant by an unknown one in the mapping at `level`.

    A key of that mapping is given as it is, one from elsewhere with its full path. One edit away
    at this level comes first, then the very word elsewhere, then what is near.
    """
    here = nearest(word, keys_of(level))
    if here and distance(word, here) <= 1:
        return here
    there = _elsewhere(word, level)
    if here and (there is None or distance(word, here) <= distance(word, there[-1])):
        return here
    return ".".join(there) if there else None


def _elsewhere(word: str, level: KeyPath) -> tuple[str, ...] | None:
    """The nearest key of any other mapping; of equals one further down, then the first."""
    paths = [(*map(str, parent), key) for parent, keys in LEVELS.items() for key in keys]
    best = min(paths, key=lambda path: (distance(word, path[-1]), path[: len(level)] != level))
    return best if distance(word, best[-1]) <= reach(word) else None
