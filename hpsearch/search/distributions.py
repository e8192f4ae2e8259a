"""The distributions a hyperparameter may be drawn from, and the scale each is thought of in.

A distribution is written in YAML as one key, its name, and read back the same way:
`learning_rate: {log_uniform: [1e-4, 1]}`. Its *scale* is where distances make sense: log10 for
rates and decays, the value itself otherwise; -log10(1 - value) for momenta, so that 0.9, 0.99 and
0.999 are equally far apart. `position` is the place in the range on that scale, 0 at the low
bound and 1 at the high one.

Beside its name it may have a condition, `when: {optimizer: [momentum, nesterov]}`: the hparam is
then drawn for those trials alone (see `conditions`). And a role, `role: scientific`, if its values
are to be compared, each at its best (see `isolation`); it decides nothing about what is drawn.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar

import numpy as np
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
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
BelowOne = Annotated[float, Field(ge=0, lt=1)]
OneMinusBounds = Annotated[tuple[BelowOne, BelowOne], *Pair]


def as_word(value: object) -> object:
    """A mapping of switches and numbers as one word, of what is on: {flip: true, shift: 2} is
    flip+shift2, and none where nothing is. So it can be counted and compared as a name can, and
    fits a cell of a table. Anything else as it is.
    """
    if not isinstance(value, Mapping):
        return value
    on = sorted((str(key), number) for key, number in value.items() if number)
    return "+".join(f"{key}{'' if number is True else number}" for key, number in on) or "none"


_Written = bool | Whole | Finite | str | Annotated[list[Natural], Field(max_length=32)]
Item = Annotated[
    _Written,
    BeforeValidator(as_word, json_schema_input_type=_Written | dict[str, bool | Natural]),
]
Items = Annotated[list[Item], Field(min_length=1, max_length=1000)]


def _listed(values: object) -> object:
    return values if isinstance(values, list) else [values]


# The values, by key, with which an hparam applies: one, or a list of them.
When = Annotated[
    dict[str, Annotated[Items, BeforeValidator(_listed, json_schema_input_type=Item | Items)]],
    Field(min_length=1, max_length=100),
]
Role = Literal["scientific", "nuisance"]
BESIDE = ("when", "role")  # keys that every distribution may have besides its name
MOST_VALUES = 1000  # of a list, and of the whole numbers that count as one


class Drawn(BaseModel):
    """What all distributions have in common."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    when: When | None = None
    role: Role = "nuisance"

    @classmethod
    def name(cls) -> str:
        """The word for it in YAML."""
        return next(field for field in cls.model_fields if field not in BESIDE)

    @property
    def values(self) -> Sequence[Value] | None:
        """All its values, where they are few and equally likely; else None."""
        return None

    @model_serializer(mode="wrap")
    def _written(self, inner: SerializerFunctionWrapHandler) -> dict[str, Any]:
        written: dict[str, Any] = inner(self)
        when, role = (written.pop(key) for key in BESIDE)
        beside = {"when": when} if when is not None else {}
        return written | beside | ({"role": role} if role != "nuisance" else {})

    @property
    def _beside(self) -> dict[str, Any]:
        return {key: getattr(self, key) for key in BESIDE}


class Bounded(Drawn):
    """A distribution with a low and a high bound."""

    log: ClassVar[bool] = False
    integer: ClassVar[bool] = False

    @property
    def bounds(self) -> tuple[float, float]:
        """Low and high, low first, in the hyperparameter's own unit."""
        low, high = getattr(self, self.name())
        return low, high

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

    def placed(self, position: float) -> float:
        """The value at a position: what `position` is asked backwards."""
        low, high = map(self.to_scale, self.bounds)
        return self._inside(self.from_scale(low + position * (high - low)))

    def rounded(self, value: float) -> float:
        """The value to three digits: nobody reads more in a bound."""
        return value if self.integer else float(f"{value:.3g}")

    def with_bounds(self, low: float, high: float) -> Self:
        """The same kind of range over other bounds."""
        return type(self).model_validate({self.name(): (low, high), **self._beside})

    def sample(self, rng: np.random.Generator) -> Value:
        low, high = map(self.to_scale, self.bounds)
        return self._inside(self.from_scale(float(rng.uniform(low, high))))

    def at(self, share: float) -> Value:
        """The value below which so large a share (0 to 1) of all draws lies."""
        return self.placed(share)

    def share(self, value: float) -> float:
        """The share of all draws below `value`: what `at` is asked backwards."""
        return min(max(self.position(value), 0.0), 1.0)

    def _inside(self, value: float) -> float:
        return min(max(value, self.bounds[0]), self.bounds[1])


