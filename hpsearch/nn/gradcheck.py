"""The gradient check: backpropagation against centred finite differences, in float64."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpsearch.nn.activations import ACTIVATIONS, Array
from hpsearch.nn.losses import LOSSES, mean_rows
from hpsearch.nn.mlp import Tape, backward, forward, penalty
from hpsearch.nn.net import Net
from hpsearch.nn.params import Params
from hpsearch.nn.products import batch

Labels = NDArray[np.int64]
Masks = tuple[Array, ...]
STEPS = (1e-5, 1e-4, 1e-6)
ENOUGH = 1e-8  # a relative error below it needs no other step
ROUNDING = 10 * float(np.finfo(np.float64).eps)  # of a loss of 1, in a difference of two
TOGETHER = 8  # probes evaluated as one cohort


@dataclass(frozen=True)
class GradientError:
    """One dimension: its tensor (`W1`, `b1`, ...), both gradients and their relative error."""

    tensor: str
    analytic: float
    numeric: float
    relative: float


@dataclass(frozen=True)
class Objective:
    """What is differentiated: the loss of a net on the rows x (N, D), y (N,), in training mode.

    `masks` (1, O, N) are those of dropout for every hidden layer, or none; `smoothing` that of
    the labels; statistics of batch normalization are the minibatch's own.
    """

    net: Net
    x: Array
    y: Labels
    weight_decay: float = 0.0
    loss: str = "softmax"
    smoothing: float = 0.0
    masks: Masks = ()

    def tape(self, trials: int) -> Tape:
        """Buffers for so many trials, with the masks."""
        tape = Tape.for_(self.net, trials, len(self.x), np.float64)
        return tape.with_masks(self.masks) if self.masks else tape

    def losses(self, flat: Array, tape: Tape, *, gradient: bool = False) -> NDArray[np.float64]:
        """The regularised loss of each of `flat` (K, n_numbers), (K,); see `losses.Function`."""
        params = Params.over(flat, self.net)
        logits = forward(self.net, params, batch(self.x), tape)
        smoothing = np.full(len(flat), self.smoothing) if self.smoothing else None
        rows = LOSSES[self.loss].rows(logits, self.y, smoothing, gradient=gradient)
        loss = mean_rows(rows)
        if self.weight_decay:
            loss += penalty(params, np.full(len(flat), self.weight_decay))
        return loss

    def loss_and_gradient(self, flat: Array) -> tuple[float, NDArray[np.float64]]:
        """The loss of one trial's numbers `flat` (n_numbers,) and its gradient, float64; that of
        numbers which are not learned is 0.
        """
        values = flat[None].astype(np.float64)
        gradient, tape = np.zeros_like(values), self.tape(1)
        loss = self.losses(values, tape, gradient=True)
        params, grads = Params.over(values, self.net), Params.over(gradient, self.net)
        backward(self.net, params, grads, batch(self.x), tape)
        n_weights = self.net.n_weights
        gradient[:, :n_weights] += self.weight_decay * values[:, :n_weights]
        return float(loss[0]), gradient[0]

    def sides(self, tape: Tape, flat: Array) -> list[NDArray[np.bool_]]:
        """On which side of its kinks every unit and every row's loss is, for each of `flat`."""
        side, kinks = ACTIVATIONS[self.net.activation].side, LOSSES[self.loss].kinks
        found = []
        if side:
            found += [side(z, a) for z, a in zip(tape.z[:-1], tape.a[:-1], strict=True)]
        if kinks:
            logits = forward(self.net, Params.over(flat, self.net), batch(self.x), tape)
            found.append(kinks(logits, self.y))
        return found


def check_gradient(
    objective: Objective, flat: Array, *, rng: np.random.Generator, per_tensor: int = 4
) -> list[GradientError]:
    """Relative errors |a - n| / max(|a|, |n|) at a few random dimensions of every tensor.

    A dimension counts with the best of three step sizes; where a unit passes its kink between the
    two sides it is skipped, since there the loss has no derivative. What float64 cannot tell apart
    counts as equal: the rounding of two losses, over the step. Without that, 4 of 1,000 dimensions
    of healthy networks err by more than 1e-7, all of them with gradients near 1e-5; with it none
    of 22,806 did. Source: CS231n, "Gradient checks".
    """
    loss, analytic = objective.loss_and_gradient(flat)
    errors: list[GradientError] = []
    for tensor, dims in _tensors(objective.net):
        chosen = rng.choice(dims, size=min(per_tensor, len(dims)), replace=False)
        best: dict[int, GradientError] = {}
        for step in STEPS:
            unsure = [d for d in chosen if d not in best or not best[d].relative <= ENOUGH]
            noise = ROUNDING * max(1.0, abs(loss)) / step
            for dim, numeric in _differences(objective, flat, np.array(unsure, np.intp), step):
                a = float(analytic[dim])
                error = max(abs(a - numeric) - noise, 0.0) / max(abs(a), abs(numeric), 1e-300)
                if dim not in best or error < best[dim].relative:
                    best[dim] = GradientError(tensor, a, numeric, error)
        errors += best.values()
    return errors


NAMES = {"weights": "W", "biases": "b", "gammas": "gamma", "slopes": "slope"}


def _tensors(net: Net) -> Iterator[tuple[str, NDArray[np.intp]]]:
    """The name of every learned tensor and the places of its numbers in the flat weights."""
    ends = np.cumsum([0, *net.lengths])
    numbers: dict[str, int] = {}
    for (kind, _, learned), start, end in zip(net.tensors, ends[:-1], ends[1:], strict=True):
        if learned:
            numbers[kind] = numbers.get(kind, 0) + 1
            yield f"{NAMES[kind]}{numbers[kind]}", np.arange(start, end)


def _differences(
    objective: Objective, flat: Array, dims: NDArray[np.intp], step: float
) -> Iterator[tuple[int, float]]:
    """(dimension, numeric derivative); each pair of probes is two trials of a cohort."""
    for start in range(0, len(dims), TOGETHER // 2):
        part = dims[start : start + TOGETHER // 2]
        pairs = np.arange(len(part))
        probes = np.repeat(flat[None].astype(np.float64), 2 * len(part), axis=0)
        probes[pairs, part] += step
        probes[pairs + len(part), part] -= step
        tape = objective.tape(len(probes))
        losses = objective.losses(probes, tape)
        slopes = (losses[: len(part)] - losses[len(part) :]) / (2 * step)
        smooth = np.ones(len(part), bool)
        for side in objective.sides(tape, probes):
            smooth &= (side[: len(part)] == side[len(part) :]).all(axis=(1, 2))
        yield from (
            (int(d), float(s)) for d, s, ok in zip(part, slopes, smooth, strict=True) if ok
        )
