"""PyTorch's answers and gradients of a small network with every activation and normalization."""

from itertools import pairwise, product

import numpy as np
import torch
import torch.nn.functional as F

from .golden import Arrays

SIZES = (6, 5, 4, 3)
ROWS = 7
EPSILON = 1e-5
MINIBATCH = 3  # which one it is, counted from 1: the running statistics move by a third
KINDS = ("weights", "biases", "gammas", "slopes", "means", "variances")
NORMALIZATIONS = ("none", "batch", "layer")
FIXED_SLOPES = {"leaky_relu": 0.03, "elu": 0.7}  # the slope is a setting; prelu learns it

Tensors = dict[str, list[torch.Tensor]]


def activate(name: str, z: torch.Tensor, slope: torch.Tensor | None) -> torch.Tensor:
    """The activation `name` of z (N, O)."""
    if name == "maxout":
        return torch.maximum(*z.chunk(2, dim=1))
    if name == "prelu":
        assert slope is not None
        return F.prelu(z, slope)
    if name == "leaky_relu":
        return F.leaky_relu(z, FIXED_SLOPES[name])
    if name == "elu":
        return F.elu(z, FIXED_SLOPES[name])
    return ACTIVATIONS[name](z)


ACTIVATIONS = {
    "relu": torch.relu, "leaky_relu": None, "prelu": None, "elu": None, "selu": F.selu,
    "gelu": F.gelu, "maxout": None, "tanh": torch.tanh, "sigmoid": torch.sigmoid,
}  # fmt: skip


def tensors_of(activation: str, normalization: str, rng: np.random.Generator) -> Tensors:
    """Random numbers of every kind that the network has, (O, I) or (O,)."""
    pieces = 2 if activation == "maxout" else 1
    widths = [pieces * o for o in SIZES[1:-1]] + [SIZES[-1]]
    shapes: dict[str, list[tuple[int, ...]]] = {
        "weights": [(w, i) for w, (i, _) in zip(widths, pairwise(SIZES), strict=True)],
        "biases": [(w,) for w in widths],
    }
    hidden = [(w,) for w in widths[:-1]]
    if normalization != "none":
        shapes["gammas"] = hidden
    if activation == "prelu":
        shapes["slopes"] = [(o,) for o in SIZES[1:-1]]
    if normalization == "batch":
        shapes["means"] = shapes["variances"] = hidden
    drawn = {kind: [rng.standard_normal(s) for s in shapes[kind]] for kind in shapes}
    drawn |= {"variances": [v**2 + 0.1 for v in drawn.get("variances", [])]}
    return {kind: [torch.tensor(v) for v in drawn[kind]] for kind in KINDS if drawn.get(kind)}


def logits_of(
    activation: str, normalization: str, tensors: Tensors, given: Arrays, *, train: bool
) -> torch.Tensor:
    """(N, C); in training dropout's masks are applied and the running statistics move."""
    a = torch.tensor(given["x"])
    last = len(SIZES) - 2
    for layer, (w, b) in enumerate(zip(tensors["weights"], tensors["biases"], strict=True)):
        if layer == last:
            return a @ w.T + b
        z = a @ w.T
        if normalization == "batch":
            z = F.batch_norm(
                z, tensors["means"][layer], tensors["variances"][layer], tensors["gammas"][layer],
                b, training=train, momentum=1 / MINIBATCH, eps=EPSILON,
            )  # fmt: skip
        elif normalization == "layer":
            z = F.layer_norm(z, z.shape[1:], tensors["gammas"][layer], b, EPSILON)
        else:
            z = z + b
        slope = tensors["slopes"][layer] if "slopes" in tensors else None
        a = activate(activation, z, slope)
        if train:
            a = a * torch.tensor(given[f"mask{layer}"])
    raise AssertionError("there is a last layer")


def flat(tensors: Tensors) -> np.ndarray:
    return np.concatenate([t.detach().numpy().ravel() for kind in tensors for t in tensors[kind]])


def make() -> Arrays:
    """Rows, labels, masks; of each `activation.normalization` the numbers `start`, the logits in
    training and in evaluation (before any training), the loss, its gradient, and the numbers with
    the running statistics moved, `after`.
    """
    rng = np.random.default_rng(5)
    given: Arrays = {"x": rng.standard_normal((ROWS, SIZES[0])), "y": rng.integers(0, 3, ROWS)}
    for layer, width in enumerate(SIZES[1:-1]):
        given[f"mask{layer}"] = (rng.random((ROWS, width)) < 0.6) / 0.6
    found = dict(given)
    for activation, normalization in product(ACTIVATIONS, NORMALIZATIONS):
        found |= {
            f"{activation}.{normalization}.{name}": array
            for name, array in _answers(activation, normalization, given, rng).items()
        }
    return found


def _answers(
    activation: str, normalization: str, given: Arrays, rng: np.random.Generator
) -> Arrays:
    tensors = tensors_of(activation, normalization, rng)
    start = flat(tensors)
    learned = [t for kind in KINDS[:4] for t in tensors.get(kind, [])]
    for tensor in learned:
        tensor.requires_grad_()
    evaluated = logits_of(activation, normalization, tensors, given, train=False)
    logits = logits_of(activation, normalization, tensors, given, train=True)
    loss = F.cross_entropy(logits, torch.tensor(given["y"]))
    loss.backward()
    gradient = np.concatenate([np.asarray(t.grad).ravel() for t in learned])
    return {
        "start": start, "evaluated": evaluated.detach().numpy(), "loss": loss.detach().numpy(),
        "logits": logits.detach().numpy(), "gradient": gradient, "after": flat(tensors),
    }  # fmt: skip
