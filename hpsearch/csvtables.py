"""`trials.csv` and `curves.csv` of a search stage, a piece of text at a time.

Exact: a number is written with as many digits as it takes to read the same one back; one that
is missing or not finite is an empty cell. Safe: no text is a formula to a spreadsheet.
"""

import csv
import io
import math
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields
from itertools import repeat
from typing import Any

from hpsearch.trial import AT_BEST, Curves, TrialResult

LAST = ("train_loss", "val_loss", "val_accuracy")
CURVES = tuple(f.name for f in fields(Curves))
PIECE = 1 << 20  # characters at a time, about
ACTING = frozenset("=+-@")  # a cell that begins with one of these is a formula
CELLS = re.compile(r"([;\t\r\n|])")  # where a spreadsheet of another country begins a new cell
NUMBER = re.compile(r"[+-]?\d+(\.\d*)?([eE][+-]?\d+)?", re.ASCII)
Row = Iterable[Any]


def neutral(text: str) -> str:
    """The text with an apostrophe before all that a spreadsheet would run. A number is none of it,
    nor is a sign that stands between other characters.
    """
    if NUMBER.fullmatch(text):
        return text
    cells = CELLS.split(text)  # and what is between them
    told = "".join(f"'{cell}" if _acts(cell) else cell for cell in cells)
    return f"'{told}" if text.startswith(("\t", "\r", "\n")) else told


def _acts(cell: str) -> bool:
    """Whether its first visible character, full-width or not, begins a formula."""
    visible = (c for c in cell if unicodedata.category(c)[0] not in "ZC")
    first = next(visible, "")
    return unicodedata.normalize("NFKC", first)[:1] in ACTING


def trials_csv(results: Sequence[TrialResult], *, stage: bool = False) -> Iterator[str]:
    """One row per trial; metrics are those of the best epoch, `last_*` of the last. With `stage`
    its name comes first, for a table of several.
    """
    hparams = list(dict.fromkeys(name for result in results for name in result.hparams))
    head = [
        "trial", "status", *AT_BEST, "best_epoch", "epochs", "step", *map(neutral, hparams),
        *(f"last_{name}" for name in LAST), "verdict", "seed", "reason", "train_seconds",
    ]  # fmt: skip
    rows = ([_trial_row(result, hparams)] for result in results)
    return _pieces(*_staged(head, rows, results) if stage else (head, rows))


def _trial_row(result: TrialResult, hparams: Sequence[str]) -> Row:
    values = (
        result.id, str(result.status), *map(result.at_best, AT_BEST), result.best_epoch,
        result.epochs, result.step, *map(result.hparams.get, hparams),
        *((getattr(result.curves, name) or [None])[-1] for name in LAST), result.verdict,
        result.seed, result.reason, round(result.train_seconds, 4),
    )  # fmt: skip
    return map(_cell, values)


def curves_csv(results: Sequence[TrialResult], *, stage: bool = False) -> Iterator[str]:
    """One row per trial and epoch; curves that no trial has are left out. With `stage` its name
    comes first.
    """
    names = [name for name in CURVES if any(getattr(r.curves, name) for r in results)]
    head, rows = ["trial", "epoch", *names], (_curve_rows(result, names) for result in results)
    return _pieces(*_staged(head, rows, results) if stage else (head, rows))


def _staged(
    head: Row, trials: Iterable[Iterable[Row]], results: Sequence[TrialResult]
) -> tuple[Row, Iterable[Iterable[Row]]]:
    """The table with the stage of every trial before its rows."""
    pairs = zip(trials, results, strict=True)
    return ["stage", *head], (
        ([neutral(result.stage), *row] for row in rows) for rows, result in pairs
    )


def _curve_rows(result: TrialResult, names: Sequence[str]) -> Iterable[Row]:
    """The cells column by column, since a curve is a column."""
    curves = vars(result.curves)
    columns = (_cells(curves[name]) or repeat("") for name in names)
    return zip(repeat(result.id), range(1, result.epochs + 1), *columns, strict=False)


def _cells(curve: Sequence[float]) -> Sequence[Any]:
    return curve if all(map(math.isfinite, curve)) else [_cell(x) for x in curve]


def _pieces(head: Row, trials: Iterable[Iterable[Row]]) -> Iterator[str]:
    """The text of every trial's rows in pieces, so that no table need be in memory as a whole."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(head)
    for rows in trials:
        writer.writerows(rows)
        if buffer.tell() > PIECE:
            yield buffer.getvalue()
            buffer.seek(0)
            buffer.truncate()
    yield buffer.getvalue()


def _cell(value: Any) -> Any:
    """`csv` itself writes a float with all its digits, and None as an empty cell."""
    if isinstance(value, float):
        return value if math.isfinite(value) else ""
    if isinstance(value, tuple):
        return neutral("-".join(map(str, value)))
    return neutral(value) if isinstance(value, str) else value
