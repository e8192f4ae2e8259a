"""The stratified, seeded split of rows into train, validation and test."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpsearch.errors import DataError

Index = NDArray[np.intp]


def split(
    y: NDArray[np.integer[Any]], validation: float, test: float, seed: int
) -> tuple[Index, Index, Index]:
    """Indices of the train, validation and test rows, each in a seeded random order.

    `y` (N,) are class indices. `validation` and `test` are fractions (below 1, rounded, at least
    one row) or counts; 0 holds nothing out. Each class gives its share to within a row, and keeps
    at least one row in train. DataError where there are too few rows for that.
    """
    rng = np.random.default_rng([seed, 0])
    counts = np.bincount(y)
    sizes = {"validation": validation, "test": test}
    wanted = {name: _size(name, share, len(y)) for name, share in sizes.items()}
    _check_room(wanted, counts)
    for_test = _allocate(wanted["test"], counts, taken=np.zeros_like(counts))
    for_validation = _allocate(wanted["validation"], counts, taken=for_test)
    parts: tuple[list[Index], list[Index], list[Index]] = ([], [], [])
    for label in range(len(counts)):
        rows = rng.permutation(np.flatnonzero(y == label))
        cuts = np.cumsum([for_test[label], for_validation[label]])
        for part, piece in zip(parts, np.split(rows, cuts), strict=True):
            part.append(piece)
    test_index, validation_index, train_index = (rng.permutation(_joined(part)) for part in parts)
    return train_index, validation_index, test_index


def _joined(pieces: list[Index]) -> Index:
    return np.concatenate([*pieces, np.empty(0, np.intp)])


def _size(name: str, share: float, n: int) -> int:
    """The number of rows that a fraction or a count stands for."""
    if share == int(share) >= 0:
        return int(share)
    if not 0 < share < 1:
        raise DataError(
            f"data.split.{name}: must be a fraction below 1 or a count of rows, got {share}"
        )
    return max(1, round(share * n))


def _check_room(wanted: dict[str, int], counts: NDArray[np.intp]) -> None:
    spare = int(np.maximum(counts - 1, 0).sum())
    if sum(wanted.values()) > spare:
        asked = " and ".join(f"{size} {name}" for name, size in wanted.items() if size)
        raise DataError(
            f"data.split: {asked} rows leave too few of {counts.sum()} rows to train on, as each "
            f"of the {np.count_nonzero(counts)} classes keeps one: at most {spare} can be held "
            "out; ask for less, or get more data"
        )


def _allocate(size: int, counts: NDArray[np.intp], *, taken: NDArray[np.intp]) -> NDArray[np.intp]:
    """`size` rows shared out over the classes by largest remainder, one of each class left."""
    room = np.maximum(counts - 1 - taken, 0)
    quota = size * counts / max(1, counts.sum())
    given: NDArray[np.intp] = np.minimum(np.floor(quota).astype(np.intp), room)
    while (short := size - int(given.sum())) > 0:
        open_classes = np.flatnonzero(given < room)
        neediest = np.argsort(given[open_classes] - quota[open_classes], kind="stable")
        given[open_classes[neediest[:short]]] += 1
    return given
