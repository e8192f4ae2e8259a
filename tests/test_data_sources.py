"""Every source: written small, read back, split and preprocessed; and what all of them promise."""

import gzip
import pickle
import struct
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from hpsearch.data import SOURCES, Source, load
from hpsearch.data.bundled import load_digits, load_spiral
from hpsearch.data.cifar10 import NAMES, load_cifar10
from hpsearch.errors import DataError

RNG = np.random.default_rng(7)


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("HPSEARCH_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))


def labels(n, classes=3):
    return np.arange(n) % classes


def write_csv(folder):
    path = folder / "flowers.csv"
    lines = [f"{k}.5,{'red' if k % 2 else 'blue'},kind {k % 3}" for k in range(30)]
    path.write_text("\n".join(["length,colour,kind", *lines]))
    return Source("csv", path, target="kind")


def write_npz(folder):
    path = folder / "points.npz"
    np.savez(path, x=RNG.normal(size=(30, 4)), y=labels(30))
    return Source("npz", path)


def idx_bytes(array):
    head = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return head + array.astype(np.uint8).tobytes()


def write_idx(folder, zipped=True):
    for prefix, n in (("train", 30), ("t10k", 9)):
        images = RNG.integers(0, 256, (n, 4, 5))
        for name, array in (
            (f"{prefix}-images-idx3-ubyte", images),
            (f"{prefix}-labels-idx1-ubyte", labels(n)),
        ):
            data = idx_bytes(array)
            path = folder / (name + ".gz" * zipped)
            path.write_bytes(gzip.compress(data) if zipped else data)
    return Source("idx", folder)


def cifar_batch(pixels, y, **others):
    return {b"data": pixels, b"labels": list(map(int, y)), b"batch_label": b"one", **others}


def write_cifar10(folder, protocol=2, names=None):
    for k, name in enumerate([*(f"data_batch_{j}" for j in range(1, 6)), "test_batch"]):
        pixels = np.random.default_rng(k).integers(0, 256, (20, 3072)).astype(np.uint8)
        content = cifar_batch(pixels, labels(20, 10))
        (folder / name).write_bytes(pickle.dumps(content, protocol))
    if names:
        (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": names}, protocol))
    return Source("cifar10", folder)


def write_images(folder, splits=("",), ending="png", mode="RGB", n=12):
    for split in splits:
        for label in ("cat", "dog"):
            home = folder / split / label
            home.mkdir(parents=True)
            for k in range(n):
                pixels = RNG.integers(0, 256, (6, 5, 3)).astype(np.uint8)
                Image.fromarray(pixels).convert(mode).save(home / f"{k:03}.{ending}")
    return Source("images", folder)


WRITERS = {
    "digits": lambda folder: Source("digits"),
    "spiral": lambda folder: Source("spiral"),
    "csv": write_csv,
    "npz": write_npz,
    "idx": write_idx,
    "cifar10": write_cifar10,
    "images": write_images,
}


def plain(source):
    return load(source, center="none", scale="none")


def test_every_source_is_tested():
    assert WRITERS.keys() == SOURCES.keys()


@pytest.mark.parametrize("name", WRITERS)
def test_promises_of_every_source(name, tmp_path):
    source = WRITERS[name](tmp_path)
    data = load(source, center="feature", scale="standard")
    assert data.test is not None
    for rows in (data.train, data.validation, data.test):
        assert rows.base.dtype in (np.uint8, np.float32, np.float64)
        assert rows.base.flags.c_contiguous and rows.gather().shape == (len(rows), data.inputs)
        assert rows.y.dtype == np.int64 and set(rows.y) <= set(range(data.n_classes))
        assert len(rows) > 0 and type(rows.base) is np.ndarray
    assert len(data.features) == len(set(data.features)) == data.inputs
    assert len(set(data.classes)) == data.n_classes == len(np.unique(data.train.y))
    if data.image_shape:
        assert np.prod(data.image_shape) == data.inputs
    seen = data.batch(data.train, slice(None))
    assert seen.dtype == np.float32 and np.isfinite(seen).all()
    assert np.abs(seen.mean(axis=0)).max() < 1e-4


@pytest.mark.parametrize("name", WRITERS)
def test_the_seed_decides_and_the_fingerprint_tells(name, tmp_path):
    source = WRITERS[name](tmp_path)
    once, again, other = (plain(each) for each in (source, source, replace(source, seed=1)))
    scaled = load(source, center="feature", scale="none")
    assert once.fingerprint == again.fingerprint
    assert np.array_equal(once.train.gather(), again.train.gather())
    assert len({once.fingerprint, other.fingerprint, scaled.fingerprint}) == 3


@pytest.mark.parametrize("name", [name for name in WRITERS if name not in ("digits", "spiral")])
def test_a_source_without_path_or_with_a_wrong_one(name, tmp_path):
    with pytest.raises(DataError, match=r"data\.path: needed for source"):
        plain(Source(name, target="y"))
    with pytest.raises(DataError, match=r"nowhere.*must exist"):
        plain(Source(name, tmp_path / "nowhere", target="y"))


def test_unknown_source_gets_a_suggestion():
    with pytest.raises(DataError, match="did you mean digits"):
        plain(Source("digit"))


def test_digits_are_the_bundled_ones():
    digits = load_digits(Source("digits"))
    assert digits.x.shape == (1797, 64) and digits.x.dtype == np.uint8 and digits.x.max() == 16
    assert digits.classes == tuple("0123456789") and digits.image_shape == (8, 8, 1)


def test_spiral_arms_start_at_the_origin_and_end_on_the_unit_circle():
    spiral = load_spiral(Source("spiral", seed=3))
    radius = np.hypot(*spiral.x.T).reshape(3, 100)
    assert np.allclose(radius, np.linspace(0, 1, 100))
    assert np.bincount(spiral.y).tolist() == [100, 100, 100]


def test_own_test_split_is_taken_dropped_or_an_error_but_never_overruled(tmp_path):
    source = write_idx(tmp_path)
    own = plain(source).test
    assert own is not None and len(own) == 9
    assert plain(replace(source, test=0)).test is None
    for share in (0.2, 5):
        with pytest.raises(DataError, match=r"data\.split\.test: .* has its own test split"):
            plain(replace(source, test=share))


def test_shares_are_counts_or_fractions_of_all_rows(tmp_path):
    source = write_npz(tmp_path)
    data = plain(replace(source, validation=6, test=0.2))
    assert data.test is not None
    assert (len(data.train), len(data.validation), len(data.test)) == (18, 6, 6)
    assert plain(replace(source, test=0)).test is None
    with pytest.raises(DataError, match="at least one row"):
        plain(replace(source, validation=0))


@pytest.mark.parametrize("name", ["digits", "spiral", "idx", "cifar10"])
def test_split_paths_only_where_they_can_be_read(name, tmp_path):
    with pytest.raises(DataError, match=r"data\.split\.test: .*paths are for"):
        plain(replace(WRITERS[name](tmp_path), test="other"))


@pytest.mark.parametrize("zipped", [True, False])
def test_idx_keeps_pixels_and_labels_together(zipped, tmp_path):
    write_idx(tmp_path, zipped)
    x = np.repeat(labels(30), 20).reshape(30, 4, 5) * 10
    for old in tmp_path.glob("train-images*"):
        old.write_bytes(gzip.compress(idx_bytes(x)) if zipped else idx_bytes(x))
    data = plain(Source("idx", tmp_path))
    assert np.array_equal(data.train.gather()[:, 0], data.train.y * 10)
    assert data.image_shape == (4, 5, 1)


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_cifar_pixels_become_channel_last(protocol, tmp_path):
    loaded = load_cifar10(write_cifar10(tmp_path, protocol, names=list(NAMES)))
    first = np.random.default_rng(0).integers(0, 256, (20, 3072)).astype(np.uint8)
    expected = first.reshape(20, 3, 32, 32)
    assert np.array_equal(loaded.x[:20].reshape(20, 32, 32, 3)[:, 3, 4, 1], expected[:, 1, 3, 4])
    assert loaded.x.shape == (100, 3072) and loaded.classes == NAMES
    assert loaded.test is not None and loaded.y[:10].tolist() == list(range(10))


def test_cifar_class_names_come_from_the_meta_file(tmp_path):
    names = [f"thing {k}" for k in range(10)]
    assert load_cifar10(write_cifar10(tmp_path, names=names)).classes == tuple(names)


def test_cifar_as_python_2_wrote_it(tmp_path):
    write_cifar10(tmp_path)
    pixels = RNG.integers(0, 256, (10, 3072)).astype(np.uint8)
    head = (
        b"\x80\x02}q\x01(U\x04dataq\x02cnumpy.core.multiarray\n_reconstruct\nq\x03cnumpy\nndarray"
        b"\nq\x04K\x00\x85U\x01b\x87Rq\x05(K\x01K\nM\x00\x0c\x86cnumpy\ndtype\nq\x06U\x02u1K\x00"
        b"K\x01\x87Rq\x07(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T"
    )
    y = b"".join(b"K" + bytes([k]) for k in range(10))
    body = struct.pack("<I", pixels.size) + pixels.tobytes() + b"tbU\x06labels](" + y + b"eu."
    (tmp_path / "data_batch_1").write_bytes(head + body)
    loaded = load_cifar10(Source("cifar10", tmp_path))
    turned = loaded.x[:10].reshape(10, 32, 32, 3).transpose(0, 3, 1, 2).reshape(10, -1)
    assert np.array_equal(turned, pixels) and len(loaded.x) == 90


@pytest.mark.parametrize(
    ("stored", "kept"),
    [
        ("uint8", "uint8"),
        ("bool", "uint8"),
        ("int16", "float32"),
        ("int64", "float64"),
        ("float16", "float32"),
        ("float32", "float32"),
        (">f8", "float64"),
    ],
)
def test_npz_dtypes(stored, kept, tmp_path):
    x = RNG.integers(0, 2, (20, 3)).astype(stored)
    np.savez(tmp_path / "a.npz", x=np.asfortranarray(x), y=labels(20))
    loaded = SOURCES["npz"](Source("npz", tmp_path / "a.npz"))
    assert loaded.x.dtype == kept and np.array_equal(loaded.x, x.astype(kept))


@pytest.mark.parametrize(
    ("y", "classes"),
    [
        (np.array([5, -2, 10] * 8), ("-2", "5", "10")),
        (np.array(["b", "a"] * 12), ("a", "b")),
        (np.array([1.0, 0.0] * 12), ("0", "1")),
        (np.array([[1], [0]] * 12), ("0", "1")),
    ],
)
def test_npz_labels_are_sorted_classes(y, classes, tmp_path):
    np.savez_compressed(tmp_path / "a.npz", X=RNG.normal(size=(24, 2)), y=y)
    loaded = SOURCES["npz"](Source("npz", tmp_path / "a.npz"))
    assert loaded.classes == classes
    for row, stored in zip(loaded.y, y.ravel(), strict=True):
        assert type(stored)(classes[row]) == stored


def test_npz_with_its_own_splits_and_images(tmp_path):
    arrays = {}
    for name, n in (("train", 20), ("val", 6), ("test", 4)):
        arrays |= {f"x_{name}": RNG.integers(0, 9, (n, 2, 3, 1)), f"y_{name}": labels(n, 2)}
    np.savez(tmp_path / "a.npz", **arrays)
    data = plain(Source("npz", tmp_path / "a.npz"))
    assert data.test is not None and data.image_shape == (2, 3, 1)
    assert (len(data.train), len(data.validation), len(data.test)) == (20, 6, 4)


def test_npz_files_named_for_the_splits(tmp_path):
    source = write_npz(tmp_path)
    np.savez(tmp_path / "more.npz", x=RNG.normal(size=(7, 4)), y=np.full(7, 2))
    data = plain(replace(source, validation="more.npz", base=tmp_path))
    assert len(data.validation) == 7 and set(data.validation.y) == {2}
    assert len(data.train) + len(data.test) == 30
