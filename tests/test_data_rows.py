"""Rows as views: whatever is taken from them is what NumPy's indexing would have given."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_data_sources import plain, write_images

from hpsearch.config.schema import Config
from hpsearch.data import Dataset, Rows, Source, arrays, audit, load
from hpsearch.data.dataset import fingerprint
from hpsearch.data.rows import CELLS, CHUNK
from hpsearch.stages.context import Context
from hpsearch.stages.data import STAGE

RNG = np.random.default_rng(11)
BASE = RNG.integers(0, 256, (40, 5)).astype(np.uint8)


def unaligned(x):
    """The same numbers at an address that is no multiple of their size, as in a zip file."""
    padded = np.empty(x.nbytes + 1, np.uint8)
    padded[1:] = np.ascontiguousarray(x).view(np.uint8).reshape(-1)
    found = padded[1:].view(x.dtype).reshape(x.shape)
    assert x.dtype.itemsize == 1 or not found.flags.aligned
    return found


positions = st.one_of(
    st.slices(30), st.lists(st.integers(-5, 4), max_size=9).map(lambda each: np.array(each, int))
)


@given(
    st.lists(positions, max_size=4), positions, st.sampled_from(["u1", "f4", "f8"]), st.booleans()
)
def test_parts_of_parts_are_numpy_s_indexing(parts, last, dtype, aligned):
    x, y = BASE.astype(dtype), np.arange(40)
    rows = Rows(x if aligned else unaligned(x), y)
    for each in parts:
        if isinstance(each, np.ndarray) and len(y) < 5:
            break
        rows, x, y = rows.part(each), x[each], y[each]
    if isinstance(last, slice) or len(y) >= 5:
        found = rows.gather(last)
        assert found.dtype == dtype and np.array_equal(found, x[last])
    assert np.array_equal(rows.gather(), x) and np.array_equal(rows.y, y) and len(rows) == len(y)


def test_splits_of_a_source_share_one_array(digits):
    splits = (digits.train, digits.validation, digits.test)
    assert len({id(rows.base) for rows in splits}) == 1
    assert sorted(np.concatenate([rows.index for rows in splits])) == list(range(1797))


@pytest.mark.parametrize("columns", [3, CELLS // 100, CELLS * 2])
def test_chunks_are_small_and_hold_every_row_in_order(columns):
    base = np.broadcast_to(np.arange(9, dtype=np.uint8)[:, None], (9, columns))
    found = list(Rows(base, np.arange(9)).chunks())
    assert all(part.size <= max(CELLS, columns) and len(part) <= CHUNK for part in found)
    assert np.concatenate([part[:, 0] for part in found]).tolist() == list(range(9))


def test_as_stored_reads_the_base_from_front_to_back(digits):
    ordered = digits.train.as_stored()
    assert (np.diff(ordered.index) > 0).all() and ordered.base is digits.train.base
    assert np.array_equal(ordered.gather(), digits.train.base[np.sort(digits.train.index)])
    assert np.array_equal(ordered.y, digits.train.y[digits.train.stored_order()])


def test_what_is_found_of_rows_does_not_depend_on_how_they_lie(digits):
    """Views and copies in order: the same fingerprint, the same statistics."""
    splits = (digits.train, digits.validation, digits.test)
    copies = tuple(Rows(rows.gather().copy(), rows.y) for rows in splits)
    assert fingerprint(splits, []) == fingerprint(copies, [])
    assert audit.duplicates(*splits[:2]) == audit.duplicates(*copies[:2])
    holed = digits.train.base.astype(np.float32)
    holed[digits.train.index[[7, 90]], [4, 2]] = np.nan
    found = audit.non_finite(Rows(holed, digits.train.y, digits.train.index))
    assert found == audit.NonFinite(2, (7, 4))


def write(folder, kind, x, y):
    if kind == "npz":
        np.savez(folder / "a.npz", x=x, y=y)
        return Source("npz", folder / "a.npz")
    np.save(folder / "X_train.npy", x)
    np.save(folder / "y_train.npy", y)
    return Source("npz", folder / "X_train.npy" if kind == "npy" else folder)


@pytest.mark.parametrize("kind", ["npz", "npy", "folder"])
@pytest.mark.parametrize("dtype", ["u1", "f4", "f8"])
def test_mapped_and_read_arrays_are_the_same_data(tmp_path, monkeypatch, kind, dtype):
    x, y = RNG.integers(0, 256, (300, 7)).astype(dtype), np.arange(300) % 3
    source = write(tmp_path, kind, x, y)
    read = load(source, center="feature", scale="standard")
    monkeypatch.setattr(arrays, "MAPPED_FROM", 0)
    mapped = load(source, center="feature", scale="standard")
    assert mapped.fingerprint == read.fingerprint
    assert is_map(mapped.train.base) and not is_map(read.train.base)
    assert mapped.train.base.flags.aligned == (kind != "npz" or dtype == "u1")
    index = RNG.integers(0, len(read.train), 50)
    for data in (read, mapped):
        assert np.array_equal(data.train.gather(index), x[data.train.index[index]])
    assert mapped.batch(mapped.train, index).tobytes() == read.batch(read.train, index).tobytes()
    with pytest.raises(ValueError, match="read-only"):
        mapped.train.base[0, 0] = 1


def is_map(array):
    while isinstance(array, np.ndarray):
        if isinstance(array, np.memmap):
            return True
        array = array.base
    return False


@pytest.mark.parametrize("kind", ["npz", "folder"])
@pytest.mark.parametrize("dtype", ["u1", "f4"])
def test_a_mapped_file_is_loaded_and_audited_in_little_memory(tmp_path, kind, dtype):
    x = RNG.integers(0, 256, (60_000_000 // 2048 // np.dtype(dtype).itemsize, 2048)).astype(dtype)
    source, size = write(tmp_path, kind, x, np.arange(len(x)) % 10), x.nbytes
    del x
    tracemalloc.start()
    try:
        data: Dataset = load(source, center="feature", scale="standard")
        STAGE.judge(Context(Config(), data, "data"), [])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size > 5e7 and peak < size / 4


def test_images_are_mapped_from_the_cache_the_first_time_too(tmp_path, monkeypatch):
    monkeypatch.setattr(arrays, "MAPPED_FROM", 0)
    source = write_images(tmp_path / "images", n=12)
    assert is_map(plain(source).train.base) and is_map(plain(source).train.base)
