"""PyTorch's way down a small problem with each optimizer, without weight decay and with it."""

from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any

import numpy as np
import torch

from .golden import Arrays

SIZES = (5, 4, 3)
STEPS = 100
KEPT = [1, 2, 3, 5, 10, 20, 50, 100]  # steps after which the golden file has the parameters
DECAYS = (0.0, 0.3)
# An epsilon that would show if it stood under the root, or were scaled with the mean square.
RATES = {"learning_rate": 0.03, "momentum": 0.9, "beta1": 0.8, "beta2": 0.95, "epsilon": 1e-3}

Make = Callable[..., torch.optim.Optimizer]
OPTIMIZERS: dict[str, Make] = {
    "sgd": lambda groups, lr, **_: torch.optim.SGD(groups, lr),
    "momentum": lambda groups, lr, momentum, **_: torch.optim.SGD(groups, lr, momentum),
    "nesterov": lambda groups, lr, momentum, **_: torch.optim.SGD(
        groups, lr, momentum, nesterov=True
    ),
    "adagrad": lambda groups, lr, eps, **_: torch.optim.Adagrad(groups, lr, eps=eps),
    "rmsprop": lambda groups, lr, betas, eps, **_: torch.optim.RMSprop(
        groups, lr, alpha=betas[1], eps=eps
    ),
    "adam": lambda groups, lr, betas, eps, **_: torch.optim.Adam(groups, lr, betas, eps),
    "adamw": lambda groups, lr, betas, eps, **_: torch.optim.AdamW(groups, lr, betas, eps),
}


def problem(seed: int) -> Arrays:
    """Rows and labels, minibatches of 4 of them, and the first weights and biases."""
    rng = np.random.default_rng(seed)
    n_params = sum((inputs + 1) * outputs for inputs, outputs in pairwise(SIZES))
    return {
        "sizes": np.array(SIZES), "x": rng.standard_normal((24, SIZES[0])),
        "y": rng.integers(0, SIZES[-1], 24), "batches": rng.integers(0, 24, (STEPS, 4)),
        "start": rng.normal(0, 0.7, n_params),
    }  # fmt: skip


def trajectory(name: str, given: Arrays, rates: dict[str, float]) -> np.ndarray:
    """The parameters (STEPS, P) after every step, weights first."""
    weights, biases = _parameters(given)
    groups = [{"params": weights, "weight_decay": rates["weight_decay"]},
              {"params": biases, "weight_decay": 0.0}]  # fmt: skip
    optimizer = OPTIMIZERS[name](
        groups, rates["learning_rate"], momentum=rates["momentum"],
        betas=(rates["beta1"], rates["beta2"]), eps=rates["epsilon"],
    )  # fmt: skip
    x, y, path = torch.from_numpy(given["x"]), torch.from_numpy(given["y"]), []
    for batch in given["batches"]:
        optimizer.zero_grad()
        _loss(weights, biases, x[batch], y[batch]).backward()
        optimizer.step()
        path.append(np.concatenate([p.detach().numpy().ravel() for p in [*weights, *biases]]))
    return np.array(path)


def _parameters(given: Arrays) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    sizes = given["sizes"].tolist()
    shapes: list[Any] = [(o, i) for i, o in pairwise(sizes)] + [(o,) for o in sizes[1:]]
    ends = np.cumsum([np.prod(shape) for shape in shapes])
    parts = np.split(given["start"], ends[:-1])
    tensors = [
        torch.tensor(part.reshape(shape), requires_grad=True)
        for part, shape in zip(parts, shapes, strict=True)
    ]
    return tensors[: len(sizes) - 1], tensors[len(sizes) - 1 :]


def _loss(
    weights: Iterable[torch.Tensor], biases: Iterable[torch.Tensor], x: torch.Tensor,
    y: torch.Tensor,
) -> torch.Tensor:  # fmt: skip
    (w1, w2), (b1, b2) = weights, biases
    logits = torch.tanh(x @ w1.T + b1) @ w2.T + b2
    return torch.nn.functional.cross_entropy(logits, y)


def make() -> Arrays:
    """The problem, its rates, and of each optimizer (decays, kept steps, P)."""
    given = problem(0)
    after = np.array(KEPT) - 1
    paths = {
        name: np.array(
            [trajectory(name, given, {**RATES, "weight_decay": d})[after] for d in DECAYS]
        )
        for name in OPTIMIZERS
    }
    rates = {f"rates.{name}": np.array(value) for name, value in RATES.items()}
    decays = {"rates.weight_decay": np.array(DECAYS)}
    return {**given, **rates, **decays, "kept": np.array(KEPT), **paths}
