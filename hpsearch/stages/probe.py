"""The network as sanity looks at it: untrained, in float64, with the rows it is shown."""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hpsearch.nn.activations import ACTIVATIONS, Array
from hpsearch.nn.gradcheck import Objective
from hpsearch.nn.losses import LOSSES, mean_rows
from hpsearch.nn.mlp import Tape, forward
from hpsearch.nn.net import Net, initialize
from hpsearch.nn.params import Params
from hpsearch.nn.products import batch
from hpsearch.stages.context import Context, chance, net_of


@dataclass(frozen=True)
class Probe:
    """The network at its initialisation and the rows it is looked at with, in float64."""

    context: Context
    net: Net
    x: NDArray[np.float64]
    y: NDArray[np.int64]

    @classmethod
    def of(cls, context: Context) -> "Probe":
        data = context.data
        rows = slice(0, context.config.sanity.examples)
        x = data.batch(data.train, rows, np.float64)
        return cls(context, net_of(context.config.model, data), x, data.train.y[rows])

    @property
    def log_c(self) -> float:
        return chance(self.context)

    @property
    def decay(self) -> float:
        return self.context.config.train.weight_decay or 1e-3

    def draw(self, number: int) -> NDArray[np.float64]:
        """The weights (P,) of one of many fresh initialisations."""
        return initialize(self.net, np.random.default_rng([self.context.config.seed, 3, number]))

    @cached_property
    def tape(self) -> Tape:
        """The forward pass of the first initialisation."""
        return self.forward(self.draw(0)[None])

    def forward(self, flat: Array) -> Tape:
        tape = Tape.for_(self.net, len(flat), len(self.x), np.float64)  # in training mode
        forward(self.net, Params.over(flat, self.net), batch(self.x), tape)
        return tape

    def losses(self, flat: Array) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Of each weights (K, P): the data loss, and the mean variance of a row's logits, (K,)."""
        logits = self.forward(flat).logits
        spread = logits.var(axis=1).mean(axis=-1)
        return mean_rows(LOSSES[self.loss].rows(logits, self.y)), spread

    @property
    def loss(self) -> str:
        return self.context.config.train.loss

    def objective(self, rows: slice = slice(None), weight_decay: float = 0.0) -> Objective:
        """What the gradient checks differentiate, on some of the rows."""
        return Objective(self.net, self.x[rows], self.y[rows], weight_decay, self.loss)


def alignment(flat: NDArray[np.float64], net: Net) -> float:
    """Mean |cos| between the units of the first layer, their biases included; nan if all are 0."""
    params = Params.over(flat[None], net)
    units = np.hstack([params.weights[0][0], params.biases[0][0]])
    norms = np.linalg.norm(units, axis=1, keepdims=True)
    units = units[norms[:, 0] > 0] / norms[norms[:, 0] > 0]
    if len(units) < 2:
        return math.nan
    cosines = abs(units @ units.T)
    n = len(cosines)
    return float((cosines.sum() - np.trace(cosines)) / (n * (n - 1)))


def layer_table(probe: Probe) -> list[dict[str, float]]:
    """Mean, std, share of zeros, of saturated activations and of dead units by hidden layer."""
    rule = ACTIVATIONS[probe.net.activation].saturated
    tape = probe.tape
    saturated = [rule(z, a) for z, a in zip(tape.z[:-1], tape.a[:-1], strict=True)]
    return [
        {
            "layer": number, "units": a.shape[1], "mean": float(a.mean()), "std": float(a.std()),
            "zero": float((a == 0).mean()), "saturated": float(stuck.mean()),
            "dead": float(stuck.all(axis=(0, 2)).mean()),
        }
        for number, (a, stuck) in enumerate(zip(tape.a[:-1], saturated, strict=True), 1)
    ]  # fmt: skip
