"""Small images as PNG files (ISO/IEC 15948), without a library."""

import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

SIGNATURE = b"\x89PNG\r\n\x1a\n"
GREY, RGB = 0, 2  # colour types
DEPTH = 8  # bits


def png(pixels: NDArray[np.uint8]) -> bytes:
    """The file of an image (H, W), grey, or (H, W, 3), in colour; ValueError for other shapes."""
    if pixels.ndim not in (2, 3) or pixels.shape[2:] not in ((), (3,)) or 0 in pixels.shape:
        raise ValueError(f"must be (H, W) or (H, W, 3) and not empty, got {pixels.shape}")
    height, width = pixels.shape[:2]
    kind = GREY if pixels.ndim == 2 else RGB
    lines = np.zeros((height, 1 + pixels[0].size), np.uint8)  # each begins with its filter, none
    lines[:, 1:] = pixels.reshape(height, -1)
    header = struct.pack(">IIBBBBB", width, height, DEPTH, kind, 0, 0, 0)
    data = zlib.compress(lines.tobytes(), 9)
    return SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def smaller(images: NDArray[Any], most: int) -> NDArray[Any]:
    """The images (N, H, W, C) with at most so many pixels a side: a pixel is the mean of a block
    of theirs, and what is left of them at the end is cut off.
    """
    n, height, width, channels = images.shape
    down, right = -(-height // most), -(-width // most)
    if down == right == 1:
        return images
    cut = images[:, : height // down * down, : width // right * right].astype(np.float64)
    blocks = cut.reshape(n, height // down, down, width // right, right, channels)
    return np.asarray(blocks.mean(axis=(2, 4)))
