"""The gradient check: backpropagation against centred finite differences, in float64."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpsearch.nn.activations import ACTIVATIONS, Array
from hpsearch.nn.losses import mean_rows, softmax_cross_entropy
from hpsearch.nn.mlp import Tape, backward, forward, penalty
from hpsearch.nn.net import Net
from hpsearch.nn.params import Params
from hpsearch.nn.products import batch

STEPS = (1e-5, 1e-4, 1e-6)
TOGETHER = 8  # probes evaluated as one cohort


@dataclass(frozen=True)
class GradientError:
    """One dimension: its tensor (`W1`, `b1`, ...), both gradients and their relative error."""

    tensor: str
    analytic: float
    numeric: float
    relative: float


def loss_and_gradient(
    net: Net, flat: Array, x: Array, labels: NDArray[np.int64], weight_decay: float
) -> tuple[float, NDArray[np.float64]]:
    """The regularised loss of one trial's weights `flat` (P,) and its gradient (P,), float64."""
    values = flat[None].astype(np.float64)
    gradient = np.zeros_like(values)
    params, inputs = Params.over(values, net), batch(x)
    tape = Tape.for_(net, 1, len(x), np.float64)
    losses = softmax_cross_entropy(forward(net, params, inputs, tape), labels, gradient=True)
    backward(net, params, Params.over(gradient, net), inputs, tape)
    gradient[:, : net.n_weights] += weight_decay * values[:, : net.n_weights]
    loss = mean_rows(losses) + penalty(params, np.array([weight_decay]))
    return float(loss[0]), gradient[0]


def check_gradient(
    net: Net, flat: Array, x: Array, labels: NDArray[np.int64], *,
    weight_decay: float, rng: np.random.Generator, per_tensor: int = 4,
) -> list[GradientError]:  # fmt: skip
    """Relative errors |a - n| / max(|a|, |n|) at a few random dimensions of every tensor.

    A dimension counts with the best of three step sizes; where a ReLU switches between the two
    sides it is skipped, since there the loss has no derivative. Where both gradients are below a
    thousandth of the tensor's largest, that is the scale of the error: below it, differences are
    rounding noise. Source: CS231n, "Gradient checks".
    """
    _, analytic = loss_and_gradient(net, flat, x, labels, weight_decay)
    errors: list[GradientError] = []
    for tensor, dims in _tensors(net):
        floor = max(1e-3 * float(abs(analytic[dims]).max()), 1e-9)
        chosen = rng.choice(dims, size=min(per_tensor, len(dims)), replace=False)
        best: dict[int, GradientError] = {}
        for step in STEPS:
            for dim, numeric in _differences(net, flat, x, labels, weight_decay, chosen, step):
                a = float(analytic[dim])
                error = abs(a - numeric) / max(abs(a), abs(numeric), floor)
                if dim not in best or error < best[dim].relative:
                    best[dim] = GradientError(tensor, a, numeric, error)
        errors += best.values()
    return errors


def _tensors(net: Net) -> Iterator[tuple[str, NDArray[np.intp]]]:
    """The name of every tensor and the places of its numbers in the flat weights."""
    places = Params.over(np.arange(net.n_params, dtype=np.float64)[None], net)
    for kind, tensors in (("W", places.weights), ("b", places.biases)):
        for number, tensor in enumerate(tensors, 1):
            yield f"{kind}{number}", tensor.ravel().astype(np.intp)


def _differences(
    net: Net, flat: Array, x: Array, labels: NDArray[np.int64], weight_decay: float,
    dims: NDArray[np.intp], step: float,
) -> Iterator[tuple[int, float]]:  # fmt: skip
    """(dimension, numeric derivative); each pair of probes is two trials of a cohort."""
    for start in range(0, len(dims), TOGETHER // 2):
        part = dims[start : start + TOGETHER // 2]
        probes = np.repeat(flat[None].astype(np.float64), 2 * len(part), axis=0)
        probes[np.arange(len(part)), part] += step
        probes[np.arange(len(part)) + len(part), part] -= step
        params = Params.over(probes, net)
        tape = Tape.for_(net, len(probes), len(x), np.float64)
        losses = mean_rows(softmax_cross_entropy(forward(net, params, batch(x), tape), labels))
        losses += penalty(params, np.full(len(probes), weight_decay))
        slopes = (losses[: len(part)] - losses[len(part) :]) / (2 * step)
        smooth = _same_side(net, tape, len(part))
        yield from (
            (int(d), float(s)) for d, s, ok in zip(part, slopes, smooth, strict=True) if ok
        )


def _same_side(net: Net, tape: Tape, pairs: int) -> NDArray[np.bool_]:
    """Which pairs of probes have every unit on the same side of its kink, (pairs,)."""
    same = np.ones(pairs, bool)
    if ACTIVATIONS[net.activation].kinks:
        for a in tape.a[:-1]:
            same &= ((a[:pairs] > 0) == (a[pairs:] > 0)).all(axis=(1, 2))
    return same
