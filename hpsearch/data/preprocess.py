"""Preprocessing: (x - shift) * factor per column, whitened if wished; statistics of the training
rows only.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from hpsearch.data.rows import Rows
from hpsearch.data.whitening import covariance, rotation
from hpsearch.errors import DataError


@dataclass(frozen=True, eq=False)
class Preprocess:
    """`shift` and `factor` (D,), in units of the raw columns, and the settings they came from."""

    center: str
    scale: str
    shift: NDArray[np.float64]  # (D,)
    factor: NDArray[np.float64]  # (D,), never negative; 0 for a constant column
    whiten: str = "none"
    rotation: NDArray[np.float64] | None = None  # (D, D), where the rows are whitened

    @cached_property
    def _single(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        return self.shift.astype(np.float32), self.factor.astype(np.float32)

    @cached_property
    def _single_rotation(self) -> NDArray[np.float32] | None:
        return None if self.rotation is None else self.rotation.astype(np.float32)

    def names(self, features: Sequence[str]) -> Sequence[str]:
        """What the network's inputs are called, given the names of the raw columns (D,)."""
        if self.whiten != "pca":
            return features
        return [f"component {number}" for number in range(1, len(features) + 1)]

    def apply(
        self, x: NDArray[Any], dtype: DTypeLike = np.float32, *, out: NDArray[Any] | None = None
    ) -> NDArray[Any]:
        """The rows `x` (n, D) as the network sees them, in `dtype`.

        `out` (n, D) of that dtype is filled and returned. Numbers too large for it become inf.
        """
        out = np.empty(x.shape, dtype) if out is None else out
        if self.rotation is None:
            return self._scaled(x, out)
        turn = self._single_rotation if out.dtype == np.float32 else self.rotation
        assert turn is not None
        with np.errstate(over="ignore", invalid="ignore"):
            return np.matmul(self._scaled(x, np.empty_like(out)), turn, out=out)

    def _scaled(self, x: NDArray[Any], out: NDArray[Any]) -> NDArray[Any]:
        """`out`, filled with (x - shift) * factor."""
        with np.errstate(over="ignore", invalid="ignore"):
            if x.dtype != np.float64 and out.dtype == np.float32:
                shift, factor = self._single
                if x.dtype != np.float32:  # a pass of its own is faster than to convert below
                    np.copyto(out, x)
                    x = out
                np.subtract(x, shift, out=out)
                np.multiply(out, factor, out=out)
                return out
            # In float64 first: a time stamp near 1.7e9 would lose its seconds in float32.
            moved = np.subtract(x, self.shift, dtype=np.float64)
            np.multiply(moved, self.factor, out=out, casting="same_kind")
            return out


@dataclass(frozen=True, eq=False)
class Moments:
    """Mean and standard deviation per column, each (D,) float64; NaN where a column has NaN."""

    mean: NDArray[np.float64]
    sd: NDArray[np.float64]


def moments(parts: Iterable[NDArray[Any]], first: NDArray[Any]) -> Moments:
    """The moments of the rows of all `parts`, each (n <= 256, D), in one pass.

    Differences from the row `first` (D,), one of them, are summed, which is exact for bytes and
    for constant columns and keeps large offsets (time stamps) from cancelling.
    """
    work: DTypeLike = np.float32 if first.dtype == np.uint8 else np.float64
    origin = np.where(np.isfinite(first), first, 0).astype(work)
    total: NDArray[np.float64]
    total, squares, n = np.zeros(len(origin)), np.zeros(len(origin)), 0
    with np.errstate(over="ignore", invalid="ignore"):
        for part in parts:
            moved = np.subtract(part, origin, dtype=work)
            total += moved.sum(axis=0)
            squares += np.einsum("ij,ij->j", moved, moved)
            n += len(part)
        drift = total / n
        variance = squares / n - drift**2
    return Moments(origin + drift, np.sqrt(np.maximum(variance, 0.0)))


