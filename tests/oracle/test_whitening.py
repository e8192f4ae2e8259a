"""Whitening against scikit-learn's PCA."""

import numpy as np
import pytest
from sklearn.decomposition import PCA

from hpsearch.data import Rows, Source, fit, load
from hpsearch.data.whitening import EPSILON


def rows_of(x):
    return Rows(x, np.zeros(len(x), np.int64))


def up_to_sign(found, expected):
    """`found` with each column's sign that of `expected`."""
    return found * np.sign((found * expected).sum(axis=0))


@pytest.mark.parametrize("shape", [(300, 8), (20, 3), (400, 64), (7, 12)])
@pytest.mark.parametrize("scale", ["none", "standard"])
def test_pca_is_that_of_scikit_learn(shape, scale):
    """Its `whiten` adds nothing to the variances: axis by axis that factor is put back."""
    rng = np.random.default_rng(shape[1])
    x = rng.normal(size=shape) @ rng.normal(size=(shape[1], shape[1]))
    rank = min(shape[0] - 1, shape[1])
    pca = PCA(rank, whiten=True, svd_solver="full")
    oracle = pca.fit_transform(x / (x.std(axis=0) if scale == "standard" else 1))
    n = shape[0]
    variance = pca.explained_variance_ * (n - 1) / n
    oracle *= np.sqrt(n / (n - 1) * variance / (variance + EPSILON))
    seen = fit(rows_of(x), None, "feature", scale, whiten="pca").apply(x, np.float64)
    assert np.allclose(up_to_sign(seen[:, :rank], oracle), oracle, rtol=1e-9, atol=1e-9)
    assert np.array_equal(seen[:, rank:], np.zeros((n, shape[1] - rank)))


def test_pca_of_digits_is_that_of_scikit_learn():
    data = load(Source("digits"), center="feature", scale="none", whiten="pca")
    raw = [rows.gather().astype(np.float64) for rows in (data.train, data.validation)]
    pca = PCA(61, whiten=True, svd_solver="full").fit(raw[0])
    n = len(raw[0])
    variance = pca.explained_variance_ * (n - 1) / n
    for rows, x in zip((data.train, data.validation), raw, strict=True):
        oracle = pca.transform(x) * np.sqrt(n / (n - 1) * variance / (variance + EPSILON))
        seen = data.batch(rows, slice(None), np.float64)[:, :61]
        assert np.abs(up_to_sign(seen, oracle) - oracle).max() < 1e-8
