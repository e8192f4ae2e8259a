"""Preprocessing against its formulas, on train only, row by row."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpsearch.data import Rows, Source, fit, load
from hpsearch.errors import DataError

RNG = np.random.default_rng(3)
IMAGES = RNG.integers(0, 256, (700, 4 * 3 * 2)).astype(np.uint8)
SHAPE = (4, 3, 2)
CENTERS = ("none", "feature", "channel", "mean-image")
SCALES = ("none", "standard", "channel", "unit")


def rows_of(x):
    return Rows(x, np.zeros(len(x), np.int64))


def formula(stored, center, scale):
    x = stored.astype(np.float64)
    pixels = x.reshape(-1, 2)
    shift = {
        "none": 0.0,
        "feature": x.mean(axis=0),
        "mean-image": x.mean(axis=0),
        "channel": np.tile(pixels.mean(axis=0), 12),
    }[center]
    factor = {
        "none": 1.0,
        "standard": 1 / x.std(axis=0),
        "channel": np.tile(1 / pixels.std(axis=0), 12),
        "unit": 1 / 255,
    }[scale]
    return (x - shift) * factor


@pytest.mark.parametrize(("center", "scale"), list(product(CENTERS, SCALES)))
@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
def test_the_formulas(center, scale, dtype):
    x = IMAGES.astype(dtype)
    preprocess = fit(rows_of(x), SHAPE, center, scale)
    exact = formula(x, center, scale)
    assert np.allclose(preprocess.apply(x, np.float64), exact, rtol=1e-12, atol=1e-12)
    single = preprocess.apply(x)
    assert single.dtype == np.float32
    assert np.allclose(single, exact, rtol=1e-5, atol=1e-5 * np.abs(exact).max())


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
@pytest.mark.parametrize("out_dtype", [np.float32, np.float64])
def test_a_row_is_the_same_in_any_company(dtype, out_dtype):
    x = IMAGES.astype(dtype)
    preprocess = fit(rows_of(x), SHAPE, "feature", "standard")
    whole = preprocess.apply(x, out_dtype)
    for index in ([5], [5, 3], list(range(9)), list(RNG.permutation(700))):
        assert np.array_equal(preprocess.apply(x[index], out_dtype), whole[index])
    buffer = np.empty((9, 24), out_dtype)
    assert preprocess.apply(x[:9], out_dtype, out=buffer) is buffer
    assert np.array_equal(buffer, whole[:9])


@given(
    st.sampled_from([np.uint8, np.float32, np.float64]),
    st.floats(-1e6, 1e6, allow_subnormal=False),
    st.integers(1, 900),
)
def test_constant_columns_become_zero(dtype, value, n):
    x = np.full((n, 2), abs(value) % 256 if dtype == np.uint8 else value).astype(dtype)
    x[:, 1] = np.arange(n) % 7
    for center in ("none", "feature"):
        seen = fit(rows_of(x), None, center, "standard").apply(x)
        assert np.array_equal(seen[:, 0], np.zeros(n)) and np.isfinite(seen).all()


def test_rounding_noise_is_constant_but_small_spreads_are_not():
    noise = 0.1 + np.spacing(0.1) * (np.arange(500) % 2)
    stamps = 1.7e18 + 3.6e12 * RNG.normal(size=500)
    preprocess = fit(rows_of(np.stack([noise, stamps], axis=1)), None, "feature", "standard")
    assert preprocess.factor[0] == 0
    seen = preprocess.apply(np.stack([noise, stamps], axis=1))[:, 1]
    assert abs(seen.mean()) < 1e-5 and abs(seen.std() - 1) < 1e-5


@given(st.floats(-1e9, 1e9), st.floats(1e-3, 1e3))
def test_statistics_do_not_suffer_from_offsets(offset, spread):
    x = (offset + spread * np.sin(np.arange(1200)))[:, None]
    preprocess = fit(rows_of(x), None, "feature", "standard")
    centred = x - x[0]
    rounding = 1e-6 * spread + 2 * np.spacing(abs(offset) + spread)
    assert np.isclose(preprocess.shift[0] - x[0, 0], centred.mean(), rtol=1e-6, atol=rounding)
    assert np.isclose(1 / preprocess.factor[0], centred.std(), rtol=1e-6)


def test_time_stamps_keep_their_seconds():
    x = (1.7e9 + np.arange(1000.0))[:, None]
    seen = fit(rows_of(x), None, "feature", "none").apply(x)[:, 0]
    assert np.array_equal(np.diff(seen), np.ones(999, np.float32))


def test_statistics_come_from_train_only(tmp_path):
    x, y = RNG.normal(size=(60, 3)), np.arange(60) % 2
    np.savez(tmp_path / "a.npz", x_train=x, y_train=y, x_val=x + 1e6, y_val=y, x_test=-x, y_test=y)
    path = tmp_path / "a.npz"
    data = load(Source("npz", path), center="feature", scale="standard")
    seen = data.batch(data.train, slice(None), np.float64)
    assert np.allclose(seen.mean(axis=0), 0) and np.allclose(seen.std(axis=0), 1)
    assert data.batch(data.validation, slice(None)).min() > 1e5


def test_numbers_that_are_not_finite_stay_in_their_column():
    x = RNG.normal(size=(50, 4))
    x[0, 1], x[7, 2] = np.nan, np.inf
    seen = fit(rows_of(x), None, "feature", "standard").apply(x)
    assert np.isfinite(seen[:, [0, 3]]).all()
    assert not np.isfinite(seen[:, 1]).any() and not np.isfinite(seen[7, 2])


@pytest.mark.parametrize(
    ("center", "scale", "words"),
    [
        ("channel", "none", r"preprocess\.center: channel is for images.* set feature"),
        ("mean-image", "none", r"preprocess\.center: mean-image is for images"),
        ("none", "channel", r"preprocess\.scale: channel is for images.* set standard"),
        ("middle", "none", r"preprocess\.center: must be one of none, feature"),
    ],
)
def test_settings_that_do_not_fit_the_data(center, scale, words):
    with pytest.raises(DataError, match=words):
        fit(rows_of(np.ones((5, 2))), None, center, scale)


def test_values_too_far_apart_are_an_error_not_silence():
    with pytest.raises(DataError, match="column 1: values too far apart"):
        fit(rows_of(np.array([[0.0, 1e300], [1.0, -1e300]])), None, "feature", "standard")
