"""What the space may search: keys of model and train, and augmentation, over values that those
keys may have, and under conditions that can hold.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol

from pydantic import TypeAdapter, ValidationError

from hpsearch.config.messages import Fault, sentence
from hpsearch.config.schema import SEARCHABLE, Augment, Config
from hpsearch.config.yaml12 import KeyPath
from hpsearch.nn.activations import ACTIVATIONS
from hpsearch.nn.losses import LOSSES
from hpsearch.nn.optimizers import OPTIMIZERS
from hpsearch.nn.schedules import SCHEDULES
from hpsearch.search.conditions import alike, cycle
from hpsearch.search.space import RANGES, Choice, Distribution, Space, ZeroOrLogUniform, kind_named

_DISTRIBUTION: TypeAdapter[Distribution] = TypeAdapter(Distribution)
_WHOLE = {kind.name(): kind.integer for kind in RANGES}
_SPACE = ("search", "space")
_MISFITS = {
    "int_type": "must be a whole number: use int_uniform, int_log_uniform or choice",
    "string_type": "is chosen by its name: use choice",
    "one_of": "is chosen by its name: use choice",
    "literal_error": "is chosen by its name: use choice",
    "model_type": "is chosen by its name: use choice",
}


class Reader(Protocol):
    """A member of a family, such as an optimizer."""

    @property
    def reads(self) -> tuple[str, ...]:
        """The keys of its section of the config that it depends on."""


Table = Mapping[str, Reader]
FAMILIES: dict[str, Table] = {
    "optimizer": OPTIMIZERS, "schedule": SCHEDULES, "loss": LOSSES, "activation": ACTIVATIONS,
}  # fmt: skip


def space_faults(space: Any) -> Iterator[Fault]:
    """Keys that cannot be searched, and bounds or choices that their keys refuse.

    What is no distribution at all is passed over: the schema says so itself.
    """
    for key, written in space.items() if isinstance(space, dict) else ():
        if key not in SEARCHABLE:
            yield Fault((*_SPACE, key))
        elif _is_distribution(written):
            yield from _refused(key, written)
            yield from _refused_conditions(key, written.get("when") or {})


def condition_faults(config: Config) -> Iterator[Fault]:
    """Conditions that wait for one another, or that no trial of this search fulfils."""
    space = config.search.space
    if names := cycle(space):
        circle = " -> ".join(names)
        yield Fault((*_SPACE, names[0], "when"), f"the conditions go in a circle: {circle}")
        return
    set_ = config.configured
    for key, kind in space.items():
        for asked, values in (kind.when or {}).items():
            if asked in space and not any(_may_be(space[asked], v, set_[asked]) for v in values):
                rule = f"never holds: {asked} is {_possible(space[asked])}"
                yield Fault((*_SPACE, key, "when", asked), rule)


def _may_be(kind: Distribution, value: Any, configured: Any) -> bool:
    """Whether a trial may have this value: drawn, or configured where the key has a condition."""
    if kind.when and alike(configured, value):
        return True
    if kind.values is not None:
        return any(alike(one, value) for one in kind.values)
    if isinstance(kind, Choice) or not isinstance(value, int | float):
        return False
    if value == 0 and isinstance(kind, ZeroOrLogUniform):
        return kind.zero_or_log_uniform.zero > 0
    low, high = kind.bounds
    return kind.integer and low <= value <= high


def _possible(kind: Distribution) -> str:
    if isinstance(kind, Choice):
        return "one of " + ", ".join(map(str, kind.choice)) + " in this space"
    low, high = kind.bounds
    return f"drawn from {low:g} .. {high:g}; ask for single values, of a key with choice"


def unread_faults(config: Config) -> Iterator[Fault]:
    """Searched keys that no optimizer, schedule, loss or activation of this search reads."""
    space, search = config.search.space, config.search
    set_ = config.configured
    for kind, table in FAMILIES.items():
        used = _choices(space, kind) or [set_[kind]]
        if kind == "schedule" and kind not in space:
            used = [part.schedule or set_[kind] for part in (search.coarse, search.refine)]
        section = "model" if kind == "activation" else "train"
        for key in space:
            asked = (space[key].when or {}).get(kind)
            own = used if asked is None else [name for name in asked if name in used]
            if own and key in reads(table) - reads(table, own):
                names = ", ".join(dict.fromkeys(map(str, own)))
                rule = f"is read by no {kind} of this search ({names}): set {section}.{kind}"
                yield Fault((*_SPACE, key), rule)


def values_of(config: Config, key: str) -> list[Any]:
    """What a key may be in this config: the choices or the bounds of its space, else what is set.
    """
    kind = config.search.space.get(key)
    if kind is None:
        return [config.configured[key]]
    return list(kind.choice if isinstance(kind, Choice) else kind.bounds)


def augments(config: Config) -> Iterator[tuple[str, Augment]]:
    """Every augmentation that the space names, with its place."""
    kind = config.search.space.get("augment")
    for number, word in enumerate(kind.choice if isinstance(kind, Choice) else ()):
        yield f"search.space.augment.choice[{number}]", config.augment_with({"augment": word})


def reads(table: Table, names: Iterable[Any] | None = None) -> set[str]:
    """The keys that a table's members read: all of them, or those of these names."""
    chosen = table if names is None else set(map(str, names)) & table.keys()
    return {key for name in chosen for key in table[name].reads}


