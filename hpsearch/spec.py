"""What a trial is to be: all that decides its numbers, apart from the data."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from hpsearch.data.augment import NONE, Augment
from hpsearch.nn.net import Net
from hpsearch.nn.optimizers import RATES
from hpsearch.search.space import Value


@dataclass(frozen=True)
class View:
    """Which training rows a trial sees, and how: all of them as they are, unless said."""

    rows: tuple[int, ...] | None = None
    zero: bool = False
    augment: Augment = NONE


@dataclass(frozen=True)
class Budget:
    """How long to train: epochs, or `iterations` minibatches in all where that is given.

    A trial that pauses at rungs trains from epoch `done`, its checkpoint's, to epoch `pause`.
    """

    epochs: int
    iterations: int | None = None
    done: int = 0
    pause: int | None = None

    @property
    def until(self) -> int:
        """The epoch to train to."""
        return self.pause or self.epochs

    @property
    def ahead(self) -> int:
        """The epochs to train now."""
        return self.until - self.done


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
    pct_start: float = 0.3
    warmup_epochs: float = 0.0
    dropout: float = 0.0
    label_smoothing: float = 0.0


assert {f.name for f in fields(Rates)} == set(RATES)


@dataclass(frozen=True)
class TrialSpec:
    """All that decides a trial's numbers, apart from the data.

    `seed` draws the initial weights, `order_seed` the order of the minibatches (with the epoch).
    Trials with the same `shape` may train in one cohort. After `patience` epochs that were no
    better a trial stops, where its searched metric is measured at all. With `keep` its weights
    come back whether or not it is the cohort's best.
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
    loss: str = "softmax"
    metric: str = "val_accuracy"
    hparams: Mapping[str, Value] = field(default_factory=dict)
    view: View = View()
    evaluate: bool = True
    patience: int | None = None
    keep: bool = False
    checkpoint: Path | None = field(default=None, compare=False)

    @property
    def shape(self) -> tuple[Any, ...]:
        return (
            self.stage, self.net.sizes, self.net.activation, self.net.normalization,
            self.optimizer, self.batch_size, self.schedule, self.loss, self.metric, self.budget,
            self.order_seed, self.view, self.evaluate, self.rates.label_smoothing > 0,
        )  # fmt: skip

    def steps(self, rows: int) -> int:
        """How many minibatches the budget is, on so many training rows."""
        return self.budget.iterations or self.budget.epochs * -(-rows // self.batch_size)

    def leg(self, rows: int) -> range:
        """The steps, counted from 0, to train now: all, or those from a rung to the next."""
        epoch, pause = -(-rows // self.batch_size), self.budget.pause
        return range(self.budget.done * epoch, pause * epoch if pause else self.steps(rows))
