"""The kinds of value that a key of the config may have, each with its limits and its rule."""

import re
from collections.abc import Iterable
from typing import Annotated

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WithJsonSchema,
    WrapValidator,
)
from pydantic_core import PydanticCustomError

from hpsearch.nn.activations import ACTIVATIONS
from hpsearch.nn.initializers import INITIALIZERS
from hpsearch.nn.losses import LOSSES
from hpsearch.nn.normalization import NORMALIZATIONS
from hpsearch.nn.optimizers import OPTIMIZERS
from hpsearch.nn.schedules import SCHEDULES
from hpsearch.search.samplers import SAMPLERS


def rule(sentence: str) -> WrapValidator:
    """One sentence for whatever is wrong, in place of pydantic's own complaints."""

    def check(value: object, inner: ValidatorFunctionWrapHandler) -> object:
        try:
            return inner(value)
        except ValidationError:
            raise PydanticCustomError("rule", "{rule}", {"rule": sentence}) from None

    return WrapValidator(check)


def one_of(names: Iterable[str]) -> tuple[AfterValidator, WithJsonSchema]:
    allowed = list(names)

    def check(name: str) -> str:
        if name not in allowed:
            raise PydanticCustomError("one_of", "one of {allowed}", {"allowed": allowed})
        return name

    return AfterValidator(check), WithJsonSchema({"type": "string", "enum": allowed})


def augment_of(word: object) -> object:
    """The mapping that a word for augmentation means; what is no word as it is."""
    if not isinstance(word, str):
        return word
    if not (found := _AUGMENT.fullmatch(word)):
        raise PydanticCustomError("rule", "{rule}", {"rule": _AUGMENT_RULE})
    return {"flip": word.startswith("flip"), "shift": int(found[1] or 0)}


_AUGMENT = re.compile(r"none|flip|(?:flip\+)?shift([1-9][0-9]{0,8})")
_AUGMENT_RULE = "must be none, flip, shift2 (pixels), flip+shift2 or {flip: true, shift: 2}"


def _as_list(widths: object) -> object:
    return [widths] if isinstance(widths, int) and not isinstance(widths, bool) else widths


Count = Annotated[int, Field(ge=1, le=10**9)]
Rate = Annotated[float, Field(gt=0, le=1e30)]
NotNegative = Annotated[float, Field(ge=0, le=1e30)]
Finite = Annotated[float, Field(ge=-1e30, le=1e30)]
BelowOne = Annotated[float, Field(ge=0, lt=1)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Location = Annotated[str, Field(min_length=1)]
Name = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"),
    rule("must be at most 64 letters, digits, '.', '_' or '-', the first a letter or digit"),
]
Round = Annotated[
    str,
    Field(pattern=r"^(coarse|refine-[1-9][0-9]{0,3})$"),
    rule("must be coarse, refine-1, refine-2, ..."),
]
# A column: by its name, or by its number where the file has no header.
Key = Annotated[str | int, rule("must be a column: its name, or its number")]
# YAML has lists, the config holds tuples.
Keys = Annotated[tuple[Key, ...], Field(strict=False, max_length=1000)]
Rates = Annotated[tuple[Rate, ...], Field(strict=False, min_length=1, max_length=1000)]
Widths = Annotated[
    tuple[Annotated[int, Field(ge=1, le=65536)], ...],
    BeforeValidator(_as_list),
    Field(strict=False, max_length=32),
]
Shares = Annotated[
    Count | Annotated[float, Field(gt=0, lt=1)] | Location | None,
    rule("must be a fraction between 0 and 1, a number of rows, or a file or folder"),
]
SharesOrNone = Annotated[
    Annotated[int, Field(ge=0, le=10**9)] | Annotated[float, Field(ge=0, lt=1)] | Location | None,
    rule("must be 0 for none, a fraction below 1, a number of rows, or a file or folder"),
]
Activation = Annotated[str, *one_of(ACTIVATIONS)]
Init = Annotated[str, *one_of(["auto", *INITIALIZERS])]
Loss = Annotated[str, *one_of(LOSSES)]
Normalization = Annotated[str, *one_of(["none", *NORMALIZATIONS])]
Optimizer = Annotated[str, *one_of(OPTIMIZERS)]
Sampler = Annotated[str, *one_of(SAMPLERS)]
Schedule = Annotated[str, *one_of(SCHEDULES)]
