"""Healthy set-ups raise no alarm: none of `data`, `sanity`, `overfit` and `sweep` fails on any,
at most one of their checks warns, and on most of them none does. The faults that the same checks
must find are in the tests of each stage; `python -m benchmarks alarms` counts over more seeds.
"""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from benchmarks.alarms import QUICK, SETUPS, alarms, config_of
from hpsearch.nn.activations import ACTIVATIONS
from hpsearch.nn.losses import LOSSES
from hpsearch.nn.normalization import NORMALIZATIONS
from hpsearch.nn.optimizers import OPTIMIZERS


@cache
def raised(setup, seed=0):
    """What each check that does not pass says, and its verdict, by name."""
    with TemporaryDirectory() as folder:
        found = alarms(setup, Path(folder), seed)
    return {name: (str(check.verdict), check.message) for name, check in found.items()}


def assert_healthy(found):
    assert len(found) <= 1 and "fail" not in {verdict for verdict, _ in found.values()}, found


@pytest.mark.parametrize("setup", QUICK)
def test_a_healthy_set_up_has_one_warning_at_most(setup):
    assert_healthy(raised(setup))


@pytest.mark.parametrize(
    "setup, seed, check",
    [
        ("digits", 3, "constant-features"),  # a pixel that is lit in one validation row alone
        ("blobs dropout=0.5 activation=gelu batch_size=20", 8, "train-eval-agreement"),
        ("blobs space", 8, "initial-loss"),  # a corner's mean of five draws, by chance
    ],
)
def test_what_once_was_a_false_alarm_is_none(setup, seed, check):
    assert check not in raised(setup, seed)


def test_most_healthy_set_ups_have_none():
    assert sum(not raised(setup) for setup in QUICK) >= 0.75 * len(QUICK)


def test_the_set_ups_span_every_family(tmp_path):
    configs = [config_of(setup, tmp_path, 0) for setup in QUICK]
    assert {c.model.activation for c in configs} == set(ACTIVATIONS)
    assert {c.model.normalization for c in configs} == {"none", *NORMALIZATIONS}
    assert {c.train.optimizer for c in configs} == set(OPTIMIZERS)
    assert {c.train.loss for c in configs} == set(LOSSES)
    assert {c.data.preprocess.whiten for c in configs} == {"none", "pca", "zca"}
    assert {len(c.model.hidden) for c in configs} >= {1, 2, 3, 4}


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("setup", SETUPS)
def test_a_healthy_set_up_has_one_warning_at_most_whatever_the_split(setup, seed):
    assert_healthy(raised(setup, seed))
