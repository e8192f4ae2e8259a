"""A small problem whose gradients depend on the weights, and an optimizer's way down it."""

from collections.abc import Mapping, Sequence

import numpy as np

from hpsearch.nn.net import Net
from hpsearch.nn.optimizers import OPTIMIZERS, CohortRates
from hpsearch.nn.params import Memory, Params


def rates_of(k: int = 1, **given: float | np.ndarray) -> CohortRates:
    """The rates of K trials; those that are not given are 0."""
    values = dict.fromkeys(CohortRates._fields, 0.0) | given
    return CohortRates(*(np.full(k, values[name], float) for name in CohortRates._fields))


def rates_in(golden: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Those of a golden file."""
    return {
        name: golden[f"rates.{name}"] for name in CohortRates._fields if f"rates.{name}" in golden
    }


def gradients(params: Params, x: np.ndarray, y: np.ndarray, grads: Params) -> None:
    """Fills `grads`: a layer of tanh, then softmax cross-entropy; the chain rule written out."""
    for k in range(len(params.weights[0])):
        (w1, w2), (b1, b2) = (
            [tensor[k] for tensor in tensors] for tensors in (params.weights, params.biases)
        )
        a = np.tanh(w1 @ x.T + b1.reshape(-1, 1))
        p = np.exp(w2 @ a + b2.reshape(-1, 1))
        dz = (p / p.sum(axis=0) - np.eye(len(p))[y].T) / len(y)
        da = w2.T @ dz * (1 - a * a)
        grads.weights[1][k], grads.weights[0][k] = dz @ a.T, da @ x
        grads.biases[1][k].flat, grads.biases[0][k].flat = dz.sum(axis=1), da.sum(axis=1)


def trajectory(
    name: str, problem: Mapping[str, np.ndarray], rates: CohortRates, changes: Sequence[float] = ()
) -> np.ndarray:
    """The parameters (K, steps, P) after every step; `changes` are factors on the rate by step."""
    trials, optimizer = len(rates.learning_rate), OPTIMIZERS[name]
    net, start = Net(tuple(problem["sizes"].tolist()), "tanh"), problem["start"]
    memory = Memory(net, np.repeat(start[None], trials, axis=0), slots=optimizer.slots)
    path = []
    for step, batch in enumerate(problem["batches"]):
        now = rates
        if changes:
            now = rates._replace(learning_rate=rates.learning_rate * changes[step])
        gradients(memory.params, problem["x"][batch], problem["y"][batch], memory.grads)
        optimizer.apply(memory, optimizer.prepare(now, step + 1, np.float64))
        path.append([memory.flat(k) for k in range(trials)])
    return np.array(path).swapaxes(0, 1)
