"""Preprocessing against its formulas, on train only, row by row."""

import json
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from hpsearch.cli import app
from hpsearch.data import Rows, Source, fit, load
from hpsearch.errors import DataError

GOLDEN = Path(__file__).parent / "golden"
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


@pytest.mark.parametrize("whiten", ["pca", "zca"])
def test_whitening_is_that_of_the_golden_file(whiten):
    with np.load(GOLDEN / "whitening.npz") as golden:
        preprocess = fit(rows_of(golden["rows"]), None, "feature", "standard", whiten=whiten)
        seen = preprocess.apply(np.concatenate([golden["rows"], golden["new"]]), np.float64)
        expected = golden[whiten]
    if whiten == "pca":  # the sign of an axis is anyone's choice
        seen *= np.sign((seen * expected).sum(axis=0))
    assert np.allclose(seen, expected, rtol=1e-9, atol=1e-9)


def covariance_of(seen):
    return np.cov(seen, rowvar=False, bias=True)


@pytest.mark.parametrize("whiten", ["pca", "zca"])
@pytest.mark.parametrize(("center", "scale"), [("feature", "standard"), ("mean-image", "unit")])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
def test_whitened_rows_hang_together_no_more(whiten, center, scale, dtype):
    """Their covariance is S / (S + 1e-5) along the axes of the rows' own, S their variances."""
    x = (IMAGES // 2 + IMAGES[:, ::-1] // 2).astype(dtype)
    x[:, 5] = 7
    whitened = fit(rows_of(x), SHAPE, center, scale, whiten=whiten)
    plain = fit(rows_of(x), SHAPE, center, scale).apply(x, np.float64)
    variance, axes = np.linalg.eigh(covariance_of(plain))
    expected = variance / (variance + 1e-5)
    seen = whitened.apply(x, np.float64)
    assert np.abs(seen.mean(axis=0)).max() < 1e-9
    if whiten == "pca":
        assert np.allclose(covariance_of(seen), np.diag(expected[::-1]), atol=1e-8)
    else:
        assert np.allclose(covariance_of(seen), axes @ np.diag(expected) @ axes.T, atol=1e-8)
        assert np.array_equal(seen[:, 5], np.zeros(len(x)))
    assert np.abs(whitened.apply(x) - seen).max() < 1e-3
    buffer = np.empty((9, 24), np.float32)
    assert whitened.apply(x[:9], out=buffer) is buffer
    assert np.allclose(buffer, seen[:9], atol=1e-3)


def test_zca_stays_as_near_to_the_columns_as_whitened_rows_can():
    x = RNG.normal(size=(500, 4)) @ (np.eye(4) + 0.3)
    seen = fit(rows_of(x), None, "feature", "standard", whiten="zca").apply(x, np.float64)
    plain = fit(rows_of(x), None, "feature", "standard").apply(x, np.float64)
    own = [np.corrcoef(seen[:, k], plain[:, k])[0, 1] for k in range(4)]
    assert min(own) > 0.8 and abs(covariance_of(seen) - np.eye(4)).max() < 1e-4


@pytest.mark.parametrize("whiten", ["pca", "zca"])
@pytest.mark.parametrize("rows", [1, 5, 24])
def test_what_the_training_rows_do_not_span_is_left_out(whiten, rows):
    """More columns than rows: new rows are not blown up along axes that nobody has seen."""
    x, new = RNG.normal(size=(rows, 30)), RNG.normal(size=(40, 30))
    preprocess = fit(rows_of(x), None, "feature", "none", whiten=whiten)
    assert np.linalg.matrix_rank(preprocess.rotation) == rows - 1
    assert np.abs(preprocess.apply(new, np.float64)).max() < 30


def test_an_axis_points_one_way_whatever_the_order_of_the_rows():
    x = RNG.normal(size=(200, 5)) @ RNG.normal(size=(5, 5))
    first, again = (
        fit(rows_of(rows), None, "feature", "standard", whiten="pca").rotation
        for rows in (x, x[RNG.permutation(200)])
    )
    assert np.allclose(first, again, atol=1e-9)
    assert (np.take_along_axis(first, abs(first).argmax(axis=0)[None], axis=0) > 0).all()


def test_whitening_statistics_come_from_train_only(tmp_path):
    x, y = RNG.normal(size=(60, 3)), np.arange(60) % 2
    np.savez(tmp_path / "a.npz", x_train=x, y_train=y, x_val=x * 9, y_val=y)
    path = tmp_path / "a.npz"
    data = load(Source("npz", path, test=0), center="feature", scale="none", whiten="zca")
    seen = data.batch(data.train, slice(None), np.float64)
    assert np.allclose(covariance_of(seen), np.eye(3), atol=1e-4)
    assert covariance_of(data.batch(data.validation, slice(None))).max() > 50
    plain = load(Source("npz", path, test=0), center="feature", scale="none")
    assert plain.fingerprint != data.fingerprint


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_whitening_of_numbers_that_are_not_finite_ends_in_nan(bad):
    x = RNG.normal(size=(50, 4))
    x[3, 1] = bad
    seen = fit(rows_of(x), None, "feature", "standard", whiten="zca").apply(x)
    assert np.isnan(seen).all()


@pytest.mark.parametrize("center", ["none", "channel"])
def test_whitening_must_begin_at_the_mean(center):
    with pytest.raises(DataError, match=r"whiten: zca must begin at the mean.*set that to feat"):
        fit(rows_of(IMAGES), SHAPE, center, "standard", whiten="zca")


def test_whitening_refuses_what_cannot_be_squared():
    x = np.array([[0.0, 1e300], [1.0, -1e300]])
    with pytest.raises(DataError, match="column 1: values too far apart"):
        fit(rows_of(x), None, "feature", "none", whiten="pca")


def test_components_have_names_of_their_own():
    fitted = [fit(rows_of(IMAGES), None, "feature", "none", whiten=w) for w in ("zca", "pca")]
    plain, pca = (preprocess.names("abc") for preprocess in fitted)
    assert list(plain) == ["a", "b", "c"]
    assert list(pca) == ["component 1", "component 2", "component 3"]


@pytest.mark.parametrize("whiten", ["pca", "zca"])
def test_the_exported_model_whitens(tmp_path, monkeypatch, digits, whiten):
    """Its arrays alone, applied to raw rows, are as right as the best trial says it was."""
    monkeypatch.chdir(tmp_path)
    options = [
        "search.coarse={trials: 2, epochs: 2}", f"data.preprocess.whiten={whiten}",
        "search.space={learning_rate: {log_uniform: [0.03, 0.1]}}",
    ]  # fmt: skip
    sets = [word for option in options for word in ("--set", option)]
    found = CliRunner().invoke(app, ["search", "digits", "--json", *sets])
    with np.load(tmp_path / "runs" / "digits" / "coarse" / "best.npz") as file:
        best = dict(file)
    first, second, hidden, output = np.split(best["weights"], np.cumsum([3200, 500, 50]))
    x = (digits.validation.gather() - best["shift"]) * best["factor"] @ best["rotation"]
    x = np.maximum(x @ first.reshape(50, 64).T + hidden, 0) @ second.reshape(10, 50).T + output
    right = (x.argmax(axis=1) == digits.validation.y).mean()
    assert right == json.loads(found.stdout)["best"]["val_accuracy"] > 0.5
