"""Text from outside, no character of which acts: it moves no cursor, turns no line round."""

import unicodedata
from typing import Any

ACTING = {"Cc", "Cf", "Cs", "Zl", "Zp"}  # controls, bidi overrides, lone surrogates, separators
BLANK = str.maketrans("\t\r\n", "   ")


def plain(value: Any, limit: int | None = None) -> str:
    """The text of a value on one line; cut to `limit` characters."""
    text = str(value)
    if not text.isprintable():
        text = inert(text.translate(BLANK))
    return f"{text[: limit - 1]}…" if limit and len(text) > limit else text


def inert(text: str) -> str:
    """The text with its lines, and with � for every other character that acts."""
    return "\n".join(map(_line, text.split("\n")))


def _line(text: str) -> str:
    if text.isprintable():
        return text
    return "".join("�" if unicodedata.category(c) in ACTING else c for c in text)
