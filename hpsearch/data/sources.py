"""The table of data sources, and the one way from a source to a dataset."""

import difflib
from collections.abc import Callable

import numpy as np

from hpsearch.data.augment import NONE, Augment
from hpsearch.data.bundled import load_digits, load_spiral
from hpsearch.data.cifar10 import load_cifar10
from hpsearch.data.columns import load_csv
from hpsearch.data.dataset import Dataset, Loaded, Progress, Share, Source, fingerprint
from hpsearch.data.files import own_split_error
from hpsearch.data.idx import load_idx
from hpsearch.data.images import load_images
from hpsearch.data.npz import load_npz
from hpsearch.data.preprocess import fit
from hpsearch.data.rows import Rows
from hpsearch.data.split import split
from hpsearch.errors import DataError

SOURCES: dict[str, Callable[[Source], Loaded]] = {
    "digits": load_digits,
    "spiral": load_spiral,
    "csv": load_csv,
    "npz": load_npz,
    "idx": load_idx,
    "cifar10": load_cifar10,
    "images": load_images,
}
TAKES_SPLIT_PATHS = ("csv", "npz", "images")
DEFAULT_SHARE = 0.1


def load(
    source: Source, *, center: str, scale: str, whiten: str = "none",
    augment: Augment = NONE, progress: Progress | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> Dataset:  # fmt: skip
    """Read, split and fit the preprocessing on the training rows.

    `center`, `scale` and `whiten` as in `preprocess.fit`; `progress(done, total)` is called while
    images are decoded, `say` where a damaged cache has them decoded again. DataError for whatever
    cannot be read, split or augmented.
    """
    _check(source)
    if source.source == "images":
        loaded = load_images(source, progress, say)
    else:
        loaded = SOURCES[source.source](source)
    augment.check(loaded.image_shape)
    train, validation, test = _splits(loaded, source)
    preprocess = fit(train, loaded.image_shape, center, scale, whiten=whiten)
    splits = (train, validation, test)
    names = [loaded.classes, loaded.features, loaded.image_shape, center, scale, whiten]
    digest = unaltered = fingerprint(splits, [*names, vars(NONE)])
    if augment.alters:
        digest = fingerprint(splits, [*names, vars(augment)])
    return Dataset(
        train=train,
        validation=validation,
        test=test,
        classes=loaded.classes,
        features=loaded.features,
        image_shape=loaded.image_shape,
        preprocess=preprocess,
        fingerprint=digest,
        unaltered=unaltered,
    )


def _check(source: Source) -> None:
    if source.source not in SOURCES:
        near = difflib.get_close_matches(source.source, SOURCES, n=1)
        hint = f"did you mean {near[0]}?" if near else "choose one of those"
        raise DataError(
            f"data.source: must be one of {', '.join(SOURCES)}, got {source.source}; {hint}"
        )
    for name, share in (("validation", source.validation), ("test", source.test)):
        if isinstance(share, str) and source.source not in TAKES_SPLIT_PATHS:
            raise DataError(
                f"data.split.{name}: source {source.source} takes a fraction or a count, got "
                f"{share}; paths are for {', '.join(TAKES_SPLIT_PATHS)}"
            )


def _splits(loaded: Loaded, source: Source) -> tuple[Rows, Rows, Rows | None]:
    """The three splits, each in a seeded random order."""
    held_out = {
        "validation": _held_out("validation", source.validation, loaded.validation, source),
        "test": _held_out("test", source.test, loaded.test, source),
    }
    if not held_out["validation"] and loaded.validation is None:
        raise DataError(
            "data.split.validation: must hold out at least one row, got 0; "
            "trials are compared on those rows"
        )
    rows = Rows(loaded.x, loaded.y)
    index = split(loaded.y, held_out["validation"], held_out["test"], source.seed)
    train, validation, test = (rows.part(each) for each in index)
    if loaded.validation is not None:
        validation = _shuffled(loaded.validation, source.seed, stream=1)
    if loaded.test is not None and source.test != 0:
        test = _shuffled(loaded.test, source.seed, stream=2)
    return train, validation, test if len(test) else None


def _held_out(name: str, asked: Share, own: Rows | None, source: Source) -> float:
    """The fraction or count to draw from the rows; 0 where the split is given, or unwanted."""
    if own is None:
        return DEFAULT_SHARE if asked is None else float(asked)
    if asked is None or isinstance(asked, str) or (name == "test" and asked == 0):
        return 0
    raise own_split_error(source, name)


def _shuffled(rows: Rows, seed: int, *, stream: int) -> Rows:
    return rows.part(np.random.default_rng([seed, stream]).permutation(len(rows)))
