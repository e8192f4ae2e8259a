"""The config: every key and its default. Frozen values, complete once built."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from hpsearch.config.kinds import (
    Activation,
    BelowOne,
    Count,
    Finite,
    Fraction,
    Init,
    Key,
    Keys,
    Name,
    NotNegative,
    Off,
    Optimizer,
    Place,
    Rate,
    Rates,
    Round,
    Schedule,
    Shares,
    SharesOrNone,
    Widths,
)
from hpsearch.search.space import Distribution

Trials = Annotated[int, Field(ge=1, le=1_000_000)]
T = TypeVar("T")
AnySection = TypeVar("AnySection", bound="Section")


def _key(default: T, about: str) -> T:
    return Field(default, description=about)


class Section(BaseModel):
    """One mapping of the config: frozen, no unknown key, no silent conversion."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Split(Section):
    """Which rows validate and test; drawn stratified, with the run's seed."""

    validation: Shares = _key(None, "a fraction, a number of rows, or a file or folder")
    test: SharesOrNone = _key(None, "as validation; 0 for none")


class Preprocess(Section):
    """What is done to the inputs, with statistics of the training rows only."""

    center: Literal["none", "feature", "channel", "mean-image"] = _key(
        "feature", "what to subtract"
    )
    scale: Literal["none", "standard", "channel", "unit"] = _key(
        "standard", "what to divide by; unit: pixels / 255"
    )
    whiten: Literal["none"] = _key("none", "not offered yet")


class Audit(Section):
    """Thresholds of the data audit."""

    scale_ratio: Rate = _key(100.0, "largest over smallest feature scale that goes unremarked")
    class_ratio: Rate = _key(10.0, "largest over smallest class that goes unremarked")
    class_perplexity: Fraction = _key(0.5, "least effective share of the classes")
    duplicates_warn: Fraction = _key(0.01, "share of duplicate rows that warns")
    duplicates_fail: Fraction = _key(0.05, "share of duplicate rows that fails")


class Data(Section):
    """Where the rows come from and how the network sees them."""

    source: Literal["digits", "spiral", "csv", "npz", "idx", "cifar10", "images"] = _key(
        "digits",
        "digits and spiral need no file; npz: also a folder of x.npy and y.npy; images: one folder"
        " per class",
    )
    path: Place | None = _key(None, "file or folder, relative to this file")
    target: Key | None = _key(None, "csv: the column that holds the class")
    drop: Keys = _key((), "csv: columns to leave out")
    missing: Literal["error", "drop"] = _key("error", "csv: what to do with rows that have gaps")
    split: Split = Split()
    preprocess: Preprocess = Preprocess()
    augment: Literal["none"] = _key("none", "not offered yet")
    audit: Audit = Audit()


class Model(Section):
    """The network: fully connected, one activation, a softmax at the end."""

    hidden: Widths = _key((50,), "units of each hidden layer")
    activation: Activation = _key("relu", "of the hidden layers")
    init: Init = _key("kaiming", "how the weights are drawn")
    init_scale: Finite | None = _key(
        None, "the std of small, the value of constant, a factor on the others"
    )
    bias_init: Finite = _key(0.0, "the first biases of the hidden layers")
    normalization: Literal["none"] = _key("none", "not offered yet")
    dropout: Off = _key(0.0, "not offered yet")


class Train(Section):
    """How one network is trained; a search overrides what its space names."""

    optimizer: Optimizer = _key("momentum", "the update rule")
    learning_rate: Rate = _key(1e-2, "what train uses; a search overrides it")
    weight_decay: NotNegative = _key(0.0, "the L2 penalty")
    momentum: BelowOne = _key(0.9, "of momentum and nesterov")
    beta1: BelowOne = _key(0.9, "of adam")
    beta2: BelowOne = _key(0.999, "of adam")
    epsilon: Rate = _key(1e-8, "of adam")
    batch_size: Count = _key(100, "rows per minibatch")
    schedule: Schedule = _key("constant", "how the learning rate falls")
    decay_factor: Annotated[float, Field(gt=0, le=1)] = _key(0.5, "step, exponential: by how much")
    decay_epochs: Rate = _key(5.0, "step, exponential: every how many epochs")
    epochs: Count = _key(10, "how long train trains")


