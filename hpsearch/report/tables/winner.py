"""What a run's winner is: its first layer's weights, and where it is wrong."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hpsearch.errors import DataError, HostError
from hpsearch.nn.activations import ACTIVATIONS
from hpsearch.nn.params import Params
from hpsearch.prediction import Predictor
from hpsearch.report.tables.material import Material
from hpsearch.report.tables.points import best_first
from hpsearch.stages.final import wilson
from hpsearch.stages.mistakes import NAME as MISTAKES

if TYPE_CHECKING:
    import pandas as pd

STANDING_OUT = 3  # features of a row that are named
FEWEST = 8  # pairs of neighbouring pixels from which a correlation says something
PER_CLASS = (
    "class", "rows", "right", "recall", "low", "high", "precision", "taken_for", "times",
)  # fmt: skip
DAMAGED = (
    "final.json: damaged: its confusion cannot be read; put a copy of it back, or delete it and"
    " run hpsearch final again"
)


@dataclass(frozen=True, eq=False)
class Filters:
    """The weights of a first layer as images (n, H, W, C), on standardised pixels: those of the
    units numbered `units` (n,), the ones with the largest norm first, of `total`. A net without
    hidden layers has one for each of its `classes`, in their order; where units take the largest
    of several sums these are `pieces` of units. `neighbours` is the mean correlation of the
    weights of neighbouring pixels, NaN where there are too few; the weights of the `constant`
    pixels, which never had an effect, are 0.
    """

    images: NDArray[np.float64]
    units: NDArray[np.intp]
    total: int
    classes: tuple[str, ...]
    pieces: bool
    neighbours: float
    constant: int
    whitened: bool
    where: str  # the file, within the run
    nets: int  # that it holds


@dataclass(frozen=True, eq=False)
class Mistakes:
    """The rows that the winner is most surely wrong about, the surest first. `table` has `row`,
    `truth`, `said`, `probability`, and of a table `features`: (name, value, standard deviations
    from the mean) of those that stand out most. `images` (n, H, W, C) are these rows as bytes.
    """

    table: "pd.DataFrame"
    images: NDArray[np.uint8] | None


def first_layer(material: Material, most: int) -> Filters | None:
    """That of the saved predictor's first net, or before `final` of the best trial; at most so
    many units. None where the data are no images, or there is no model that can be read.
    """
    found = _model(material)
    if found is None:
        return None
    where, predictor = found
    net, shape = predictor.members[0].net, predictor.image_shape or _image_shape(material)
    if shape is None or math.prod(shape) != net.sizes[0]:
        return None
    params = Params.over(predictor.members[0].weights[None], net)
    weights, varying = _on_pixels(params.weights[0][0].astype(np.float64), predictor)
    if not np.isfinite(weights).all():
        return None
    hidden = len(net.sizes) > 2
    order = np.argsort(-np.linalg.norm(weights, axis=1), kind="stable")
    units = order[:most] if hidden else np.arange(min(most, len(weights)))
    images = weights[units].reshape(-1, *shape)
    return Filters(
        images, units, len(weights), () if hidden else predictor.classes,
        hidden and ACTIVATIONS[net.activation].pieces > 1,
        neighbours(images, varying.reshape(shape)), int((~varying).sum()),
        predictor.preprocess.rotation is not None, where, len(predictor.members),
    )  # fmt: skip


def _image_shape(material: Material) -> tuple[int, int, int] | None:
    """(H, W, C) as the audit found it."""
    document = material.check("data")
    shape = document.facts.get("image_shape") if document else None
    if not isinstance(shape, list | tuple) or len(shape) != 3:
        return None
    whole = all(isinstance(size, int) and size > 0 for size in shape)
    return (shape[0], shape[1], shape[2]) if whole else None


def _model(material: Material) -> tuple[str, Predictor] | None:
    """The file within the run, and what it holds."""
    ended = material.final
    best = next(iter(best_first(material)), None) if material.searches else None
    tried = [ended.model if ended else "", f"{best.stage}/best.npz" if best else ""]
    for name in filter(None, tried):
        try:
            return name, Predictor.read(material.store.folder / name)
        except DataError:
            continue
    return None


def _on_pixels(
    weights: NDArray[np.float64], predictor: Predictor
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The weights (O, D) on centred and scaled pixels, also where these were whitened after that;
    and which pixels vary, (D,).
    """
    preprocess = predictor.preprocess
    varying = np.broadcast_to(preprocess.factor, weights.shape[1:]) > 0
    if preprocess.rotation is not None:
        weights = weights @ preprocess.rotation.T
    return np.where(varying, weights, 0), varying


def neighbours(images: NDArray[np.float64], varying: NDArray[np.bool_]) -> float:
    """The mean over images (n, H, W, C) of the correlation of pixels side by side and one above
    the other, where both of them are `varying` (H, W, C).
    """
    right = images[:, :, :-1], images[:, :, 1:], varying[:, :-1] & varying[:, 1:]
    down = images[:, :-1], images[:, 1:], varying[:-1] & varying[1:]
    firsts, seconds = (
        np.concatenate([pair[side][:, pair[2]] for pair in (right, down)], axis=1)
        for side in (0, 1)
    )
    if firsts.shape[1] < FEWEST:
        return math.nan
    firsts, seconds = (a - a.mean(axis=1, keepdims=True) for a in (firsts, seconds))
    size = np.sqrt((firsts**2).sum(axis=1) * (seconds**2).sum(axis=1))
    told = size > 0
    return float(((firsts * seconds).sum(axis=1)[told] / size[told]).mean()) if told.any() else (
        math.nan
    )


