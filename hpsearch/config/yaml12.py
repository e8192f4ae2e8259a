"""A strict reader of one YAML 1.2 (core schema) document that remembers where everything stood.

PyYAML only cuts the text into events here; the values are built from them by the rules of
YAML 1.2, so `no`, `12:30` and `2024-01-01` are text, `1e-4` is a number and `010` is ten.
Tags, anchors, aliases, keys that are not text and keys given twice are errors.
"""

import codecs
import re
from collections.abc import Iterator
from typing import Any, NamedTuple, NoReturn

import yaml
from yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    CollectionStartEvent,
    DocumentStartEvent,
    Event,
    MappingStartEvent,
    ScalarEvent,
)

from hpsearch.errors import ConfigError

MAX_BYTES = 2**20
MAX_DEPTH = 50
MAX_NODES = 10_000
WIDTH = 60  # characters of a text that is shown
MAX_DIGITS = 400  # int() refuses more than 4,300 with a ValueError of its own

KeyPath = tuple[str | int, ...]
Plain = None | bool | int | float | str | list[Any] | dict[str, Any]

LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_CONSTANTS: dict[str, Plain] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
}
_INT = re.compile(r"[-+]?[0-9]+")
_OCTAL_OR_HEX = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_TEXT = re.compile(r"[^\t\n\r -~\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_BREAK = re.compile(r"\r\n|[\n\r\x85\u2028\u2029]")  # as PyYAML counts lines
_NO_CONFIG = "name a config, and not the data"
_NO_CONTROLS = re.compile(r"[^\t\n\r -~\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class Spot(NamedTuple):
    """A place in the text, both numbers counted from 1."""

    line: int
    column: int


class Mark(NamedTuple):
    """Where a key stands and where its value begins; the same spot for items of a list."""

    key: Spot
    value: Spot


class Document(NamedTuple):
    """What was written, and the mark of every path in it; the empty path is the whole."""

    value: Plain
    marks: dict[KeyPath, Mark]


def read(text: str | bytes, name: str) -> Document:
    """The one document in `text`; an empty one is None.

    Every fault is a ConfigError that begins `name:line:column: `.
    """
    text = _checked(text, name)
    try:
        return _Reader(text, name).document()
    except yaml.YAMLError as error:
        _refuse_syntax(text, name, error)


def scalar(text: str) -> Plain:
    """What a plain (unquoted) scalar means in the core schema of YAML 1.2.

    ValueError where it is a number of more than MAX_DIGITS digits.
    """
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _INT.fullmatch(text):
        return int(_short(text))
    if _OCTAL_OR_HEX.fullmatch(text):
        return int(_short(text), base=0)
    return float(_short(text)) if _FLOAT.fullmatch(text) else text


def _short(digits: str) -> str:
    if len(digits) > MAX_DIGITS:
        got = f"got {len(digits):,}: write it shorter"
        raise ValueError(f"must have at most {MAX_DIGITS} digits, {got}")
    return digits


class _Reader:
    """Builds the value while the events arrive, so that a hostile text is dropped early."""

    def __init__(self, text: str, name: str) -> None:
        self.events: Iterator[Event] = yaml.parse(text, Loader=LOADER)
        self.name = name
        self.nodes = 0
        self.marks: dict[KeyPath, Mark] = {}

    def document(self) -> Document:
        documents = (e for e in self.events if isinstance(e, DocumentStartEvent))
        value = self.node(next(self.events), ()) if next(documents, None) else None
        if another := next(documents, None):
            self.refuse(another, "must be one document, a second one begins: leave it out")
        self.marks.setdefault((), Mark(Spot(1, 1), Spot(1, 1)))
        return Document(value, self.marks)

    def node(self, event: Event, path: KeyPath, key: Event | None = None) -> Plain:
        self.guard(event, path)
        self.marks[path] = Mark(_spot(key or event), _spot(event))
        if isinstance(event, ScalarEvent):
            return self.scalar(event)
        return self.mapping(path) if isinstance(event, MappingStartEvent) else self.sequence(path)

    def guard(self, event: Event, path: KeyPath) -> None:
        """What no node may be, whatever its value."""
        self.nodes += 1
        anchor, tag = getattr(event, "anchor", None), getattr(event, "tag", None)
        if isinstance(event, AliasEvent):
            alias = brief(f"*{anchor}")
            self.refuse(event, f"alias {alias}: aliases are not read: write the value out")
        if anchor:
            self.refuse(event, f"anchor {brief(f'&{anchor}')}: anchors are not read: leave it out")
        if tag:
            short = brief(tag.replace("tag:yaml.org,2002:", "!!"))
            self.refuse(event, f"tag {short}: tags are not read: leave it out")
        if isinstance(event, CollectionStartEvent) and len(path) >= MAX_DEPTH:
            self.refuse(event, f"must be nested at most {MAX_DEPTH} levels deep: leave this out")
        if self.nodes > MAX_NODES:
            self.refuse(event, f"must have at most {MAX_NODES:,} values, got more: {_NO_CONFIG}")

    def scalar(self, event: ScalarEvent) -> Plain:
        if found := _NO_CONTROLS.search(event.value):
            got = f"got U+{ord(found[0]):04X}: leave it out"
            self.refuse(event, f"text must be without control characters, {got}")
        if not event.implicit[0]:
            return event.value
        try:
            return scalar(event.value)
        except ValueError as error:
            self.refuse(event, str(error))

    def sequence(self, path: KeyPath) -> list[Any]:
        return [self.node(event, (*path, index)) for index, event in enumerate(self.level())]

    def mapping(self, path: KeyPath) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for event in self.level():
            key = self.key(event, path)
            if key in values:
                first = self.marks[*path, key].key
                place = f"{self.name}:{first.line}:{first.column}"
                self.refuse(event, f"{brief(key)} is given twice, first at {place}: keep one")
            values[key] = self.node(next(self.events), (*path, key), event)
        return values

    def key(self, event: Event, path: KeyPath) -> str:
        self.guard(event, path)
        key = self.scalar(event) if isinstance(event, ScalarEvent) else None
        if not isinstance(key, str):
            shown = event.value if isinstance(event, ScalarEvent) else "a list or mapping"
            got = shown if len(shown) <= WIDTH else shown[:WIDTH] + "..."
            self.refuse(event, f"a key must be text, got {got or 'nothing'}")
        return key

    def level(self) -> Iterator[Event]:
        """The events that begin a child of the collection just entered."""
        for event in self.events:
            if isinstance(event, CollectionEndEvent):
                return
            yield event

    def refuse(self, event: Event, message: str) -> NoReturn:
        raise _error(self.name, _spot(event), message)


def quoted(text: str) -> str:
    """The text in double quotes as YAML reads it back: one line, printable characters only."""
    return '"' + "".join(map(_escaped, text)) + '"'


def brief(text: str) -> str:
    """The text as `quoted` gives it, cut to a readable length."""
    return quoted(text) if len(text) <= WIDTH else f"{quoted(text[:WIDTH])}..."


def _escaped(char: str) -> str:
    if char in '"\\':
        return "\\" + char
    if char.isprintable():
        return char
    return f"\\u{ord(char):04x}" if ord(char) < 0x10000 else f"\\U{ord(char):08x}"


def _spot(event: Event) -> Spot:
    mark = event.start_mark
    assert mark is not None
    return Spot(mark.line + 1, mark.column + 1)


def _error(name: str, spot: Spot, message: str) -> ConfigError:
    return ConfigError(f"{name}:{spot.line}:{spot.column}: {message}")


def _checked(text: str | bytes, name: str) -> str:
    """The text decoded, if it is short enough and printable."""
    if len(text) > MAX_BYTES:
        message = f"must have at most {MAX_BYTES:,} bytes, got more: {_NO_CONFIG}"
        raise _error(name, Spot(1, 1), message)
    text = _decoded(text, name) if isinstance(text, bytes) else text
    if found := _NOT_TEXT.search(text):
        message = f"the character U+{ord(found[0]):04X} may not stand in a config: leave it out"
        raise _error(name, _spot_at(text, found.start()), message)
    return text


def _decoded(data: bytes, name: str) -> str:
    data = data.removeprefix(codecs.BOM_UTF8)
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        before = data[: error.start].decode()
        byte = f"0x{data[error.start]:02x}"
        message = f"not UTF-8 (byte {byte}): save the file as UTF-8"
        raise _error(name, _spot_at(before, len(before)), message) from None


def _spot_at(text: str, index: int) -> Spot:
    lines = _BREAK.split(text[:index])
    return Spot(len(lines), len(lines[-1]) + 1)


def _refuse_syntax(text: str, name: str, error: yaml.YAMLError) -> NoReturn:
    """PyYAML's complaint in one line, placed no further than the last line of the text."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    spot = Spot(mark.line + 1, mark.column + 1) if mark else Spot(1, 1)
    last = _spot_at(text.rstrip(), len(text.rstrip()))
    raise _error(name, min(spot, last), _syntax_message(text, error, spot)) from None


def _syntax_message(text: str, error: yaml.YAMLError, spot: Spot) -> str:
    lines = _BREAK.split(text)
    line = lines[spot.line - 1] if spot.line <= len(lines) else ""
    if "\t" in line[: len(line) - len(line.lstrip())]:
        return "a tab cannot indent: use spaces"
    problem = str(getattr(error, "problem", None) or error)
    context = getattr(error, "context", None)
    return " ".join(f"not YAML: {context + ', ' if context else ''}{problem}".split())
