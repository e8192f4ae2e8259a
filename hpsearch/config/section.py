"""A mapping of the config: what every section of it has in common."""

from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field

T = TypeVar("T")


def key(default: T, about: str) -> T:
    """A key of a section with its default and a few words on it."""
    return Field(default, description=about)


class Section(BaseModel):
    """One mapping of the config: frozen, no unknown key, no silent conversion."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)
