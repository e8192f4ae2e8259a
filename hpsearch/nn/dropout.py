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
        self.rates = rates
        self._random = [np.random.Generator(np.random.SFC64(seed)) for seed in seeds]

    @property
    def active(self) -> bool:
        """Whether any trial drops anything."""
        return bool((self.rates > 0).any())

    def draw(self, masks: Sequence[Array]) -> None:
        """Fills the masks (K, O, N) of the hidden layers for the next minibatch: 0 or 1/keep."""
        if not masks:
            return
        lengths = [mask[0].size for mask in masks]
        for k, (rate, random) in enumerate(zip(self.rates, self._random, strict=True)):
            if rate == 0:
                for mask in masks:
                    mask[k] = 1
                continue
            limit = max(1, round(LEVELS * (1 - float(rate))))
            drawn = np.frombuffer(random.bytes(2 * sum(lengths)), np.uint16)
            for mask, bits in zip(masks, np.split(drawn, np.cumsum(lengths)[:-1]), strict=True):
                np.multiply((bits < limit).reshape(mask[k].shape), LEVELS / limit, out=mask[k])

    def keep(self, living: NDArray[np.bool_]) -> None:
        """Trials outside the mask `living` (K,) leave."""
        self.rates = self.rates[living]
        self._random = [r for r, stays in zip(self._random, living, strict=True) if stays]
