"""Sanity: the initial loss and its companions, before any training that counts (CS231n step 1).

Each check is a function of its own, in the file of what it looks at.
"""

from collections.abc import Sequence

import numpy as np

from hpsearch.stages.context import Context, Stage
from hpsearch.stages.layers import histogram
from hpsearch.stages.probe import Probe
from hpsearch.stages.sanity.activations import (
    activation_statistics,
    dead_units,
    saturated_units,
)
from hpsearch.stages.sanity.baseline import determinism, plan, zero_input_baseline
from hpsearch.stages.sanity.evaluation import row_independence, train_eval_agreement
from hpsearch.stages.sanity.gradients import gradient_check, gradient_flow, symmetry
from hpsearch.stages.sanity.losses import (
    initial_loss,
    permuted_labels,
    regularization_raises_loss,
    wiring,
)
from hpsearch.stages.sanity.searched import corners, with_corners
from hpsearch.trial import TrialResult
from hpsearch.verdict import CheckDocument

UNTRAINED = (
    wiring, initial_loss, regularization_raises_loss, permuted_labels, gradient_check,
    row_independence, symmetry, activation_statistics, dead_units, saturated_units, gradient_flow,
    train_eval_agreement,
)  # fmt: skip
TRAINED = (zero_input_baseline, determinism)
CORNERED = (
    initial_loss, gradient_check, activation_statistics, dead_units, saturated_units,
    gradient_flow,
)  # fmt: skip


def judge(context: Context, done: Sequence[TrialResult]) -> CheckDocument:
    """The checks in the order of the contract, and the layers of the configured network."""
    probe = Probe.of(context)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        space = corners(context)
        untrained = [
            with_corners(check, probe, space if check in CORNERED else ()) for check in UNTRAINED
        ]
        layers = [
            {**layer._asdict(), "histogram": histogram(first)}
            for layer, first in zip(probe.draws.layers, probe.draws.first, strict=True)
        ]
    trained = [check(context, done) for check in TRAINED]
    facts = {"layers": layers, "n_params": probe.net.n_params}
    return CheckDocument("sanity", (*untrained, *trained), facts)


STAGE = Stage("sanity", plan, judge, ("data", "model", "train", "sanity", "search.space"))
