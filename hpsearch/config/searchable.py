"""What the space may search: keys of model and train, over values that those keys may have."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol

from pydantic import TypeAdapter, ValidationError

from hpsearch.config.messages import Fault, sentence
from hpsearch.config.schema import SEARCHABLE, Config
from hpsearch.config.yaml12 import KeyPath
from hpsearch.nn.activations import ACTIVATIONS
from hpsearch.nn.losses import LOSSES
from hpsearch.nn.optimizers import OPTIMIZERS
from hpsearch.nn.schedules import SCHEDULES
from hpsearch.search.space import RANGES, Choice, Distribution, Space

_DISTRIBUTION: TypeAdapter[Distribution] = TypeAdapter(Distribution)
_WHOLE = {next(iter(kind.model_fields)): kind.integer for kind in RANGES}
_SPACE = ("search", "space")
_MISFITS = {
    "int_type": "must be a whole number: use int_uniform, int_log_uniform or choice",
    "string_type": "is chosen by its name: use choice",
    "one_of": "is chosen by its name: use choice",
    "literal_error": "is chosen by its name: use choice",
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


def unread_faults(config: Config) -> Iterator[Fault]:
    """Searched keys that no optimizer, schedule, loss or activation of this search reads."""
    space, search = config.search.space, config.search
    set_ = {**vars(config.model), **vars(config.train)}
    for kind, table in FAMILIES.items():
        used = _choices(space, kind) or [set_[kind]]
        if kind == "schedule" and kind not in space:
            used = [part.schedule or set_[kind] for part in (search.coarse, search.refine)]
        names = ", ".join(dict.fromkeys(map(str, used)))
        section = "model" if kind == "activation" else "train"
        for key in space:
            if key in reads(table) - reads(table, used):
                rule = f"is read by no {kind} of this search ({names}): set {section}.{kind}"
                yield Fault((*_SPACE, key), rule)


def values_of(config: Config, key: str) -> list[Any]:
    """What a key may be in this config: the choices or the bounds of its space, else what is set.
    """
    kind = config.search.space.get(key)
    if kind is None:
        return [{**vars(config.model), **vars(config.train)}[key]]
    return list(kind.choice if isinstance(kind, Choice) else kind.bounds)


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
    ((kind, _),) = written.items()
    for path, value in _values(kind, written[kind]):
        error = _error(key, float(value) if _WHOLE.get(kind) is False else value)
        if error and kind in _WHOLE and (misfit := _MISFITS.get(error.errors()[0]["type"])):
            yield Fault((*_SPACE, key, kind), f"{key} {misfit}")
            return
        if error:
            yield Fault((*_SPACE, key, *path), sentence(error.errors()[0], value))


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