class Uniform(Bounded):
    uniform: Bounds


class LogUniform(Bounded):
    log: ClassVar[bool] = True
    log_uniform: LogBounds


class IntUniform(Bounded):
    """Every whole number from low to high, both included, is equally likely."""

    integer: ClassVar[bool] = True
    int_uniform: IntBounds

    def sample(self, rng: np.random.Generator) -> Value:
        low, high = self.int_uniform
        return int(rng.integers(low, high + 1))

    def at(self, share: float) -> Value:
        low, high = self.int_uniform
        return min(low + int(share * (high - low + 1)), high)

    def share(self, value: float) -> float:
        low, high = self.int_uniform
        return (min(max(value, low), high) - low + 0.5) / (high - low + 1)

    @property
    def values(self) -> Sequence[Value] | None:
        low, high = self.int_uniform
        return range(low, high + 1) if high - low < MOST_VALUES else None


class IntLogUniform(Bounded):
    log: ClassVar[bool] = True
    integer: ClassVar[bool] = True
    int_log_uniform: IntLogBounds


class OneMinusLogUniform(Bounded):
    """1 - value is log-uniform: for momenta, of which 1 / (1 - value) steps are averaged. The
    bounds are those of the value itself, such as [0.5, 0.999].
    """

    log: ClassVar[bool] = True
    one_minus_log_uniform: OneMinusBounds

    def to_scale(self, value: float) -> float:
        return -math.log10(1 - value)

    def from_scale(self, scaled: float) -> float:
        return 1 - float(10.0**-scaled)

    def rounded(self, value: float) -> float:
        return round(1 - float(f"{1 - value:.3g}"), 15)


class ZeroOr(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    bounds: LogBounds
    zero: Annotated[float, Field(ge=0, le=1)] = 0.5


class ZeroOrLogUniform(Bounded):
    """Zero with probability `zero`, else log-uniform (Bergstra & Bengio 2012)."""

    log: ClassVar[bool] = True
    zero_or_log_uniform: ZeroOr

    @property
    def bounds(self) -> tuple[float, float]:
        return self.zero_or_log_uniform.bounds

    def with_bounds(self, low: float, high: float) -> Self:
        zero = self.zero_or_log_uniform.zero
        body = ZeroOr(bounds=(low, high), zero=zero)
        return type(self)(zero_or_log_uniform=body, **self._beside)

    def sample(self, rng: np.random.Generator) -> Value:
        zero = rng.uniform() < self.zero_or_log_uniform.zero
        value = super().sample(rng)
        return 0.0 if zero else value

    def at(self, share: float) -> Value:
        zero = self.zero_or_log_uniform.zero
        return 0.0 if share < zero or zero == 1 else self.placed((share - zero) / (1 - zero))

    def share(self, value: float) -> float:
        zero = self.zero_or_log_uniform.zero
        return zero + (1 - zero) * super().share(value) if value > 0 else zero / 2


class Choice(Drawn):
    choice: Items

    def with_values(self, values: Items) -> Self:
        """The same kind of list of other values."""
        return type(self)(choice=values, **self._beside)

    def sample(self, rng: np.random.Generator) -> Value:
        return self._item(int(rng.integers(len(self.choice))))

    def at(self, share: float) -> Value:
        return self._item(min(int(share * len(self.choice)), len(self.choice) - 1))

    @property
    def values(self) -> Sequence[Value]:
        """Each once, however often it is listed."""
        items = map(self._item, range(len(self.choice)))
        return list({repr(item): item for item in items}.values())

    def _item(self, number: int) -> Value:
        value = self.choice[number]
        return tuple(value) if isinstance(value, list) else value
