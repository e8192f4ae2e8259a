"""Searches that are interrupted, and those that run elsewhere: a few of what the scripts count."""

import pytest
from resumes import Resumes
from same_bits import SameBits
from tiny_run import quickly


@pytest.fixture(autouse=True)
def _quickly(monkeypatch):
    quickly(monkeypatch)


def test_interrupted_searches_end_as_undisturbed_ones(tmp_path):
    """Nothing finished is trained again, and a finished run has nothing left to do."""
    resumes = Resumes(tmp_path, seed=1)
    resumes.one("sobol", halving=True, often=True)
    assert not resumes.faults and resumes.interrupted.total() > 1 and resumes.kept > 10


def test_a_search_leaves_the_same_bytes_wherever_it_is_trained(tmp_path):
    bits = SameBits(tmp_path, seed=1)
    bits.everywhere("optimizers", places=("in-process", "threads", "forks"), jobs=(2,), repeats=1)
    bits.in_the_middle("layer norm, sobol", 1)
    assert not bits.faults and not bits.bytes
    assert bits.records >= 40 and bits.killed.total() == 1
