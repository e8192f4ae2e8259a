"""Rows without labels, to be answered for: the columns that a model was trained on."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpsearch.data.arrays import Stored, archive, arrays_at
from hpsearch.data.columns import Column, column_of
from hpsearch.data.dataset import ImageShape
from hpsearch.data.decode import decode
from hpsearch.data.files import needed_file, quoted, reading
from hpsearch.data.images import ENDINGS
from hpsearch.data.npz import stored
from hpsearch.data.table import Table, listed, read_table
from hpsearch.errors import DataError

TABLES = (".csv", ".tsv", ".txt")
SHOWN = 5  # names of what is missing


@dataclass(frozen=True, eq=False)
class Unlabelled:
    """N raw rows x (N, D), and what each is called: its number, or the image's file."""

    x: NDArray[Any]
    names: Sequence[str]
    kind: str = "row"


def load_unlabelled(
    path: Path, features: Sequence[str], image_shape: ImageShape | None = None
) -> Unlabelled:
    """The rows at `path`: a CSV file with the columns `features` (others are passed over), an .npz
    or .npy file or a folder of .npy files with x, an image or a folder of images.

    DataError where they do not fit, or hold what is no number.
    """
    with reading(path):
        folder = path.is_dir()
        arrays = folder and any(each.suffix.lower() == ".npy" for each in path.iterdir())
    ending = path.suffix.lower()
    if arrays or ending in (".npz", ".npy"):
        found = _from_arrays(path, len(features))
    elif folder or ending in ENDINGS:
        found = _from_images(path, len(features), image_shape)
    elif ending in TABLES:
        found = _from_table(read_table(path), features)
    else:
        raise DataError(
            f"{path}: must be a .csv, .npz or .npy file, an image, or a folder of images; name one"
        )
    return _finite(found, path, features)


def _finite(found: Unlabelled, path: Path, features: Sequence[str]) -> Unlabelled:
    if found.x.dtype.kind == "f" and not (good := np.isfinite(found.x)).all():
        row, column = np.argwhere(~good)[0].tolist()
        raise DataError(
            f"{path}: row {found.names[row]}, column {quoted(features[column])}: must be a finite"
            f" number, got {found.x[row, column]}; fill it, or leave the row out"
        )
    return found


def _numbered(x: NDArray[Any]) -> Unlabelled:
    return Unlabelled(x, [str(n) for n in range(1, len(x) + 1)])


def _from_arrays(path: Path, width: int) -> Unlabelled:
    if path.suffix.lower() == ".npy":
        arrays = {"x": Stored(needed_file(path), path.stem)}
    else:
        arrays = arrays_at(path) if path.is_dir() else archive(path)
    name = next((name for name in ("x", "x_test") if name in arrays), None)
    if name is None:
        raise DataError(
            f"{path}: must hold x, got {quoted(', '.join(arrays) or 'nothing')}; save with"
            " np.savez(path, x=x)"
        )
    x = arrays[name].read()
    if x.ndim < 2 or not len(x) or x.size // len(x) != width:
        raise DataError(
            f"{path}: {name} must be (N, {width}), as the rows that the model was trained on, or"
            f" such images, got {x.shape}; reshape it, or take another model"
        )
    return _numbered(stored(x, str(path)))


def _from_images(path: Path, width: int, image_shape: ImageShape | None) -> Unlabelled:
    """Every image in the folder and the folders in it, by name."""
    with reading(path):
        files = [needed_file(path)] if not path.is_dir() else _images_below(path)
    if not files:
        raise DataError(f"{path}: must hold images ({' '.join(ENDINGS)}), found none; add some")
    x: NDArray[Any] = decode(files)
    if x.shape[3] == 1 and image_shape and image_shape[2] == 3:
        x = np.repeat(x, 3, axis=3)
    if image_shape is None and x[0].size != width:
        raise DataError(
            f"{path}: must be a table, for the model was trained on rows of {width} features, got"
            f" images of {x[0].size} numbers; name a table, or take another model"
        )
    if image_shape and x.shape[1:] != image_shape:
        wanted, got = (" x ".join(map(str, shape)) for shape in (image_shape, x.shape[1:]))
        raise DataError(
            f"{path}: images must be {wanted} (height, width, channels) as those that the model"
            f" was trained on, got {got}; convert them"
        )
    names = [str(each.relative_to(path)) if each != path else each.name for each in files]
    return Unlabelled(np.ascontiguousarray(x.reshape(len(x), -1)), names, "image")


def _images_below(folder: Path) -> list[Path]:
    """The images in the folder and the folders in it, sorted; no link to a folder is followed."""
    found, folders = [], [folder]
    while folders:
        for each in folders.pop().iterdir():
            if each.is_dir() and not each.is_symlink():
                folders.append(each)
            elif each.suffix.lower() in ENDINGS and each.name[0] != "." and each.is_file():
                found.append(each)
    return sorted(found)


def _from_table(table: Table, features: Sequence[str]) -> Unlabelled:
    columns = [_column_for(name, table.number) for name in features]
    absent = dict.fromkeys(
        name.partition("=")[0] if column is None else ""
        for name, column in zip(features, columns, strict=True)
    )
    if missing := [name for name in absent if name]:
        more = f" and {len(missing) - SHOWN} more" if len(missing) > SHOWN else ""
        raise DataError(
            f"{table.path}: must have the columns that the model was trained on, lacks"
            f" {listed(missing[:SHOWN])}{more}; add them, or take another model"
        )
    read = {
        name: column_of(name, [table.cells[table.number[name]]])
        for name in dict.fromkeys(column for column in columns if column is not None)
    }
    _check(table, read, features)
    x = np.column_stack(
        [_numbers(f, read[c]) for f, c in zip(features, columns, strict=True) if c is not None]
    )
    return Unlabelled(np.ascontiguousarray(x), [str(n) for n in table.rows.tolist()])


def _column_for(feature: str, names: Collection[str]) -> str | None:
    """The column that a feature comes from: its own, or that of which it is a level, `a=b`."""
    if feature in names:
        return feature
    cuts = [n for n, letter in enumerate(feature) if letter == "="]
    return next((feature[:cut] for cut in cuts if feature[:cut] in names), None)


def _check(table: Table, read: dict[str, Column], features: Sequence[str]) -> None:
    """DataError for the first cell that is missing, or that training has not seen the like of."""
    numbers = set(features)
    for name, column in read.items():
        numeric = name in numbers
        levels = [] if numeric else _levels(name, features)
        known = ("True", "False") if numeric else tuple(levels)
        strange = column.is_text & ~np.isin(column.text, np.array(known, object))
        strange |= column.missing | (~column.is_text if not numeric else False)
        if not strange.any():
            continue
        at = int(np.argmax(strange))
        given = column.text[at] or column.numbers[at]
        said = "a missing value" if column.missing[at] else quoted(given)
        rule = "a number" if numeric else f"one of {listed(levels)}"
        raise DataError(
            f"{table.path}: row {table.rows[at]}, column {quoted(name)}: must be {rule}, as in the"
            f" rows that the model was trained on, got {said}; correct it, or leave the row out"
        )


def _levels(name: str, features: Sequence[str]) -> list[str]:
    return [feature[len(name) + 1 :] for feature in features if feature.startswith(f"{name}=")]


def _numbers(feature: str, column: Column) -> NDArray[np.float64]:
    """The feature's values (N,): the cell's number, or whether the cell is this level."""
    if feature == column.name:
        return np.where(column.is_text, column.text == "True", column.numbers).astype(np.float64)
    return np.asarray(column.text == feature[len(column.name) + 1 :], np.float64)
