"""IDX files, the format of MNIST and its relatives, plain or gzipped."""

import gzip
import math
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpsearch.data.dataset import Loaded, Source
from hpsearch.data.files import (
    fits_memory,
    needed_file,
    needed_folder,
    needed_path,
    no_bomb,
    reading,
)
from hpsearch.data.npz import Pair, combine
from hpsearch.errors import DataError

PREFIXES = {"train": "train", "test": "t10k"}
MAX_DEFLATE_RATIO = 1032  # the format's limit: one bit pair stands for 258 bytes at most


def load_idx(source: Source) -> Loaded:
    """The folder's train-images-idx3-ubyte and train-labels-idx1-ubyte, and t10k-... if there.

    Each may end in .gz; `images.idx3` is accepted for `images-idx3`.
    """
    folder = needed_folder(needed_path(source))
    pairs: dict[str, Pair] = {}
    for name, prefix in PREFIXES.items():
        images = _find(folder, f"{prefix}-images", "idx3-ubyte")
        labels = _find(folder, f"{prefix}-labels", "idx1-ubyte")
        if images and labels:
            pairs[name] = _read(images, dimensions=3), _read(labels, dimensions=1)
        elif images or labels or name == "train":
            absent = f"{prefix}-{'labels-idx1' if images else 'images-idx3'}-ubyte"
            raise DataError(
                f"{folder}: must hold {absent} or {absent}.gz, found neither; put it there"
            )
    return combine(pairs, dict.fromkeys(pairs, folder))


def _find(folder: Path, stem: str, ending: str) -> Path | None:
    names = [f"{stem}{mark}{ending}{packed}" for packed in ("", ".gz") for mark in "-."]
    with reading(folder):
        return next((folder / name for name in names if (folder / name).exists()), None)


def _read(path: Path, *, dimensions: int) -> NDArray[np.uint8]:
    """The array of bytes in one file; its header is believed only within the file's real size."""
    size = needed_file(path).stat().st_size
    opener: Any = gzip.open if path.suffix == ".gz" else open
    most = size * (MAX_DEFLATE_RATIO if path.suffix == ".gz" else 1)
    length = 4 + 4 * dimensions
    try:
        with reading(path), opener(path, "rb") as file:
            shape = _header(file.read(length), path, dimensions)
            announced = math.prod(shape)
            fits = length + announced <= most
            if fits:
                no_bomb(path, size, announced)
                fits_memory(str(path), announced)
            data = file.read(announced + 1) if fits else b""
    except (EOFError, zlib.error) as error:
        raise DataError(
            f"{path}: must be a whole gzip file, got: {error}; download it again"
        ) from error
    if len(data) != announced:
        more = "more" if len(data) > announced else "less"
        raise DataError(
            f"{path}: header announces {shape}, {announced} bytes, the file holds {more}; "
            "download it again"
        )
    return np.frombuffer(data, np.uint8).reshape(shape)


def _header(data: bytes, path: Path, dimensions: int) -> tuple[int, ...]:
    magic = bytes([0, 0, 8, dimensions])
    if len(data) < 4 + 4 * dimensions or data[:4] != magic:
        raise DataError(
            f"{path}: must begin with {magic.hex()} and {dimensions} sizes (IDX, unsigned bytes), "
            f"got {data[:4].hex() or 'nothing'}; download it again"
        )
    return tuple(int(size) for size in np.frombuffer(data[4:], ">u4"))
