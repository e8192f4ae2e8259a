"""Augmentation: an altered image is a flip and a shift of its own, and the draw alone decides."""

from dataclasses import replace

import numpy as np
import pytest

from hpsearch.cohort import Task
from hpsearch.config.schema import Config
from hpsearch.data import Augment, Source, load
from hpsearch.data.augment import stream
from hpsearch.errors import DataError
from hpsearch.nn.net import Net
from hpsearch.spec import Budget, View
from hpsearch.stages import overfit, sanity, sweep
from hpsearch.stages.context import Context
from hpsearch.training import Watch, train_cohort

SHAPE = (5, 7, 3)
IMAGES = np.random.default_rng(0).integers(0, 256, (400, 105)).astype(np.uint8)


def ways(image, shift, flip):
    """What an image may become, (ways, D): cut out of one whose edges were repeated."""
    square = image.reshape(SHAPE)
    wide = np.pad(square, ((shift, shift), (shift, shift), (0, 0)), mode="edge")
    height, width, _ = SHAPE
    cuts = [
        wide[down : down + height, right : right + width]
        for down in range(2 * shift + 1)
        for right in range(2 * shift + 1)
    ]
    both = cuts + [cut[:, ::-1] for cut in cuts] if flip else cuts
    return np.array([cut.reshape(-1) for cut in both])


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize(("flip", "shift"), [(True, 0), (False, 1), (True, 2), (True, 4)])
def test_an_image_becomes_a_flip_and_a_shift_of_itself(flip, shift, dtype):
    x = IMAGES.astype(dtype)
    seen = Augment(flip, shift).apply(x, SHAPE, stream(0, 3, 5))
    assert seen.dtype == dtype and seen.shape == x.shape
    which = [
        np.flatnonzero((ways(image, shift, flip) == altered).all(axis=1))
        for image, altered in zip(x, seen, strict=True)
    ]
    assert all(len(w) for w in which)
    kinds = (2 * shift + 1) ** 2 * (1 + flip)
    counts = np.bincount([w[0] for w in which], minlength=kinds)
    assert (counts > 0).all() if kinds < 60 else (counts > 0).mean() > 0.8
    assert counts.max() < len(x) / kinds + 6 * np.sqrt(len(x) / kinds)


def test_half_of_the_images_are_flipped():
    x = np.tile(np.arange(2, dtype=np.uint8), (4000, 1))
    share = Augment(flip=True).apply(x, (1, 2, 1), stream(0, 0, 0))[:, 0].mean()
    assert abs(share - 0.5) < 5 * np.sqrt(0.25 / 4000)


def test_nothing_asked_for_changes_nothing():
    assert np.array_equal(Augment().apply(IMAGES, SHAPE, stream(0, 0, 0)), IMAGES)


def test_the_draw_decides_and_nothing_else():
    apply = Augment(True, 2).apply
    first = apply(IMAGES, SHAPE, stream(1, 2, 3))
    assert np.array_equal(first, apply(IMAGES, SHAPE, stream(1, 2, 3)))
    for other in ((0, 2, 3), (1, 0, 3), (1, 2, 0)):
        assert not np.array_equal(first, apply(IMAGES, SHAPE, stream(*other)))


@pytest.fixture(scope="module")
def altered():
    return load(Source("digits"), center="feature", scale="standard", augment=Augment(True, 1))


def test_only_training_minibatches_are_altered(altered, digits):
    index = np.arange(50)
    raw = altered.train.gather(index)
    expected = Augment(True, 1).apply(raw, (8, 8, 1), stream(0, 1, 2))
    seen = altered.augmented(altered.train, index, (0, 1, 2))
    assert np.array_equal(seen, digits.preprocess.apply(expected))
    assert np.array_equal(
        altered.batch(altered.train, index), digits.batch(digits.train, index)
    )
    assert np.array_equal(digits.augmented(digits.train, index, (0, 1, 2)),
                          digits.batch(digits.train, index))  # fmt: skip
    assert altered.fingerprint != digits.fingerprint


def curves(data, specs):
    return [r.curves for r in train_cohort(Task(tuple(specs)), data, Watch())]


def test_training_sees_altered_rows_and_evaluation_does_not(altered, digits, make_spec):
    """Without a step, the curves are those of the rows as they are."""
    still, moving = make_spec(0, 1e-30), make_spec(1, 0.1)
    assert curves(altered, [still])[0].val_loss == curves(digits, [still])[0].val_loss
    assert curves(altered, [still])[0].train_accuracy == curves(digits, [still])[0].train_accuracy
    assert curves(altered, [moving])[0].val_loss != curves(digits, [moving])[0].val_loss
    unaltered = replace(moving, view=View(augment=False))
    assert curves(altered, [unaltered]) == curves(digits, [unaltered])


def test_a_cohort_shares_what_is_drawn(altered, make_spec):
    specs = [make_spec(n, 0.01 * (n + 1), budget=Budget(3)) for n in range(4)]
    together = curves(altered, specs)
    assert together[2] == curves(altered, [specs[2]])[0]
    twins = [replace(specs[0], order_seed=s) for s in (0, 1)]
    assert curves(altered, twins[:1]) != curves(altered, twins[1:])


def test_every_epoch_is_drawn_anew(altered, digits, make_spec):
    """A minibatch of all rows is in each epoch the same, but for what is drawn."""
    alike = make_spec(0, 1e-30, batch_size=2000, budget=Budget(4), net=Net((64, 5, 10)))
    seen = [
        {round(loss, 4) for _, loss in train_cohort(Task((alike,)), data, Watch())[0].losses}
        for data in (altered, digits)
    ]
    assert [len(losses) for losses in seen] == [4, 1]


def test_overfit_and_sanity_train_on_rows_as_they_are(altered):
    for stage in (overfit, sanity):
        specs = stage.plan(Context(Config(), altered, stage.STAGE.name), [])
        assert not any(spec.view.augment for spec in specs if not spec.view.zero)
    assert all(s.view.augment for s in sweep.plan(Context(Config(), altered, "sweep"), []))


@pytest.mark.parametrize(
    ("source", "augment", "words"),
    [
        ("spiral", Augment(flip=True), r"data\.augment: must be none for a table.*flip: true"),
        ("digits", Augment(shift=8), r"data\.augment\.shift: must be below the 8 pixels.*got 8"),
    ],
)
def test_what_cannot_be_altered_is_refused(source, augment, words):
    with pytest.raises(DataError, match=words):
        load(Source(source), center="none", scale="none", augment=augment)
    load(Source(source), center="none", scale="none", augment=Augment())
