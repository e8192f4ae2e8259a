"""Known faults of data, configs and networks: how each is put into a set-up that is healthy."""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest

from hpsearch.data import Dataset, Rows, fit
from hpsearch.lockstep import Lockstep
from hpsearch.nn.activations import ACTIVATIONS
from hpsearch.nn.losses import LOSSES
from hpsearch.nn.mlp import Tape


class Scene(NamedTuple):
    """What a stage is given: the data, the settings, and the network that they are about."""

    data: Dataset
    settings: tuple[str, ...]
    patch: pytest.MonkeyPatch


Fault = Callable[[Scene], Scene]


def settings(*given: str) -> Fault:
    """A fault in the config."""
    return lambda scene: scene._replace(settings=(*scene.settings, *given))


# --- in the data


def _made(
    scene: Scene, train: Rows, validation: Rows, *, prepared: bool = True, **changes: object
) -> Scene:
    """The scene with other rows, its preprocessing fitted to them, or none."""
    how = ("feature", "standard") if prepared else ("none", "none")
    shape = changes.get("image_shape", scene.data.image_shape)
    data = replace(
        scene.data, train=train, validation=validation, preprocess=fit(train, shape, *how),
        **changes,
    )  # fmt: skip
    return scene._replace(data=data)


def _parts(scene: Scene) -> list[Rows]:
    return [scene.data.train, scene.data.validation]


def _labels(scene: Scene, change: Callable[[Rows], np.ndarray], **changes: object) -> Scene:
    """Other labels on the same rows."""
    parts = (Rows(rows.gather(), change(rows)) for rows in _parts(scene))
    return _made(scene, *parts, **changes)


def _inputs(scene: Scene, change: Callable[[np.ndarray], np.ndarray], **changes: object) -> Scene:
    """Other inputs, made of all rows at once, under the same labels."""
    parts = _parts(scene)
    x = np.concatenate([scene.data.batch(rows, slice(None), np.float64) for rows in parts])
    pieces = np.split(change(x), [len(parts[0])])
    made = (Rows(piece, rows.y) for piece, rows in zip(pieces, parts, strict=True))
    return _made(scene, *made, **changes)


def shuffled_labels(scene: Scene) -> Scene:
    rng = np.random.default_rng(1)
    return _labels(scene, lambda rows: rng.permutation(rows.y))


def noisy_labels(scene: Scene) -> Scene:
    rng, classes = np.random.default_rng(1), scene.data.n_classes

    def change(rows: Rows) -> np.ndarray:
        wrong = rng.random(len(rows)) < 0.2
        return np.where(wrong, rng.integers(0, classes, len(rows)), rows.y)

    return _labels(scene, change)


def scales_apart(scene: Scene) -> Scene:
    """From 0.01 to 1000, and nothing done about it."""
    scales = np.logspace(-2, 3, scene.data.inputs)
    return _inputs(scene, lambda x: x * scales, prepared=False)


def bytes_as_they_are(scene: Scene) -> Scene:
    def change(x: np.ndarray) -> np.ndarray:
        low, high = x.min(axis=0), x.max(axis=0)
        return np.round(255 * (x - low) / np.where(high > low, high - low, 1)).astype(np.uint8)

    return _inputs(scene, change, prepared=False)


def leaked_target(scene: Scene) -> Scene:
    """The label as one more number of each row."""
    parts = (
        Rows(np.column_stack([rows.gather().astype(float), rows.y]), rows.y)
        for rows in _parts(scene)
    )
    features = (*scene.data.features, "target_copy")
    return _made(scene, *parts, features=features, image_shape=None)


