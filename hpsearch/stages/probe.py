"""The network as sanity looks at it: untrained, in float64, with the rows it is shown.

All that sanity knows of the network's inside is here: the checks ask for losses, logits,
gradients and the statistics of layers.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpsearch.nn.activations import ACTIVATIONS, Array
from hpsearch.nn.gradcheck import GradientError, Objective, check_gradient
from hpsearch.nn.losses import LOSSES, mean_rows
from hpsearch.nn.mlp import Tape, forward
from hpsearch.nn.net import Net, initialize
from hpsearch.nn.params import Params
from hpsearch.nn.products import batch
from hpsearch.stages.context import Context, net_of
from hpsearch.stages.layers import Layer, shown, statistics

Floats = NDArray[np.float64]
AT_ONCE = 20_000_000  # numbers initialised or activated together, at most
GRADIENT_ROWS = 50
NARROW = 30
QUIET, LOUD = 0.5, 3.0  # the inputs' root mean square; standardised ones have 1


class Draws(NamedTuple):
    """What many fresh initialisations have in common, an entry for each: the loss, the loss with
    the labels permuted, the mean variance of a row's logits; and the layers, averaged. `first`
    are the layers' activations (O, N) in the first of them, of a few rows.
    """

    losses: Floats
    permuted: Floats
    spread: Floats
    layers: tuple[Layer, ...]
    first: tuple[Floats, ...]


@dataclass(frozen=True)
class Probe:
    """The network at its initialisation and the rows it is looked at with, in float64.

    `corner` says which part of the searched space it is, empty for the configured network.
    """

    context: Context
    net: Net
    x: Floats
    y: NDArray[np.int64]
    corner: str = ""

    @classmethod
    def of(cls, context: Context, corner: str = "") -> "Probe":
        data = context.data
        rows = slice(0, context.config.sanity.examples)
        x = data.batch(data.train, rows, np.float64)
        return cls(context, net_of(context.config.model, data), x, data.train.y[rows], corner)

    @property
    def decay(self) -> float:
        return self.context.config.train.weight_decay or 1e-3

    @property
    def remedy(self) -> str:
        """What to change where activations or logits are too large or too small: the inputs,
        where they are, and the initializer, unless it is the right one.
        """
        quiet = QUIET <= float(np.sqrt((self.x**2).mean())) <= LOUD
        fixes = [] if quiet else ["scale the inputs: data.preprocess.scale: standard"]
        if (self.net.init, self.net.init_scale) != (self.better_init, None):
            fixes.append(f"model.init: {self.better_init}, without init_scale")
        first = "model.bias_init: 0, " if self.net.bias_init else ""
        return "; and ".join(fixes) or f"{first}another model.init_scale, or another model.hidden"

    @property
    def better_init(self) -> str:
        """The initializer that keeps this activation's variance from layer to layer."""
        return ACTIVATIONS[self.net.activation].inits[0]

    @property
    def smooth(self) -> bool:
        """Whether the loss has a derivative everywhere."""
        return not (ACTIVATIONS[self.net.activation].side or LOSSES[self.loss_name].kinks)

    @property
    def loss_name(self) -> str:
        return self.context.config.train.loss

    @property
    def band(self) -> tuple[float, float]:
        """The standard deviations of a layer's activations in healthy networks."""
        return ACTIVATIONS[self.net.activation].band

    @cached_property
    def label_counts(self) -> NDArray[np.intp]:
        """How often each output occurs as a label of the training set, (C,)."""
        return np.bincount(self.context.data.train.y, minlength=self.net.sizes[-1])

    @property
    def unit(self) -> float:
        """The loss of a network that says nothing about any of the classes there are: ln C of
        softmax, C - 1 of hinge.
        """
        present = max(2, int(np.count_nonzero(self.label_counts)))
        return expected_loss(np.ones(present), loss=self.loss_name)

    @property
    def unit_name(self) -> str:
        """How `unit` is written: `ln 10`, `10 - 1`."""
        present = np.count_nonzero(self.label_counts)
        return f"ln {present}" if self.loss_name == "softmax" else f"{present} - 1"

    @cached_property
    def expected(self) -> float:
        """The loss on these rows of the last layer's first biases alone, which say nothing of
        the input: ln C where they are 0, the labels' entropy where they are their log shares.
        """
        bias = self._params(self.draw(0)).biases[-1][0, :, 0]
        counts = np.bincount(self.y, minlength=len(bias))
        return expected_loss(counts, bias, self.loss_name) if bias.any() else self.unit

    @property
    def narrow(self) -> "Probe":
        """The same with at most NARROW units in a layer: what depends on no width is quicker."""
        first, *hidden, last = self.net.sizes
        sizes = (first, *(min(width, NARROW) for width in hidden), last)
        return replace(self, net=replace(self.net, sizes=sizes))

    def draw(self, number: int) -> Floats:
        """The numbers (n_numbers,) of one of many fresh initialisations."""
        return initialize(self.net, np.random.default_rng([self.context.config.seed, 3, number]))

    @cached_property
    def draws(self) -> Draws:
        """The losses and layers of as many initialisations as the config asks for."""
        count = self.context.config.sanity.initializations
        rng = np.random.default_rng([self.context.config.seed, 5])
        size = max(self.net.n_numbers, len(self.x) * max(self.net.sizes[1:]))
        group = max(1, AT_ONCE // size)
        parts = [
            self._measured(np.stack([self.draw(n) for n in range(count)[start:][:group]]), rng)
            for start in range(0, count, group)
        ]
        losses, permuted, spread, layers, firsts = zip(*parts, strict=True)
        return Draws(
            np.concatenate(losses), np.concatenate(permuted), np.concatenate(spread),
            self._layers(np.concatenate(layers, axis=1)), firsts[0],
        )  # fmt: skip

    def _measured(
        self, flat: Floats, rng: np.random.Generator
    ) -> tuple[Floats, Floats, Floats, Floats, tuple[Floats, ...]]:
        """Of the weights (K, P): losses, losses with permuted labels and spread, each (K,), the
        statistics (L, K, 5) of the layers, and the first weights' activations to be shown.
        """
        tape = self._forward(flat, self.x)
        logits = tape.logits.copy()
        permuted = [
            mean_rows(self._rows(own[None].copy(), rng.permutation(self.y))) for own in logits
        ]
        losses = mean_rows(self._rows(tape.logits, self.y))
        spread = logits.var(axis=1).mean(axis=-1)
        kind, hidden = ACTIVATIONS[self.net.activation], zip(tape.z[:-1], tape.a[:-1], strict=True)
        layers = np.array([statistics(kind, z, a) for z, a in hidden]).reshape(-1, len(flat), 5)
        first = tuple(shown(a[0]) for a in tape.a[:-1])
        return losses, np.concatenate(permuted), spread, layers, first

    def _rows(self, logits: Array, labels: NDArray[np.int64]) -> Floats:
        return LOSSES[self.loss_name].rows(logits, labels)

    def _layers(self, measured: Floats) -> tuple[Layer, ...]:
        means = measured.mean(axis=1)
        return tuple(
            Layer(number, units, *map(float, row))
            for number, (units, row) in enumerate(zip(self.net.sizes[1:-1], means, strict=True), 1)
        )

    def logits(self, flat: Floats, x: Floats) -> Floats:
        """What the numbers say of the rows `x` (N, D), evaluated: (C, N)."""
        return np.array(self._forward(flat[None], x, train=False).logits[0])

    def loss(self, flat: Floats, rows: int) -> float:
        """The data loss of the numbers on the first so many rows."""
        tape = self._forward(flat[None], self.x[:rows])
        return float(mean_rows(self._rows(tape.logits, self.y[:rows]))[0])

    def gradient(self, flat: Floats, decay: float = 0.0, rows: int = -1) -> tuple[float, Floats]:
        """The loss of the numbers with the penalty, and its gradient, (n_numbers,)."""
        rows = len(self.x) if rows < 0 else rows
        return self._objective(rows, decay).loss_and_gradient(flat)

    def differences(
        self, flat: Floats, decay: float, rng: np.random.Generator, per_tensor: int
    ) -> list[GradientError]:
        """The gradient against finite differences at a few dimensions of every tensor."""
        objective = self._objective(GRADIENT_ROWS, decay)
        return check_gradient(objective, flat, rng=rng, per_tensor=per_tensor)

    def _objective(self, rows: int, decay: float) -> Objective:
        smoothing = self.context.config.train.label_smoothing
        x, y = self.x[:rows], self.y[:rows]
        return Objective(self.net, x, y, decay, self.loss_name, smoothing)

    def weights(self, flat: Floats) -> list[Floats]:
        """The matrices (O, I) among the numbers, layer by layer; views, not copies."""
        return [np.asarray(w[0], np.float64) for w in self._params(flat).weights]

    def quiet(self, flat: Floats) -> Floats:
        """The numbers (n_numbers,) with the last layer scaled to nothing and its biases 0."""
        spread = math.sqrt(float(self.logits(flat, self.x).var(axis=0).mean()))
        params = self._params(flat := flat.copy())
        params.weights[-1][:] *= 1e-4 / (max(1.0, spread) if math.isfinite(spread) else 1.0)
        params.biases[-1][:] = 0
        return flat

    def alignment(self, flat: Floats) -> float:
        """Mean |cos| between the first layer's units, biases included; nan if all are 0."""
        params = self._params(flat)
        units = np.hstack([params.weights[0][0], params.biases[0][0]])
        norms = np.linalg.norm(units, axis=1, keepdims=True)
        units = units[norms[:, 0] > 0] / norms[norms[:, 0] > 0]
        if len(units) < 2:
            return math.nan
        cosines = abs(units @ units.T)
        n = len(cosines)
        return float((cosines.sum() - np.trace(cosines)) / (n * (n - 1)))

    def _params(self, flat: Floats) -> Params:
        return Params.over(flat[None], self.net)

    def _forward(self, flat: Array, x: Floats, *, train: bool = True) -> Tape:
        """As a training step sees it, but without dropout; or as an evaluation does."""
        tape = Tape.for_(self.net, len(flat), len(x), np.float64, train=train)
        forward(self.net, Params.over(flat, self.net), batch(x), tape)
        return tape


def _softmax(logits: Floats, label: int) -> float:
    """-log p of the label, by the formula."""
    return float(np.log(np.exp(logits - logits.max()).sum()) + logits.max() - logits[label])


def _hinge(logits: Floats, label: int) -> float:
    """The multiclass hinge of Weston & Watkins: C - 1 for equal logits."""
    return float(np.maximum(0, np.delete(logits, label) - logits[label] + 1).sum())


EXPECTED: Mapping[str, Callable[[Floats, int], float]] = {"softmax": _softmax, "hinge": _hinge}


def expected_loss(
    counts: NDArray[Any], logits: NDArray[Any] | None = None, loss: str = "softmax"
) -> float:
    """The loss of answering every row with the same `logits` (C,), where the labels occur
    `counts` (C,) times: ln C or C - 1 for equal logits, the entropy H(p) for the logits log p.
    Worked out apart from the network, so that its own loss can be held against it.
    """
    answer = np.zeros(len(counts)) if logits is None else np.asarray(logits, np.float64)
    shares = np.asarray(counts, np.float64) / np.sum(counts)
    return float(sum(p * EXPECTED[loss](answer, c) for c, p in enumerate(shares) if p > 0))


def downhill(probe: Probe, flat: Floats) -> Iterator[Floats]:
    """The numbers step by step, each a hundredth of their length against the gradient."""
    while True:
        _, gradient = probe.gradient(flat, rows=GRADIENT_ROWS)
        length = float(np.linalg.norm(gradient))
        flat = flat - 0.01 * float(np.linalg.norm(flat)) * gradient / (length or 1.0)
        yield flat
