"""The distributions a hyperparameter may be drawn from, and the scale each is thought of in.

A distribution is written in YAML as one key, its name, and read back the same way:
`learning_rate: {log_uniform: [1e-4, 1]}`. Its *scale* is where distances make sense: log10 for
rates and decays, the value itself otherwise. `position` is the place in the range on that scale,
0 at the low bound and 1 at the high one.
"""

import math
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Self, TypeVar

import numpy as np
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    TypeAdapter,
)

Value = float | int | str | bool | tuple[int, ...]
Number = TypeVar("Number", int, float)


def _ascending(bounds: tuple[Number, Number]) -> tuple[Number, Number]:
    """Bounds may come in either order (the lecture writes `uniform(-3, -6)`)."""
    low, high = sorted(bounds)
    if low == high:
        raise ValueError(f"the bounds must differ, got [{low}, {high}]")
    return low, high


Finite = Annotated[float, Field(allow_inf_nan=False, ge=-1e30, le=1e30)]
Positive = Annotated[float, Field(allow_inf_nan=False, gt=0, le=1e30)]
Whole = Annotated[int, Field(ge=-(2**31), le=2**31)]
Natural = Annotated[int, Field(ge=1, le=2**31)]
Pair = (Field(strict=False), AfterValidator(_ascending))  # YAML has lists, not tuples
Bounds = Annotated[tuple[Finite, Finite], *Pair]
LogBounds = Annotated[tuple[Positive, Positive], *Pair]
IntBounds = Annotated[tuple[Whole, Whole], *Pair]
IntLogBounds = Annotated[tuple[Natural, Natural], *Pair]
Item = bool | Whole | Finite | str | Annotated[list[Natural], Field(max_length=32)]


class _Distribution(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class _Range(_Distribution):
    """A distribution with a low and a high bound."""

    log: ClassVar[bool] = False
    integer: ClassVar[bool] = False

    @property
    def bounds(self) -> tuple[float, float]:
        """Low and high, low first, in the hyperparameter's own unit."""
        low, high = getattr(self, type(self)._name())
        return low, high

    @classmethod
    def _name(cls) -> str:
        return next(iter(cls.model_fields))

    def to_scale(self, value: float) -> float:
        """The value on the hyperparameter's scale: log10 or itself."""
        return math.log10(value) if self.log else float(value)

    def from_scale(self, scaled: float) -> float:
        """Back from the scale; integers are rounded."""
        value = 10.0**scaled if self.log else scaled
        return round(value) if self.integer else value

    def position(self, value: float) -> float:
        """Where `value` lies in the range: 0 the low bound, 1 the high one."""
        low, high = map(self.to_scale, self.bounds)
        if self.log and value <= 0:
            return 0.0
        return (self.to_scale(value) - low) / (high - low)

    def with_bounds(self, low: float, high: float) -> Self:
        """The same kind of range over other bounds."""
        return type(self).model_validate({self._name(): (low, high)})

    def sample(self, rng: np.random.Generator) -> Value:
        low, high = map(self.to_scale, self.bounds)
        value = self.from_scale(float(rng.uniform(low, high)))
        return min(max(value, self.bounds[0]), self.bounds[1])


class Uniform(_Range):
    uniform: Bounds


class LogUniform(_Range):
    log: ClassVar[bool] = True
    log_uniform: LogBounds


class IntUniform(_Range):
    """Every whole number from low to high, both included, is equally likely."""

    integer: ClassVar[bool] = True
    int_uniform: IntBounds

    def sample(self, rng: np.random.Generator) -> Value:
        low, high = self.int_uniform
        return int(rng.integers(low, high + 1))


class IntLogUniform(_Range):
    log: ClassVar[bool] = True
    integer: ClassVar[bool] = True
    int_log_uniform: IntLogBounds


class ZeroOr(_Distribution):
    bounds: LogBounds
    zero: Annotated[float, Field(ge=0, le=1)] = 0.5


class ZeroOrLogUniform(_Range):
    """Zero with probability `zero`, else log-uniform (Bergstra & Bengio 2012)."""

    log: ClassVar[bool] = True
    zero_or_log_uniform: ZeroOr

    @property
    def bounds(self) -> tuple[float, float]:
        return self.zero_or_log_uniform.bounds

    def with_bounds(self, low: float, high: float) -> Self:
        zero = self.zero_or_log_uniform.zero
        return type(self)(zero_or_log_uniform=ZeroOr(bounds=(low, high), zero=zero))

    def sample(self, rng: np.random.Generator) -> Value:
        zero = rng.uniform() < self.zero_or_log_uniform.zero
        value = super().sample(rng)
        return 0.0 if zero else value


class Choice(_Distribution):
    choice: Annotated[list[Item], Field(min_length=1, max_length=1000)]

    def sample(self, rng: np.random.Generator) -> Value:
        value = self.choice[int(rng.integers(len(self.choice)))]
        return tuple(value) if isinstance(value, list) else value


RANGES: tuple[type[_Range], ...] = (
    Uniform, LogUniform, IntUniform, IntLogUniform, ZeroOrLogUniform,
)  # fmt: skip
_ALL: tuple[type[_Distribution], ...] = (*RANGES, Choice)
KINDS = {next(iter(kind.model_fields)): kind for kind in _ALL}
Range = Uniform | LogUniform | IntUniform | IntLogUniform | ZeroOrLogUniform


def _kind(written: Any) -> str | None:
    """The distribution's name: its first field, or the one key of the mapping."""
    if isinstance(written, _Distribution):
        return next(iter(type(written).model_fields))
    if isinstance(written, Mapping) and len(written) == 1:
        return str(next(iter(written)))
    return None


Distribution = Annotated[
    Annotated[Uniform, Tag("uniform")]
    | Annotated[LogUniform, Tag("log_uniform")]
    | Annotated[IntUniform, Tag("int_uniform")]
    | Annotated[IntLogUniform, Tag("int_log_uniform")]
    | Annotated[ZeroOrLogUniform, Tag("zero_or_log_uniform")]
    | Annotated[Choice, Tag("choice")],
    Discriminator(
        _kind,
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
