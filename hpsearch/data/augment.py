"""Augmentation: training images flipped and shifted at random, minibatch by minibatch."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpsearch.errors import DataError

STREAM = 2  # of the order seed's random numbers: those that order the rows are another


@dataclass(frozen=True)
class Augment:
    """`flip`: left and right are swapped in half of the images; `shift`: each is moved by up to so
    many pixels both ways, its edge pixels filling what comes into view.
    """

    flip: bool = False
    shift: int = 0

    @property
    def alters(self) -> bool:
        """Whether anything is asked for."""
        return self.flip or self.shift > 0

    def check(
        self, image_shape: tuple[int, int, int] | None, place: str = "data.augment"
    ) -> None:
        """DataError where it alters what is no image, or too small to be shifted as far; `place`
        is where the config says so.
        """
        if not self.alters:
            return
        if image_shape is None:
            raise DataError(
                f"{place}: must be none for a table, since only images can be flipped and "
                f"shifted, got flip: {str(self.flip).lower()}, shift: {self.shift}; set none"
            )
        if self.shift >= (least := min(image_shape[:2])):
            raise DataError(
                f"{place}.shift: must be below the {least} pixels of an image, got "
                f"{self.shift}; set {least // 8}"
            )

    def apply(
        self, x: NDArray[Any], image_shape: tuple[int, int, int], rng: np.random.Generator
    ) -> NDArray[Any]:
        """The images `x` (n, D), raw, each drawn anew; (n, D) of the same dtype."""
        height, width, channels = image_shape
        down, right = rng.integers(-self.shift, self.shift + 1, (2, len(x), 1))
        rows = np.clip(np.arange(height) + down, 0, height - 1)
        columns = np.clip(np.arange(width) + right, 0, width - 1)
        if self.flip:
            flipped = rng.random(len(x)) < 0.5
            columns[flipped] = columns[flipped, ::-1]
        first = np.arange(len(x))[:, None] * height
        places = ((first + rows)[:, :, None] * width + columns[:, None, :]).reshape(-1)
        pixels = np.ascontiguousarray(x).reshape(-1, channels)
        altered: NDArray[Any] = pixels.take(places, axis=0)
        return altered.reshape(x.shape)


NONE = Augment()


def stream(order_seed: int, epoch: int, number: int) -> np.random.Generator:
    """The random numbers of one minibatch; nothing else decides them."""
    return np.random.default_rng([order_seed, epoch, number, STREAM])
