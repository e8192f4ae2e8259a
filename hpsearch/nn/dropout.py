"""Inverted dropout: in training units are dropped, and those that stay are scaled up.

Srivastava et al. 2014, in the form of CS231n: nothing is left to do when predicting.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hpsearch.nn.activations import Array

LEVELS = 1 << 16  # a unit is kept where two random bytes are below its share of them


class Dropout:
    """The masks of a cohort. Each trial has its own generator, seeded with `seeds`: what it draws
    depends on nothing but its seed, its rate (K,) and how many minibatches it has seen.
    """

    def __init__(self, rates: NDArray[np.float64], seeds: Sequence[Sequence[int]]) -> None:
        self._random = [np.random.SFC64(seed) for seed in seeds]
        self._levels = np.maximum(1, np.rint(LEVELS * (1 - rates)))[:, None, None]  # of those kept

    @property
    def active(self) -> bool:
        """Whether any trial drops anything."""
        return bool((self._levels < LEVELS).any())

    def draw(self, masks: Sequence[Array]) -> None:
        """Fills the masks (K, O, N) of the hidden layers for the next minibatch: 0 or 1/keep."""
        if not masks:
            return
        lengths = [mask[0].size for mask in masks]
        drawn = np.zeros((len(self._random), sum(lengths)), np.uint16)
        for row, levels, random in zip(drawn, self._levels, self._random, strict=True):
            if levels < LEVELS:
                row[:] = random.random_raw(-(-row.size // 4)).view(np.uint16)[: row.size]
        last = (self._levels - 1).astype(np.uint16)
        parts = np.split(drawn, np.cumsum(lengths)[:-1], axis=1)
        for mask, part in zip(masks, parts, strict=True):
            np.less_equal(part.reshape(mask.shape), last, out=mask, casting="unsafe")
            mask *= (LEVELS / self._levels).astype(mask.dtype)

    def state(self, k: int) -> NDArray[np.uint64]:
        """Where one trial's generator stands, (4,)."""
        return np.array(self._random[k].state["state"]["state"], np.uint64)

    def restore(self, k: int, state: NDArray[np.uint64]) -> None:
        """Sets what `state` gave."""
        random = self._random[k]
        random.state = {**random.state, "state": {"state": state}}

    def keep(self, living: NDArray[np.bool_]) -> None:
        """Trials outside the mask `living` (K,) leave."""
        self._levels = self._levels[living]
        self._random = [r for r, stays in zip(self._random, living, strict=True) if stays]