def fit(
    train: Rows, image_shape: tuple[int, int, int] | None, center: str, scale: str, *,
    whiten: str = "none",
) -> Preprocess:  # fmt: skip
    """Preprocessing from the statistics of the training rows.

    `center` is none, feature, channel or mean-image (the same numbers as feature); `scale` is
    none, standard, channel or unit (raw / 255); `whiten`, which comes after them, none, pca or
    zca (see `whitening.rotation`). DataError where channel or mean-image meets data that are no
    images, whiten columns that are not centred, or a column whose values are too far apart to be
    squared.
    """
    _check(image_shape, center=center, scale=scale, whiten=whiten)
    scaled = _fit_columns(train, image_shape, center, scale)
    if whiten == "none":
        return scaled
    parts = (scaled.apply(part, np.float64) for part in train.as_stored().chunks())
    found = covariance(parts, train.columns)
    _refuse(np.isinf(np.diag(found)))
    return replace(scaled, whiten=whiten, rotation=rotation(found, back=whiten == "zca"))


def _fit_columns(
    train: Rows, image_shape: tuple[int, int, int] | None, center: str, scale: str
) -> Preprocess:
    columns, dtype = train.columns, train.base.dtype
    if center == "none" and scale in ("none", "unit"):
        return Preprocess(center, scale, np.zeros(columns), _fixed_factor(scale, columns))
    # The sums of bytes are exact, and so the same in any order.
    parts = train.as_stored() if dtype == np.uint8 else train
    found = moments(parts.chunks(), train.gather(slice(1))[0])
    per_channel = _by_channel(found, image_shape) if image_shape else found
    shift = {"none": np.zeros(columns), "channel": per_channel.mean}.get(center, found.mean)
    if scale in ("none", "unit"):
        return Preprocess(center, scale, shift, _fixed_factor(scale, columns))
    measured = per_channel if scale == "channel" else found
    return Preprocess(center, scale, shift, _inverse(measured, dtype))


def _check(image_shape: tuple[int, int, int] | None, **settings: str) -> None:
    allowed = {
        "center": ("none", "feature", "channel", "mean-image"),
        "scale": ("none", "standard", "channel", "unit"),
        "whiten": ("none", "pca", "zca"),
    }
    for key, value in settings.items():
        place = f"data.preprocess.{key}"
        if value not in allowed[key]:
            raise DataError(f"{place}: must be one of {', '.join(allowed[key])}, got {value}")
        if value in ("channel", "mean-image") and image_shape is None:
            remedy = "feature" if key == "center" else "standard"
            raise DataError(f"{place}: {value} is for images, this is a table; set {remedy}")
    center, whiten = settings["center"], settings["whiten"]
    if whiten != "none" and center not in ("feature", "mean-image"):
        raise DataError(
            f"data.preprocess.whiten: {whiten} must begin at the mean of every column, got "
            f"data.preprocess.center: {center}; set that to feature"
        )


def _fixed_factor(scale: str, columns: int) -> NDArray[np.float64]:
    return np.full(columns, 1 / 255 if scale == "unit" else 1.0)


def _by_channel(found: Moments, image_shape: tuple[int, int, int]) -> Moments:
    """Moments over all pixels of a channel, spread out again to one entry per column."""
    pixels = image_shape[0] * image_shape[1]
    means = found.mean.reshape(pixels, -1)
    mean = means.mean(axis=0)
    variance = (found.sd.reshape(pixels, -1) ** 2 + (means - mean) ** 2).mean(axis=0)
    return Moments(np.tile(mean, pixels), np.tile(np.sqrt(variance), pixels))


def _inverse(found: Moments, dtype: np.dtype[Any]) -> NDArray[np.float64]:
    """1 / sd, and 0 for columns that are constant up to the rounding of their dtype."""
    _refuse(~np.isfinite(found.sd) & np.isfinite(found.mean))
    eps = np.finfo(dtype).eps if dtype.kind == "f" else 0.0
    constant = found.sd <= 2 * eps * np.abs(found.mean)
    return np.where(constant, 0.0, 1.0 / np.where(constant, 1.0, found.sd))


def _refuse(overflow: NDArray[np.bool_]) -> None:
    """DataError for the first column, if any, in which squares overflow, (D,)."""
    if overflow.any():
        raise DataError(
            f"data: column {int(np.argmax(overflow))}: values too far apart to be scaled "
            "(above 1e154); take their logarithm, or drop the column"
        )
