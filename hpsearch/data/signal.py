"""Whether the inputs have to do with the labels: the two simplest classifiers on validation."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpsearch.data.dataset import Dataset
from hpsearch.data.rows import CHUNK, Rows

Labels = NDArray[np.int64]


@dataclass(frozen=True)
class Signal:
    """Validation accuracies: of the nearest class mean, of the nearest training row, and of always
    answering the training rows' most frequent class; and on how many rows.
    """

    centroid: float
    neighbour: float
    majority: float
    rows: int


def signal(dataset: Dataset, most: int) -> Signal:
    """Both classifiers on inputs as the network sees them, from at most `most` rows a split."""
    train, validation = (r.part(slice(most)) for r in (dataset.train, dataset.validation))
    x = np.empty((len(validation), dataset.inputs), np.float32)
    for at in range(0, len(validation), CHUNK):
        part = slice(at, at + CHUNK)
        dataset.batch(validation, part, out=x[part])
    usual = np.bincount(train.y).argmax()
    named = nearest_centroid(dataset, train, x), nearest_neighbour(dataset, train, x)
    centroid, neighbour = (float((labels == validation.y).mean()) for labels in named)
    return Signal(centroid, neighbour, float((validation.y == usual).mean()), len(validation))


def nearest_centroid(dataset: Dataset, train: Rows, x: NDArray[np.float32]) -> Labels:
    """The class (n,) of the `train` class mean nearest to each row of `x` (n, D)."""
    counts = np.bincount(train.y, minlength=dataset.n_classes)
    sums = np.zeros((dataset.n_classes, dataset.inputs))
    for at in range(0, len(train), CHUNK):
        part = slice(at, at + CHUNK)
        there, which = np.unique(train.y[part], return_inverse=True)
        one_hot = np.eye(len(there), dtype=np.float32)[:, which]
        with np.errstate(over="ignore", invalid="ignore"):
            sums[there] += one_hot @ dataset.batch(train, part)
    known = np.flatnonzero(counts)
    means = (sums[known] / counts[known, None]).astype(np.float32)
    return np.asarray(known[_distances(x, means).argmin(axis=1)])


def nearest_neighbour(dataset: Dataset, train: Rows, x: NDArray[np.float32]) -> Labels:
    """The class (n,) of the `train` row nearest to each row of `x` (n, D)."""
    least, labels = np.full(len(x), np.inf), np.zeros(len(x), np.int64)
    for at in range(0, len(train), CHUNK):
        part = slice(at, at + CHUNK)
        distances = _distances(x, dataset.batch(train, part))
        nearest = distances.argmin(axis=1)
        found = distances[np.arange(len(x)), nearest]
        labels = np.where(found < least, train.y[part][nearest], labels)
        least = np.minimum(found, least)
    return labels


def _distances(x: NDArray[np.float32], to: NDArray[np.float32]) -> NDArray[np.float32]:
    """Squared distances (n, m), less what is the same for all of a row's."""
    with np.errstate(over="ignore", invalid="ignore"):
        return np.asarray(np.einsum("ij,ij->i", to, to) - 2 * (x @ to.T))
