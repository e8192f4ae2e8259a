"""How far a range may reach: the limits that the schema sets to each searchable key."""

import math
from collections.abc import Callable, Iterator
from typing import Annotated, Any, NamedTuple, get_args, get_origin

from pydantic.fields import FieldInfo

from hpsearch.config.schema import SEARCHABLE, Config
from hpsearch.config.searchable import values_of


class Limits(NamedTuple):
    """Between which values a key must lie; one that is open may not be reached."""

    low: float = -math.inf
    high: float = math.inf
    low_open: bool = False
    high_open: bool = False

    def admits(self, value: float) -> bool:
        above = value > self.low if self.low_open else value >= self.low
        return above and (value < self.high if self.high_open else value <= self.high)

    def confine(self, bound: float, old: float) -> float:
        """A bound that is moved from `old`, as far as it may go: to the limit, or half-way to it
        where it is open.
        """
        if self.admits(bound):
            return bound
        limit, is_open = (
            (self.low, self.low_open) if bound <= self.low else (self.high, self.high_open)
        )
        return (old + limit) / 2 if is_open else limit


def limits(key: str) -> Limits:
    """The limits that the schema sets to a searchable key, or to each entry of a list of numbers:
    learning_rate > 0, 0 <= momentum < 1, hidden from 1 to 65536.
    """
    found = Limits()
    field = SEARCHABLE[key].model_fields[key]
    for rule in (*field.metadata, *_rules(field.annotation)):
        for word, change in _LIMITS.items():
            if (value := getattr(rule, word, None)) is not None:
                found = found._replace(**change(value))
    return found


def limits_in(config: Config, key: str) -> Limits:
    """The limits of a key in this config, where batch normalization needs two rows."""
    found = limits(key)
    if key == "batch_size" and "batch" in values_of(config, "normalization"):
        return found._replace(low=2)
    return found


_LIMITS: dict[str, Callable[[float], dict[str, Any]]] = {
    "ge": lambda value: {"low": value, "low_open": False},
    "gt": lambda value: {"low": value, "low_open": True},
    "le": lambda value: {"high": value, "high_open": False},
    "lt": lambda value: {"high": value, "high_open": True},
}


def _rules(annotation: Any) -> Iterator[Any]:
    """All that annotates a type, within unions and tuples too."""
    if get_origin(annotation) is Annotated:
        for rule in annotation.__metadata__:
            yield from rule.metadata if isinstance(rule, FieldInfo) else [rule]
    for part in get_args(annotation):
        yield from _rules(part)
