"""Low-discrepancy points against SciPy's, and TPE by Optuna itself."""

import contextlib
import io
import random

import numpy as np
import pytest

from hpsearch.search.samplers import POINTS, Place, halton, sobol, tpe
from hpsearch.search.space import parse_space

qmc = pytest.importorskip("scipy.stats").qmc

SPACE = parse_space({
    "rate": {"log_uniform": [1e-5, 1]}, "decay": {"zero_or_log_uniform": {"bounds": [1e-6, 1]}},
    "momentum": {"one_minus_log_uniform": [0.5, 0.999], "when": {"optimizer": "momentum"}},
    "optimizer": {"choice": ["sgd", "momentum"]}, "width": {"int_log_uniform": [8, 512]},
    "hidden": {"choice": [[10], [20, 20]]}, "warmup": {"int_uniform": [0, 4]},
})  # fmt: skip


def test_sobol_points_are_scipys():
    mine = [[sobol.point(n, d) / 2**32 for d in range(sobol.DIMENSIONS)] for n in range(1024)]
    theirs = qmc.Sobol(sobol.DIMENSIONS, scramble=False, bits=32).random(1024)
    assert np.array_equal(mine, theirs)


def test_halton_points_are_scipys(monkeypatch):
    def none(base, seed, name):
        return [list(range(base))] * 60, [0.0] * 61

    monkeypatch.setattr(halton, "_permutations", none)
    mine = [[halton.scrambled(n, halton.prime(d), 0, "") for d in range(32)] for n in range(1000)]
    theirs = qmc.Halton(32, scramble=False).random(1000)
    np.testing.assert_allclose(mine, theirs, rtol=0, atol=1e-14)


@pytest.mark.parametrize("name, theirs", [("sobol", qmc.Sobol), ("halton", qmc.Halton)])
@pytest.mark.parametrize("dimensions", [2, 4, 8])
def test_scrambled_points_are_spread_as_evenly_as_scipys(name, theirs, dimensions):
    space = parse_space({f"x{d}": {"uniform": [0, 1]} for d in range(dimensions)})

    def mine(seed):
        points = (POINTS[name](space, Place(n, 0, seed)).values() for n in range(128))
        return qmc.discrepancy([list(values) for values in points])

    own = np.mean([mine(seed) for seed in range(16)])
    other = np.mean([
        qmc.discrepancy(theirs(dimensions, rng=np.random.default_rng(seed)).random(128))
        for seed in range(16)
    ])
    assert own < 1.2 * other


# --- tpe


def score(hparams):
    """Best at a rate of 1e-2, with momentum near 0.9."""
    near = -((np.log10(hparams["rate"]) + 2) ** 2) - (hparams["optimizer"] == "sgd")
    return float(near - 10 * (hparams.get("momentum", 0.9) - 0.9) ** 2)


def searched(seed, batches=6):
    """Batch by batch, as the stage does."""
    told = []
    for batch in range(batches):
        proposed = (
            [tpe.applying(SPACE, POINTS["sobol"](SPACE, Place(n, 0, seed)), {}) for n in range(10)]
            if batch == 0 else tpe.propose(SPACE, {}, told, count=10, seed=100 * seed + batch)
        )  # fmt: skip
        told += [tpe.Told(hparams, score(hparams)) for hparams in proposed]
    return told


def test_tpe_is_a_function_of_the_seed_and_of_what_it_was_told():
    pytest.importorskip("optuna")
    random.seed(1)
    np.random.seed(1)
    first = searched(1, batches=3)
    random.seed(2)
    np.random.seed(2)
    assert searched(1, batches=3) == first != searched(2, batches=3)
    few = tpe.propose(SPACE, {}, first, count=4, seed=5)
    assert tpe.propose(SPACE, {}, first, count=9, seed=5)[:4] == few
    assert tpe.propose(SPACE, {}, first[:20], count=4, seed=5) != few


def test_tpe_draws_inside_what_applies_and_says_nothing():
    pytest.importorskip("optuna")
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        told = searched(0)
    assert not said.getvalue()
    for one in told:
        assert ("momentum" in one.hparams) == (one.hparams["optimizer"] == "momentum")
        assert 1e-5 <= one.hparams["rate"] <= 1 and 8 <= one.hparams["width"] <= 512
        assert one.hparams["hidden"] in ((10,), (20, 20)) and 0 <= one.hparams["warmup"] <= 4


def test_tpe_learns():
    """The last batches lie nearer to the optimum than Sobol's points."""
    pytest.importorskip("optuna")
    early, late = [], []
    for seed in range(4):
        told = searched(seed)
        early += [one.score for one in told[:10]]
        late += [one.score for one in told[-20:]]
    assert np.median(late) > np.median(early) + 0.5


def test_tpe_keeps_away_from_where_training_diverged():
    pytest.importorskip("optuna")
    points = [POINTS["sobol"](SPACE, Place(n, 0, 3)) for n in range(60)]
    points = [tpe.applying(SPACE, values, {}) for values in points]
    told = [tpe.Told(h, -np.inf if h["rate"] > 1e-3 else score(h)) for h in points]
    rates = np.array([h["rate"] for h in tpe.propose(SPACE, {}, told, count=20, seed=0)])
    assert np.mean(rates < 1e-3) > 0.7
    failed = [tpe.Told(hparams, None) for hparams in points]
    assert len(tpe.propose(SPACE, {}, failed, count=3, seed=0)) == 3
