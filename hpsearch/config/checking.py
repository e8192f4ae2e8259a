"""The config's checking stages: what they look at, and every threshold of their checks."""

from typing import Annotated

from pydantic import Field

from hpsearch.config.kinds import BelowOne, Count, Fraction, NotNegative, Rate, Rates
from hpsearch.config.section import Section, key


class Audit(Section):
    """Thresholds of the data audit."""

    scale_ratio: Rate = key(100.0, "largest over smallest feature scale that goes unremarked")
    mean_high: Rate = key(0.5, "a mean above it is not that of standardised inputs")
    sd_low: Rate = key(0.1, "nor is a typical standard deviation below it")
    sd_high: Rate = key(3.0, "nor one above it")
    class_ratio: Rate = key(10.0, "largest over smallest class that goes unremarked")
    class_perplexity: Fraction = key(0.5, "least effective share of the classes")
    duplicates_warn: Fraction = key(0.01, "share of duplicate rows that warns")
    duplicates_fail: Fraction = key(0.05, "share of duplicate rows that fails")
    duplicates_least: Count = key(2, "fewer duplicates, or equal rows of two classes, do neither")
    constant_rows: Count = key(3, "validation rows in which a feature constant in train varies")
    rows: Count = key(1000, "rows of a split that leakage, label-signal, split-statistics look at")
    leakage_accuracy: Fraction = key(0.99, "accuracy of one feature alone that warns, where also")
    leakage_error: Fraction = key(0.33, "its error, as a share of the majority's, is below this")
    signal: Rate = key(3.0, "standard errors by which simple classifiers must beat the majority")
    split_p: Fraction = key(1e-3, "p-value, over the number of features, below which it warns")
    split_sameness: Rate = key(1e-3, "splits as alike were normalised each by itself")
    validation_error: Rate = key(0.1, "standard error of a validation accuracy worth a word")


class Sanity(Section):
    """Thresholds of the sanity checks; losses are in units of log C."""

    examples: Count = key(500, "rows the checks look at")
    initializations: Count = key(20, "draws of the initial weights")
    wiring_tolerance: Rate = key(0.02, "of the loss with zero weights, about log C")
    initial_loss_low: Rate = key(0.9, "an initial loss below it fails")
    initial_loss_warn: Rate = key(2.0, "an initial loss above it warns")
    initial_loss_fail: Rate = key(4.0, "an initial loss above it fails")
    standard_errors: Rate = key(3.0, "by which an initial loss must lie beyond the first two")
    penalty_warn: Rate = key(0.5, "the penalty's share of the data loss that warns")
    penalty_searched: Fraction = key(0.67, "share of the searched decays above that which warns")
    permuted_errors: Rate = key(4.0, "standard errors by which permuted labels may differ")
    gradient_smooth: Rate = key(1e-7, "relative error of a smooth gradient that warns")
    gradient_warn: Rate = key(1e-4, "relative error of a gradient with kinks that warns")
    gradient_fail: Rate = key(1e-2, "relative error of the gradient that fails")
    symmetry: Rate = key(0.95, "alikeness of hidden units that fails")
    dead_warn: Fraction = key(0.1, "share of dead units per layer of depth that warns")
    dead_fail: Fraction = key(0.5, "share of dead units that fails")
    dead_active: Fraction = key(0.01, "beside dead units, so few activations that are not 0 fail")
    saturated_warn: Fraction = key(0.5, "share of saturated activations that warns")
    flow_low: Rate = key(1e-2, "first over last layer's gradient: below it warns, with flow_norm")
    flow_high: Rate = key(1e2, "first over last layer's gradient: above it warns")
    flow_norm: Rate = key(3e-4, "a first gradient so long excuses a low ratio")
    vanishing_ratio: Rate = key(1e-3, "as flow_low, that fails, with vanishing_norm")
    vanishing_norm: Rate = key(1e-4, "as flow_norm, of the ratio that fails")
    vanished: Rate = key(1e-7, "if no layer's gradient is longer, it fails")
    exploding_norm: Rate = key(70.0, "a layer's gradient that is longer fails")
    mode_difference: Rate = key(0.5, "of the loss, in training and evaluation, that fails")
    baseline_iterations: Annotated[int, Field(ge=20, le=10**6)] = key(
        100, "minibatches of the zero-input baseline"
    )
    baseline_errors: Rate = key(3.0, "standard errors by which inputs must help")
    baseline_gain: Fraction = key(1e-4, "share of the loss by which they must help too")


