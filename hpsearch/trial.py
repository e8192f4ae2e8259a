"""A trial: one setting of hparams, trained once. The records that everything speaks."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from hpsearch.nn.net import Net
from hpsearch.nn.optimizers import RATES
from hpsearch.search.space import Value
from hpsearch.strictjson import plain

METRICS = ("val_accuracy", "val_loss", "val_balanced_accuracy")


class Status(StrEnum):
    DONE = "done"
    DIVERGED = "diverged"
    PRUNED = "pruned"
    FAILED = "failed"


@dataclass(frozen=True)
class View:
    """Which training rows a trial sees, and how: all of them as they are, unless said."""

    rows: tuple[int, ...] | None = None
    zero: bool = False


@dataclass(frozen=True)
class Budget:
    """How long to train: epochs, or `iterations` minibatches in all where that is given."""

    epochs: int
    iterations: int | None = None


@dataclass(frozen=True)
class Rates:
    """The numbers in which the trials of one cohort may differ; see `nn.optimizers`."""

    learning_rate: float
    weight_decay: float = 0.0
    momentum: float = 0.9
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    decay_factor: float = 1.0
    decay_epochs: float = 1.0


assert {f.name for f in fields(Rates)} == set(RATES)


@dataclass(frozen=True)
class TrialSpec:
    """All that decides a trial's numbers, apart from the data.

    `seed` draws the initial weights, `order_seed` the order of the minibatches (with the epoch).
    Trials with the same `shape` may train in one cohort.
    """

    stage: str
    id: int
    seed: int
    order_seed: int
    net: Net
    rates: Rates
    batch_size: int
    optimizer: str
    budget: Budget
    schedule: str = "constant"
    metric: str = "val_accuracy"
    hparams: Mapping[str, Value] = field(default_factory=dict)
    view: View = View()
    evaluate: bool = True

    @property
    def shape(self) -> tuple[Any, ...]:
        return (
            self.stage, self.net.sizes, self.net.activation, self.optimizer, self.batch_size,
            self.schedule, self.metric, self.budget, self.order_seed, self.view, self.evaluate,
        )  # fmt: skip

    def steps(self, rows: int) -> int:
        """How many minibatches the budget is, on so many training rows."""
        return self.budget.iterations or self.budget.epochs * -(-rows // self.batch_size)


@dataclass(frozen=True)
class Curves:
    """One number per finished epoch; the rate is the one in force when the epoch began.

    `train_accuracy` is measured on as many training rows as there are validation rows (at most
    1,000), so that the two have the same standard error. `update_ratio` is the largest over the
    layers of |update| / |weights| at the epoch's last step.
    """

    train_loss: list[float] = field(default_factory=list)
    train_accuracy: list[float] = field(default_factory=list)
    val_loss: list[float] = field(default_factory=list)
    val_accuracy: list[float] = field(default_factory=list)
    val_balanced_accuracy: list[float] = field(default_factory=list)
    learning_rate: list[float] = field(default_factory=list)
    update_ratio: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class TrialResult:
    """What came of a trial. `weights` (P,) are those of the best epoch, where they were kept.

    `step` is the step at which a diverged trial was given up; `losses` are at most 500 pairs
    (step, minibatch loss), evenly thinned; epochs count from 1.
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
    train_seconds: float = 0.0
    weights: NDArray[np.float32] | None = field(default=None, compare=False, repr=False)

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

    @property
    def rank(self) -> tuple[float, float, int]:
        """Larger is better: the score; of equals the lower validation loss, then the lower id."""
        loss = self.at_best("val_loss", math.inf)
        return self.score, -loss, -self.id

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
        """One curve's number at the best epoch."""
        if self.best_epoch is None:
            return missing
        return float(getattr(self.curves, curve)[self.best_epoch - 1])

    def to_json(self) -> dict[str, Any]:
        """The trial's file: strict JSON, a number that is not finite becomes null."""
        record = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "weights"}
        record |= {"curves": asdict(self.curves), "hparams": dict(self.hparams)}
        record |= {"epochs": self.epochs}
        return {key: plain(value) for key, value in record.items()}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`; KeyError, TypeError or ValueError where it is none."""
        curves = {
            name: [math.nan if x is None else float(x) for x in values]
            for name, values in record["curves"].items()
        }
        known = {f.name for f in fields(cls)} & set(record)
        given = {name: record[name] for name in known}
        given |= {"curves": Curves(**curves), "status": Status(record["status"])}
        given |= {"losses": [(int(s), math.nan if x is None else x) for s, x in record["losses"]]}
        best = record["best_epoch"]
        if best is not None and not 1 <= best <= len(curves["train_loss"]):
            raise ValueError(f"best_epoch {best} is beyond the curves")
        given |= {"hparams": {k: _hashable(v) for k, v in record["hparams"].items()}}
        return cls(**given)


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


def _hashable(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
