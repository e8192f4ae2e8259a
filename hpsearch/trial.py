"""What came of a trial, one setting of hparams trained once. The record that everything speaks."""

import json
import math
import re
from array import array
from collections.abc import Iterable, Mapping, MutableSequence, Sequence
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from functools import cached_property, lru_cache
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from hpsearch.search.space import Value, hparams_of
from hpsearch.strictjson import dumps, fitting

METRICS = ("val_accuracy", "val_loss", "val_balanced_accuracy")
AT_BEST = ("val_accuracy", "val_balanced_accuracy", "val_loss", "train_accuracy", "train_loss")


class Status(StrEnum):
    DONE = "done"
    DIVERGED = "diverged"
    PRUNED = "pruned"
    FAILED = "failed"
    PAUSED = "paused"  # at a rung until all are there: not finished, so never in a trial's file


Curve = MutableSequence[float]


def _curve(values: Any = ()) -> Curve:
    """A fifth of a list's memory: there may be 100,000 trials. None becomes NaN."""
    try:
        return array("d", values)
    except TypeError:
        return array("d", map(_number, values))
    except OverflowError as error:
        raise ValueError(str(error)) from error


@dataclass(frozen=True)
class Curves:
    """One number per finished epoch; the rate is the one in force when the epoch began.

    `train_accuracy` is measured on as many training rows as there are validation rows (at most
    1,000), so that the two have the same standard error. `update_ratio` is the largest over the
    layers of |update| / |weights| at the epoch's last step. `penalty`, where there is weight
    decay, is 0.5 decay sum(W^2) when the epoch began.
    """

    train_loss: Curve = field(default_factory=_curve)
    train_accuracy: Curve = field(default_factory=_curve)
    val_loss: Curve = field(default_factory=_curve)
    val_accuracy: Curve = field(default_factory=_curve)
    val_balanced_accuracy: Curve = field(default_factory=_curve)
    learning_rate: Curve = field(default_factory=_curve)
    update_ratio: Curve = field(default_factory=_curve)
    penalty: Curve = field(default_factory=_curve)

    def __post_init__(self) -> None:
        for name, curve in vars(self).items():
            if not isinstance(curve, array):
                object.__setattr__(self, name, _curve(curve))