def one_class_in_twenty_five(scene: Scene) -> Scene:
    """Two classes, 96 to 4."""

    def part(rows: Rows) -> Rows:
        rare, often = np.flatnonzero(rows.y == 0), np.flatnonzero(rows.y != 0)
        kept = np.sort(np.append(often, rare[: max(2, len(often) // 24)]))
        return Rows(rows.gather(kept), (rows.y[kept] == 0).astype(np.int64))

    return _made(scene, *map(part, _parts(scene)), classes=("usual", "rare"))


def rows_in_both_splits(scene: Scene) -> Scene:
    """A tenth of the validation rows were trained on."""
    train, validation = _parts(scene)
    count = max(2, len(validation) // 10)
    x, y = validation.gather().copy(), validation.y.copy()
    x[:count], y[:count] = train.gather()[:count], train.y[:count]
    return _made(scene, train, Rows(x, y))


def constant_columns(scene: Scene) -> Scene:
    def change(x: np.ndarray) -> np.ndarray:
        x[:, :3] = 7
        return x

    return _inputs(scene, change, image_shape=None)


def constant_in_train(scene: Scene) -> Scene:
    train, validation = _parts(scene)
    x = train.gather().astype(float)
    x[:, :3] = 7
    return _made(scene, Rows(x, train.y), Rows(validation.gather().astype(float), validation.y))


def labels_from_one(scene: Scene) -> Scene:
    names = tuple(map(str, range(scene.data.n_classes + 1)))
    return _labels(scene, lambda rows: rows.y + 1, classes=names)


def raw_validation(scene: Scene) -> Scene:
    """The training rows were standardised, the validation rows were not."""
    train, validation = _parts(scene)
    x = scene.data.batch(train, slice(None), np.float64)
    raw = 3 + 5 * scene.data.batch(validation, slice(None), np.float64)
    return _made(scene, Rows(x, train.y), Rows(raw, validation.y), prepared=False)


def splits_standardised_apart(scene: Scene) -> Scene:
    def standardised(rows: Rows) -> Rows:
        x = rows.gather().astype(np.float64)
        sd = x.std(axis=0)
        return Rows((x - x.mean(axis=0)) / np.where(sd > 0, sd, 1), rows.y)

    return _made(scene, *map(standardised, _parts(scene)))


def one_class_too_many(scene: Scene) -> Scene:
    return scene._replace(data=replace(scene.data, classes=(*scene.data.classes, "none")))


def few_validation_rows(scene: Scene) -> Scene:
    rows = scene.data.validation
    return scene._replace(data=replace(scene.data, validation=rows.part(slice(12))))


# --- in the network

softmax = LOSSES["softmax"]


def _loss(change: Callable[..., np.ndarray]) -> Fault:
    """Another function in the place of softmax with cross-entropy."""

    def rows(logits, labels, smoothing=None, *, gradient=False):
        return change(logits, labels, gradient=gradient)

    def inject(scene: Scene) -> Scene:
        scene.patch.setitem(LOSSES, "softmax", softmax._replace(rows=rows))
        return scene

    return inject


def _summed(logits, labels, *, gradient):
    losses = softmax.rows(logits, labels, gradient=gradient)
    if gradient:
        logits *= len(labels)
    return losses * len(labels)


def _twice(logits, labels, *, gradient):
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    logits[...] = p
    losses = softmax.rows(logits, labels, gradient=gradient)
    if gradient:
        logits[...] = p * (logits - (p * logits).sum(axis=1, keepdims=True))
    return losses


def _uphill(logits, labels, *, gradient):
    losses = softmax.rows(logits, labels, gradient=gradient)
    if gradient:
        logits *= -1
    return losses


summed_loss, softmax_twice, ascent = _loss(_summed), _loss(_twice), _loss(_uphill)


def wrong_backward(scene: Scene) -> Scene:
    """The activations' derivatives, by half too small."""
    for name in ("relu", "tanh"):
        right = ACTIVATIONS[name]

        def backward(grad, z, a, slope, right=right):
            grad = right.backward(grad, z, a, slope)
            grad *= 0.5
            return grad

        scene.patch.setitem(ACTIVATIONS, name, right._replace(backward=backward))
    return scene


def batch_statistics_left_on(scene: Scene) -> Scene:
    plain = Tape.for_

    def for_(net, trials, rows, dtype, *, train=True):
        return plain(net, trials, rows, dtype)

    scene.patch.setattr(Tape, "for_", for_)
    return scene


def dropout_left_on(scene: Scene) -> Scene:
    plain = Lockstep._tape

    def tape(cohort, rows, *, train):
        found = plain(cohort, rows, train=True)
        cohort.dropout.draw(found.masks)
        return found

    scene.patch.setattr(Lockstep, "_tape", tape)
    return settings("model.dropout=0.5")(scene)


def unseeded_order(scene: Scene) -> Scene:
    """Minibatches in an order that no seed decides."""

    def minibatches(rows, size, seed, epoch):
        order = np.random.default_rng().permutation(rows)
        return np.split(order, range(size, rows, size))

    scene.patch.setattr("hpsearch.training.minibatches", minibatches)
    return scene
