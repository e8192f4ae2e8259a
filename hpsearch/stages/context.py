"""What a stage is, and what it is given: the config, the data, and what came before."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpsearch.config.schema import Config, Model
from hpsearch.data import Augment, Dataset
from hpsearch.nn.activations import ACTIVATIONS
from hpsearch.nn.losses import LOSSES
from hpsearch.nn.net import Net
from hpsearch.spec import Budget, Rates, TrialSpec, View
from hpsearch.trial import TrialResult
from hpsearch.verdict import CheckDocument, Document, SearchDocument


@dataclass(frozen=True)
class Round:
    """A search stage that has been judged, with its trials."""

    document: SearchDocument
    results: Sequence[TrialResult]


@dataclass(frozen=True)
class Context:
    """All that a stage may look at.

    `stage` is its name (`refine-2`); `checks` are the documents of the checking stages that hold
    for this config; `rounds` the search stages before this one, in order; `opened` the document
    of this one, if it is a search that has begun.
    """

    config: Config
    data: Dataset
    stage: str
    checks: Mapping[str, CheckDocument] = field(default_factory=dict)
    rounds: Sequence[Round] = ()
    opened: SearchDocument | None = None

    def spec(self, trial: int, budget: Budget, **changes: Any) -> TrialSpec:
        """A trial of the configured model; `changes` are fields of TrialSpec, `hparams` and
        `rates` (which go over the config's) among them.
        """
        hparams, rates = changes.pop("hparams", {}), changes.pop("rates", {})
        model, train = self.config.with_hparams(hparams)
        both = {**vars(model), **vars(train)}
        configured = {name: both[name] for name in Rates.__dataclass_fields__}
        given: dict[str, Any] = {
            "seed": seed(self.config.seed, self.stage, trial),
            "order_seed": self.config.seed,
            "net": net_of(model, self.data),
            "optimizer": train.optimizer,
            "schedule": train.schedule,
            "loss": train.loss,
            "batch_size": train.batch_size,
            "metric": self.config.search.metric,
            "patience": train.patience,
            "view": View(augment=Augment(**vars(self.config.augment_with(hparams)))),
        }
        return TrialSpec(
            stage=self.stage, id=trial, budget=budget, hparams=hparams,
            rates=Rates(**{**configured, **rates}), **{**given, **changes},
        )  # fmt: skip


Plan = Callable[[Context, Sequence[TrialResult]], list[TrialSpec]]
Judge = Callable[[Context, Sequence[TrialResult]], Document]
GiveUp = Callable[[Context, Sequence[TrialResult]], Mapping[int, str]]


@dataclass(frozen=True)
class Stage:
    """A stage of the recipe. `plan` says which trials it wants, given those that are done: it is
    asked again until it wants no more; `judge` concludes from them. Both are pure.

    `sections` are the parts of the config that a checking stage's results depend on. `holds` says
    whether what was concluded is still an answer, where more than they decides that. `pruned` says
    which of the paused trials, if any, are given up, and why.
    """

    name: str
    plan: Plan
    judge: Judge
    sections: tuple[str, ...] = ()
    holds: Callable[[Context, CheckDocument], bool] = lambda context, document: True
    pruned: GiveUp = lambda context, done: {}


def seed(run: int, stage: str, trial: int) -> int:
    """A trial's seed, below 2^53 (so that every JSON reader keeps it): nothing else decides it."""
    text = f"{run}/{stage}/{trial}".encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") >> 11


def net_of(model: Model, data: Dataset) -> Net:
    """The architecture that the `model` section describes, for this data."""
    init = model.init
    if init == "auto":
        init = ACTIVATIONS[model.activation].inits[0]
    return Net(
        (data.inputs, *model.hidden, data.n_classes), model.activation, init, model.init_scale,
        model.bias_init, model.normalization, model.slope,
        _log_prior(data) if model.last_bias == "log_prior" else (),
    )  # fmt: skip


def _log_prior(data: Dataset) -> tuple[float, ...]:
    """ln p of every class, one row added to each so that none is infinite: with it the untrained
    network answers with the classes' frequencies (Karpathy 2019).
    """
    counts = np.bincount(data.train.y, minlength=data.n_classes) + 1.0
    return tuple(float(p) for p in np.log(counts / counts.sum()))


def shares(data: Dataset) -> NDArray[np.float64]:
    """The share of each class in the training rows, (C,)."""
    counts = np.bincount(data.train.y, minlength=data.n_classes)
    return np.asarray(counts / len(data.train.y))


def entropy(data: Dataset) -> float:
    """H(p) of the training labels in nats."""
    return LOSSES["softmax"].constant(shares(data))


def baseline(context: Context) -> float:
    """The training loss of the best answer that ignores the input: with softmax H(p) of the
    labels, smoothed as they are.
    """
    train = context.config.train
    return LOSSES[train.loss].constant(shares(context.data), train.label_smoothing)


def chance(context: Context) -> float:
    """The loss of logits that are all alike: ln C with softmax, C - 1 with hinge."""
    return LOSSES[context.config.train.loss].indifferent(context.data.n_classes)


def majority(data: Dataset) -> float:
    """The validation accuracy of always answering the training set's most frequent class."""
    most = np.bincount(data.train.y, minlength=data.n_classes).argmax()
    return float((data.validation.y == most).mean())
