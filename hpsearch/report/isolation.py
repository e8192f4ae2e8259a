"""The view of the scientific hparams: each of their values at its best, and how far apart."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import RenderableType
from rich.padding import Padding
from rich.text import Text

from hpsearch.report.charts import BEST
from hpsearch.report.grid import Column, Grid, cells, figures
from hpsearch.report.tables.isolation import value_name
from hpsearch.report.tables.stages import isolated_rows
from hpsearch.report.text import MISSING, is_real, metric, number, plain
from hpsearch.verdict import SearchDocument

Row = Mapping[str, Any]
STYLES = {"leads": BEST, "worse": "yellow"}


def isolated_view(document: SearchDocument) -> list[RenderableType]:
    """Per scientific hparam a table of its values, and the comparison in words."""
    rows = isolated_rows(document)
    shown: list[RenderableType] = []
    for name in dict.fromkeys(row["hparam"] for row in rows):
        own = [row for row in rows if row["hparam"] == name]
        shown += [Text(), _table(document.metric, name, own), _said(document, name)]
    return shown


def _said(document: SearchDocument, name: str) -> RenderableType:
    said = Text(plain(document.isolated[name].get("message", "")))
    apart = ["those carried over are left out"] if document.carried else []
    apart += ["those that diverged count as the worst"] if document.diverged else []
    if apart:
        said.append(f"\n{'; '.join(apart)}", style="dim")
    return Padding(said, (0, 0, 0, 2), expand=False)


def _table(searched: str, name: str, rows: Sequence[Row]) -> Grid:
    compared = rows[0]["compared"]
    standings = [
        Text(plain(row["standing"]), style=STYLES.get(row["standing"], "dim")) for row in rows
    ]
    return Grid(
        [
            Column(plain(name, 24), cells([value_name(row) for row in rows])),
            figures("trials", [number(row["trials"]) for row in rows]),
            figures("best", [_around(searched, row["best"], row["error"]) for row in rows]),
            figures("trial", [number(row["trial"]) for row in rows], rank=3),
            figures(
                f"best of {number(compared)}" if compared else "best of n",
                [metric(searched, row["expected"]) for row in rows], rank=2,
            ),
            figures("behind", [_behind(searched, row) for row in rows]),
            Column("", standings, rank=1),
        ]
    )  # fmt: skip


def _behind(searched: str, row: Row) -> str:
    return "" if row["standing"] == "leads" else _around(searched, row["behind"], row["noise"])


def _around(searched: str, value: Any, error: Any) -> str:
    """A number with its standard error, where it has one."""
    if not is_real(value):
        return MISSING
    text = metric(searched, float(value))
    return f"{text} ± {metric(searched, float(error))}" if is_real(error) and error else text
