"""`trials.csv` and `curves.csv` of a search stage, a piece of text at a time.

Exact: a number is written with as many digits as it takes to read the same one back; one that
is missing or not finite is an empty cell.
"""

import csv
import io
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields
from itertools import repeat
from typing import Any

from hpsearch.trial import Curves, TrialResult

AT_BEST = ("val_accuracy", "val_balanced_accuracy", "val_loss", "train_accuracy", "train_loss")
LAST = ("train_loss", "val_loss", "val_accuracy")
CURVES = tuple(f.name for f in fields(Curves))
PIECE = 1 << 20  # characters at a time, about
Row = Iterable[Any]


def trials_csv(results: Sequence[TrialResult]) -> Iterator[str]:
    """One row per trial; metrics are those of the best epoch, `last_*` of the last."""
    hparams = list(dict.fromkeys(name for result in results for name in result.hparams))
    head = [
        "trial", "status", *AT_BEST, "best_epoch", "epochs", "step", *hparams,
        *(f"last_{name}" for name in LAST), "verdict", "seed", "reason", "train_seconds",
    ]  # fmt: skip
    return _pieces(head, ([_trial_row(result, hparams)] for result in results))


def _trial_row(result: TrialResult, hparams: Sequence[str]) -> Row:
    values = (
        result.id, str(result.status), *map(result.at_best, AT_BEST), result.best_epoch,
        result.epochs, result.step, *map(result.hparams.get, hparams),
        *((getattr(result.curves, name) or [None])[-1] for name in LAST), result.verdict,
        result.seed, result.reason, round(result.train_seconds, 4),
    )  # fmt: skip
    return map(_cell, values)


def curves_csv(results: Sequence[TrialResult]) -> Iterator[str]:
    """One row per trial and epoch; curves that no trial has are left out."""
    names = [name for name in CURVES if any(getattr(r.curves, name) for r in results)]
    return _pieces(["trial", "epoch", *names], (_curve_rows(result, names) for result in results))


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
        return "-".join(map(str, value))
    return value
