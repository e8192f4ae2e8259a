"""The space: a distribution for every hparam that is searched, as YAML writes it."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Discriminator, Tag, TypeAdapter

from hpsearch.search.distributions import (
    BESIDE,
    Bounded,
    Choice,
    Drawn,
    IntLogUniform,
    IntUniform,
    LogUniform,
    OneMinusLogUniform,
    Uniform,
    Value,
    ZeroOr,
    ZeroOrLogUniform,
)
from hpsearch.strictjson import plain

__all__ = [
    "KINDS", "RANGES", "Choice", "Distribution", "LogUniform", "Range", "Space", "Value", "ZeroOr",
    "ZeroOrLogUniform", "hparams_of", "kind_named", "parse_space", "with_roles", "without_roles",
    "write_space",
]  # fmt: skip

RANGES: tuple[type[Bounded], ...] = (
    Uniform, LogUniform, IntUniform, IntLogUniform, ZeroOrLogUniform, OneMinusLogUniform,
)  # fmt: skip
_ALL: tuple[type[Drawn], ...] = (*RANGES, Choice)
KINDS = {kind.name(): kind for kind in _ALL}
Range = (
    Uniform | LogUniform | IntUniform | IntLogUniform | ZeroOrLogUniform | OneMinusLogUniform
)


def hparams_of(record: Mapping[str, Any]) -> dict[str, Value]:
    """A trial's hparams as JSON has them; its lists are tuples, and so equal what was drawn."""
    return {k: tuple(v) if isinstance(v, list) else v for k, v in record.items()}


def kind_named(written: Any) -> str | None:
    """The distribution's name: the one key of the mapping besides its condition and its role."""
    if isinstance(written, Drawn):
        return written.name()
    names = [key for key in written if key not in BESIDE] if isinstance(written, Mapping) else []
    return str(names[0]) if len(names) == 1 else None


Distribution = Annotated[
    Annotated[Uniform, Tag("uniform")]
    | Annotated[LogUniform, Tag("log_uniform")]
    | Annotated[IntUniform, Tag("int_uniform")]
    | Annotated[IntLogUniform, Tag("int_log_uniform")]
    | Annotated[ZeroOrLogUniform, Tag("zero_or_log_uniform")]
    | Annotated[OneMinusLogUniform, Tag("one_minus_log_uniform")]
    | Annotated[Choice, Tag("choice")],
    Discriminator(
        kind_named,
        custom_error_type="distribution",
        custom_error_message="must be one of " + ", ".join(f"{{{name}: ...}}" for name in KINDS),
    ),
]

Space = Mapping[str, Distribution]
_SPACE: TypeAdapter[dict[str, Distribution]] = TypeAdapter(dict[str, Distribution])


def parse_space(written: Mapping[str, Any]) -> dict[str, Distribution]:
    """A space from its written form; pydantic's ValidationError where it is none."""
    return _SPACE.validate_python(dict(written))


def write_space(space: Space) -> dict[str, Any]:
    """The inverse of `parse_space`: plain JSON and YAML."""
    return {name: kind.model_dump(mode="json") for name, kind in space.items()}


def without_roles(written: Mapping[str, Any]) -> dict[str, Any]:
    """Of a written space what decides the draws, in JSON's own types: all but the roles."""
    return {
        name: {key: value for key, value in kind.items() if key != "role"}
        if isinstance(kind, Mapping) else kind
        for name, kind in plain(written).items()
    }  # fmt: skip


def with_roles(space: Space, asked: Space) -> dict[str, Distribution]:
    """The space with the roles that another one gives the hparams which it has too."""
    return {
        name: kind.model_copy(update={"role": asked[name].role}) if name in asked else kind
        for name, kind in space.items()
    }
