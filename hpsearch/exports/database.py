"""A library's SQLite file, filled a table at a time.

The library makes the empty file, with its schema. The rows go in here, since the libraries write
a trial at a time and ask the file about every number first: 40 to 80 ms a trial where this takes
one. `tests/oracle/test_exports.py` holds the rows to those that the library itself writes.
"""

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hpsearch.errors import HostError

Rows = Mapping[str, Sequence[Mapping[str, Any]]]  # by table; a row's values by column


def fill(target: Path, make: Callable[[str], None], trials: Iterable[Rows]) -> None:
    """The file that `make` makes at a URL, with the rows of all trials in it. HostError where it
    cannot be written.
    """
    with TemporaryDirectory() as folder:  # a path that needs no quoting in a URL
        blank = Path(folder) / "blank.db"
        make(f"sqlite:///{blank}")
        with _opened(target) as connection, closing(sqlite3.connect(blank)) as made:
            made.backup(connection)
    with _opened(target) as connection:
        for rows in trials:
            for table, records in rows.items():
                if records:
                    connection.executemany(_insert(table, records[0]), records)


def _insert(table: str, record: Mapping[str, Any]) -> str:
    columns = ", ".join(f'"{name}"' for name in record)
    return f"INSERT INTO {table} ({columns}) VALUES ({', '.join(f':{name}' for name in record)})"


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    """One transaction; the file is not yet where it belongs, so no journal is needed."""
    try:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA journal_mode = MEMORY")
            with connection:
                yield connection
    except sqlite3.Error as error:
        raise HostError(
            f"the database cannot be written: {error}; make room, or install the versions of the"
            " libraries that constraints.txt names"
        ) from error