class Sanity(Section):
    """Thresholds of the sanity checks; losses are in units of log C."""

    examples: Count = _key(500, "rows the checks look at")
    initializations: Count = _key(20, "draws of the initial weights")
    wiring_tolerance: Rate = _key(0.02, "of the loss with zero weights, about log C")
    initial_loss_low: Rate = _key(0.9, "an initial loss below it fails")
    initial_loss_warn: Rate = _key(2.0, "an initial loss above it warns")
    initial_loss_fail: Rate = _key(4.0, "an initial loss above it fails")
    penalty_warn: Rate = _key(0.5, "share of the penalty in the loss that warns")
    gradient_warn: Rate = _key(1e-4, "relative error of the gradient that warns")
    gradient_fail: Rate = _key(1e-2, "relative error of the gradient that fails")
    symmetry: Rate = _key(0.95, "alikeness of hidden units that fails")
    dead_warn: Fraction = _key(0.1, "share of dead units that warns")
    dead_fail: Fraction = _key(0.5, "share of dead units that fails")
    baseline_iterations: Annotated[int, Field(ge=20, le=10**6)] = _key(
        100, "minibatches of the zero-input baseline"
    )
    baseline_errors: Rate = _key(3.0, "standard errors by which inputs must help")


class Overfit(Section):
    """Learning a handful of examples by heart."""

    examples: Annotated[int, Field(ge=2, le=10_000)] = _key(20, "rows to learn by heart")
    epochs: Count = _key(200, "how long to try")
    learning_rates: Rates = _key(
        (1.0, 0.3, 0.1, 0.03, 0.01, 1e-3, 1e-4), "the rates to try, all at once"
    )
    loss: Rate = _key(0.02, "the loss that counts as learnt, in units of log C")


class Sweep(Section):
    """The learning-rate sweep before the search."""

    learning_rates: Rates = _key((1e-1, 1e-2, 1e-3, 1e-4), "the rates to compare")
    iterations: Annotated[int, Field(ge=20, le=10**6)] = _key(100, "minibatches for each rate")
    weight_decay: NotNegative = _key(1e-5, "the L2 penalty during the sweep")


class Coarse(Section):
    """The first search: many trials, few epochs."""

    trials: Trials = _key(100, "trials in all")
    epochs: Count = _key(5, "epochs of each")
    schedule: Schedule | None = _key(None, "in place of train.schedule")


class Refine(Section):
    """The later searches: narrower ranges, more epochs."""

    trials: Trials = _key(100, "trials of each round")
    epochs: Count = _key(15, "epochs of each trial")
    rounds: Count = _key(3, "at most so many rounds")
    schedule: Schedule | None = _key("constant", "in place of train.schedule")


class Budget(Section):
    """Limits for the whole search."""

    seconds: None = _key(None, "not offered yet")
    trial_epochs: None = _key(None, "not offered yet")


class Search(Section):
    """The search; `round` names the stage that `space` is meant for (`next.yaml` sets it)."""

    metric: Literal["val_accuracy", "val_loss", "val_balanced_accuracy"] = _key(
        "val_accuracy", "what decides which trial is best"
    )
    sampler: Literal["random"] = _key("random", "how trials are drawn from the space")
    round: Round = _key("coarse", "the stage that space is meant for")
    space: dict[str, Distribution] = _key({}, "what is searched: any key of model or train")
    coarse: Coarse = Coarse()
    refine: Refine = Refine()
    budget: Budget = Budget()


class Final(Section):
    """The winners, trained again."""

    top: Count = _key(5, "how many winners to retrain")
    seeds: Count = _key(3, "fresh seeds for each")


SEARCHABLE: dict[str, type[Model] | type[Train]] = {
    **dict.fromkeys(Model.model_fields, Model),
    **dict.fromkeys((key for key in Train.model_fields if key != "epochs"), Train),
}


class Config(Section):
    """Everything that decides what hpsearch does and which numbers come out."""

    name: Name = _key("run", "the run's folder under runs/; letters, digits, . _ -")
    seed: Annotated[int, Field(ge=0, le=2**53)] = _key(0, "everything random derives from it")
    data: Data = Data()
    model: Model = Model()
    train: Train = Train()
    sanity: Sanity = Sanity()
    overfit: Overfit = Overfit()
    sweep: Sweep = Sweep()
    search: Search = Search()
    final: Final = Final()

    def with_hparams(self, hparams: Mapping[str, Any]) -> tuple[Model, Train]:
        """The model and train sections with the searched keys put in."""
        model = {key: value for key, value in hparams.items() if SEARCHABLE[key] is Model}
        train = {key: value for key, value in hparams.items() if SEARCHABLE[key] is Train}
        return _updated(self.model, model), _updated(self.train, train)


def _updated(section: AnySection, changes: Mapping[str, Any]) -> AnySection:
    return section.model_validate({**section.model_dump(), **changes}) if changes else section
