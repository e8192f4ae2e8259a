"""Searches with random scores, written down so that the oracle and the tests see the same."""

import numpy as np

SPACE = {
    "learning_rate": {"log_uniform": [1e-4, 1.0]},
    "dropout": {"uniform": [0.0, 0.6]},
    "width": {"int_log_uniform": [8, 300]},
    "depth": {"int_uniform": [1, 4]},
    "activation": {"choice": ["relu", "tanh", "elu"]},
}


def search(number, trials):
    """The hparams (each a column) and the scores of a search in which some hparams matter."""
    rng = np.random.default_rng([number, trials])
    columns = {
        "learning_rate": 10 ** rng.uniform(-4, 0, trials),
        "dropout": rng.uniform(0, 0.6, trials),
        "width": np.round(10 ** rng.uniform(np.log10(8), np.log10(300), trials)).astype(int),
        "depth": rng.integers(1, 5, trials),
        "activation": rng.integers(0, 3, trials),
    }
    weights = rng.uniform(0, 0.3, 5) * rng.integers(0, 2, 5)
    rate = -((np.log10(columns["learning_rate"]) + 2) ** 2)
    parts = [rate, -columns["dropout"], np.log10(columns["width"]), -abs(columns["depth"] - 2.0),
             columns["activation"] == 1]  # fmt: skip
    scores = np.round(weights @ np.array(parts) + 0.1 * rng.standard_normal(trials), 2)
    return columns, scores


def hparams(columns):
    """One mapping per trial."""
    names = SPACE["activation"]["choice"]
    rows = zip(*(column.tolist() for column in columns.values()), strict=True)
    given = [dict(zip(columns, row, strict=True)) for row in rows]
    return [{**one, "activation": names[one["activation"]]} for one in given]


def without_depth(given):
    """Every other trial without its depth."""
    return [{k: v for k, v in one.items() if k != "depth" or n % 2} for n, one in enumerate(given)]


SIZES = (20, 50, 57, 200)
