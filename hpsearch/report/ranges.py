"""The view of the space: a ruler per hparam, the best trials on it, and how much it matters."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console, ConsoleOptions, RenderResult
from rich.padding import Padding
from rich.text import Text

from hpsearch.report.charts import BEST, bar, ruler
from hpsearch.report.grid import Column, Grid, cells, figures
from hpsearch.report.text import is_real, number, plain, share

EDGE_STYLES = {"warn": "yellow", "strong": "red", "stability": "yellow"}
NARROW, WIDE = 80, 120  # columns of a terminal; the rulers grow with it
BAR = 10  # columns of the whole importance
APART = 2
Row = Mapping[str, Any]


class Ranges:
    """Every hparam's range with the best five trials on it, or its list of values; and its share
    of the importance, where that is known.
    """

    def __init__(self, rows: Sequence[Row], importance: Mapping[str, Any]) -> None:
        self.rows = rows
        self.importance = {name: value for name, value in importance.items() if is_real(value)}

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = options.max_width
        length = 16 if width < NARROW else 26 if width < WIDE else 40
        said = Text("where the best five lie, the very best as █", style="dim")
        yield Padding(said, (0, 0, 0, 2), expand=False)
        yield Grid([*self._ruled(length), *self._weighed()])

    def _ruled(self, length: int) -> list[Column]:
        rows = self.rows
        return [
            Column("", cells([plain(row["hparam"], 24) for row in rows])),
            figures("from", [_low(row) for row in rows], "dim"),
            Column("", [_range(row, length) for row in rows]),
            Column("to", cells([_high(row) for row in rows], "dim")),
            Column("best", [_best(row) for row in rows], rank=1),
        ]

    def _weighed(self) -> list[Column]:
        if not self.importance:
            return []
        shares = [self.importance.get(row["hparam"]) for row in self.rows]
        bars = [bar(value or 0.0, BAR) for value in shares]
        return [
            figures("importance", ["" if s is None else share(s) for s in shares], rank=2),
            Column("", cells(bars, "cyan"), rank=3),
        ]


def _low(row: Row) -> str:
    return "one of" if row["values"] is not None else number(row["low"])


def _high(row: Row) -> str:
    return "" if row["values"] is not None else number(row["high"])


def _best(row: Row) -> Text:
    """The best trial's value; it may have none, where the hparam depends on another."""
    return Text("has none", style="dim") if row["best"] is None else Text(number(row["best"]))


def _range(row: Row, length: int) -> Text:
    return _ruler(row, length) if row["values"] is None else _choices(row, length)


def _ruler(row: Row, length: int) -> Text:
    style = EDGE_STYLES.get(row["edge"] or "")
    side = row["side"] if style else None
    return ruler(row["top"], row["position"], length, side=side, style=style or BEST)


def _choices(row: Row, length: int) -> Text:
    """A list's values, the best one marked, in lines of that length where none is longer."""
    best, text, used = number(row["best"]), Text(), 0
    for value in map(number, row["values"]):
        mark, style = ("█ ", BEST) if value == best else ("", "dim")
        size = len(mark) + len(value)
        if used and used + APART + size > length:
            text.append("\n")
            used = 0
        text.append(" " * APART if used else "").append(f"{mark}{value}", style=style)
        used += size + (APART if used else 0)
    return text
