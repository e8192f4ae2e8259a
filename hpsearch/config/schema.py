"""The config: every key and its default. Frozen values, complete once built."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BeforeValidator, Field, ValidationError

from hpsearch.config.checking import Audit, Overfit, Sanity, Sweep
from hpsearch.config.kinds import (
    Activation,
    BelowOne,
    Count,
    Finite,
    Fraction,
    Init,
    Key,
    Keys,
    Location,
    Loss,
    Name,
    Normalization,
    NotNegative,
    Optimizer,
    Rate,
    Round,
    Sampler,
    Schedule,
    Shares,
    SharesOrNone,
    Widths,
    augment_of,
)
from hpsearch.config.section import Section, key
from hpsearch.errors import ConfigError
from hpsearch.search.distributions import as_word
from hpsearch.search.space import Distribution

Trials = Annotated[int, Field(ge=1, le=1_000_000)]
AnySection = TypeVar("AnySection", bound="Section")
OTHER = "it was recorded by another hpsearch, or changed by hand"
HALVING = "null: all train to the end; {eta: 3, min_epochs: 1}: the best third after 1, 3, 9, ..."


class Split(Section):
    """Which rows validate and test; drawn stratified, with the run's seed."""

    validation: Shares = key(None, "a fraction, a number of rows, or a file or folder")
    test: SharesOrNone = key(None, "as validation; 0 for none")


class Preprocess(Section):
    """What is done to the inputs, with statistics of the training rows only."""

    center: Literal["none", "feature", "channel", "mean-image"] = key(
        "feature", "what to subtract"
    )
    scale: Literal["none", "standard", "channel", "unit"] = key(
        "standard", "what to divide by; unit: pixels / 255"
    )
    whiten: Literal["none", "pca", "zca"] = key(
        "none", "rotate to the principal axes, all of variance 1; zca: and back; slow if wide"
    )


class Augment(Section):
    """How training images are altered, anew in every epoch."""

    flip: bool = key(False, "swap left and right in half of them")
    shift: Annotated[int, Field(ge=0, le=1000)] = key(0, "pixels, at most, up, down and sideways")

    @property
    def word(self) -> str:
        """As a trial's hparam is written."""
        return str(as_word(self.model_dump()))


Altered = Annotated[
    Augment, BeforeValidator(augment_of, json_schema_input_type=str | Augment)
]


class Data(Section):
    """Where the rows come from and how the network sees them."""

    source: Literal["digits", "spiral", "csv", "npz", "idx", "cifar10", "images"] = key(
        "digits",
        "digits and spiral need no file; npz: also a folder of x.npy and y.npy; images: one folder"
        " per class",
    )
    path: Location | None = key(None, "file or folder, relative to this file")
    target: Key | None = key(None, "csv: the column that holds the class")
    drop: Keys = key((), "csv: columns to leave out")
    missing: Literal["error", "drop"] = key("error", "csv: what to do with rows that have gaps")
    split: Split = Split()
    preprocess: Preprocess = Preprocess()
    augment: Altered = key(
        Augment(), "images: none or, for example, {flip: true, shift: 2}; or flip+shift2"
    )
    audit: Audit = Audit()


class Model(Section):
    """The network: fully connected, one activation for all hidden layers."""

    hidden: Widths = key((50,), "units of each hidden layer")
    activation: Activation = key("relu", "of the hidden layers")
    slope: NotNegative | None = key(
        None, "of leaky_relu (0.01) and elu (1) below 0; prelu learns it, from 0.25"
    )
    init: Init = key("auto", "how the weights are drawn; auto: as suits the activation")
    init_scale: Finite | None = key(
        None, "the std of small, the value of constant, a factor on the others"
    )
    bias_init: Finite = key(0.0, "the first biases of the hidden layers")
    last_bias: Literal["zero", "log_prior"] = key(
        "zero", "the first biases of the last layer; log_prior: as frequent as the classes are"
    )
    normalization: Normalization = key("none", "before the activation of each hidden layer")
    dropout: BelowOne = key(0.0, "the share of hidden units that a training step drops")


class Train(Section):
    """How one network is trained; a search overrides what its space names."""

    loss: Loss = key("softmax", "softmax: cross-entropy; hinge: of Weston and Watkins")
    label_smoothing: BelowOne = key(0.0, "the share of the label spread over all classes")
    optimizer: Optimizer = key("momentum", "the update rule")
    learning_rate: Rate = key(1e-2, "what train uses; a search overrides it")
    weight_decay: NotNegative = key(
        0.0, "the L2 penalty; of adamw no penalty, but the share of rate x weights taken off"
    )
    momentum: BelowOne = key(0.9, "of momentum and nesterov")
    beta1: BelowOne = key(0.9, "of adam and adamw")
    beta2: BelowOne = key(0.999, "of adam and adamw; of rmsprop the decay of the mean square")
    epsilon: Annotated[float, Field(ge=1e-30, le=1e30)] = key(
        1e-8, "of adagrad, rmsprop, adam and adamw"
    )
    batch_size: Count = key(100, "rows per minibatch")
    schedule: Schedule = key(
        "constant", "how the learning rate changes; cosine and one_cycle span the trial's epochs"
    )
    decay_factor: Annotated[float, Field(gt=0, le=1)] = key(
        0.5, "step, exponential, inverse: to what share of it the rate falls"
    )
    decay_epochs: Rate = key(5.0, "step, exponential, inverse: in how many epochs")
    pct_start: Fraction = key(0.3, "one_cycle: the share of the steps in which the rate rises")
    warmup_epochs: NotNegative = key(
        0.0, "epochs in which the rate first rises evenly to what the schedule says"
    )
    epochs: Count = key(10, "how long train trains")
    patience: Count | None = key(
        None, "stop a trial after so many epochs that were no better; null: never"
    )


