"""PyTorch's losses and their gradients with respect to the logits."""

import numpy as np
import torch
import torch.nn.functional as F

from .golden import Arrays

SMOOTHING = (0.0, 0.1, 0.6)


def _softmax(logits: torch.Tensor, labels: torch.Tensor, smoothing: float) -> torch.Tensor:
    return F.cross_entropy(logits, labels, reduction="none", label_smoothing=smoothing)


def _hinge(logits: torch.Tensor, labels: torch.Tensor, smoothing: float) -> torch.Tensor:
    """PyTorch divides the sum over classes by their number."""
    return F.multi_margin_loss(logits, labels, reduction="none") * logits.shape[1]


LOSSES = {"softmax": _softmax, "hinge": _hinge}


def make() -> Arrays:
    """Logits (N, C) and labels; of each `loss.smoothing` the losses (N,) and the gradient (N, C)
    of their mean.
    """
    rng = np.random.default_rng(6)
    given = {"logits": 3 * rng.standard_normal((9, 5)), "labels": rng.integers(0, 5, 9)}
    found: Arrays = dict(given)
    for name, loss in LOSSES.items():
        for smoothing in SMOOTHING:
            logits = torch.tensor(given["logits"], requires_grad=True)
            rows = loss(logits, torch.tensor(given["labels"]), smoothing)
            rows.mean().backward()
            found[f"{name}.{smoothing}"] = rows.detach().numpy()
            found[f"{name}.{smoothing}.gradient"] = np.asarray(logits.grad)
    return found
