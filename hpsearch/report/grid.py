"""A table that leaves its least important columns out where the terminal is narrow."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderResult
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

INDENT = 2
SPACING = 2
NARROWEST = 20  # of a column whose text wraps


@dataclass(frozen=True)
class Column:
    """A heading and its cells. `rank` 0 always stays; the highest rank is left out first."""

    title: str
    cells: Sequence[Text]
    right: bool = False
    wraps: bool = False
    rank: int = 0

    @property
    def width(self) -> int:
        """What it needs at least."""
        widest = max([Text(self.title).cell_len, *(_widest(cell) for cell in self.cells)])
        return min(widest, NARROWEST) if self.wraps else widest


def cells(values: Sequence[str], style: str = "") -> list[Text]:
    """A column's cells from strings that are already inert."""
    return [Text(value, style=style) for value in values]


def figures(title: str, values: Sequence[str], style: str = "", rank: int = 0) -> Column:
    """A column of numbers."""
    return Column(title, cells(values, style), right=True, rank=rank)


def _widest(cell: Text) -> int:
    return max((part.cell_len for part in cell.split("\n")), default=0)


@dataclass(frozen=True)
class Grid:
    """Columns side by side, a heading above each unless `bare`."""

    columns: Sequence[Column]
    bare: bool = False

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        shown = fitting(self.columns, options.max_width - INDENT)
        yield Padding(self._table(shown), (0, 0, 0, INDENT), expand=False)
        left_out = [column.title for column in self.columns if column not in shown]
        left_out = [title for title in left_out if title]
        if left_out:
            text = f"not shown in {options.max_width} columns: {', '.join(left_out)}"
            yield Padding(Text(text, style="dim"), (0, 0, 0, INDENT), expand=False)

    def _table(self, columns: Sequence[Column]) -> Table:
        table = Table(
            box=None, pad_edge=False, padding=(0, SPACING, 0, 0), show_header=not self.bare,
            header_style="dim",
        )  # fmt: skip
        for column in columns:
            table.add_column(
                Text(column.title), justify="right" if column.right else "left",
                no_wrap=not column.wraps, overflow="fold" if column.wraps else "ellipsis",
            )  # fmt: skip
        for row in zip(*(column.cells for column in columns), strict=True):
            table.add_row(*row)
        return table


def fitting(columns: Sequence[Column], width: int) -> list[Column]:
    """The columns that fit beside each other, in their order."""
    shown = list(columns)
    while sum(column.width + SPACING for column in shown) - SPACING > width:
        last = max(reversed(shown), key=lambda column: column.rank, default=None)
        if last is None or last.rank == 0:
            break
        shown = [column for column in shown if column is not last]
    return shown
