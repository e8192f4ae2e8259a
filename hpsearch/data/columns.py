"""Columns of CSV files: numbers stay numbers, text becomes one column per level."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hpsearch.data.dataset import Loaded, Source
from hpsearch.data.files import explicit_splits, fits_memory, needed_path, quoted
from hpsearch.data.labels import encode_labels
from hpsearch.data.rows import Rows
from hpsearch.data.table import MISSING, Table, column_number, listed, read_table
from hpsearch.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

MAX_LEVELS = 1000


@dataclass(frozen=True, eq=False)
class Column:
    """One column over all files: each cell is a number, a text, or missing."""

    name: str
    numbers: NDArray[np.float64]  # (N,) NaN where the cell is no number
    text: NDArray[np.object_]  # (N,) "" where the cell is no text
    missing: NDArray[np.bool_]  # (N,)

    @property
    def is_text(self) -> NDArray[np.bool_]:
        return np.isnan(self.numbers) & ~self.missing

    def kept(self, rows: NDArray[np.bool_]) -> "Column":
        return Column(self.name, self.numbers[rows], self.text[rows], self.missing[rows])


@dataclass(frozen=True, eq=False)
class Cells:
    """The rows of all files, one after the other."""

    columns: list[Column]
    files: NDArray[np.intp]  # (N,) which file a row is from
    rows: NDArray[np.int64]  # (N,) row numbers as a spreadsheet shows them
    paths: tuple[Path, ...]

    def place(self, index: int, column: Column) -> str:
        path = self.paths[self.files[index]]
        return f"{path}: row {self.rows[index]}, column {quoted(column.name)}"

    def kept(self, keep: NDArray[np.bool_]) -> "Cells":
        columns = [column.kept(keep) for column in self.columns]
        return Cells(columns, self.files[keep], self.rows[keep], self.paths)


def load_csv(source: Source) -> Loaded:
    """A table with one row per example; files named for the splits have the same columns.

    Columns without a number are one-hot coded, with the levels of all rows in sorted order;
    true and false count as 1 and 0. Cells that read '', NA, N/A, #N/A, NaN, nan, null, NULL,
    None or ? are missing. A target of numbers is taken for a regression target where they are
    not whole, or have more distinct values than 50 and than a tenth of the rows.
    """
    path = needed_path(source)
    others = explicit_splits(source)
    tables = [read_table(each) for each in (path, *others.values())]
    target, features = _chosen(source, tables[0])
    cells = _complete(_cells(tables, [target, *features]), source.missing)
    y, classes = _labels(cells, path)
    names, x = _matrix([_feature(column, cells) for column in cells.columns[1:]], path)
    ends = np.searchsorted(cells.files, np.arange(1, len(tables)))
    parts = [Rows(*pair) for pair in zip(np.split(x, ends), np.split(y, ends), strict=True)]
    for part, each in zip(parts, cells.paths, strict=True):
        if not len(part):
            raise DataError(f"{each}: must have complete rows, none is; fill the missing cells")
    given = dict(zip(others, parts[1:], strict=True))
    return Loaded(
        x=parts[0].base,
        y=parts[0].y,
        classes=classes,
        features=tuple(names),
        validation=given.get("validation"),
        test=given.get("test"),
    )


def _chosen(source: Source, table: Table) -> tuple[str, list[str]]:
    """The names of the target and of the feature columns."""
    names, path = table.names, table.path
    if source.target is None:
        raise DataError(
            f"data.target: needed for source csv, got none; set it to a column of {path}: "
            f"{listed(names)}"
        )
    target = column_number(source.target, names, place="data.target", path=path)
    drop = {column_number(key, names, place="data.drop", path=path) for key in source.drop}
    if target in drop:
        raise DataError(f"data.drop: must not name the target {quoted(names[target])}; keep it")
    kept = [k for k in range(len(names)) if k not in drop]
    if len(kept) < 2:
        raise DataError(
            f"{path}: must have a feature besides the target, got {listed(names)} "
            "(columns are separated by comma, semicolon or tab); add one, or drop fewer"
        )
    if nameless := [k for k in kept if not names[k]]:
        raise DataError(
            f"{path}: row 1: columns must be named, number {nameless[0]} is not; name it, "
            f"or leave it out with data.drop: [{nameless[0]}]"
        )
    return names[target], [names[k] for k in kept if k != target]


def _cells(tables: Sequence[Table], names: Sequence[str]) -> Cells:
    for table in tables[1:]:
        if absent := [name for name in names if name not in table.number]:
            raise DataError(
                f"{table.path}: must have the columns of {tables[0].path}, lacks "
                f"{listed(absent)}; add them"
            )
        if extra := [name for name in table.names if name not in tables[0].number]:
            raise DataError(
                f"{table.path}: must have the columns of {tables[0].path}, also has "
                f"{listed(extra)}; remove them"
            )
    columns = [
        column_of(name, [table.cells[table.number[name]] for table in tables])
        for name in names
    ]
    files = np.repeat(np.arange(len(tables)), [len(table.rows) for table in tables])
    rows = np.concatenate([table.rows for table in tables])
    return Cells(columns, files, rows, tuple(table.path for table in tables))


def column_of(name: str, series: "Sequence[pd.Series[Any]]") -> Column:
    """One column from its piece in every file."""
    pieces = [_numbers(each) if each.dtype.kind in "iuf" else _text(each) for each in series]
    if len(pieces) == 1:
        return Column(name, *pieces[0])
    return Column(name, *(np.concatenate(each) for each in zip(*pieces, strict=True)))


def _numbers(cells: "pd.Series[Any]") -> tuple[NDArray[Any], ...]:
    numbers = cells.to_numpy(np.float64)
    return numbers, np.broadcast_to(np.array("", object), numbers.shape), np.isnan(numbers)


def _text(cells: "pd.Series[Any]") -> tuple[NDArray[Any], ...]:
    """Numbers, texts and missing marks of a column that is not all numbers."""
    import pandas as pd

    absent = cells.isna().to_numpy(bool)
    pairs = zip(absent, cells, strict=True)
    text = np.array(["" if gap else str(cell).strip() for gap, cell in pairs], object)
    missing = absent | np.isin(text, np.array(MISSING, object))
    text[missing] = ""
    numbers = np.array(pd.to_numeric(pd.Series(text, dtype=object), errors="coerce"), np.float64)
    numbers[missing] = np.nan
    text[~np.isnan(numbers)] = ""
    words = set(text[text != ""])
    if words and {word.lower() for word in words} <= {"true", "false"}:
        text = np.array([word.capitalize() for word in text], object)
    return numbers, text, missing


def _complete(cells: Cells, missing: str) -> Cells:
    """The cells without gaps: rows with one are an error, or are dropped."""
    gaps = np.zeros(len(cells.rows), bool)
    for column in cells.columns:
        gaps |= column.missing
    if not gaps.any():
        return cells
    if missing == "drop":
        return cells.kept(~gaps)
    index = int(np.argmax(gaps))
    holed = [column for column in cells.columns if column.missing.any()]
    column = next(column for column in holed if column.missing[index])
    counts = ", ".join(f"{quoted(each.name)} {each.missing.sum()}" for each in holed[:20])
    raise DataError(
        f"{cells.place(index, column)}: missing value (missing per column: {counts}); "
        "fill it, or set data.missing: drop"
    )


def _labels(cells: Cells, path: Path) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    target = cells.columns[0]
    place = f"{path}: column {quoted(target.name)}"
    n = len(target.numbers)
    if not target.is_text.any():
        return encode_labels(target.numbers, place, limit=max(50, n // 10))
    spelled = (np.format_float_positional(number, trim="-") for number in target.numbers)
    words = np.array([text or number for text, number in zip(target.text, spelled, strict=True)])
    _refuse_identifier(len(np.unique(words)), n, place, "choose another target")
    return encode_labels(words, place)


def _refuse_identifier(levels: int, n: int, place: str, remedy: str) -> None:
    if levels > MAX_LEVELS or (levels > 50 and levels > n / 2):
        raise DataError(
            f"{place}: looks like an identifier or free text ({levels} distinct texts in {n} "
            f"rows); {remedy}"
        )


@dataclass(frozen=True, eq=False)
class Feature:
    """The columns (N, d) that one column of the file becomes: its numbers, or one per level."""

    names: list[str]  # d of them
    values: NDArray[Any]  # (N,) numbers, or where d > 1 level indices

    def write(self, out: NDArray[np.float64]) -> None:
        """Fill `out` (N, d), given as zeros."""
        if self.values.dtype.kind == "f":
            out[:, 0] = self.values
        else:
            out[np.arange(len(out)), self.values] = 1.0


def _feature(column: Column, cells: Cells) -> Feature:
    is_text = column.is_text
    if not is_text.any():
        return Feature([column.name], column.numbers)
    if not is_text.all():
        index = int(np.argmax(is_text))
        raise DataError(
            f"{cells.place(index, column)}: must be a number as in other rows, got "
            f"{quoted(column.text[index])} ({is_text.sum()} of {len(is_text)} cells are text); "
            "correct them, or leave the column out with data.drop"
        )
    levels, codes = np.unique(column.text, return_inverse=True)
    if set(levels) <= {"True", "False"}:
        return Feature([column.name], (column.text == "True").astype(np.float64))
    place = f"{cells.paths[0]}: column {quoted(column.name)}"
    _refuse_decimal_commas(levels, cells.place(0, column))
    _refuse_identifier(len(levels), len(codes), place, "leave the column out with data.drop")
    return Feature([f"{column.name}={level}" for level in levels], codes.astype(np.intp))


def _refuse_decimal_commas(levels: NDArray[Any], place: str) -> None:
    if all(re.fullmatch(r"[-+]?\d+,\d+", level) for level in levels):
        raise DataError(
            f"{place}: must be a number with a decimal point, got {quoted(levels[0])}; "
            "write 3.14, not 3,14"
        )


def _matrix(features: Sequence[Feature], path: Path) -> tuple[list[str], NDArray[np.float64]]:
    """The names (D,) and the numbers (N, D) of all features."""
    names = [name for feature in features for name in feature.names]
    n = len(features[0].values)
    fits_memory(str(path), 8 * n * len(names))
    x = np.zeros((n, len(names)))
    start = 0
    for feature in features:
        stop = start + len(feature.names)
        feature.write(x[:, start:stop])
        start = stop
    return names, x
