"""Small data sets and specs that many tests share."""

import os
import signal

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in the background of a script
    signal.signal(signal.SIGINT, signal.default_int_handler)
os.environ["OPENBLAS_NUM_THREADS"] = "1"

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

from hpsearch.data import Dataset, Source, load
from hpsearch.nn.net import Net
from hpsearch.spec import Budget, Rates, TrialSpec

# A machine with other work to do is slow to draw examples: that is no failure.
settings.register_profile("house", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("house")


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees or leaves runs or caches anywhere else."""
    monkeypatch.setenv("HPSEARCH_RUNS_DIR", str(tmp_path / "runs"))
    monkeypatch.setenv("HPSEARCH_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "100")


@pytest.fixture(scope="session")
def digits() -> Dataset:
    return load(Source("digits"), center="feature", scale="standard")


@pytest.fixture(scope="session")
def spiral() -> Dataset:
    return load(Source("spiral"), center="none", scale="none")


@pytest.fixture
def make_spec(digits: Dataset) -> Callable[..., TrialSpec]:
    """A trial on digits; any field may be changed."""

    def make(number: int, learning_rate: float = 0.01, **changes: Any) -> TrialSpec:
        given: dict[str, Any] = {
            "stage": "coarse", "seed": 1000 + number, "order_seed": 0, "batch_size": 100,
            "net": Net((digits.inputs, 20, digits.n_classes)), "optimizer": "momentum",
            "rates": Rates(learning_rate, 1e-3), "budget": Budget(2),
            "hparams": {"learning_rate": learning_rate},
        }  # fmt: skip
        return TrialSpec(id=number, **{**given, **changes})

    return make


def weights_of(path: Path) -> Any:
    """The weights in an .npz file, which is closed again."""
    with np.load(path) as file:
        return file["weights"]


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)
