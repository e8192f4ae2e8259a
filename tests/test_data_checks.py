"""The audit's tests of features, labels and split: their numbers, and what is caught by them."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpsearch.config.load import find, load
from hpsearch.data import Rows, Source, blocks, drift, leakage, signal
from hpsearch.data import load as load_data
from hpsearch.stages.context import Context
from hpsearch.stages.data import STAGE

RNG = np.random.default_rng(4)


def checks(tmp_path, data, *overrides):
    """The audit's checks by name."""
    config = load(find("digits", runs_dir=tmp_path, cwd=tmp_path), overrides)
    return {c.name: c for c in STAGE.judge(Context(config, data, "data"), []).checks}


def table(folder, **arrays):
    np.savez(folder / "table.npz", **arrays)
    source = Source("npz", folder / "table.npz", test=0)
    return load_data(source, center="feature", scale="standard")


def flowers(rows=150, columns=5, apart=1.5):
    """Rows of three classes that overlap, and their labels."""
    y = np.arange(rows) % 3
    return RNG.normal(size=(rows, columns)) + apart * RNG.normal(size=(3, columns))[y], y


# --- leakage


def told(column, y):
    """How many rows the five nearest of the other folds name rightly; the slow and plain way."""
    right = 0
    for row, value in enumerate(column):
        others = np.flatnonzero(np.arange(len(y)) % 5 != row % 5)
        nearest = others[np.argsort(abs(column[others] - value), kind="stable")[:5]]
        right += np.bincount(y[nearest]).argmax() == y[row]
    return right


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
def test_accuracies_of_single_features(monkeypatch, dtype):
    """Of two classes, so that no vote is a tie."""
    monkeypatch.setattr(leakage, "CELLS", 500)
    y = RNG.integers(0, 2, 83)
    distinct = np.array([RNG.permutation(83) ** 2 / 28 + 3 * y for _ in range(9)]).T
    x = distinct.astype(dtype)
    found = leakage.accuracies(x, y) * 83
    expected = [told(x[:, k].astype(float), y) for k in range(9)]
    tolerance = 5 if dtype == np.uint8 else 2  # equal distances may go either way
    assert np.abs(found - expected).max() <= tolerance


def test_a_feature_of_numbers_that_are_not_finite_tells_nothing():
    y = RNG.integers(0, 2, 100)
    x = np.column_stack([y, y]).astype(float)
    x[5, 0] = np.nan
    accuracies = leakage.accuracies(x, y)
    assert accuracies[1] == 1 and accuracies[0] < 0.8


@pytest.mark.parametrize("noise", [0, 0.1])
def test_a_leaked_target_is_named(tmp_path, noise):
    x, y = flowers()
    x[:, 3] = 7 * y + 7 * noise * RNG.normal(size=len(y))
    found = checks(tmp_path, table(tmp_path, x=x, y=y))["leakage"]
    assert found.verdict == "warn" and found.value >= 0.99
    assert "feature 3 alone predicts" in found.message and "data.drop" in found.fix
    calm = "data.audit.leakage_accuracy=1", "data.audit.leakage_error=0"
    assert checks(tmp_path, table(tmp_path, x=x, y=y), *calm)["leakage"].verdict == "pass"


def test_a_feature_must_beat_the_majority_clearly(tmp_path):
    """Always answering one class is right as often."""
    x, y = RNG.normal(size=(900, 4)), (np.arange(900) % 150 == 0).astype(int)
    found = checks(tmp_path, table(tmp_path, x=x, y=y))["leakage"]
    assert found.value >= 0.99 and found.verdict == "pass"


def test_too_few_rows_tell_nothing(tmp_path):
    x, y = flowers(9)
    data = table(tmp_path, x=x, y=y)
    found = checks(tmp_path, data)
    assert {found[name].verdict for name in ("leakage", "label-signal", "split-statistics")} == {
        "pass"
    }
    assert found["leakage"].message == "too few rows to tell" and found["leakage"].value is None


