"""The audit's statistics against scikit-learn's and SciPy's."""

import numpy as np
import pytest
from scipy.special import kolmogorov as scipy_kolmogorov
from scipy.stats import ks_2samp
from sklearn.model_selection import cross_val_score
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid

from hpsearch.data import Source, load
from hpsearch.data.drift import distances, kolmogorov
from hpsearch.data.leakage import accuracies
from hpsearch.data.signal import nearest_centroid, nearest_neighbour


@pytest.mark.parametrize(("n", "m"), [(3, 2), (5, 3), (200, 15), (90, 400)])
def test_distances_are_those_of_scipy(n, m):
    rng = np.random.default_rng(n)
    a, b = rng.normal(size=(n, 20)), rng.normal(0.3, 1, size=(m, 20))
    a[:, 10:], b[:, 10:] = np.round(2 * a[:, 10:]), np.round(2 * b[:, 10:])  # many are equal
    oracle = [ks_2samp(a[:, k], b[:, k], method="asymp").statistic for k in range(20)]
    assert np.allclose(distances(a, b), oracle, rtol=0, atol=1e-15)


def test_p_values_are_those_of_scipy():
    for t in np.linspace(0, 6, 400):
        assert kolmogorov(t) == pytest.approx(scipy_kolmogorov(t), rel=1e-10, abs=1e-12)


@pytest.mark.parametrize(("rows", "classes"), [(40, 2), (61, 3), (300, 7)])
def test_accuracies_are_those_of_scikit_learn(rows, classes):
    """But for ties, which two classes cannot have in five votes, and are broken otherwise here."""
    rng = np.random.default_rng(rows)
    y = rng.integers(0, classes, rows)
    x = rng.normal(size=(rows, 6)) + y[:, None] * np.linspace(0, 3, 6)
    found = accuracies(x, y) * rows
    folds = [(np.flatnonzero(np.arange(rows) % 5 != k), np.arange(k, rows, 5)) for k in range(5)]
    for column in range(6):
        scores = cross_val_score(
            KNeighborsClassifier(5), x[:, [column]], y, cv=folds, scoring="accuracy"
        )
        sizes = [len(held_out) for _, held_out in folds]
        ties = 0 if classes == 2 else 0.08 * rows
        assert abs(found[column] - scores @ sizes) <= ties + 1e-9


@pytest.mark.filterwarnings("ignore:self.within_class_std_dev_")  # three pixels never change
def test_the_simple_classifiers_are_scikit_learn_s():
    data = load(Source("digits"), center="feature", scale="standard")
    x, asked = (data.batch(rows, slice(None)) for rows in (data.train, data.validation))
    for ours, theirs in (
        (nearest_centroid, NearestCentroid()), (nearest_neighbour, KNeighborsClassifier(1)),
    ):  # fmt: skip
        expected = theirs.fit(x, data.train.y).predict(asked)
        assert (ours(data, data.train, asked) == expected).mean() == 1
