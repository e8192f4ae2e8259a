"""NumPy files: arrays x and y in an .npz archive, or in .npy files beside each other."""

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpsearch.data.arrays import arrays_at
from hpsearch.data.dataset import ImageShape, Loaded, Source
from hpsearch.data.files import explicit_splits, fits_memory, needed_path, quoted
from hpsearch.data.labels import encode_labels
from hpsearch.data.rows import Rows
from hpsearch.errors import DataError

KEYS = {
    "train": ("_train", ""),
    "validation": ("_validation", "_val"),
    "test": ("_test",),
}
FEATURE = 200  # bytes that go with each: its name, and what is known of it
Pair = tuple[NDArray[Any], NDArray[Any]]  # x (N, ...) and y (N,) as stored


def load_npz(source: Source) -> Loaded:
    """Arrays `x` and `y`, or `x_train`, `y_train` and the same with `_val` and `_test`.

    x is (N, D), (N, H, W) or (N, H, W, C): bytes, other integers or floats. y is (N,), whole
    numbers or text. Files named for a split hold `x` and `y` of that split.

    Instead of an .npz file the path may name a folder that holds the arrays as x.npy, y.npy and
    so on, or the file x.npy (or x_train.npy) alone, with y.npy (y_train.npy) beside it. Large
    arrays that are not compressed (np.savez, np.save) are mapped and may be larger than the
    memory; bytes and floats of 4 or 8 bytes are never copied then, others are converted first.
    """
    path = needed_path(source)
    pairs = _pairs(path)
    places = dict.fromkeys(pairs, path)
    for name, other in explicit_splits(source, own=pairs).items():
        pairs[name], places[name] = _pairs(other)["train"], other
    return combine(pairs, places)


def combine(pairs: dict[str, Pair], places: dict[str, Path]) -> Loaded:
    """The splits `train`, and where given `validation` and `test`, with one set of classes."""
    for name, (x, y) in pairs.items():
        _check_pair(x, y, f"{places[name]}: {name}")
    shape = pairs["train"][0].shape[1:]
    fits_memory(f"{places['train']}: {math.prod(shape):,} features", FEATURE * math.prod(shape))
    xs = {name: stored(x, str(places[name])) for name, (x, _) in pairs.items()}
    for name, (x, _) in pairs.items():
        _check_alike(name, places[name], x.shape[1:] == shape, xs[name].dtype == xs["train"].dtype)
    y, classes = encode_labels(
        np.concatenate([_flat(y) for _, y in pairs.values()]), f"{places['train']}: y"
    )
    ends = np.cumsum([len(x) for x in xs.values()])[:-1]
    rows = {
        name: Rows(x, labels)
        for (name, x), labels in zip(xs.items(), np.split(y, ends), strict=True)
    }
    image_shape, kind = _image_shape(shape), "feature" if len(shape) == 1 else "pixel"
    features = tuple(f"{kind} {k}" for k in range(math.prod(shape)))
    train = rows.pop("train")
    return Loaded(train.base, train.y, classes, features, image_shape, **rows)


def _image_shape(shape: tuple[int, ...]) -> ImageShape | None:
    if len(shape) == 1:
        return None
    return shape[0], shape[1], shape[2] if len(shape) == 3 else 1


def _flat(y: NDArray[Any]) -> NDArray[Any]:
    return y.reshape(-1)


def _check_pair(x: NDArray[Any], y: NDArray[Any], place: str) -> None:
    if x.ndim not in (2, 3, 4) or 0 in x.shape:
        raise DataError(
            f"{place}: x must be (N, D), (N, H, W) or (N, H, W, C) and not empty, got {x.shape}; "
            "reshape it"
        )
    if y.shape not in ((len(x),), (len(x), 1)):
        raise DataError(
            f"{place}: y must hold one class per row, ({len(x)},), got {y.shape}; "
            "store class numbers or names (of one-hot rows: the argmax)"
        )


def _check_alike(name: str, path: Path, same_shape: bool, same_dtype: bool) -> None:
    if not (same_shape and same_dtype):
        raise DataError(
            f"{path}: {name}: x must have the {'dtype' if same_shape else 'columns'} of the "
            "training rows, has others; store all splits alike"
        )


def stored(x: NDArray[Any], place: str) -> NDArray[Any]:
    """x as (N, D) uint8, float32 or float64, whichever holds its numbers exactly."""
    if x.dtype.kind not in "biuf":
        raise DataError(f"{place}: x must be numbers, got {x.dtype}; encode text as numbers")
    flat = x.reshape(len(x), -1)
    if x.dtype.kind == "b" or x.dtype == np.uint8:
        dtype: Any = np.uint8
    elif x.dtype.kind == "f":
        dtype = np.float32 if x.dtype.itemsize <= 4 else np.float64
    else:
        dtype = np.float32 if x.dtype.itemsize <= 2 else np.float64
    if x.dtype != dtype or not x.flags.c_contiguous:
        fits_memory(f"{place}: x as {np.dtype(dtype)}", x.size * np.dtype(dtype).itemsize)
    return np.ascontiguousarray(flat, dtype=dtype)


def _pairs(path: Path) -> dict[str, Pair]:
    """The x and y of each split in one file."""
    arrays = arrays_at(path)
    found: dict[str, Pair] = {}
    for name, endings in KEYS.items():
        for ending in endings:
            keys = f"x{ending}", f"y{ending}"
            present = [key in arrays for key in keys]
            if name not in found and all(present):
                found[name] = arrays[keys[0]].read(), arrays[keys[1]].read()
            elif any(present) and not all(present):
                raise DataError(
                    f"{path}: {keys[0]} and {keys[1]} belong together, found only "
                    f"{keys[present.index(True)]}; store both"
                )
    if "train" not in found:
        raise DataError(
            f"{path}: must hold x and y, or x_train and y_train, got "
            f"{quoted(', '.join(arrays) or 'nothing')}; save with np.savez(path, x=x, y=y)"
        )
    return found
