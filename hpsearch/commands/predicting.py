"""`hpsearch predict`: a saved model's classes and probabilities for new rows."""

import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpsearch.config.find import is_run_name
from hpsearch.csvtables import neutral
from hpsearch.data.truncation import truncation_said
from hpsearch.data.unlabelled import Unlabelled, load_unlabelled
from hpsearch.errors import DataError, UsageError
from hpsearch.inert import plain
from hpsearch.prediction import Predictor
from hpsearch.store import RunStore


@dataclass(frozen=True, eq=False)
class Answers:
    """A model's probabilities (N, C) for N rows."""

    classes: tuple[str, ...]
    rows: Unlabelled
    probabilities: NDArray[np.float64]

    @property
    def chosen(self) -> list[str]:
        """The most probable class of every row."""
        return [self.classes[n] for n in self.probabilities.argmax(axis=1)]

    def to_json(self) -> dict[str, Any]:
        rows = zip(self.rows.names, self.chosen, self.probabilities.tolist(), strict=True)
        return {
            "classes": list(self.classes),
            "rows": [{self.rows.kind: n, "class": c, "probabilities": p} for n, c, p in rows],
        }

    def to_csv(self) -> str:
        """One line per row: its name, its class, and the probability of every class. No text of
        it acts, in a terminal or in a spreadsheet.
        """
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        heads = (_inert(f"p({name})") for name in self.classes)
        writer.writerow([self.rows.kind, "class", *heads])
        for name, chosen, row in zip(
            self.rows.names, self.chosen, self.probabilities.tolist(), strict=True
        ):
            writer.writerow([_inert(name), _inert(chosen), *(f"{p:.6g}" for p in row)])
        return text.getvalue()


def _inert(name: Any) -> str:
    return neutral(plain(name))


def predict(model: str, named: str, *, runs_dir: Path) -> Answers:
    """The answers of a model, an .npz file or the run that it is the best of, for the rows at
    the path `named`. UsageError where there is no such model, DataError where it has no answer.
    """
    predictor = Predictor.read(_model(model, runs_dir))
    data = Path(named)
    if not (named and _exists(data)):
        where = named or "(nothing)"
        raise UsageError(f"DATA {where}: must exist; name a file of rows, or a folder of images")
    with truncation_said(data):
        rows = load_unlabelled(data, predictor.features, predictor.image_shape)
        answers = predictor.probabilities(rows.x)
    if not (told := np.isfinite(answers).all(axis=1)).all():
        name = rows.names[int(np.argmin(told))]
        raise DataError(
            f"{data}: {rows.kind} {name}: must be of a size that the model can answer for, got"
            " no probabilities; are its numbers in the unit of the training rows?"
        )
    return Answers(predictor.classes, rows, answers)


def _model(model: str, runs_dir: Path) -> Path:
    if _exists(path := Path(model)) and path.is_file():
        return path
    if not is_run_name(model):
        raise UsageError(f"MODEL {model}: must be an .npz file or a run; see hpsearch ls")
    run = RunStore(runs_dir, model)
    if not run.config.exists():
        raise UsageError(f"MODEL {model}: must be an .npz file or a run; see hpsearch ls")
    ended = run.final_document()
    if not ended or not ended.model:
        raise UsageError(f"MODEL {model}: the run has no final model yet; hpsearch final {model}")
    path = run.folder / ended.model
    if not path.is_file():
        raise UsageError(f"MODEL {model}: {path} is gone; hpsearch final {model} writes it again")
    return path


def _exists(path: Path) -> bool:
    """Whether something is there; a name that cannot be one is of nothing."""
    try:
        return path.exists()
    except OSError:
        return False
