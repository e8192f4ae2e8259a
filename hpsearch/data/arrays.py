"""NumPy's .npz archives and .npy files: never unpickled, and mapped where that costs no copy."""

import math
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from hpsearch.data.files import fits_memory, needed_file, needed_folder, no_bomb, quoted, reading
from hpsearch.errors import DataError

# Smaller arrays are read: a program dies where a file that it maps is cut short meanwhile.
MAPPED_FROM = 2**24  # bytes
PIECE = 2**20  # bytes read or checked at a time
BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    OSError,
    EOFError,
    ValueError,
    SyntaxError,
    TypeError,
    KeyError,
    OverflowError,
    RecursionError,
    RuntimeError,
    NotImplementedError,
)


@dataclass(frozen=True)
class Stored:
    """An array in NumPy's format: a file of its own, or `entry` of the archive at `path`."""

    path: Path
    name: str
    entry: zipfile.ZipInfo | None = None

    def read(self) -> NDArray[Any]:
        """The array, read-only where it is a map of the file: large, and not compressed.

        DataError where it is damaged, lies about its size, or holds Python objects; nothing is
        allocated on a header's word.
        """
        size = self.entry.file_size if self.entry else needed_file(self.path).stat().st_size
        plain = self.entry is None or self.entry.compress_type == zipfile.ZIP_STORED
        try:
            with self._opened() as file:
                shape, fortran, dtype = _header(file)
                start = file.tell()
                self._check(dtype, shape, size - start)
                if plain and size >= MAPPED_FROM:
                    flat = self._map(size)[start:]
                else:
                    no_bomb(self.path, self.entry.compress_size if self.entry else size, size)
                    fits_memory(f"{self.path}: {self.name}", size)
                    flat = _filled(file, size - start)
                typed = flat.view(dtype)
            return typed.reshape(shape[::-1]).T if fortran else typed.reshape(shape)
        except BROKEN as error:
            raise self._broken(error) from error

    @contextmanager
    def _opened(self) -> Iterator[IO[bytes]]:
        if self.entry is None:
            with self.path.open("rb") as file:
                yield file
        else:
            with zipfile.ZipFile(self.path) as archive, archive.open(self.entry) as member:
                yield member

    def _map(self, size: int) -> NDArray[np.uint8]:
        """The array's bytes (size,), its header included, where they lie; read-only."""
        start = 0 if self.entry is None else _start(self.path, self.entry)
        found = np.asarray(np.memmap(self.path, np.uint8, "r", start, (size,)))
        if self.entry is not None:
            crc = 0
            for at in range(0, size, PIECE):
                crc = zlib.crc32(found[at : at + PIECE].data, crc)
            if crc != self.entry.CRC:
                raise zipfile.BadZipFile("its checksum is wrong")
        return found

    def _check(self, dtype: np.dtype[Any], shape: tuple[int, ...], size: int) -> None:
        if dtype.hasobject or dtype.kind not in "biufUS":
            raise DataError(
                f"{self.path}: {self.name} must be numbers or text, got {dtype} (Python objects "
                "are never unpickled); save it with a plain dtype"
            )
        announced = math.prod(shape) * dtype.itemsize
        if announced != size or min(shape, default=0) < 0:
            raise DataError(
                f"{self.path}: {self.name} announces {announced} bytes {shape} but holds {size}; "
                "the file is damaged, save it again"
            )

    def _broken(self, error: Exception) -> DataError:
        return broken(self.path, self.name, error)


def broken(path: Path, name: str, error: Exception) -> DataError:
    """For an archive or array that cannot be read."""
    reason = quoted(str(error) or type(error).__name__)
    kind, save = (".npy", "np.save") if path.suffix.lower() == ".npy" else (".npz", "np.savez")
    return DataError(
        f"{path}: {name}: must be a readable {kind} array, got {reason}; save it again with {save}"
    )


def arrays_at(path: Path) -> dict[str, Stored]:
    """The arrays by lower-case name of an .npz file, of a folder of .npy files, or of `x.npy`
    with `y.npy` beside it (`x_train.npy` with `y_train.npy`, and so on).
    """
    with reading(path):
        is_folder = path.is_dir()
    if is_folder:
        return _in_folder(path)
    return _beside(needed_file(path)) if path.suffix.lower() == ".npy" else archive(path)


def archive(path: Path) -> dict[str, Stored]:
    """The arrays of an .npz file by lower-case name."""
    needed_file(path)
    try:
        with zipfile.ZipFile(path) as file:
            entries = [entry for entry in file.infolist() if entry.filename.endswith(".npy")]
    except BROKEN as error:
        raise broken(path, "archive", error) from error
    return _by_name(path, [Stored(path, each.filename[:-4], each) for each in entries])


def _in_folder(folder: Path) -> dict[str, Stored]:
    with reading(needed_folder(folder)):
        files = sorted(each for each in folder.iterdir() if each.suffix.lower() == ".npy")
    return _by_name(folder, [Stored(each, each.stem) for each in files])


def _beside(path: Path) -> dict[str, Stored]:
    letter, rest = path.name[0], path.name[1:]
    partners = [path.with_name(y + rest) for y in "yY"]
    with reading(path):
        found = [each for each in partners if each.exists()]
    if letter not in "xX" or not found:
        raise DataError(
            f"{path}: must be named x.npy (or x_train.npy, ...) with y.npy beside it, found "
            f"{'another name' if letter not in 'xX' else f'no {partners[0].name}'}; rename it, "
            "store both, or name an .npz file that holds x and y"
        )
    return {"x": Stored(path, path.stem), "y": Stored(found[0], found[0].stem)}


def _by_name(path: Path, arrays: Sequence[Stored]) -> dict[str, Stored]:
    named = {array.name.lower(): array for array in arrays}
    if len(named) < len(arrays):
        raise DataError(
            f"{path}: array names must differ by more than case, got "
            f"{quoted(', '.join(array.name for array in arrays))}; rename one"
        )
    return named


def _start(path: Path, entry: zipfile.ZipInfo) -> int:
    """Where an entry's bytes begin: its local header ends in a name and an extra field."""
    with path.open("rb") as file:
        file.seek(entry.header_offset)
        name, extra = struct.unpack("<26xHH", file.read(30))
    return entry.header_offset + 30 + int(name) + int(extra)


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(file)
    if version == (2, 0):
        return np.lib.format.read_array_header_2_0(file)
    raise ValueError(f"array format {version} is not known")


def _filled(file: IO[bytes], size: int) -> NDArray[np.uint8]:
    found, done = np.empty(size, np.uint8), 0
    while done < size:
        piece = file.read(min(size - done, PIECE))
        if not piece:
            raise EOFError("the file ends too early")
        found[done : done + len(piece)] = np.frombuffer(piece, np.uint8)
        done += len(piece)
    return found
