"""PyTorch's learning rates at every step of every schedule, and of the linear warm-up."""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch.optim import lr_scheduler

from .golden import Arrays

PER_EPOCH = 10
STEPS = 97  # the budget ends within an epoch
RATES = {
    "learning_rate": np.array([0.1, 0.02, 3.0, 1.0]),
    "decay_factor": np.array([0.5, 0.9, 0.1, 1.0]),
    "decay_epochs": np.array([2.0, 1.0, 0.7, 3.0]),
    "pct_start": np.array([0.3, 0.5, 0.05, 0.85]),
    "warmup_epochs": np.array([1.0, 2.5, 5.0, 0.2]),
}

Scheduler = lr_scheduler.LRScheduler
Given = Mapping[str, float]


def inverse_rate(given: Given) -> float:
    """k of 1 / (1 + k step): after decay_epochs decay_factor is left."""
    return (1 / given["decay_factor"] - 1) / (given["decay_epochs"] * PER_EPOCH)


SCHEDULES: dict[str, Callable[[torch.optim.Optimizer, Given], Scheduler]] = {
    "constant": lambda optimizer, given: lr_scheduler.ConstantLR(optimizer, factor=1.0),
    "step": lambda optimizer, given: lr_scheduler.StepLR(
        optimizer, round(given["decay_epochs"] * PER_EPOCH), given["decay_factor"]
    ),
    "exponential": lambda optimizer, given: lr_scheduler.ExponentialLR(
        optimizer, given["decay_factor"] ** (1 / (given["decay_epochs"] * PER_EPOCH))
    ),
    "inverse": lambda optimizer, given: lr_scheduler.LambdaLR(
        optimizer, lambda t: 1 / (1 + inverse_rate(given) * t)
    ),
    "cosine": lambda optimizer, given: lr_scheduler.CosineAnnealingLR(optimizer, T_max=STEPS),
    "one_cycle": lambda optimizer, given: lr_scheduler.OneCycleLR(
        optimizer, given["learning_rate"], STEPS, pct_start=given["pct_start"],
        cycle_momentum=False,
    ),
}  # fmt: skip


def warmup(optimizer: torch.optim.Optimizer, given: Given) -> Scheduler:
    """Full after n steps, each 1 / n more than the one before."""
    n = round(given["warmup_epochs"] * PER_EPOCH)
    return lr_scheduler.LinearLR(optimizer, start_factor=1 / n, total_iters=n - 1)


def warm_exponential(optimizer: torch.optim.Optimizer, given: Given) -> Scheduler:
    """The product of both."""
    return lr_scheduler.ChainedScheduler(
        [warmup(optimizer, given), SCHEDULES["exponential"](optimizer, given)]
    )


def rates_by_step(
    make_scheduler: Callable[[torch.optim.Optimizer, Given], Scheduler], given: Given
) -> list[float]:
    """The learning rate in force at each of STEPS steps."""
    optimizer = torch.optim.SGD([torch.zeros(1)], given["learning_rate"])
    scheduler, rates = make_scheduler(optimizer, given), []
    for _ in range(STEPS):
        rates.append(float(optimizer.param_groups[0]["lr"]))
        optimizer.step()
        scheduler.step()
    return rates


def make() -> Arrays:
    """The rates of K trials, and of each schedule their learning rates (K, STEPS)."""
    trials = [
        dict(zip(RATES, map(float, row), strict=True))
        for row in zip(*RATES.values(), strict=True)
    ]
    scheduled = {**SCHEDULES, "warmup": warmup, "warm exponential": warm_exponential}
    paths = {
        name: np.array([rates_by_step(make_scheduler, given) for given in trials])
        for name, make_scheduler in scheduled.items()
    }
    rates = {f"rates.{name}": values for name, values in RATES.items()}
    return {**rates, "steps": np.array(STEPS), "per_epoch": np.array(PER_EPOCH), **paths}
