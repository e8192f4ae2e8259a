"""Data that needs no file of the user's: digits and the spiral."""

from pathlib import Path

import numpy as np

from hpsearch.data.arrays import archive
from hpsearch.data.dataset import Loaded, Source

DIGITS = Path(__file__).with_name("digits.npz")


def load_digits(source: Source) -> Loaded:
    """1,797 handwritten digits of 8 x 8 pixels from 0 to 16.

    E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning
    Repository, 1998 (the test part); licence CC BY 4.0.
    """
    digits = archive(DIGITS)
    y = digits["y"].read().astype(np.int64)
    classes = tuple(str(digit) for digit in range(10))
    features = tuple(f"pixel {k}" for k in range(64))
    return Loaded(digits["x"].read(), y, classes, features, image_shape=(8, 8, 1))


def load_spiral(source: Source) -> Loaded:
    """Three arms of 100 points in the plane, as in CS231n's notes, drawn from the seed."""
    rng = np.random.default_rng([source.seed, 1])
    radius = np.linspace(0.0, 1.0, 100)
    noise = 0.2 * rng.standard_normal((3, 100))
    turns = [np.linspace(4 * j, 4 * (j + 1), 100) + noise[j] for j in range(3)]
    arms = [radius[:, None] * np.stack([np.sin(turn), np.cos(turn)], axis=1) for turn in turns]
    x = np.concatenate(arms)
    y = np.repeat(np.arange(3, dtype=np.int64), 100)
    return Loaded(x, y, classes=("arm 0", "arm 1", "arm 2"), features=("x", "y"))