@dataclass(frozen=True)
class TrialResult:
    """What came of a trial. `weights` (P,) are those of the best epoch, where they were kept;
    `state` is what a paused trial needs to go on.

    `step` is the last step trained: a diverged trial was given up there; `losses` are at most
    500 pairs (step, minibatch loss), evenly thinned; epochs count from 1. `verdict` is the word
    for its curves (see `curves`), empty where there are none or nobody asked.
    """

    stage: str
    id: int
    status: Status
    seed: int
    hparams: Mapping[str, Value]
    metric: str
    curves: Curves
    losses: list[tuple[int, float]]
    step: int
    best_epoch: int | None = None
    reason: str = ""
    verdict: str = ""
    train_seconds: float = 0.0
    weights: NDArray[np.float32] | None = field(default=None, compare=False, repr=False)
    state: Mapping[str, NDArray[Any]] | None = field(default=None, compare=False, repr=False)

    @property
    def epochs(self) -> int:
        return len(self.curves.train_loss)

    @property
    def value(self) -> float:
        """The searched metric at the best epoch; the worst possible where there is none."""
        worst = math.inf if self.metric == "val_loss" else -math.inf
        return self.at_best(self.metric, worst)

    @property
    def score(self) -> float:
        """`value`, signed so that larger is better."""
        return -self.value if self.metric == "val_loss" else self.value

    @cached_property
    def rank(self) -> tuple[float, float, int]:
        """Larger is better: the score; of equals the lower validation loss, then the lower id."""
        loss = self.at_best("val_loss", math.inf)
        return self.score, -loss, -self.id

    @property
    def out_of_memory(self) -> bool:
        """Whether it failed for want of memory; so a system's SIGKILL is understood too."""
        failed = self.status is Status.FAILED
        return failed and ("MemoryError" in self.reason or "SIGKILL" in self.reason)

    @property
    def described(self) -> dict[str, Any]:
        """The trial as the documents name it."""
        return {
            "trial": self.id, "metric": self.metric, "value": self.value,
            "val_accuracy": self.at_best("val_accuracy"), "epoch": self.best_epoch,
            "hparams": dict(self.hparams),
        }  # fmt: skip

    def number(self, name: str) -> float:
        """A numeric hparam's value; 0 where the trial has none of that name."""
        value = self.hparams.get(name, 0.0)
        return float(value) if isinstance(value, int | float) else math.nan

    def at_best(self, curve: str, missing: float = math.nan) -> float:
        """One curve's number at the best epoch; `missing` where there is no such."""
        values = getattr(self.curves, curve)
        if self.best_epoch is None or not values:
            return missing
        return float(values[self.best_epoch - 1])

    @property
    def light(self) -> Self:
        """The trial without what is only of use by itself: its losses, weights and state."""
        heavy = self.losses or self.weights is not None or self.state is not None
        return replace(self, losses=[], weights=None, state=None) if heavy else self

    def to_text(self) -> str:
        """The trial's file: strict JSON, one key per line, so that one can be passed over; a
        number that is not finite becomes null. Curves are exact, losses have six digits.
        """
        curves = {name: list(curve) for name, curve in vars(self.curves).items()}
        record = {name: value for name, value in vars(self).items() if name in FILED}
        record |= {"curves": curves, "epochs": self.epochs}
        lines = (
            f'"{key}": {_losses_text(value) if key == "losses" else dumps(value, None)}'
            for key, value in record.items()
        )
        return "{\n" + ",\n".join(lines) + "\n}\n"

    def to_json(self) -> dict[str, Any]:
        """The trial as its file has it."""
        record: dict[str, Any] = json.loads(self.to_text())
        return record

    @classmethod
    def from_text(cls, text: str, *, losses: bool = True) -> Self:
        """The inverse of `to_text`; KeyError, TypeError or ValueError where it is none. Without
        `losses`, 300 of the 400 numbers of a usual trial are not read.
        """
        return cls.from_json(json.loads(text if losses else _without_losses(text)))

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`; KeyError, TypeError or ValueError where it is none."""
        curves = Curves(**record["curves"])
        losses = [(int(step), _number(loss)) for step, loss in record["losses"]]
        given = {name: record[name] for name in FILED & record.keys()}
        given |= {"curves": curves, "status": Status(record["status"]), "losses": losses}
        given |= {"hparams": hparams_of(record["hparams"])}
        result = cls(**fitting(given, cls))
        if result.metric not in METRICS:
            raise ValueError(f"metric cannot be {result.metric!r}")
        told = {name for name, curve in vars(curves).items() if curve} | {"val_loss"}
        shortest = min(len(getattr(curves, name)) for name in {*told, result.metric})
        if result.best_epoch is not None and not 1 <= result.best_epoch <= shortest:
            raise ValueError(f"best_epoch {result.best_epoch} is beyond the curves")
        return result


FILED = {f.name for f in fields(TrialResult)} - {"weights", "state"}


def _losses_text(losses: Sequence[tuple[int, float]]) -> str:
    """All in one formatting, which takes a third of the time of writing them as JSON."""
    steps, values = zip(*losses, strict=True) if losses else ((), ())
    text = _form(steps) % values
    return re.sub("nan|-?inf", "null", text) if "n" in text else text


@lru_cache(maxsize=8)
def _form(steps: tuple[int, ...]) -> str:
    """What the losses at these steps are put into; the trials of a cohort share it."""
    return f"[{', '.join(f'[{step}, %.6g]' for step in steps)}]"


def _without_losses(text: str) -> str:
    """The file's text with no losses in it, if it is laid out as we write it; else as it is."""
    start = text.find('\n"losses": [')
    end = text.find("\n", start + 1)
    if start < 0 or text[end - 2 : end] != "],":
        return text
    return f'{text[:start]}\n"losses": [],{text[end:]}'


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


def ranking(results: Iterable[TrialResult]) -> list[TrialResult]:
    """The trials that were completed, best first (see `TrialResult.rank`)."""
    done = [r for r in results if r.status is Status.DONE]
    return sorted(done, key=lambda r: r.rank, reverse=True)


def standard_error(accuracy: float, rows: int) -> float:
    """sqrt(p (1 - p) / n) of an accuracy measured on n rows, one right and one wrong row added
    (Laplace), so that it is not 0 where all of few rows are right.
    """
    p = (accuracy * rows + 1) / (rows + 2)
    return math.sqrt(p * (1 - p) / rows)
