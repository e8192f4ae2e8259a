"""What the user wrote, in the file and on the command line, and where each key stands."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

from hpsearch.config.find import Found
from hpsearch.config.yaml12 import MAX_BYTES, WIDTH, Document, KeyPath, Spot, brief, read
from hpsearch.errors import ConfigError, HostError


class Override(NamedTuple):
    """A value from the command line; `place` is how messages name it: `--seed`, `--set a.b=1`."""

    place: str
    key: str
    value: Any

    @classmethod
    def parse(cls, text: str) -> Self:
        """KEY=VALUE, the value read as YAML; ConfigError where it is not that."""
        short = text.isprintable() and len(text) <= WIDTH
        place = f"--set {text if short else brief(text)}"
        key, equals, value = text.partition("=")
        if not (equals and key.strip()):
            raise ConfigError(f"{place}: must be KEY=VALUE, for example train.momentum=0.9")
        return cls(place, key.strip(), read(value, place).value)


class Where(NamedTuple):
    """The places of a key and of its value, and the folder that a relative path starts from."""

    key: str
    value: str
    folder: Path


class Written:
    """The values as plain mappings, every path in them with its place."""

    def __init__(self, values: dict[str, Any], where: dict[KeyPath, Where]) -> None:
        self.values = values
        self.where = where

    @classmethod
    def from_file(cls, found: Found) -> Self:
        """The file's content; an empty file is an empty mapping.

        ConfigError where it is no YAML mapping, HostError where it cannot be read.
        """
        document = read(_bytes(found), found.shown)
        values = {} if document.value is None else document.value
        where = _places(document, found)
        if not isinstance(values, dict):
            rule = "must be a mapping of keys, such as seed: 0"
            got = f"a {'list' if isinstance(values, list) else 'single value'}"
            raise ConfigError(f"{where[()].value}: {rule}, got {got}")
        return cls(values, where)

    def put(self, override: Override, cwd: Path) -> None:
        """The value in place of what stands there, mappings included.

        ConfigError where a key on the way to it is no mapping.
        """
        *parents, last = path = tuple(override.key.split("."))
        where = Where(override.place, override.place, cwd)
        target = self.values
        for depth, key in enumerate(parents, 1):
            self.where.setdefault(path[:depth], where)
            target = target.setdefault(key, {})
            if not isinstance(target, dict):
                parent = ".".join(path[:depth])
                raise ConfigError(f"{override.place}: {parent} is not a mapping of keys")
        target[last] = override.value
        self.where = {p: w for p, w in self.where.items() if p[: len(path)] != path}
        self.where[path] = where

    def at(self, path: KeyPath) -> Where:
        """The place of the path, or of the nearest mapping around it."""
        return next(self.where[p] for p in _upwards(path) if p in self.where)

    def get(self, path: KeyPath) -> Any:
        """The value at a path that `trace` gave."""
        return _descend(self.values, path)

    def trace(self, loc: Sequence[str | int]) -> KeyPath:
        """The path in `values` that pydantic's `loc` means, without the names of union branches.

        Its last part is kept where it is a key that should have been there.
        """
        path: KeyPath = ()
        for part in loc:
            if _holds(self.get(path), part):
                path = (*path, part)
            elif path and isinstance(part, str) and _holds(self.get(path[:-1]), part):
                path = (*path[:-1], part)  # the last part was a branch with the name of a key
        return path


def _bytes(found: Found) -> bytes:
    try:
        with found.path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise HostError(f"{found.shown}: cannot be read: {error.strerror}") from None


def _places(document: Document, found: Found) -> dict[KeyPath, Where]:
    def place(spot: Spot) -> str:
        return f"{found.shown}:{spot.line}:{spot.column}"

    folder = found.path.parent.resolve()
    return {
        path: Where(place(mark.key), place(mark.value), folder)
        for path, mark in document.marks.items()
    }


def _upwards(path: KeyPath) -> list[KeyPath]:
    return [path[:length] for length in range(len(path), -1, -1)]


def _holds(container: object, part: str | int) -> bool:
    if isinstance(container, dict):
        return part in container
    return isinstance(container, list) and isinstance(part, int) and part < len(container)


def _descend(value: Any, path: KeyPath) -> Any:
    for part in path:
        value = value[part]
    return value
