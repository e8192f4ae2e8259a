"""NumPy .npz files: arrays x and y, read without ever unpickling."""

import math
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from hpsearch.data.dataset import ImageShape, Loaded, Rows, Source
from hpsearch.data.files import explicit_splits, fits_memory, needed_file, needed_path, quoted
from hpsearch.data.labels import encode_labels
from hpsearch.errors import DataError

KEYS = {
    "train": ("_train", ""),
    "validation": ("_validation", "_val"),
    "test": ("_test",),
}
Pair = tuple[NDArray[Any], NDArray[Any]]  # x (N, ...) and y (N,) as stored
BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    OSError,
    EOFError,
    ValueError,
    SyntaxError,
    TypeError,
    KeyError,
    OverflowError,
    RecursionError,
    RuntimeError,
    NotImplementedError,
)


def load_npz(source: Source) -> Loaded:
    """Arrays `x` and `y`, or `x_train`, `y_train` and the same with `_val` and `_test`.

    x is (N, D), (N, H, W) or (N, H, W, C): bytes, other integers or floats. y is (N,), whole
    numbers or text. Files named for a split hold `x` and `y` of that split.
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
    xs = {name: _stored(x, str(places[name])) for name, (x, _) in pairs.items()}
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
    return Loaded(train.x, train.y, classes, features, image_shape, **rows)


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


def _stored(x: NDArray[Any], place: str) -> NDArray[Any]:
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
    return np.ascontiguousarray(flat, dtype=dtype)


def _pairs(path: Path) -> dict[str, Pair]:
    """The x and y of each split in one file."""
    arrays = Archive(needed_file(path))
    found: dict[str, Pair] = {}
    for name, endings in KEYS.items():
        for ending in endings:
            keys = f"x{ending}", f"y{ending}"
            present = [key in arrays.members for key in keys]
            if name not in found and all(present):
                found[name] = arrays.read(keys[0]), arrays.read(keys[1])
            elif any(present) and not all(present):
                raise DataError(
                    f"{path}: {keys[0]} and {keys[1]} belong together, found only "
                    f"{keys[present.index(True)]}; store both"
                )
    if "train" not in found:
        raise DataError(
            f"{path}: must hold x and y, or x_train and y_train, got "
            f"{quoted(', '.join(arrays.members) or 'nothing')}; save with np.savez(path, x=x, y=y)"
        )
    return found


class Archive:
    """The arrays of one .npz file by lower-case name; nothing is allocated on a header's word."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with zipfile.ZipFile(path) as file:
                entries = [entry for entry in file.infolist() if entry.filename.endswith(".npy")]
        except BROKEN as error:
            raise self._broken("archive", error) from error
        self.members = {entry.filename[:-4].lower(): entry for entry in entries}
        if len(self.members) < len(entries):
            raise DataError(
                f"{path}: array names must differ by more than case, got "
                f"{quoted(', '.join(entry.filename[:-4] for entry in entries))}; rename one"
            )

    def read(self, key: str) -> NDArray[Any]:
        """The array of that name; DataError where it is damaged or holds Python objects."""
        entry = self.members[key]
        try:
            with zipfile.ZipFile(self.path) as archive, archive.open(entry) as file:
                shape, fortran, dtype = _array_header(file)
                self._check(key, dtype, shape, entry.file_size - file.tell())
                flat = np.empty(math.prod(shape), dtype)
                _fill(file, flat)
                array = flat.reshape(shape[::-1]).T if fortran else flat.reshape(shape)
        except BROKEN as error:
            raise self._broken(key, error) from error
        return array.astype(dtype.newbyteorder("="), copy=False)

    def _check(self, key: str, dtype: np.dtype[Any], shape: tuple[int, ...], size: int) -> None:
        if dtype.hasobject or dtype.kind not in "biufUS":
            raise DataError(
                f"{self.path}: {key} must be numbers or text, got {dtype} (Python objects are "
                "never unpickled); save it with a plain dtype"
            )
        announced = math.prod(shape) * dtype.itemsize
        if announced != size or min(shape, default=0) < 0:
            raise DataError(
                f"{self.path}: {key} announces {announced} bytes {shape} but holds {size}; "
                "the file is damaged, save it again"
            )
        fits_memory(f"{self.path}: {key}", announced)

    def _broken(self, key: str, error: Exception) -> DataError:
        reason = quoted(str(error) or type(error).__name__)
        return DataError(
            f"{self.path}: {key}: must be a readable .npz array, got {reason}; "
            "save it again with np.savez"
        )


def _array_header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(file)
    if version == (2, 0):
        return np.lib.format.read_array_header_2_0(file)
    raise ValueError(f"array format {version} is not known")


def _fill(file: IO[bytes], array: NDArray[Any]) -> None:
    target = array.view(np.uint8)
    done = 0
    while done < len(target):
        piece = file.read(min(len(target) - done, 2**20))
        if not piece:
            raise EOFError("the file ends too early")
        target[done : done + len(piece)] = np.frombuffer(piece, np.uint8)
        done += len(piece)