def confusion(material: Material) -> "pd.DataFrame | None":
    """How many validation rows of each class (the index) the winner takes for which (the columns);
    None where nobody counted: before `final`, in runs from before it did, and for very many
    classes.
    """
    import pandas as pd

    found = material.final.confusion if material.final else None
    if found is None:
        return None
    try:
        names, counts = list(map(str, found["classes"])), np.asarray(found["counts"])
        sound = counts.shape == (len(names), len(names)) and counts.dtype.kind == "i"
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise HostError(DAMAGED) from error
    if not sound or (counts < 0).any() or not counts.sum():
        raise HostError(DAMAGED)
    return pd.DataFrame(counts, index=names, columns=names)


def per_class(counts: "pd.DataFrame") -> "pd.DataFrame":
    """One row per class: its rows, those that are right, their share (recall) with its 95 %
    interval, the share that is right of what is said to be this class (precision), and what it is
    most often taken for. Shares of nothing are NaN.
    """
    import pandas as pd

    numbers = counts.to_numpy()
    rows, right = numbers.sum(axis=1), numbers.diagonal()
    wrong = numbers - np.diag(right)
    worst = wrong.argmax(axis=1)
    ends = [wilson(r / n, int(n)) if n else (math.nan, math.nan)
            for r, n in zip(right, rows, strict=True)]  # fmt: skip
    times = wrong[np.arange(len(wrong)), worst]
    values = (
        list(counts.index), rows, right, _share(right, rows), [e[0] for e in ends],
        [e[1] for e in ends], _share(right, numbers.sum(axis=0)),
        [counts.columns[k] if n else "" for k, n in zip(worst, times, strict=True)], times,
    )  # fmt: skip
    return pd.DataFrame(dict(zip(PER_CLASS, values, strict=True)))


def _share(part: NDArray[Any], whole: NDArray[Any]) -> NDArray[np.float64]:
    return np.where(whole > 0, part / np.maximum(whole, 1), math.nan)


def most_confused(counts: "pd.DataFrame", most: int) -> NDArray[np.intp]:
    """The places (n,) of so many classes, in their order: those with the most mistakes, of their
    own rows and of others that are taken for them.
    """
    numbers = counts.to_numpy()
    wrong = numbers.sum(axis=0) + numbers.sum(axis=1) - 2 * numbers.diagonal()
    return np.sort(np.argsort(-wrong, kind="stable")[:most])


def mistakes(material: Material) -> Mistakes | None:
    """What `final` wrote of them; None where it has not, or the file cannot be read."""
    ended = material.final
    arrays = material.store.arrays(MISTAKES) if ended and ended.winner is not None else None
    try:
        return _mistakes(arrays) if arrays else None
    except (KeyError, TypeError, ValueError, IndexError):
        return None


def _mistakes(arrays: Mapping[str, NDArray[Any]]) -> Mistakes:
    import pandas as pd

    names, x = [str(name) for name in arrays["classes"]], arrays["x"]
    columns: dict[str, Any] = {
        "row": arrays["row"],
        "truth": [names[n] for n in arrays["truth"]],
        "said": [names[n] for n in arrays["said"]],
        "probability": arrays["probability"].astype(np.float64),
    }
    if len(x) != len(columns["row"]):
        raise ValueError(f"{len(x)} rows of numbers for {len(columns['row'])} mistakes")
    if "image_shape" not in arrays:
        return Mistakes(pd.DataFrame({**columns, "features": list(_standing_out(arrays))}), None)
    shape = tuple(int(size) for size in arrays["image_shape"])
    low, high = (float(end) for end in arrays["span"])
    images = x.reshape(len(x), shape[0], shape[1], shape[2])
    return Mistakes(pd.DataFrame(columns), as_bytes(images, low, high))


def as_bytes(images: NDArray[Any], low: float, high: float) -> NDArray[np.uint8]:
    """Pixels from `low` (0) to `high` (255), rounded."""
    scaled = (images.astype(np.float64) - low) * (255 / (high - low) if high > low else 0.0)
    return np.rint(np.clip(np.nan_to_num(scaled), 0, 255)).astype(np.uint8)


def _standing_out(arrays: Mapping[str, NDArray[Any]]) -> list[list[tuple[str, float, float]]]:
    """Of each row the features that are furthest from the mean, in standard deviations."""
    x, sd = arrays["x"].astype(np.float64), arrays["sd"]
    names = [str(name) for name in arrays["features"]]
    with np.errstate(all="ignore"):
        away = np.where(sd > 0, (x - arrays["mean"]) / np.where(sd > 0, sd, 1), 0)
    order = np.argsort(-np.abs(away), axis=1, kind="stable")[:, :STANDING_OUT]
    return [
        [(names[k], float(x[n, k]), float(away[n, k])) for k in places]
        for n, places in enumerate(order)
    ]