def test_row_numbers_are_mentioned_and_do_no_harm(tmp_path):
    x, y = flowers()
    order = RNG.permutation(150)
    numbered = np.column_stack([x[order], 1000 + np.arange(150)])
    found = checks(tmp_path, table(tmp_path, x=numbered, y=y[order]))["leakage"]
    assert found.verdict == "pass" and "feature 5 only numbers the rows" in found.message
    for other in (RNG.permutation(150), np.arange(150) + 0.5, np.arange(150) // 2):
        numbered[:, 5] = other
        found = checks(tmp_path, table(tmp_path, x=numbered, y=y[order]))["leakage"]
        assert found.verdict == "pass" and "numbers" not in found.message


# --- label signal


@pytest.mark.parametrize("which", ["spiral", "digits"])
@pytest.mark.parametrize("shuffled", [False, True])
def test_labels_without_signal_are_warned_of(tmp_path, spiral, digits, which, shuffled):
    """The spiral is seen by its nearest rows alone, digits by both."""
    data = {"spiral": spiral, "digits": digits}[which]
    if shuffled:
        labels = {n: RNG.permutation(getattr(data, n).y) for n in ("train", "validation")}
        splits = {n: replace(getattr(data, n), y=y) for n, y in labels.items()}
        data = replace(data, **splits)
    found = checks(tmp_path, data)["label-signal"]
    assert found.verdict == ("warn" if shuffled else "pass")
    assert (found.value < 3) == shuffled and ("no signal" in found.message) == shuffled


def test_the_simple_classifiers(spiral):
    x = spiral.batch(spiral.validation, slice(None))
    train = spiral.batch(spiral.train, slice(None))
    apart = np.linalg.norm(x[:, None].astype(float) - train, axis=2)
    expected = spiral.train.y[apart.argmin(axis=1)]
    assert np.array_equal(signal.nearest_neighbour(spiral, spiral.train, x), expected)
    means = np.array([train[spiral.train.y == k].mean(axis=0) for k in range(3)])
    expected = np.linalg.norm(x[:, None] - means, axis=2).argmin(axis=1)
    assert np.array_equal(signal.nearest_centroid(spiral, spiral.train, x), expected)
    found = signal.signal(spiral, 1000)
    assert found.rows == 30 and found.majority == (spiral.validation.y == 0).mean()
    assert signal.signal(spiral, 20).rows == 20


def test_one_class_too_large_to_tell_is_no_alarm(tmp_path):
    x, y = RNG.normal(size=(200, 4)), (np.arange(200) % 20 == 0).astype(int)
    found = checks(tmp_path, table(tmp_path, x=x, y=y))["label-signal"]
    assert found.verdict == "pass" and "too large, to tell" in found.message


# --- split statistics

columns = st.lists(st.integers(0, 4), min_size=1, max_size=12)


@given(columns, columns)
def test_distances_of_distributions(a, b):
    """At every value, the shares of rows up to it, as fractions."""
    apart = max(
        abs(Fraction(sum(x <= v for x in a), len(a)) - Fraction(sum(x <= v for x in b), len(b)))
        for v in a + b
    )
    found = drift.distances(np.array([a], float).T, np.array([b], float).T)
    assert found == [pytest.approx(float(apart), abs=1e-15)]


def test_kolmogorov_s_critical_values():
    """As every table of the test has them."""
    for t, p in ((1.2238, 0.1), (1.3581, 0.05), (1.6276, 0.01), (1.9495, 0.001)):
        assert drift.kolmogorov(t) == pytest.approx(p, rel=3e-4)
    assert drift.kolmogorov(0) == 1 and drift.kolmogorov(30) == 0
    assert np.diff([drift.kolmogorov(t) for t in np.linspace(0, 3, 99)]).max() <= 0


def test_equal_distributions_alarm_as_seldom_as_the_p_value_says():
    n, m, features = 200, 40, 4000
    found = drift.distances(RNG.normal(size=(n, features)), RNG.normal(size=(m, features)))
    p = np.array([drift.kolmogorov(d * np.sqrt(n * m / (n + m))) for d in found])
    assert [(p < level).mean() <= 1.3 * level for level in (0.3, 0.1, 0.03)] == [True] * 3
    assert (p < 0.1).mean() > 0.05


def split_of(x, y, held):
    kept = np.setdiff1d(np.arange(len(y)), held)
    return {"x_train": x[kept], "y_train": y[kept], "x_val": x[held], "y_val": y[held]}


def test_distances_of_numbers_that_are_not_finite_are_none():
    a, b = RNG.normal(size=(30, 3)), 5 + RNG.normal(size=(20, 3))
    a[3, 0], b[4, 1] = np.nan, np.inf
    found = drift.distances(a, b)
    assert found[:2].tolist() == [0, 0] and found[2] > 0.9


def test_sameness_is_in_standard_errors(tmp_path):
    x, y = flowers(120)
    data = table(tmp_path, **split_of(x, y, np.arange(20)))
    train, validation = x[20:], x[:20]
    means = abs(validation.mean(0) - train.mean(0)) / (train.std(0) / np.sqrt(20))
    spreads = abs(validation.std(0) / train.std(0) - 1)
    assert drift.sameness(data) == pytest.approx(max(*means, *spreads))
    assert drift.sameness(table(tmp_path, x=x, y=y)) is None
    pixels = np.arange(100, dtype=np.uint8).reshape(20, 5)
    assert drift.sameness(table(tmp_path, **split_of(pixels, y[:20], np.arange(5)))) is None


def test_validation_prepared_otherwise_is_warned_of(tmp_path, digits):
    x, y = digits.validation.gather() / 2.0, digits.validation.y
    data = replace(digits, validation=Rows(x, y))
    found = checks(tmp_path, data)["split-statistics"]
    assert found.verdict == "warn" and found.value < 1e-9 and "pixel" in found.message


def test_a_sorted_split_is_warned_of(tmp_path):
    x, y = flowers(300)
    for held, verdict in ((np.argsort(x[:, 2])[:30], "warn"), (np.arange(30), "pass")):
        data = table(tmp_path, **split_of(x, y, held))
        found = checks(tmp_path, data)["split-statistics"]
        assert found.verdict == verdict
        assert "feature 2" in found.message or verdict == "pass"


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_validation_normalised_by_itself_is_warned_of(tmp_path, dtype):
    x, y = flowers(400)
    split = split_of(x, y, np.arange(60))
    right = {n: (a - x.mean(0)) / x.std(0) if n[0] == "x" else a for n, a in split.items()}
    apart = {n: (a - a.mean(0)) / a.std(0) if n[0] == "x" else a for n, a in split.items()}
    for arrays, verdict in ((right, "pass"), (apart, "warn")):
        arrays = {n: a.astype(dtype) if n[0] == "x" else a for n, a in arrays.items()}
        found = checks(tmp_path, table(tmp_path, **arrays))["split-statistics"]
        assert found.verdict == verdict
        assert ("normalised by itself" in found.message) == (verdict == "warn")


def test_few_validation_rows_are_mentioned(tmp_path):
    for rows, few in ((150, True), (400, False)):
        x, y = flowers(rows)
        found = checks(tmp_path, table(tmp_path, x=x, y=y))["split-statistics"]
        assert found.verdict == "pass" and ("rows tell an accuracy to ±" in found.message) == few


# --- all of them


def test_an_audit_of_broken_numbers_ends(tmp_path):
    """Whatever they are: the check for them fails, and no other crashes."""
    x, y = flowers()
    x[3, 1], x[140, 2] = np.nan, np.inf
    for whiten in ("none", "zca"):
        np.savez(tmp_path / "table.npz", x=x, y=y)
        source = Source("npz", tmp_path / "table.npz")
        data = load_data(source, center="feature", scale="standard", whiten=whiten)
        assert checks(tmp_path, data)["non-finite"].verdict == "fail"


@pytest.mark.parametrize("size", [1e38, 1e300])
def test_an_audit_of_numbers_too_large_for_float32_ends(tmp_path, size):
    x, y = flowers()
    np.savez(tmp_path / "table.npz", x=x.astype(np.float64) * size, y=y)
    data = load_data(Source("npz", tmp_path / "table.npz"), center="feature", scale="none")
    assert checks(tmp_path, data)["label-signal"].verdict in ("pass", "warn")


def test_columns_are_looked_at_in_blocks(monkeypatch, digits, tmp_path):
    whole = checks(tmp_path, digits)
    monkeypatch.setattr(blocks, "CELLS", 20_000)
    assert checks(tmp_path, digits) == whole


@pytest.mark.parametrize("whiten", ["pca", "zca"])
def test_whitened_digits_have_nothing_to_warn_of(tmp_path, whiten):
    data = load_data(Source("digits"), center="feature", scale="standard", whiten=whiten)
    assert {str(c.verdict) for c in checks(tmp_path, data).values()} == {"pass"}
    facts = STAGE.judge(Context(load(find("digits", runs_dir=tmp_path, cwd=tmp_path)),
                                data, "data"), []).facts  # fmt: skip
    assert facts["features"][0] == {"pca": "component 1", "zca": "pixel 0"}[whiten]


def test_one_duplicate_row_is_no_alarm(tmp_path):
    x, y = flowers()
    for twins, verdict in ((1, "pass"), (2, "fail")):
        split = split_of(x, y, np.arange(15))
        for part in "xy":
            split[f"{part}_val"][:twins] = split[f"{part}_train"][:twins]
        found = checks(tmp_path, table(tmp_path, **split))["duplicate-rows"]
        assert found.verdict == verdict and found.message.startswith(f"{twins} of 15")


@pytest.mark.parametrize("names, verdict", [(("cat", "Cat", "dog"), "warn"), (("a b", "ab", "c"),
                         "warn"), (("cat", "cats", "dog"), "pass")])  # fmt: skip
def test_classes_spelt_alike_are_warned_of(tmp_path, names, verdict):
    x, y = flowers()
    data = replace(table(tmp_path, x=x, y=y), classes=names)
    found = checks(tmp_path, data)["labels"]
    assert found.verdict == verdict and (repr(names[1]) in found.message) == (verdict == "warn")
