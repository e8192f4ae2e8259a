"""Conditional hparams: which of a draw's values apply to the trial.

A condition, `when: {optimizer: [momentum, nesterov]}`, asks for the trial's own setting: the drawn
value of that key where it was drawn and applies, else what the config says. All its keys must
have one of the values listed.
"""

from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Any

from hpsearch.search.distributions import Value
from hpsearch.search.space import Distribution, Space

Hparams = dict[str, Value]
Settings = Mapping[str, Any]  # what the config says of the keys that are not drawn


def applying(space: Space, values: Mapping[str, Value], settings: Settings) -> Hparams:
    """Of a value for every hparam those that apply, in the order of the space."""
    if not any(kind.when for kind in space.values()):
        return dict(values)
    own, kept = dict(settings), set()
    for name in _ordered(space):
        if applies(space[name], own):
            own[name] = values[name]
            kept.add(name)
    return {name: values[name] for name in space if name in kept}


def applies(kind: Distribution, settings: Settings) -> bool:
    """Whether the condition holds, if there is one, for a trial of these settings."""
    when = kind.when or {}
    return all(
        any(alike(settings.get(key), value) for value in values) for key, values in when.items()
    )


def alike(one: Any, other: Any) -> bool:
    """Whether two values mean the same: one width is a list of one."""
    return _several(one) == _several(other)


def _several(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, list | tuple) else (value,)


def cycle(space: Space) -> list[str]:
    """Hparams whose conditions wait for one another, each for the next; empty without any."""
    try:
        _ordered(space)
    except CycleError as error:
        return list(reversed(error.args[1]))
    return []


def _ordered(space: Space) -> list[str]:
    """The hparams, each after those that its condition asks for."""
    asked = {name: [k for k in kind.when or () if k in space] for name, kind in space.items()}
    return list(TopologicalSorter(asked).static_order())
