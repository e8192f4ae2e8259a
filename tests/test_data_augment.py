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


ALTERED = View(augment=Augment(True, 1))


def test_only_training_minibatches_are_altered(digits):
    index = np.arange(50)
    raw = digits.train.gather(index)
    expected = Augment(True, 1).apply(raw, (8, 8, 1), stream(0, 1, 2))
    seen = digits.augmented(digits.train, index, Augment(True, 1), (0, 1, 2))
    assert np.array_equal(seen, digits.preprocess.apply(expected))
    still = digits.augmented(digits.train, index, Augment(), (0, 1, 2))
    assert np.array_equal(still, digits.batch(digits.train, index))


def test_the_fingerprint_tells_what_alters_all_trials(digits):
    altered = load(Source("digits"), center="feature", scale="standard", augment=Augment(True, 1))
    assert altered.fingerprint != digits.fingerprint == digits.unaltered == altered.unaltered


def curves(data, specs):
    return [r.curves for r in train_cohort(Task(tuple(specs)), data, Watch())]


def test_training_sees_altered_rows_and_evaluation_does_not(digits, make_spec):
    """Without a step, the curves are those of the rows as they are."""
    still, moving = make_spec(0, 1e-30), make_spec(1, 0.1)
    plain, altered = (curves(digits, [replace(still, view=v)])[0] for v in (View(), ALTERED))
    assert plain.val_loss == altered.val_loss
    assert plain.train_accuracy == altered.train_accuracy
    plain, altered = (curves(digits, [replace(moving, view=v)])[0] for v in (View(), ALTERED))
    assert plain.val_loss != altered.val_loss


def test_a_cohort_shares_what_is_drawn(digits, make_spec):
    specs = [make_spec(n, 0.01 * (n + 1), budget=Budget(3), view=ALTERED) for n in range(4)]
    together = curves(digits, specs)
    assert together[2] == curves(digits, [specs[2]])[0]
    twins = [replace(specs[0], order_seed=s) for s in (0, 1)]
    assert curves(digits, twins[:1]) != curves(digits, twins[1:])


def test_every_epoch_is_drawn_anew(digits, make_spec):
    """A minibatch of all rows is in each epoch the same, but for what is drawn."""
    alike = make_spec(0, 1e-30, batch_size=2000, budget=Budget(4), net=Net((64, 5, 10)))
    seen = [
        {round(loss, 4) for _, loss in train_cohort(Task((spec,)), digits, Watch())[0].losses}
        for spec in (replace(alike, view=ALTERED), alike)
    ]
    assert [len(losses) for losses in seen] == [4, 1]


def test_overfit_and_sanity_train_on_rows_as_they_are(digits):
    config = Config.model_validate({"data": {"augment": "flip+shift1"}})
    for stage in (overfit, sanity):
        specs = stage.plan(Context(config, digits, stage.STAGE.name), [])
        assert not any(spec.view.augment.alters for spec in specs)
    assert all(s.view == ALTERED for s in sweep.plan(Context(config, digits, "sweep"), []))


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
