"""Rows whitened by scikit-learn's PCA."""

import numpy as np
from sklearn.decomposition import PCA

from .golden import Arrays


def make() -> Arrays:
    """Rows (40, 6) that hang together, five new ones, and both whitened by scikit-learn.

    Its PCA divides by the variances of N - 1; here they are of N, and 1e-5 is added to each.
    """
    rng = np.random.default_rng(6)
    rows = 3 + rng.normal(size=(40, 6)) @ rng.normal(size=(6, 6)) * [1, 5, 0.2, 1, 1, 30]
    new = rng.normal(size=(5, 6)) * 10
    spread = rows.std(axis=0)
    pca = PCA(svd_solver="full").fit(rows / spread)
    variance = pca.explained_variance_ * (len(rows) - 1) / len(rows)
    turned = pca.transform(np.concatenate([rows, new]) / spread) / np.sqrt(variance + 1e-5)
    return {"rows": rows, "new": new, "pca": turned, "zca": turned @ pca.components_}
