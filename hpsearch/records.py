"""Records read from their files: what is damaged, or was changed since, is never misread."""

import io
import json
import stat
import struct
import zlib
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from hpsearch import seal
from hpsearch.errors import HostError
from hpsearch.trial import TrialResult

T = TypeVar("T")
REMEDIES = {  # by the file's name
    "stage.json": "put a copy of it back, or delete the stage's folder and run the stage again",
    "run.json": "delete it: the next stage writes it again",
    "final.json": "put a copy of it back; without it the winners are trained with other seeds, and"
    " the test set is read again",
}
UNREADABLE = (
    KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError, RecursionError,
)  # fmt: skip
BROKEN = (  # archive
    *UNREADABLE, OSError, EOFError, RuntimeError, SyntaxError, MemoryError, BadZipFile,
    struct.error, zlib.error,
)  # fmt: skip
READABLE = "make it readable, or put a copy of it back"
BY_HAND = 'where the change was meant, take "checksum", its last line, out, and the comma before'


def text_of(path: Path) -> str | None:
    """The record's text without its checksum, None where there is no file. HostError where it
    cannot be read, or is not what was written.
    """
    content = bytes_of(path)
    try:
        return None if content is None else seal.opened(content, str(path)).decode()
    except seal.Changed as error:
        raise HostError(f"{path}: damaged ({error}); {remedy(path)}; {BY_HAND}") from error
    except UnicodeDecodeError as error:
        raise HostError(f"{path}: damaged (not UTF-8); {remedy(path)}") from error


def bytes_of(path: Path) -> bytes | None:
    """What the file holds; None where there is none. HostError where it cannot be read, or might
    never end, as a pipe or a device.
    """
    try:
        mode = path.stat().st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            raise HostError(f"{path}: cannot be read: it is no file; {READABLE}")
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise HostError(f"{path}: cannot be read: {error.strerror}; {READABLE}") from error


def parsed(path: Path, text: str, build: Callable[[Any], T]) -> T:
    """What `build` makes of the JSON in a file's text."""
    return built(path, text, lambda text: build(json.loads(text)))


def mapping(value: Any) -> dict[str, Any]:
    """A JSON object; TypeError where it is none."""
    if not isinstance(value, dict):
        raise TypeError(f"must be an object, got {type(value).__name__}")
    return value


def built(path: Path, text: str, build: Callable[[str], T]) -> T:
    """What `build` makes of a file's text; HostError where it can make nothing of it."""
    try:
        return build(text)
    except UNREADABLE as error:
        said = str(error) if isinstance(error, json.JSONDecodeError) else repr(error)
        raise HostError(f"{path}: damaged ({_unbroken(said)}); {remedy(path)}") from error


def _unbroken(said: str) -> str:
    """Without a semicolon, behind which an error's remedy stands."""
    return said.replace(";", ",")


def arrays_of(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of an .npz file. HostError where there is none, or it is not what was written."""
    content = bytes_of(path)
    if content is None:
        raise HostError(f"{path}: is gone")
    try:
        seal.check_archive(content)
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except BROKEN as error:
        said = "no npz archive of numbers" if "pickle" in str(error) else error
        raise HostError(f"{path}: damaged ({_unbroken(str(said))})") from error


def packed(arrays: Mapping[str, Any]) -> bytes:
    """The content of an .npz file, sealed."""
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return seal.sealed_archive(buffer.getvalue())


def trial_in(path: Path, text: str, *, losses: bool = True) -> TrialResult:
    """The trial of a file, which no other trial's record can take the place of."""
    result = built(path, text, partial(TrialResult.from_text, losses=losses))
    if (result.stage, f"{result.id:05d}") != (path.parent.parent.name, path.stem):
        raise HostError(f"{path}: holds trial {result.id} of {result.stage}; {remedy(path)}")
    return result


def document_in(path: Path, text: str, stage: str, build: Callable[[Any], T]) -> T:
    """What `build` makes of a stage's document, which no other stage's can take the place of."""

    def own(read: Any) -> T:
        found = mapping(read)
        if (of := found.get("stage", stage)) != stage:
            raise HostError(f"{path}: is the document of {str(of)[:64]}; {remedy(path)}")
        return build(found | {"stage": stage})

    return parsed(path, text, own)


def weights_trial(path: Path) -> int | None:
    """The trial whose weights the file holds; None where that cannot be read."""
    try:
        return int(arrays_of(path)["trial"])
    except (HostError, KeyError, TypeError, ValueError):
        return None


def remedy(path: Path) -> str:
    """What to do about a damaged file."""
    return REMEDIES.get(path.name, "delete it, and run the stage again")
