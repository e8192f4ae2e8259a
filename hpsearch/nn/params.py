"""Where a cohort's numbers lie: parameters, the optimizer's state and gradients, side by side."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from hpsearch.nn.activations import Array
from hpsearch.nn.net import Net

BLOCK = 32_768  # numbers of a row: a block's rows and scratch together stay in the L2 cache
TINY = 1e-25


@dataclass(frozen=True)
class Params:
    """Views of a cohort's weights, or of their gradients, layer by layer.

    `weights[l]` is (K, O, I), the others (K, O, 1). Hidden layers alone have the rest, and only
    where the net is so: normalization has `gammas` (its betas are the biases), batch
    normalization the running `means` and `variances`, some activations `slopes`.
    """

    weights: tuple[Array, ...]
    biases: tuple[Array, ...]
    gammas: tuple[Array, ...] = ()
    slopes: tuple[Array, ...] = ()
    means: tuple[Array, ...] = ()
    variances: tuple[Array, ...] = ()

    @classmethod
    def of(cls, tensors: list[Array], net: Net) -> Self:
        """The tensors (K, n) of `net`, in its order, as matrices; nothing is copied."""
        kinds: dict[str, list[Array]] = {}
        for array, (kind, shape, _) in zip(tensors, net.tensors, strict=True):
            kinds.setdefault(kind, []).append(array.reshape(len(array), *shape))
        return cls(**{kind: tuple(arrays) for kind, arrays in kinds.items()})

    @classmethod
    def over(cls, flat: Array, net: Net) -> Self:
        """Views into `flat` (K, n_numbers)."""
        return cls.of(split(flat, net), net)


def split(flat: Array, net: Net) -> list[Array]:
    """The tensors (K, n) of `flat` (K, n_numbers), in the net's order."""
    return np.split(flat, np.cumsum(net.lengths)[:-1], axis=1)


class Block(NamedTuple):
    """A piece of one tensor that fits in the cache: `rows` (R, T, B), of T trials B numbers each.

    `scratch` (R - 1, T, B) is shared by all blocks; `decays` says whether weight decay is for it.
    """

    trials: slice
    rows: Array
    scratch: Array
    decays: bool


class Memory:
    """All numbers of a cohort's trials.

    Each learned tensor is one array (R, K, n): its values, the optimizer's state, and the
    gradient. For a trial the rows have equal strides, so that a linear update is a matrix product
    with them; the values of the K trials are contiguous, which makes the first layer's one matrix
    (K O, D). Tensors that are not learned have their values alone, (1, K, n).
    """

    def __init__(self, net: Net, flat: Array, *, slots: int) -> None:
        tensors = []
        for values, tensor in zip(split(flat, net), net.tensors, strict=True):
            rows = np.zeros((slots + 2 if tensor.learned else 1, *values.shape), flat.dtype)
            rows[0] = values
            tensors.append(rows)
        self.net = net
        self._take(tensors)

    def _take(self, tensors: list[Array]) -> None:
        self.tensors = tensors
        self.params = Params.of([rows[0] for rows in tensors], self.net)
        self.grads = Params.of([rows[-1] for rows in tensors], self.net)
        self.blocks = list(self._blocks())

    def _blocks(self) -> Iterator[Block]:
        rows = len(self.tensors[0])
        scratch = np.empty((rows - 1) * BLOCK, self.tensors[0].dtype)
        for numbers, tensor in zip(self.tensors, self.net.tensors, strict=True):
            for trials, columns in pieces(*numbers.shape[1:]) if tensor.learned else ():
                part = numbers[:, trials, columns]
                mine = scratch[: part[1:].size].reshape(part[1:].shape)
                yield Block(trials, part, mine, tensor.decays)

    @property
    def size(self) -> int:
        """K."""
        return len(self.tensors[0][0])

    def flat(self, k: int) -> NDArray[np.floating]:
        """A copy of one trial's numbers, (n_numbers,)."""
        return np.concatenate([rows[0, k] for rows in self.tensors])

    def state(self, k: int) -> NDArray[np.floating]:
        """A copy of all that one trial has besides its gradients, (n,)."""
        return np.concatenate([rows[:, k].ravel() for rows in self._lasting()])

    def restore(self, k: int, state: NDArray[np.floating]) -> None:
        """Sets what `state` gave."""
        parts = [rows[:, k] for rows in self._lasting()]
        ends = np.cumsum([part.size for part in parts])
        for part, values in zip(parts, np.split(state, ends[:-1]), strict=True):
            part[:] = values.reshape(part.shape)

    def _lasting(self) -> list[Array]:
        """Views of all rows but the gradients."""
        tensors = zip(self.tensors, self.net.tensors, strict=True)
        return [rows[:-1] if tensor.learned else rows for rows, tensor in tensors]

    def keep(self, mask: NDArray[np.bool_]) -> None:
        """Trials outside `mask` (K,) leave; the others close ranks."""
        self._take([np.compress(mask, rows, axis=1) for rows in self.tensors])  # C order

    def flush(self) -> None:
        """Sets numbers below TINY to 0. Strong decay shrinks weights geometrically into the
        denormal numbers, on which matrix products are thirty times slower; so far below the
        others they have no effect (nor has a mean square of gradients below 3e-13, beside any
        epsilon above that).
        """
        for block in self.blocks:
            kept = block.rows[:-1]
            small = np.abs(kept) < TINY
            if small.any():
                kept[small] = 0


def pieces(trials: int, length: int) -> Iterator[tuple[slice, slice]]:
    """Rows and columns that cut (K, n) into pieces of at most BLOCK numbers."""
    width = min(length, BLOCK)
    rows = BLOCK // width
    for row in range(0, trials, rows):
        for column in range(0, length, width):
            yield slice(row, min(row + rows, trials)), slice(column, min(column + width, length))
