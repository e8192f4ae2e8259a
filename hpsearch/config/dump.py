"""A config as YAML text: every key with its value, which the loader reads back to an equal one."""

import math
import re
from collections.abc import Iterator, Mapping

from hpsearch.config.schema import Config
from hpsearch.config.yaml12 import quoted

_PLAIN = re.compile(r"[A-Za-z_/][A-Za-z0-9_./+-]*")
_NOT_TEXT = {
    *("true", "false", "null", "yes", "no", "on", "off", "y", "n"),  # to YAML 1.1 as well
}


def dump(config: Config, *, comments: Mapping[str, str] | None = None) -> str:
    """The whole config in the order of the schema, one key per line.

    `comments` puts `# reason` on the line of a dotted key (`search.space.learning_rate`).
    """
    lines = _block(config.model_dump(), (), comments or {})
    return "".join(f"{line}\n" for line in lines)


def flow(value: object) -> str:
    """Any plain value on one line; numbers and text mean the same to YAML 1.1 and 1.2."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{flow(key)}: {flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(flow, value)) + "]"
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    return _float(value) if isinstance(value, float) else _text(value)


def _float(value: float) -> str:
    """As Python writes it, but 1e-05 as 1.0e-5, which YAML 1.1 takes for a number too."""
    if not math.isfinite(value):
        return str(value).replace("inf", ".inf").replace("nan", ".nan")
    mantissa, exponent, power = repr(value).partition("e")
    if not exponent:
        return mantissa
    return f"{mantissa}{'' if '.' in mantissa else '.0'}e{int(power):+d}"


def _text(value: object) -> str:
    text = str(value)
    if isinstance(value, int):
        return text
    plain = _PLAIN.fullmatch(text) and text.lower() not in _NOT_TEXT
    return text if plain else quoted(text)


def _block(
    values: Mapping[str, object], path: tuple[str, ...], comments: Mapping[str, str]
) -> Iterator[str]:
    indent = "  " * len(path)
    for key, value in values.items():
        here = (*path, key)
        comment = _comment(comments.get(".".join(here), ""))
        if isinstance(value, dict) and value and path != ("search", "space"):
            yield f"{indent}{key}:{comment}"
            yield from _block(value, here, comments)
        else:
            yield f"{indent}{key}: {flow(value)}{comment}"


def _comment(reason: str) -> str:
    line = " ".join("".join(c if c.isprintable() else " " for c in reason).split())
    return f"  # {line}" if line else ""
