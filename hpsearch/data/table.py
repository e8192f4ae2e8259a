"""CSV files: read strictly, one record per row, with the row numbers that a spreadsheet shows."""

import csv
import difflib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import numpy as np
from numpy.typing import NDArray

from hpsearch.data.files import needed_file, quoted, reading
from hpsearch.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

SEPARATORS = (",", ";", "\t")
MAX_LINE = 2**25  # characters
MAX_COLUMNS = 100_000
MISSING = ("", "NA", "N/A", "#N/A", "NaN", "nan", "null", "NULL", "None", "?")


@dataclass(frozen=True, eq=False)
class Table:
    """One file: typed cells (R, C) as pandas reads them, columns numbered from 0."""

    path: Path
    names: tuple[str, ...]  # (C,)
    cells: "pd.DataFrame"
    rows: NDArray[np.int64]  # (R,) row numbers; the header is row 1

    @cached_property
    def number(self) -> dict[str, int]:
        """Where each column stands, by its name."""
        return {name: k for k, name in enumerate(self.names)}


def read_table(path: Path) -> Table:
    """The CSV file at `path`, UTF-8 with or without a BOM, with a header.

    The separator is whichever of comma, semicolon and tab occurs most often in the first line,
    outside quotes. Blank lines are skipped. DataError for anything else than a rectangle of text.
    """
    needed_file(path)
    separator, names, rows = _shape(path)
    cells = _typed(path, separator, len(names))
    if len(cells) != len(rows):
        raise DataError(
            f"{path}: must hold one record per row, counted {len(rows)} and read {len(cells)}; "
            "check its quotes and line ends"
        )
    return Table(path, names, cells, rows)


def _shape(path: Path) -> tuple[str, tuple[str, ...], NDArray[np.int64]]:
    """Separator, column names and row numbers, from one pass that checks every record."""
    with _opened(path) as file:
        lines = _lines(file, path)
        blank, first = _first_line(lines, path)
        separator = _separator(first)
        records = csv.reader(chain([first], lines), delimiter=separator, strict=True)
        try:
            names = _header(next(records), path)
            rows = list(_row_numbers(records, len(names), first_row=blank + 2, path=path))
        except csv.Error as error:
            raise DataError(
                f"{path}: line {blank + records.line_num}: must be valid CSV, got: {error}; "
                "check the quotes there"
            ) from error
    if not rows:
        raise DataError(f"{path}: must hold rows below its header, found none; add data")
    return separator, names, np.array(rows, np.int64)


@contextmanager
def _opened(path: Path) -> Iterator[TextIO]:
    """The text of `path`; what cannot be read or decoded becomes a DataError."""
    with reading(path), path.open(encoding="utf-8-sig", newline="") as file:
        try:
            yield file
        except UnicodeDecodeError as error:
            raise DataError(
                f"{path}: must be UTF-8 text, got byte 0x{error.object[error.start]:02x} in it; "
                "save it as UTF-8 (in Excel: CSV UTF-8)"
            ) from error


def _lines(file: TextIO, path: Path) -> Iterator[str]:
    lines = iter(lambda: file.readline(MAX_LINE), "")
    for number, line in enumerate(lines, start=1):
        if len(line) == MAX_LINE:
            raise DataError(
                f"{path}: line {number}: must have fewer than {MAX_LINE:,} characters, has more; "
                "put every record on a line of its own, or store the table as .npy"
            )
        if "\0" in line:
            raise DataError(
                f"{path}: line {number}: must be text, got a NUL byte; save the table as CSV"
            )
        yield line


def _first_line(lines: Iterator[str], path: Path) -> tuple[int, str]:
    """The number of blank lines at the top, and the line after them."""
    for blank, line in enumerate(lines):
        if line.strip():
            return blank, line
    raise DataError(f"{path}: must hold a header and rows, got blank lines only; save it again")


def _separator(line: str) -> str:
    bare = "".join(line.split('"')[::2])
    return max(SEPARATORS, key=bare.count)


def _header(record: Sequence[str], path: Path) -> tuple[str, ...]:
    names = tuple(name.strip() for name in record)
    if all(_is_number(name) for name in names):
        raise DataError(
            f"{path}: row 1: must be a header of column names, got only numbers "
            f"({quoted(', '.join(names[:4]))}); put a line of names on top"
        )
    if len(names) > MAX_COLUMNS:
        raise DataError(
            f"{path}: must have at most {MAX_COLUMNS:,} columns, has {len(names):,}; store the "
            "table as .npy"
        )
    twice = ((name, count) for name, count in Counter(names).items() if name and count > 1)
    for name, count in twice:
        raise DataError(
            f"{path}: row 1: column names must differ, got {quoted(name)} {count} times; "
            "rename all but one"
        )
    return names


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _row_numbers(
    records: Iterator[list[str]], width: int, *, first_row: int, path: Path
) -> Iterator[int]:
    for row, record in enumerate(records, start=first_row):
        if not record or (len(record) == 1 and not record[0].strip()):
            continue
        if len(record) != width:
            raise DataError(
                f"{path}: row {row}: must have {width} cells as the header has, got "
                f"{len(record)}; put in what is missing, or quote cells that hold the separator"
            )
        yield row


def _typed(path: Path, separator: str, width: int) -> "pd.DataFrame":
    import pandas as pd

    try:
        with _opened(path) as file:
            return pd.read_csv(
                file,
                sep=separator,
                header=0,
                names=list(range(width)),
                index_col=False,
                keep_default_na=False,
                na_values=list(MISSING),
                low_memory=False,
            )
    except (ValueError, OverflowError) as error:
        raise DataError(f"{path}: must be valid CSV, got: {error}; save it again") from error


def column_number(key: str | int, names: Sequence[str], *, place: str, path: Path) -> int:
    """The position of a column given by name, or by number from 0 (negative: from the end)."""
    if isinstance(key, str) and key in names:
        return names.index(key)
    if isinstance(key, int) and -len(names) <= key < len(names):
        return key % len(names)
    near = difflib.get_close_matches(str(key), names[:1000], n=1)  # of very many it takes long
    hint = f"did you mean {quoted(near[0])}?" if near else f"choose one of: {listed(names)}"
    raise DataError(f"{place}: must be a column of {path}, got {quoted(key)}; {hint}")


def listed(names: Sequence[str]) -> str:
    """Column names for a message, the first twenty."""
    more = f" and {len(names) - 20} more" if len(names) > 20 else ""
    return ", ".join(quoted(name) for name in names[:20]) + more
