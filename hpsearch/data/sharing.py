"""A dataset as other processes open it: its arrays stay in files, which all of them map."""

import mmap
import os
import tempfile
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from hpsearch.data.dataset import Dataset
from hpsearch.data.rows import Rows
from hpsearch.errors import DataError, HostError

OPEN_FILES = Path("/proc/self/fd")  # Linux alone has it


@dataclass(frozen=True)
class Block:
    """Where an array's bytes lie, in C order; `size` and `changed` are the file's."""

    path: Path
    offset: int  # bytes
    dtype: str
    shape: tuple[int, ...]
    size: int  # bytes
    changed: int  # nanoseconds

    @classmethod
    def of(cls, path: Path, array: NDArray[Any], offset: int) -> "Block":
        stat = path.stat()
        return cls(path, offset, array.dtype.str, array.shape, stat.st_size, stat.st_mtime_ns)

    def open(self) -> NDArray[Any]:
        """The array, a read-only map. DataError where the file is gone or was changed."""
        try:
            if self.unchanged():
                found = np.memmap(self.path, self.dtype, "r", self.offset, self.shape)
                return np.asarray(found)
            reason = "it was changed"
        except (OSError, ValueError) as error:
            reason = str(error)
        raise self._spoilt(reason)

    def unchanged(self) -> bool:
        """Whether the file is as it was; OSError where it is gone."""
        stat = self.path.stat()
        return (stat.st_size, stat.st_mtime_ns) == (self.size, self.changed)

    def verify(self) -> None:
        """DataError where it was changed; one that is gone is still there for who maps it."""
        with suppress(FileNotFoundError):
            if not self.unchanged():
                raise self._spoilt("it was changed")

    def _spoilt(self, reason: str) -> DataError:
        return DataError(
            f"{self.path}: must stay as it is while trials train on it, got: {reason}; "
            "leave it alone and run the command again"
        )


@dataclass(frozen=True, eq=False)
class SharedRows:
    """A split whose arrays are named by where they lie."""

    base: Block
    y: Block
    index: Block | None

    def open(self, base: NDArray[Any]) -> Rows:
        """The split; `base` is the block of that name, opened once for all splits."""
        return Rows(base, self.y.open(), self.index.open() if self.index else None)


@dataclass(frozen=True, eq=False)
class Shared:
    """A dataset without its arrays: small, and picklable."""

    splits: tuple[SharedRows | None, ...]  # train, validation, test
    rest: dict[str, Any]  # the other fields of the dataset
    rotation: Block | None = None  # of the preprocessing, which is without it in `rest`

    @classmethod
    def of(cls, dataset: Dataset, left: ExitStack) -> "Shared":
        """`dataset`, with what no file holds yet written into temporary files, once, which go
        with what is `left` to do; what is mapped from a file stays there. HostError where they
        cannot be written.
        """
        blocks = _Blocks(left)
        splits = (dataset.train, dataset.validation, dataset.test)
        rest = {name: getattr(dataset, name) for name in Dataset.__dataclass_fields__}
        for name in ("train", "validation", "test"):
            del rest[name]
        shared = tuple(None if rows is None else blocks.rows(rows) for rows in splits)
        if (rotation := dataset.preprocess.rotation) is None:
            return cls(shared, rest)
        rest["preprocess"] = replace(dataset.preprocess, rotation=None)
        return cls(shared, rest, blocks.block(rotation))

    def open(self) -> Dataset:
        """The same dataset with every array mapped read-only; a base that splits share, once."""
        bases = {rows.base: rows.base.open() for rows in self.splits if rows is not None}
        train, validation, test = (
            None if rows is None else rows.open(bases[rows.base]) for rows in self.splits
        )
        assert train is not None and validation is not None
        rest = dict(self.rest)
        if self.rotation:
            rest["preprocess"] = replace(rest["preprocess"], rotation=self.rotation.open())
        return Dataset(train=train, validation=validation, test=test, **rest)


@dataclass(frozen=True)
class MappedFiles:
    """The files that a dataset's rows are read from as they are needed, as they were at first."""

    blocks: tuple[Block, ...]

    @classmethod
    def of(cls, dataset: Dataset) -> "MappedFiles":
        splits = [rows for rows in (dataset.train, dataset.validation, dataset.test) if rows]
        bases = {id(rows.base): rows.base for rows in splits}
        return cls(tuple(block for base in bases.values() if (block := _located(base))))

    def verify(self) -> None:
        """DataError where one was changed, so that nothing is recorded of what is not known."""
        for block in self.blocks:
            block.verify()


class _Blocks:
    """Finds arrays in their files, or writes them into files of their own."""

    def __init__(self, left: ExitStack) -> None:
        self.left = left
        self.written: dict[int, Block] = {}

    def rows(self, rows: Rows) -> SharedRows:
        index = None if rows.index is None else self.block(rows.index)
        return SharedRows(self.block(rows.base), self.block(rows.y), index)

    def block(self, array: NDArray[Any]) -> Block:
        if id(array) not in self.written:
            self.written[id(array)] = _located(array) or self._write(array)
        return self.written[id(array)]

    def _write(self, array: NDArray[Any]) -> Block:
        try:
            file, path = _passing_file(self.left)
            np.ascontiguousarray(array).tofile(file)
            return Block.of(path, array, 0)
        except OSError as error:
            raise HostError(
                f"{tempfile.gettempdir()}: must hold {array.nbytes / 2**20:.0f} MiB of data for "
                f"the workers, got: {error.strerror or error}; make room there, or set TMPDIR"
            ) from error


def _passing_file(left: ExitStack) -> tuple[IO[bytes], Path]:
    """An empty file and where other processes find it. On Linux it has no name of its own, so
    that it is gone with this process, however that ends.
    """
    if OPEN_FILES.is_dir():
        file = left.enter_context(tempfile.TemporaryFile(buffering=0))  # noqa: SIM115
        return file, OPEN_FILES.parent.with_name(str(os.getpid())) / "fd" / str(file.fileno())
    named = left.enter_context(
        tempfile.NamedTemporaryFile(prefix="hpsearch-", buffering=0)  # noqa: SIM115
    )
    return named.file, Path(named.name)


def _located(array: NDArray[Any]) -> Block | None:
    """The place of an array that is a view of a read-only map of a file, else None."""
    root: Any = array
    while isinstance(root, np.ndarray) and not isinstance(root.base, mmap.mmap):
        root = root.base
    if not (isinstance(root, np.memmap) and root.mode == "r" and array.flags.c_contiguous):
        return None
    path = Path(str(root.filename))
    address, origin = (each.__array_interface__["data"][0] for each in (array, root))
    return Block.of(path, array, root.offset + address - origin) if path.is_file() else None
