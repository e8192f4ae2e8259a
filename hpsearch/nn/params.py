"""Where a cohort's numbers lie: parameters, the optimizer's state and gradients, side by side."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from hpsearch.nn.activations import Array
from hpsearch.nn.net import Net


@dataclass(frozen=True)
class Params:
    """Views of a cohort's weights, or of their gradients, layer by layer.

    `weights[l]` is (K, O, I) and `biases[l]` (K, O, 1).
    """

    weights: tuple[Array, ...]
    biases: tuple[Array, ...]

    @classmethod
    def of(cls, tensors: list[Array], net: Net) -> Self:
        """The tensors (K, n) of `net`, in its order, as matrices; nothing is copied."""
        shaped = [t.reshape(len(t), *shape) for t, shape in zip(tensors, net.tensors, strict=True)]
        return cls(tuple(shaped[: len(net.layers)]), tuple(shaped[len(net.layers) :]))

    @classmethod
    def over(cls, flat: Array, net: Net) -> Self:
        """Views into `flat` (K, P)."""
        return cls.of(split(flat, net), net)


def split(flat: Array, net: Net) -> list[Array]:
    """The tensors (K, n) of `flat` (K, P): weights before biases, each layer by layer."""
    return np.split(flat, np.cumsum(net.lengths)[:-1], axis=1)


class Memory:
    """All learnable numbers of a cohort.

    Each tensor is one array (R, K, n): its values, the optimizer's state, and the gradient. For a
    trial the rows have equal strides, so that a linear update is a matrix product with them; the
    values of the K trials are contiguous, which makes the first layer's one matrix (K O, D).
    `prepared` is the optimizer's: the rates, and what it has made of them.
    """

    def __init__(self, net: Net, flat: Array, *, slots: int) -> None:
        self.net, self.tensors = net, list[Array]()
        self.prepared: tuple[object, list[Array]] = (None, [])
        for values in split(flat, net):
            rows = np.zeros((slots + 2, *values.shape), flat.dtype)
            rows[0] = values
            self.tensors.append(rows)
        self._look()

    def _look(self) -> None:
        self.params = Params.of([rows[0] for rows in self.tensors], self.net)
        self.grads = Params.of([rows[-1] for rows in self.tensors], self.net)

    @property
    def size(self) -> int:
        """K."""
        return len(self.tensors[0][0])

    @property
    def decaying(self) -> list[bool]:
        """Of every tensor whether weight decay is for it: weights do decay, biases do not."""
        layers = len(self.net.layers)
        return [True] * layers + [False] * layers

    def flat(self, k: int) -> NDArray[np.floating]:
        """A copy of one trial's weights and biases, (P,)."""
        return np.concatenate([rows[0, k] for rows in self.tensors])

    def keep(self, mask: NDArray[np.bool_]) -> None:
        """Trials outside `mask` (K,) leave; the others close ranks."""
        self.tensors = [rows[:, mask] for rows in self.tensors]
        self._look()
