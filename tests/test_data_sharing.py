"""What is shared with worker processes: small, not copied, and the same to the last bit."""

import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hpsearch.cohort import Task
from hpsearch.data import Rows, Shared, Source, arrays, load
from hpsearch.data.sharing import OPEN_FILES
from hpsearch.errors import DataError, HostError
from hpsearch.spec import View
from hpsearch.training import Watch, train_cohort

NAMES = ("train", "validation", "test")


@pytest.fixture
def left():
    with ExitStack() as stack:
        yield stack


def files_of(shared):
    """The files that hold its arrays."""
    parts = [part for rows in shared.splits if rows for part in (rows.base, rows.y, rows.index)]
    return {part.path for part in parts if part}


def bits(data):
    splits = [rows for name in NAMES if (rows := getattr(data, name))]
    preprocess = data.preprocess
    return (
        [(rows.base.dtype.str, rows.gather().tobytes(), rows.y.tobytes()) for rows in splits],
        [data.classes, data.features, data.image_shape, data.fingerprint],
        [preprocess.center, preprocess.scale, *map(bytes, (preprocess.shift, preprocess.factor))],
    )  # fmt: skip


@pytest.mark.parametrize("dtype", ["u1", "f4", "f8"])
@pytest.mark.parametrize("mapped", [False, True])
@pytest.mark.parametrize("test", [0, 0.2])
def test_what_is_opened_is_what_was_shared(tmp_path, monkeypatch, left, dtype, mapped, test):
    monkeypatch.setattr(arrays, "MAPPED_FROM", 0 if mapped else 2**40)
    x = np.random.default_rng(0).integers(0, 256, (200, 100)).astype(dtype)
    np.savez(tmp_path / "a.npz", x=x, y=np.arange(200) % 3)
    source = Source("npz", tmp_path / "a.npz", test=test)
    data = load(source, center="feature", scale="standard")
    shared = pickle.loads(pickle.dumps(Shared.of(data, left)))
    written = [path.stat().st_size for path in files_of(shared) if path != source.path]
    assert (x.nbytes in written) != mapped and len(written) == 5 + (test > 0) * 2 - mapped
    assert bits(shared.open()) == bits(data)
    assert len({id(rows.base) for rows in map(vars(shared.open()).get, NAMES) if rows}) == 1


def test_own_splits_are_parts_of_a_file_too(tmp_path, monkeypatch, left):
    monkeypatch.setattr(arrays, "MAPPED_FROM", 0)
    x, y = np.random.default_rng(0).normal(size=(60, 5)), np.arange(60) % 2
    np.savez(tmp_path / "a.npz", x_train=x, y_train=y, x_val=x[:9] + 1, y_val=y[:9])
    data = load(Source("npz", tmp_path / "a.npz"), center="none", scale="none")
    part = replace(data, train=data.train.part(slice(3, 30)), validation=Rows(x[2:7], y[2:7]))
    for each in (data, part):
        assert bits(Shared.of(each, left).open()) == bits(each)


def test_what_travels_is_small_and_nothing_can_be_written(left, digits):
    shared = Shared.of(digits, left)
    assert len(pickle.dumps(shared)) < 20_000
    for rows in map(vars(shared.open()).get, NAMES):
        for array in (rows.base, rows.y, rows.index):
            assert not array.flags.writeable


@pytest.mark.parametrize("whiten", ["pca", "zca"])
def test_a_rotation_stays_in_a_file_too(left, whiten):
    data = load(Source("digits"), center="feature", scale="standard", whiten=whiten)
    x = data.batch(data.train, slice(99))
    shared = Shared.of(data, left)
    assert len(pickle.dumps(shared)) < 20_000
    opened = pickle.loads(pickle.dumps(shared)).open()
    assert opened.preprocess.whiten == whiten and bits(opened) == bits(data)
    assert not opened.preprocess.rotation.flags.writeable
    assert opened.preprocess.rotation.tobytes() == data.preprocess.rotation.tobytes()
    assert opened.batch(opened.train, slice(99)).tobytes() == x.tobytes()


def train(task, shared):
    result = train_cohort(task, shared.open(), Watch())[0]
    return result.curves, result.losses, result.weights.tobytes()


@pytest.mark.parametrize("rows", [None, tuple(range(40, 0, -2))])
def test_a_trial_has_the_same_bits_in_another_process(left, digits, make_spec, rows):
    task, shared = Task((make_spec(0, view=View(rows=rows)),)), Shared.of(digits, left)
    here = train_cohort(task, digits, Watch())[0]
    expected = here.curves, here.losses, here.weights.tobytes()
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(train, (task, shared)) == expected


def test_a_file_that_changed_is_not_trained_on(left, digits):
    shared = Shared.of(digits, left)
    for path in files_of(shared):
        with path.open("ab") as file:
            file.write(b"!")
    with pytest.raises(DataError, match=r"must stay as it is while trials train on it.*changed"):
        shared.open()
    left.close()
    with pytest.raises(DataError, match="must stay as it is"):
        shared.open()


@pytest.mark.parametrize("open_files", [OPEN_FILES, Path("/proc/none")])
def test_temporary_files_go_with_what_is_left_to_do(
    tmp_path, left, digits, monkeypatch, open_files
):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr("hpsearch.data.sharing.OPEN_FILES", open_files)
    shared = pickle.loads(pickle.dumps(Shared.of(digits, left)))
    assert bits(shared.open()) == bits(digits)
    assert bool(list(tmp_path.iterdir())) != open_files.is_dir()
    left.close()
    assert not list(tmp_path.iterdir())


KILLED = """
import os, pickle, signal, sys
from contextlib import ExitStack
from hpsearch.data import Shared, Source, load

with ExitStack() as left:
    shared = Shared.of(load(Source("digits"), center="feature", scale="standard"), left)
    assert shared.open().train.gather().any()
    print(shared.splits[0].base.path.exists(), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(not OPEN_FILES.is_dir(), reason="files without a name are found in /proc")
def test_a_process_that_is_killed_leaves_no_copy_of_the_data(tmp_path):
    child = subprocess.run(
        [sys.executable, "-c", KILLED], capture_output=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )  # fmt: skip
    assert (child.returncode, child.stdout) == (-signal.SIGKILL, b"True\n"), child.stderr
    assert not list(tmp_path.iterdir())


def test_a_mapped_file_that_is_gone_is_written_again(tmp_path, monkeypatch, left):
    monkeypatch.setattr(arrays, "MAPPED_FROM", 0)
    np.savez(tmp_path / "a.npz", x=np.eye(60), y=np.arange(60) % 2)
    data = load(Source("npz", tmp_path / "a.npz"), center="none", scale="none")
    (tmp_path / "a.npz").unlink()
    assert bits(Shared.of(data, left).open()) == bits(data)


def test_no_room_is_the_machines_fault(tmp_path, digits, left, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    with pytest.raises(HostError, match="must hold 0 MiB of data for the workers"):
        Shared.of(digits, left)