def _choices(space: Space, key: str) -> list[Any]:
    kind = space.get(key)
    return list(kind.choice) if isinstance(kind, Choice) else []


def _is_distribution(written: Any) -> bool:
    try:
        _DISTRIBUTION.validate_python(written)
    except ValidationError:
        return False
    return True


def _refused(key: str, written: dict[str, Any]) -> Iterator[Fault]:
    """The values that `key` refuses; only the first where the kind of distribution is wrong."""
    kind = str(kind_named(written))
    for path, value in _values(kind, written[kind]):
        error = _error(key, float(value) if _WHOLE.get(kind) is False else value)
        if error and kind in _WHOLE and (misfit := _MISFITS.get(error.errors()[0]["type"])):
            yield Fault((*_SPACE, key, kind), f"{key} {misfit}")
            return
        if error:
            yield _fault((*_SPACE, key, *path), error, value)


def _refused_conditions(key: str, when: dict[str, Any]) -> Iterator[Fault]:
    """Keys that no condition can ask for, and values that they never have."""
    for asked, values in when.items():
        path = (*_SPACE, key, "when", asked)
        if asked not in SEARCHABLE:
            yield Fault(path)
            continue
        listed = isinstance(values, list)
        for index, value in enumerate(values if listed else [values]):
            if error := _error(asked, value):
                yield _fault((*path, index) if listed else path, error, value)


def _fault(path: KeyPath, error: ValidationError, value: Any) -> Fault:
    """What is wrong with a value at a path, or with an entry of it."""
    first = error.errors()[0]
    for part in first["loc"][1:] if isinstance(value, dict) else ():
        path, value = (*path, part), value.get(part)
    unknown = first["type"] == "extra_forbidden"
    return Fault(path) if unknown else Fault(path, sentence(first, value))


def _values(kind: str, body: Any) -> Iterator[tuple[KeyPath, Any]]:
    """Every value that a distribution names, with its path below the searched key."""
    path: KeyPath = (kind,)
    if isinstance(body, dict):
        if body.get("zero", 0.5) > 0:
            yield path, 0.0
        path, body = (kind, "bounds"), body["bounds"]
    for index, value in enumerate(body):
        yield (*path, index), value


def _error(key: str, value: Any) -> ValidationError | None:
    try:
        SEARCHABLE[key].model_validate({key: value})
    except ValidationError as error:
        return error
    return None