class Halving(Section):
    """Successive halving: of the trials that reach a rung only the best go on. A schedule that
    spans the trial's epochs (cosine, one_cycle) spans the stage's, also in a trial pruned before.
    """

    eta: Annotated[int, Field(ge=2, le=100)] = key(
        3, "the best 1/eta go on, and train eta times as long until the next rung"
    )
    min_epochs: Count = key(1, "epochs until the first rung")


class Coarse(Section):
    """The first search: many trials, few epochs."""

    trials: Trials = key(100, "trials in all")
    epochs: Count = key(5, "epochs of each")
    schedule: Schedule | None = key(None, "in place of train.schedule")
    halving: Halving | None = key(None, HALVING)


class Refine(Section):
    """The later searches: narrower ranges, more epochs."""

    trials: Trials = key(100, "trials of each round")
    epochs: Count = key(15, "epochs of each trial")
    rounds: Count = key(
        3, "at most so many that do not widen the space; of all, twice as many and 3"
    )
    schedule: Schedule | None = key("constant", "in place of train.schedule")
    halving: Halving | None = key(None, HALVING)


class Budget(Section):
    """Limits for the whole search: what they let train is kept; raise them and it goes on."""

    seconds: Rate | None = key(
        None, "time to train; when it is up, what trains is finished and no more begun"
    )
    trial_epochs: Count | None = key(
        None, "trials times the epochs each may train; the first that fit are trained. With"
        " halving it is fixed once a stage has begun, since who goes on depends on how many do"
    )


class Search(Section):
    """The search; `round` names the stage that `space` is meant for (`next.yaml` sets it)."""

    metric: Literal["val_accuracy", "val_loss", "val_balanced_accuracy"] = key(
        "val_accuracy", "what decides which trial is best"
    )
    sampler: Sampler = key(
        "random", "how trials are drawn from the space; tpe learns from earlier ones, by Optuna"
    )
    round: Round = key("coarse", "the stage that space is meant for")
    space: dict[str, Distribution] = key({}, "what is searched: keys of model, train; augment")
    coarse: Coarse = Coarse()
    refine: Refine = Refine()
    budget: Budget = Budget()
    checkpoint_seconds: Rate | None = key(
        60.0, "how often trials in training are written down, at the end of an epoch; null: never"
    )
    silence_seconds: Rate | None = key(
        600.0, "a worker process without an answer for so long is ended; null: never"
    )
    retries: Annotated[int, Field(ge=0, le=100)] = key(
        1, "how often a trial whose training breaks down is tried again, alone"
    )


class Final(Section):
    """The winners, trained again."""

    top: Count = key(5, "how many winners to retrain")
    seeds: Annotated[int, Field(ge=1, le=1000)] = key(3, "fresh seeds for each")


SEARCHABLE: dict[str, type[Model] | type[Train] | type[Data]] = {
    **dict.fromkeys(Model.model_fields, Model),
    **dict.fromkeys((key for key in Train.model_fields if key != "epochs"), Train),
    "augment": Data,
}


class Config(Section):
    """Everything that decides what hpsearch does and which numbers come out."""

    name: Name = key("run", "the run's folder under runs/; letters, digits, . _ -")
    seed: Annotated[int, Field(ge=0, le=2**53)] = key(0, "everything random derives from it")
    data: Data = Data()
    model: Model = Model()
    train: Train = Train()
    sanity: Sanity = Sanity()
    overfit: Overfit = Overfit()
    sweep: Sweep = Sweep()
    search: Search = Search()
    final: Final = Final()

    def with_hparams(self, hparams: Mapping[str, Any]) -> tuple[Model, Train]:
        """The model and train sections with the searched keys put in; ConfigError where one is
        none of theirs, or its value none that it may have: what a record says can be anything.
        """
        if strange := [name for name in hparams if name not in SEARCHABLE]:
            raise ConfigError(f"hparam {strange[0]!r}: must be a key of model or train; {OTHER}")
        model = {key: value for key, value in hparams.items() if SEARCHABLE[key] is Model}
        train = {key: value for key, value in hparams.items() if SEARCHABLE[key] is Train}
        return _updated(self.model, model), _updated(self.train, train)

    def augment_with(self, hparams: Mapping[str, Any]) -> Augment:
        """How a trial with these hparams alters its training images; ConfigError as above."""
        searched = hparams.get("augment")
        return (self.data if searched is None else _updated(Data(), {"augment": searched})).augment

    @property
    def configured(self) -> dict[str, Any]:
        """What is set for every key that may be searched."""
        return {**vars(self.model), **vars(self.train), "augment": self.data.augment.word}


def _updated(section: AnySection, changes: Mapping[str, Any]) -> AnySection:
    try:
        return section.model_validate({**section.model_dump(), **changes}) if changes else section
    except ValidationError as error:
        first = error.errors()[0]
        name, rule = first["loc"][0], first["msg"]
        value = changes.get(str(name))
        raise ConfigError(f"hparam {name}: {rule}, got {value!r:.60}; {OTHER}") from error
