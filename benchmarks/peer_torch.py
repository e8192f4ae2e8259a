"""A peer: Optuna's random sampler and a plain PyTorch loop; prints one JSON line.

Run as `python -m benchmarks.peer_torch WORK`, WORK being JSON. The rows are one tensor, loaded
beforehand, and minibatches are indexed from it: no DataLoader, no copy to a device, no
evaluation but one after the last epoch.
"""

import json
import math
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn


def network(sizes: list[int], *, plain: bool = True) -> nn.Sequential:
    """Hidden layers with batch norm and a dropout of one half unless `plain`."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes[:-1]):
        layers += [nn.Linear(inputs, outputs, bias=plain)]
        layers += [] if plain else [nn.BatchNorm1d(outputs)]
        layers += [nn.ReLU()] if plain else [nn.ReLU(), nn.Dropout(0.5)]
    return nn.Sequential(*layers, nn.Linear(*sizes[-2:]))


def train(
    net: nn.Module, x: torch.Tensor, y: torch.Tensor, *, epochs: int, batch: int,
    learning_rate: float, weight_decay: float,
) -> float:  # fmt: skip
    """Momentum SGD; the last minibatch's loss."""
    optimizer = torch.optim.SGD(
        net.parameters(), lr=learning_rate, momentum=0.9, weight_decay=weight_decay
    )
    criterion = nn.CrossEntropyLoss()
    net.train()
    for _ in range(epochs):
        for index in torch.randperm(len(x)).split(batch):
            optimizer.zero_grad()
            loss = criterion(net(x[index]), y[index])
            loss.backward()
            optimizer.step()
    return loss.item()


def accuracy(net: nn.Module, x: torch.Tensor, y: torch.Tensor) -> float:
    net.eval()
    with torch.no_grad():
        return float((net(x).argmax(1) == y).float().mean())


def search(work: dict[str, Any]) -> dict[str, float]:
    """Seconds of `optimize`, and the best accuracy."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    folder, cut = Path(work["rows"]), work["train_rows"]
    x = torch.from_numpy(np.load(folder / "x.npy"))
    y = torch.from_numpy(np.load(folder / "y.npy"))
    lost = 0

    def objective(trial: "optuna.Trial") -> float:
        nonlocal lost
        torch.manual_seed(trial.number)
        net = network([x.shape[1], *work["hidden"], work["classes"]])
        loss = train(
            net, x[:cut], y[:cut], epochs=work["epochs"], batch=work["batch"],
            learning_rate=trial.suggest_float("lr", *work["learning_rate"], log=True),
            weight_decay=trial.suggest_float("weight_decay", *work["weight_decay"], log=True),
        )  # fmt: skip
        lost += not math.isfinite(loss)
        return accuracy(net, x[cut:], y[cut:])

    study = optuna.create_study(
        direction="maximize", sampler=optuna.samplers.RandomSampler(seed=work["seed"])
    )
    begun = time.monotonic()
    study.optimize(objective, n_trials=work["trials"])
    ended = time.monotonic()
    return {"begun": begun, "ended": ended, "best": study.best_value, "diverged": float(lost)}


def epoch(work: dict[str, Any]) -> dict[str, float]:
    """Seconds of one epoch of one net on random rows, after some steps to warm up."""
    torch.manual_seed(0)
    x = torch.randn(work["train_rows"], work["sizes"][0])
    y = torch.randint(work["sizes"][-1], (len(x),))
    net = network(work["sizes"], plain=work["plain"])
    given = {"epochs": 1, "batch": work["batch"], "learning_rate": 1e-4, "weight_decay": 1e-4}
    train(net, x[: 8 * work["batch"]], y[: 8 * work["batch"]], **given)
    begun = time.monotonic()
    train(net, x, y, **given)
    return {"begun": begun, "ended": time.monotonic()}


def main(work: dict[str, Any]) -> dict[str, float]:
    torch.set_num_threads(work["threads"])
    return epoch(work) if "sizes" in work else search(work)


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))
