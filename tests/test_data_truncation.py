"""A data file that is cut short while it is in use: said in one line, wherever it is noticed."""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from test_runner import runner

from hpsearch.data import Source, arrays, load
from hpsearch.data.truncation import truncation_said
from hpsearch.errors import DataError
from hpsearch.store import RunStore
from hpsearch.trial import Status

# The command line, with a data file that is mapped and, when a function is called for the n-th
# time, cut to one page.
CUT = """
import importlib, os, sys
from hpsearch.data import arrays
from hpsearch.__main__ import main

module, name, after = sys.argv[1].split(":")
arrays.MAPPED_FROM = 0
module = importlib.import_module(module)
function, calls = getattr(module, name), []

def cutting(*given, **named):
    calls.append(1)
    if len(calls) == int(after):
        os.truncate("x.npy", 4096)
    return function(*given, **named)

setattr(module, name, cutting)
sys.argv[1:2] = []
main()
"""
CONFIG = """
name: cut
data: {source: npz, path: x.npy, preprocess: {center: none, scale: unit}}
model: {hidden: [5]}
search: {space: {learning_rate: {log_uniform: [1e-3, 1e-1]}}, coarse: {trials: 6, epochs: 2}}
"""
pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGBUS"), reason="it is of POSIX")


@pytest.fixture
def folder(tmp_path, rng):
    """A config with data of 400 pages."""
    np.save(tmp_path / "x.npy", rng.integers(0, 256, (4000, 400), np.uint8))
    np.save(tmp_path / "y.npy", rng.integers(0, 3, 4000))
    (tmp_path / "cut.yaml").write_text(CONFIG)
    return tmp_path


def cut(folder, where, *words, **environment):
    """What the command said and how it ended, with the file cut `where` (module:function:n)."""
    return subprocess.run(
        [sys.executable, "-c", CUT, where, *words], cwd=folder, capture_output=True, text=True,
        env={**os.environ, **environment},
    )  # fmt: skip


SEARCH = ("search", "cut.yaml", "--stage", "coarse", "--jobs")


@pytest.mark.parametrize(
    ("where", "words", "kind"),
    [
        ("hpsearch.training:minibatches:2", (*SEARCH, "1"), "in-process"),
        ("hpsearch.training:minibatches:2", (*SEARCH, "2"), "processes"),
        pytest.param("hpsearch.training:minibatches:2", (*SEARCH, "2"), "threads",
                     marks=pytest.mark.slow),
        pytest.param("hpsearch.data.audit:duplicates:1", ("data", "cut.yaml"), "in-process",
                     marks=pytest.mark.slow),
        pytest.param("hpsearch.data.sources:fingerprint:1", ("data", "cut.yaml"), "in-process",
                     marks=pytest.mark.slow),
    ],
)  # fmt: skip
def test_a_file_cut_short_is_one_line_and_loses_nothing(folder, where, words, kind):
    child = cut(folder, where, *words, HPSEARCH_EXECUTOR=kind)
    assert child.returncode == 2, child.stderr
    lines = child.stderr.splitlines()
    assert f"{folder}/x.npy: must stay as it is while" in lines[-1], child.stderr
    assert "leave it alone and run the command again" in lines[-1]
    assert "Traceback" not in child.stderr and "\x1b" not in child.stderr
    kept = RunStore(folder / "runs", "cut").results("coarse")
    assert all(result.status is Status.DONE for result in kept)


def test_data_rewritten_during_a_check_are_not_judged(folder, monkeypatch):
    monkeypatch.setattr(arrays, "MAPPED_FROM", 0)
    data = load(Source("npz", folder / "x.npy"), center="none", scale="unit")
    work = runner(folder / "runs", data=data)
    assert work.data is data
    os.utime(folder / "x.npy", ns=(1, 1))
    with pytest.raises(DataError, match="must stay as it is"):
        work.check("data")
    assert not work.store.check_document("data")


@pytest.mark.slow
def test_a_handler_that_was_asked_for_stays(folder):
    where = "hpsearch.data.audit:duplicates:1"
    child = cut(folder, where, "data", "cut.yaml", PYTHONFAULTHANDLER="1")
    assert child.returncode == -signal.SIGBUS and "Bus error" in child.stderr


def test_afterwards_all_is_as_before():
    with truncation_said("here"):
        pass
    assert signal.getsignal(signal.SIGBUS) == signal.SIG_DFL
