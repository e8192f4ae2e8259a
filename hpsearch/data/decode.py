"""Image files decoded into one array of bytes."""

import io
import math
import os
import struct
import warnings
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hpsearch.data.dataset import Progress
from hpsearch.data.files import BOMB, fits_memory, no_bomb, quoted
from hpsearch.errors import DataError

if TYPE_CHECKING:
    from PIL import Image

FORMATS = ("JPEG", "PNG", "BMP", "GIF", "PPM", "WEBP")
GREY = ("1", "L", "LA")
COLOUR = ("P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr")
MAX_PIXELS = 2**26
MAX_BYTES = 2**29
THREADS_PAY = 128 * 128  # pixels; below, threads wait for each other more than they decode
PIECE = 500
BROKEN = (
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    TypeError,
    IndexError,
    KeyError,
    OverflowError,
    struct.error,
    zlib.error,
)


class _ColourFound(Exception):
    """An image with colours among grey ones."""


def decode(paths: Sequence[Path], progress: Progress | None = None) -> NDArray[np.uint8]:
    """The images (N, H, W, C), C = 1 where all are grey and 3 otherwise, in the order given.

    DataError for an image that is damaged, of more than 8 bits, too large, or of another size
    than the first, and where Pillow is missing.
    """
    _require_pillow()
    mode, (width, height) = _probe(paths[0])
    try:
        return _decode(paths, (height, width, 1 if mode in GREY else 3), progress)
    except _ColourFound:
        return _decode(paths, (height, width, 3), progress)


def _require_pillow() -> None:
    try:
        import PIL.Image  # noqa: F401
    except ImportError as error:
        raise DataError(
            "data.source: images needs Pillow, which is not installed; "
            "pip install 'hpsearch[images]'"
        ) from error


def _probe(path: Path) -> tuple[str, tuple[int, int]]:
    with _quietly(), _opened(path) as image:
        return image.mode, image.size


def _quietly() -> "warnings.catch_warnings[None]":
    """Without Pillow's warnings: those of bombs are errors here already, the others harmless."""
    return warnings.catch_warnings(action="ignore")


def _decode(
    paths: Sequence[Path], shape: tuple[int, int, int], progress: Progress | None
) -> NDArray[np.uint8]:
    total, nbytes = len(paths), len(paths) * math.prod(shape)
    if nbytes > BOMB:
        no_bomb(paths[0].parent, sum(path.stat().st_size for path in paths), nbytes)
    fits_memory(f"{paths[0].parent}: {total} images of {shape}", nbytes)
    out = np.empty((total, *shape), np.uint8)

    def piece(start: int) -> int:
        stop = min(start + PIECE, total)
        for k in range(start, stop):
            _decode_into(out[k], paths[k], first=paths[0])
        return stop

    workers = min(8, os.cpu_count() or 1) if shape[0] * shape[1] >= THREADS_PAY else 1
    with _quietly(), ThreadPoolExecutor(workers) as pool:
        try:
            for done in pool.map(piece, range(0, total, PIECE)):
                if progress is not None:
                    progress(done, total)
        finally:
            pool.shutdown(cancel_futures=True)
    return out


def _decode_into(out: NDArray[np.uint8], path: Path, *, first: Path) -> None:
    """Fill `out` (H, W, C) with the image at `path`."""
    height, width, channels = out.shape
    with _opened(path) as image:
        if image.size != (width, height):
            raise DataError(
                f"{path}: images must agree in size, got {image.size[0]} x {image.size[1]} and "
                f"{width} x {height} in {first}; resize them"
            )
        if channels == 1 and image.mode not in GREY:
            raise _ColourFound
        try:
            mode = "L" if channels == 1 else "RGB"
            pixels = np.asarray(image if image.mode == mode else image.convert(mode))
        except BROKEN as error:
            raise _damaged(path, error) from error
    out[:] = pixels.reshape(out.shape)


def _opened(path: Path) -> "Image.Image":
    """The image with its header read, of a size and mode that can be decoded."""
    from PIL import Image

    try:
        # From memory: for small images half of the time would go into opening the file.
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_size > MAX_BYTES:
                raise ValueError(f"more than {MAX_BYTES} bytes")
            image = Image.open(io.BytesIO(file.read()), formats=FORMATS)
    except (*BROKEN, Image.DecompressionBombError) as error:
        raise _damaged(path, error) from error
    if image.width * image.height > MAX_PIXELS or not image.width * image.height:
        image.close()
        raise DataError(
            f"{path}: must have at most {MAX_PIXELS} pixels, announces {image.width} x "
            f"{image.height}; resize it"
        )
    if image.mode not in GREY + COLOUR:
        image.close()
        raise DataError(
            f"{path}: must have 8 bits per channel, got mode {image.mode}; convert it to 8 bits"
        )
    return image


def _damaged(path: Path, error: Exception) -> DataError:
    unknown = "cannot identify" in str(error)  # Pillow goes on to show an address in memory
    reason = "no format that is known" if unknown else str(error) or type(error).__name__
    return DataError(
        f"{path}: must be a whole image, got {quoted(reason)}; save it again, or remove it"
    )
