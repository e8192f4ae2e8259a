"""Whitening: inputs rotated to their principal axes, each divided by its spread (CS231n nn2)."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

EPSILON = 1e-5  # added to every variance before its root is taken, as in CS231n's notes
LEAST = 1e-12  # of the largest variance: what float32 numbers leave where nothing varies

Matrix = NDArray[np.float64]


def covariance(parts: Iterable[NDArray[np.float64]], columns: int) -> Matrix:
    """The (D, D) mean of the outer products of all rows of `parts`, each (n, D), of mean 0."""
    total, n = np.zeros((columns, columns)), 0
    with np.errstate(over="ignore", invalid="ignore"):
        for part in parts:
            total += part.T @ part
            n += len(part)
    return total / n


def rotation(found: Matrix, *, back: bool) -> Matrix:
    """The (D, D) matrix that whitens rows of covariance `found` when they are multiplied by it.

    Its columns are the principal axes, widest first, each over sqrt(variance + 1e-5); `back`
    (ZCA) turns the result back to the axes of the columns. Axes along which nothing varies are
    0. An axis points to where its largest component is positive. All of it is NaN where the
    covariance is not finite.
    """
    if not np.isfinite(found).all():
        return np.full_like(found, np.nan)
    varying = np.flatnonzero(np.diag(found) > 0)
    if not len(varying):
        return np.zeros_like(found)
    variance, axes = np.linalg.eigh(found[np.ix_(varying, varying)])
    variance, axes = variance[::-1], axes[:, ::-1]
    there = variance > LEAST * variance[0]
    largest = np.take_along_axis(axes, np.abs(axes).argmax(axis=0)[None], axis=0)
    scaled = axes * np.sign(largest) * np.where(there, 1 / np.sqrt(abs(variance) + EPSILON), 0.0)
    whole = np.zeros_like(found)
    if back:
        whole[np.ix_(varying, varying)] = scaled @ (axes * np.sign(largest)).T
    else:
        whole[varying, : len(varying)] = scaled
    return whole