class Overfit(Section):
    """Learning a handful of examples by heart; losses are in units of log C."""

    examples: Annotated[int, Field(ge=2, le=10_000)] = key(20, "rows to learn by heart")
    epochs: Count = key(200, "how long to try")
    longer: Count = key(10, "times the epochs for the best rate, where some is learnt; 1: never")
    learning_rates: Rates = key(
        (1.0, 0.3, 0.1, 0.03, 0.01, 1e-3, 1e-4), "the rates to try, all at once"
    )
    loss: Rate = key(0.02, "the loss that counts as learnt")
    plateau: Rate = key(0.3, "a loss that stays above it has not learnt the examples")
    falling: Fraction = key(0.1, "fall over the last quarter of the epochs that still counts")
    flat: Fraction = key(0.01, "share of the first loss; a smaller fall is none")
    hot: Rate = key(4.0, "a first loss above it comes of the inputs' scale or the weights'")
    double_softmax: Fraction = key(0.01, "tolerance about the floor of a double softmax")
    log_c: Fraction = key(0.01, "tolerance about log C of a net that learns nothing")
    entropy: Fraction = key(0.02, "tolerance about the entropy of the examples' labels")


class Ramp(Section):
    """The range test: one run whose rate rises exponentially, from step to step."""

    enabled: bool = key(True, "whether the sweep makes it")
    iterations: Annotated[int, Field(ge=20, le=490)] = key(100, "its minibatches")
    low: Rate = key(1e-7, "the first rate")
    high: Rate = key(10.0, "the last rate")
    smoothing: BelowOne = key(0.7, "of the loss: an exponential average, forth and back")
    explodes: Rate = key(4.0, "times the lowest smoothed loss: there the ramp ends")
    falls: Fraction = key(0.05, "share of the first loss whose loss is the range's low end")


class Sweep(Section):
    """The learning-rate sweep before the search."""

    learning_rates: Rates = key((1e-1, 1e-2, 1e-3, 1e-4), "the rates to compare")
    iterations: Annotated[int, Field(ge=20, le=10**6)] = key(100, "minibatches for each rate")
    weight_decay: NotNegative = key(1e-5, "the L2 penalty during the sweep")
    most: Count = key(12, "rates tried in all, with those that the sweep adds")
    tail: Annotated[int, Field(ge=2, le=10)] = key(10, "last minibatches whose mean is the score")
    gain: Fraction = key(0.05, "share of the labels' entropy that a usable rate must gain")
    errors: Rate = key(3.0, "standard errors that it must gain")
    fallen: Fraction = key(0.9, "share of the first loss that it leaves at most")
    flat: Fraction = key(0.01, "share of the first loss; a smaller move is none")
    hot: Rate = key(4.0, "times the labels' entropy: a first loss above comes of the inputs")
    tie: Fraction = key(0.01, "share of the labels' entropy; scores so near are as good")
    margin: Rate = key(3.0, "times a rate that must be stable too, for it to win a tie")
    below: Rate = key(30.0, "the best rate over the low end of the proposed range")
    above: Rate = key(10.0, "the high end of the proposed range over the best rate, at most")
    update_low: Rate = key(1e-4, "a layer's |update| / |weights| below it warns")
    update_high: Rate = key(0.1, "a layer's |update| / |weights| above it warns")
    wasted: Fraction = key(1 / 3, "share of a searched range where nothing learns that warns")
    ramp: Ramp = Ramp()
