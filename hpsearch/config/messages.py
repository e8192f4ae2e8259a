"""What is wrong with a config, in words: one line per fault, each with its place."""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from hpsearch.config.dump import flow
from hpsearch.config.keys import key_meant, keys_of
from hpsearch.config.suggest import did_you_mean
from hpsearch.config.written import Written
from hpsearch.config.yaml12 import KeyPath
from hpsearch.search.distributions import BESIDE
from hpsearch.search.space import KINDS, kind_named

MOST = 50  # lines of one report
WIDTH = 60  # characters of a value that is shown

_SENTENCES = {
    "bool_type": "must be true or false",
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "string_type": "must be text",
    "greater_than": "must be above {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be below {lt}",
    "less_than_equal": "must be at most {le}",
    "string_too_short": "must not be empty",
    "tuple_type": "must be a list",
    "list_type": "must be a list",
    "too_short": "must not be empty",
    "too_long": "must have at most {max_length} entries",
    "dict_type": "must be a mapping of keys",
    "model_type": "must be a mapping of keys",
    "none_required": "not offered yet: only null",
    "not_offered": "not offered yet: only {only}",
    "rule": "{rule}",
}
BRANCHES = "must be true or false, a number, text or a list of whole numbers"


class Fault(NamedTuple):
    """What is wrong at a path; without a message, its last part is an unknown key."""

    path: KeyPath
    message: str = ""


def report(faults: Iterable[Fault], written: Written) -> str:
    """One line per fault, `place: key: what is wrong`, in the order of the file."""
    order = {path: number for number, path in enumerate(written.where)}
    found = sorted(dict.fromkeys(faults), key=lambda fault: _position(fault.path, order))
    lines = [_line(fault, written) for fault in found[:MOST]]
    more = [f"... and {len(found) - MOST} more"] if len(found) > MOST else []
    return "\n".join(lines + more)


def faults_of(error: ValidationError, written: Written) -> Iterator[Fault]:
    """Pydantic's complaints as faults.

    Several about one value come from the branches of a union: one fault, or none where a branch
    found something wrong further inside. A list is too short for want of entries that are right.
    """
    details = error.errors(include_url=False)
    located = [(written.trace(detail["loc"]), detail) for detail in details]
    around = {path[:length] for path, _ in located for length in range(len(path))}
    for path, group in groupby(located, key=lambda pair: pair[0]):
        same = [detail for _, detail in group]
        alone = len(same) == 1 and same[0]["type"] != "too_short"
        if alone or path not in around:
            yield _together(path, same, written.get(path))


def sentence(detail: ErrorDetails, value: object) -> str:
    """The rule that was broken, and the value that broke it."""
    context = {key: _tidy(limit) for key, limit in detail.get("ctx", {}).items()}
    kind = detail["type"]
    if kind in ("one_of", "literal_error"):
        return _one_of(_allowed(detail), value)
    if kind == "value_error":
        return str(context["error"])
    if kind == "distribution":
        return _distribution(value)
    rule = _SENTENCES[kind].format_map(context) if kind in _SENTENCES else detail["msg"]
    return f"{rule}, got {shown(value)}"


def shown(value: object) -> str:
    """The value as YAML writes it, text always in quotes, cut to a readable length."""
    text = flow(value)
    if isinstance(value, str) and not text.startswith('"'):
        text = f'"{text}"'
    return text if len(text) <= WIDTH else text[: WIDTH - 3] + "..."


def _together(path: KeyPath, details: Sequence[ErrorDetails], value: object) -> Fault:
    first = details[0]
    if first["type"] == "extra_forbidden":
        return Fault(path)
    if first["type"] == "missing":
        return Fault(path, _missing(first["loc"][-1], value))
    if len(details) > 1:
        return Fault(path, f"{BRANCHES}, got {shown(value)}")
    return Fault(path, sentence(first, value))


def _missing(part: str | int, value: object) -> str:
    if isinstance(part, int):
        return f"must be two bounds, [low, high], got {shown(value)}"
    return f"{part} must be given, got {shown(value)}"


def _allowed(detail: ErrorDetails) -> list[str]:
    context = detail["ctx"]
    return context.get("allowed") or re.findall(r"'([^']*)'", context["expected"])


def _one_of(allowed: Sequence[str], value: object) -> str:
    if len(allowed) == 1:
        return f"not offered yet: only {allowed[0]}, got {shown(value)}"
    hint = did_you_mean(value, allowed) if isinstance(value, str) else ""
    return f"must be one of {', '.join(allowed)}, got {shown(value)}{hint}"


def _distribution(value: object) -> str:
    kinds = ", ".join(KINDS)
    name = kind_named(value)
    if name is not None and name not in KINDS:
        return f"unknown distribution {shown(name)}{did_you_mean(name, KINDS)} (allowed: {kinds})"
    keys = [str(key) for key in value if key not in BESIDE] if isinstance(value, dict) else []
    mistyped = [key for key in keys if did_you_mean(key, BESIDE)]
    if mistyped and any(key in KINDS for key in keys):
        return f"unknown key {shown(mistyped[0])}{did_you_mean(mistyped[0], BESIDE)}"
    example = "for example {log_uniform: [1e-4, 1]}"
    return f"must be one distribution ({kinds}), {example}, got {shown(value)}"


def _tidy(limit: object) -> object:
    return int(limit) if isinstance(limit, float) and limit.is_integer() and limit < 1e6 else limit


def _line(fault: Fault, written: Written) -> str:
    where = written.at(fault.path)
    if fault.message:
        parts = (where.value, dotted(fault.path), fault.message)
    else:
        parts = (where.key, dotted(fault.path[:-1]), _unknown_key(fault.path))
    return ": ".join(part for part in parts if part)


def _unknown_key(path: KeyPath) -> str:
    around, key = path[:-1], str(path[-1])
    allowed, meant = keys_of(around), key_meant(key, around)
    if around == ("search", "space"):
        bare = key.removeprefix("train.").removeprefix("model.")
        if bare == "epochs":
            return f"{shown(key)} cannot be searched: it is search.coarse.epochs and refine.epochs"
        meant = bare if bare in allowed else meant
    hint = f': did you mean "{meant}"?' if meant else ""
    return f"unknown key {shown(key)}{hint}" + (
        f" (allowed: {', '.join(allowed)})" if allowed else ""
    )


def dotted(path: KeyPath) -> str:
    """The path as it is written in messages: `search.space.learning_rate.log_uniform[0]`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += "." * bool(text) + (part if part.isidentifier() else shown(part))
    return text


def _position(path: KeyPath, order: dict[KeyPath, int]) -> int:
    return next(order[path[:n]] for n in range(len(path), -1, -1) if path[:n] in order)
