"""CIFAR-10's Python batches, unpickled without running anything they name."""

import io
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from hpsearch.data.dataset import Loaded, Source
from hpsearch.data.files import needed_file, needed_folder, needed_path, quoted, reading
from hpsearch.data.npz import Pair, combine
from hpsearch.errors import DataError

NAMES = (
    *("airplane", "automobile", "bird", "cat", "deer"),
    *("dog", "frog", "horse", "ship", "truck"),
)
BATCHES = tuple(f"data_batch_{k}" for k in range(1, 6))
PIXELS = 3 * 32 * 32
MAX_BYTES = 256 * 2**20  # a real batch has 31 MB


class Recorded:
    """A stand-in for a NumPy array or dtype: notes what the pickle says of it, makes nothing."""

    __slots__ = ("args", "state")

    def __init__(self, *args: object) -> None:
        self.args = args
        self.state: object = None

    def __setstate__(self, state: object) -> None:
        self.state = state


def _encode(text: str, encoding: str) -> bytes:
    if encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError(f"encoding {encoding!r}")
    return text.encode("latin1")


def _from_buffer(data: object, dtype: object, shape: object, order: object) -> Recorded:
    if not isinstance(data, bytes | bytearray):
        raise pickle.UnpicklingError("an array without bytes")
    array = Recorded()
    array.state = (1, shape, dtype, order == "F", bytes(data))
    return array


ADMITTED: dict[tuple[str, str], Callable[..., object]] = {
    ("numpy", "ndarray"): Recorded,
    ("numpy", "dtype"): Recorded,
    ("numpy.core.multiarray", "_reconstruct"): Recorded,
    ("numpy._core.multiarray", "_reconstruct"): Recorded,
    ("numpy.core.numeric", "_frombuffer"): _from_buffer,
    ("numpy._core.numeric", "_frombuffer"): _from_buffer,
    ("_codecs", "encode"): _encode,
}


# The pure Python unpickler, since the C one allocates on the word of a length in the file, and
# cannot be told to build nothing but records.
class Unpickler(pickle._Unpickler):
    """Reads containers, numbers, text, bytes and recorded arrays; refuses every other name."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ADMITTED:
            raise pickle.UnpicklingError(f"it names {module}.{name}")
        return ADMITTED[module, name]

    def load_build(self) -> None:
        if not isinstance(self.stack[-2], Recorded):  # type: ignore[attr-defined]
            raise pickle.UnpicklingError("it sets attributes")
        super().load_build()  # type: ignore[misc]

    def load_bytearray(self) -> None:
        (length,) = struct.unpack("<Q", self.read(8))  # type: ignore[attr-defined]
        self.append(bytearray(self.read(length)))  # type: ignore[attr-defined]

    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = {
        **pickle._Unpickler.dispatch,
        pickle.BUILD[0]: load_build,
        pickle.BYTEARRAY8[0]: load_bytearray,
    }


def load_cifar10(source: Source) -> Loaded:
    """The folder of data_batch_1 to data_batch_5, with test_batch and batches.meta if there.

    Pixels are turned from (3, 32, 32) into (32, 32, 3) per row, as everywhere in hpsearch.
    """
    folder = needed_folder(needed_path(source))
    inner = folder / "cifar-10-batches-py"
    with reading(folder):
        folder = inner if inner.is_dir() else folder
        has_test, has_meta = ((folder / name).exists() for name in ("test_batch", "batches.meta"))
    batches = [_batch(folder / name) for name in BATCHES]
    train = tuple(np.concatenate(part) for part in zip(*batches, strict=True))
    pairs: dict[str, Pair] = {"train": (train[0], train[1])}
    if has_test:
        pairs["test"] = _batch(folder / "test_batch")
    names = _class_names(folder / "batches.meta") if has_meta else NAMES
    named = {split: (x, np.array(names)[y]) for split, (x, y) in pairs.items()}
    return combine(named, dict.fromkeys(named, folder))


def _batch(path: Path) -> Pair:
    """Images (N, 32, 32, 3) and labels (N,) of one batch."""
    content = _unpickled(path)
    pixels, labels = _pixels(content.get(b"data"), path), content.get(b"labels")
    if not (isinstance(labels, list) and all(type(label) is int for label in labels)):
        raise _wrong(path, "a list of labels")
    if len(labels) != len(pixels) or not all(0 <= label < 10 for label in labels):
        raise _wrong(path, "one label from 0 to 9 per image")
    images = pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(images), np.array(labels, np.int64)


def _pixels(array: object, path: Path) -> NDArray[np.uint8]:
    """Bytes (N, 3072) from a recorded array, N from the bytes that are really there."""
    state = array.state if isinstance(array, Recorded) else None
    if not (isinstance(state, tuple) and len(state) == 5):
        raise _wrong(path, "an array under 'data'")
    _, shape, dtype, fortran, data = state
    code = dtype.args[0] if isinstance(dtype, Recorded) and dtype.args else None
    if code not in ("u1", b"u1") or not isinstance(data, bytes) or not data:
        raise _wrong(path, "unsigned bytes under 'data'")
    if shape != (len(data) // PIXELS, PIXELS) or len(data) % PIXELS:
        raise _wrong(path, f"an array (N, {PIXELS}) under 'data'")
    flat = np.frombuffer(data, np.uint8)
    return flat.reshape(PIXELS, -1).T if fortran else flat.reshape(-1, PIXELS)


def _class_names(path: Path) -> tuple[str, ...]:
    names = _unpickled(path).get(b"label_names")
    if not (isinstance(names, list) and len(names) == 10):
        raise _wrong(path, "ten label names")
    texts = tuple(n.decode("utf-8", "replace") if isinstance(n, bytes) else str(n) for n in names)
    if len(set(texts)) != 10:
        raise _wrong(path, "ten different label names")
    return texts


def _unpickled(path: Path) -> dict[object, Any]:
    """The dictionary in the file; text keys are given as bytes, as Python 2 wrote them."""
    if needed_file(path).stat().st_size > MAX_BYTES:
        raise _wrong(path, f"at most {MAX_BYTES // 2**20} MiB")
    with reading(path):
        data = path.read_bytes()
    try:
        content = Unpickler(io.BytesIO(data), encoding="bytes").load()
    except (Exception, MemoryError) as error:  # a damaged pickle can raise anything
        raise DataError(
            f"{path}: must be a CIFAR-10 batch, got {quoted(str(error) or type(error).__name__)}; "
            "download it again, and beware of pickles from strangers"
        ) from error
    if not isinstance(content, dict):
        raise _wrong(path, "a dictionary")
    return {key.encode() if isinstance(key, str) else key: each for key, each in content.items()}


def _wrong(path: Path, expected: str) -> DataError:
    return DataError(
        f"{path}: must be a CIFAR-10 batch with {expected}, found something else; "
        "download it again"
    )
