"""Image folders: one folder per class, or train/ and test/ with one folder per class each."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpsearch.data import cache
from hpsearch.data.dataset import Loaded, Progress, Source
from hpsearch.data.decode import decode
from hpsearch.data.files import explicit_splits, needed_folder, needed_path, quoted, reading
from hpsearch.data.labels import class_names
from hpsearch.data.rows import Rows
from hpsearch.errors import DataError

ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".ppm", ".pgm", ".webp")
SPLITS = {"train": ("train",), "validation": ("validation", "val"), "test": ("test",)}


@dataclass(frozen=True)
class Picture:
    """One image file: its split and class, and what tells whether it was changed."""

    split: str
    label: str
    path: Path
    size: int  # bytes
    changed: int  # nanoseconds


def load_images(
    source: Source, progress: Progress | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> Loaded:  # fmt: skip
    """All images as bytes (N, H*W*C), C = 3, or 1 where all are grey.

    Hidden files and other endings are passed over. Images must agree in size. They are decoded
    once, in sorted order; `progress(done, total)` is called meanwhile, and `say` told of a cache
    that is damaged.
    """
    root = needed_folder(needed_path(source))
    folders = _split_folders(root)
    folders |= explicit_splits(source, own=folders)
    pictures = [each for name, folder in folders.items() for each in _pictures(name, folder)]
    classes = class_names(sorted({picture.label for picture in pictures}), str(root))
    pixels = _pixels(pictures, progress, say)
    if len(classes) < 2:
        raise DataError(
            f"{root}: a classifier needs at least 2 classes, found {len(classes)} "
            f"({', '.join(map(quoted, classes))}); make one folder of images per class"
        )
    x, image_shape = pixels.reshape(len(pixels), -1), pixels.shape[1:]
    number = {label: k for k, label in enumerate(classes)}
    y = np.array([number[picture.label] for picture in pictures], np.int64)
    counts = [sum(picture.split == name for picture in pictures) for name in folders]
    ends = np.cumsum(counts)[:-1]
    parts = [Rows(*pair) for pair in zip(np.split(x, ends), np.split(y, ends), strict=True)]
    given = dict(zip(folders, parts, strict=True))
    train = given.pop("train")
    features = tuple(f"pixel {k}" for k in range(x.shape[1]))
    shape = image_shape[0], image_shape[1], image_shape[2]
    return Loaded(train.base, train.y, classes, features, shape, **given)


def _split_folders(root: Path) -> dict[str, Path]:
    """The folder of each split: `root` is one itself, or holds train/ with class folders."""
    with reading(root):
        if not any(each.is_dir() for each in _visible(root / "train")):
            return {"train": root}
        found: dict[str, Path] = {}
        for split, names in SPLITS.items():
            present = [root / name for name in names if (root / name).is_dir()]
            if len(present) > 1:
                raise DataError(
                    f"{root}: must hold one folder per split, got "
                    f"{' and '.join(each.name for each in present)}; rename one"
                )
            found |= {split: present[0]} if present else {}
    return found


def _visible(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(each for each in folder.iterdir() if not each.name.startswith("."))


def _pictures(split: str, folder: Path) -> Iterator[Picture]:
    """The images of one split, by class and then by name."""
    needed_folder(folder)
    with reading(folder):
        folder = folder.resolve()
        labels = [each for each in _visible(folder) if each.is_dir()]
    if not labels:
        raise DataError(
            f"{folder}: must hold one folder of images per class, found no folder; "
            "sort the images into folders named after their classes"
        )
    for label in labels:
        with reading(label):
            found = [Picture(split, label.name, *each) for each in _image_files(label)]
        if not found:
            raise DataError(
                f"{label}: a class folder must hold images ({' '.join(ENDINGS)}), found none; "
                "add some, or remove the folder"
            )
        yield from found


def _image_files(folder: Path) -> list[tuple[Path, int, int]]:
    """Path, bytes and time of change of the images right inside `folder`, sorted by name."""
    found = []
    with os.scandir(folder) as entries:
        for entry in entries:
            ours = entry.name.lower().endswith(ENDINGS) and not entry.name.startswith(".")
            if ours and entry.is_file():
                stat = entry.stat()
                found.append((entry.name, stat.st_size, stat.st_mtime_ns))
    return [(folder / name, size, changed) for name, size, changed in sorted(found)]


def _pixels(
    pictures: Sequence[Picture], progress: Progress | None, say: Callable[[str], None]
) -> NDArray[Any]:
    """All images (N, H, W, C) uint8, from the cache where they are in it as they were written."""
    key = cache.key([(str(picture.path), picture.size, picture.changed) for picture in pictures])
    try:
        if (cached := cache.read(key, rows=len(pictures))) is not None:
            return cached
    except DataError as error:
        say(f"{str(error).partition('; ')[0]}; so the images are decoded again")
    pixels = decode([picture.path for picture in pictures], progress)
    cache.write(key, pixels)
    with suppress(DataError):
        if (written := cache.read(key, rows=len(pictures))) is not None:
            return written
    return pixels
