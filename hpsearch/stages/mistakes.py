"""Where a predictor is wrong on the validation rows: which classes it confuses, how surely."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpsearch.data import Dataset, Rows
from hpsearch.data.preprocess import moments

NAME = "final/mistakes"  # the file of `surest`
CLASSES = 200  # with more of them a table of all pairs is no longer looked at
SHOWN = 24


def confusion(
    answers: NDArray[np.float64], y: NDArray[np.int64], classes: Sequence[str]
) -> dict[str, Any] | None:
    """How many rows of each class (the rows of `counts`) are taken for which (its columns), by the
    probabilities (N, C) for the labels y (N,); None of more than 200 classes.
    """
    n = len(classes)
    if n > CLASSES:
        return None
    pairs = np.bincount(y * n + answers.argmax(axis=1), minlength=n * n)
    return {"classes": list(classes), "counts": pairs.reshape(n, n).tolist()}


def surest(answers: NDArray[np.float64], rows: Rows, data: Dataset) -> dict[str, Any]:
    """The arrays of `final/mistakes.npz`: of the rows (n <= 24) that are taken for another class
    with the highest probabilities where the source has them (`row`, from 0), the class that is
    true and the one said, the `probability` of that, and the raw numbers `x` (n, D); of images
    also their shape and the `span` (2,) of all pixels, of a table the features, and their `mean`
    and `sd` (D,) over all `rows`.
    """
    at = _surest(answers, rows.y)
    x, said = rows.gather(at), answers[at].argmax(axis=1)
    found = {
        "row": at if rows.index is None else rows.index[at], "truth": rows.y[at], "said": said,
        "probability": answers[at, said], "classes": np.array(data.classes), "x": x,
    }  # fmt: skip
    if data.image_shape is not None:
        return {**found, "image_shape": np.array(data.image_shape), "span": _span(rows)}
    measured = moments(rows.chunks(), rows.gather(slice(1))[0])
    features = np.array(data.features)
    return {**found, "features": features, "mean": measured.mean, "sd": measured.sd}


def _surest(answers: NDArray[np.float64], y: NDArray[np.int64]) -> NDArray[np.intp]:
    """The positions of those rows; of equals the first comes first."""
    sure, told = answers.max(axis=1), np.isfinite(answers).all(axis=1)
    wrong = np.flatnonzero(told & (answers.argmax(axis=1) != y))
    return wrong[np.argsort(-sure[wrong], kind="stable")][:SHOWN]


def _span(rows: Rows) -> NDArray[np.float64]:
    """The lowest and the highest of all numbers."""
    ends = [(part.min(), part.max()) for part in rows.chunks()]
    return np.array([min(low for low, _ in ends), max(high for _, high in ends)], np.float64)
