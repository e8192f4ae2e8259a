"""Image folders: layouts, modes, the cache of decoded images, and CIFAR-10 where it is there."""

import io
import os
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from PIL import Image
from test_data_sources import own_cache, plain, write_images

from hpsearch.data import Source, arrays, load
from hpsearch.data import images as images_module
from hpsearch.data.decode import THREADS_PAY, decode
from hpsearch.data.images import load_images
from hpsearch.errors import DataError

__all__ = ["own_cache"]
CIFAR10 = Path(__file__).resolve().parents[1] / "data" / "cifar10"


def solid(path, colour, size=(5, 6), mode="RGB"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, colour).save(path)


def test_pixels_are_those_of_the_files_in_sorted_order(tmp_path):
    loaded = load_images(write_images(tmp_path, n=4))
    paths = sorted(tmp_path.glob("*/*.png"))
    expected = [np.asarray(Image.open(path)).reshape(-1) for path in paths]
    assert np.array_equal(loaded.x, expected) and loaded.classes == ("cat", "dog")
    assert loaded.y.tolist() == [0] * 4 + [1] * 4 and loaded.image_shape == (6, 5, 3)


@pytest.mark.parametrize("ending", ["jpg", "JPEG", "png", "bmp", "gif", "ppm", "webp"])
def test_every_ending(ending, tmp_path):
    assert load_images(write_images(tmp_path, ending=ending, n=2)).x.shape == (4, 90)


@pytest.mark.parametrize(
    ("splits", "sizes"),
    [
        (("train",), (20, 2, 2)),
        (("train", "test"), (22, 2, 24)),
        (("train", "val"), (22, 24, 2)),
        (("train", "validation", "test"), (24, 24, 24)),
    ],
)
def test_layouts_with_split_folders(splits, sizes, tmp_path):
    data = plain(write_images(tmp_path, splits))
    assert data.test is not None
    assert (len(data.train), len(data.validation), len(data.test)) == sizes


def test_folders_named_for_the_splits(tmp_path):
    source = write_images(tmp_path, ("a", "b"))
    data = plain(replace(source, path=tmp_path / "a", test="b", base=tmp_path))
    assert data.test is not None and len(data.test) == 24
    with pytest.raises(DataError, match="has its own test split"):
        write_images(tmp_path, ("train", "test"))
        plain(replace(source, test="b", base=tmp_path))


def test_hidden_files_and_other_endings_are_passed_over(tmp_path):
    source = write_images(tmp_path, n=3)
    for name in ("cat/.hidden.png", "cat/notes.txt", "readme.md"):
        (tmp_path / name).write_text("no image")
    (tmp_path / ".git").mkdir()
    (tmp_path / "cat" / "folder.png").mkdir()
    assert len(load_images(source).x) == 6


@pytest.mark.parametrize("mode", ["L", "1", "LA"])
def test_all_grey_is_one_channel(mode, tmp_path):
    assert load_images(write_images(tmp_path, mode=mode, n=2)).image_shape == (6, 5, 1)


@pytest.mark.parametrize("mode", ["RGBA", "P", "RGB"])
def test_one_colour_image_makes_all_of_them_colour(mode, tmp_path):
    write_images(tmp_path, mode="L", n=2)
    Image.new("RGB", (5, 6), (9, 8, 7)).convert(mode).save(tmp_path / "dog" / "zzz.png")
    loaded = load_images(Source("images", tmp_path))
    assert loaded.image_shape == (6, 5, 3)
    grey = loaded.x[0].reshape(-1, 3)
    assert np.array_equal(grey[:, 0], grey[:, 2])


def test_sizes_that_differ_name_both_files(tmp_path):
    source = write_images(tmp_path)
    solid(tmp_path / "dog" / "003.png", 0, size=(7, 9))
    with pytest.raises(DataError) as caught:
        plain(source)
    for words in ("dog/003.png", "7 x 9", "cat/000.png", "5 x 6", "resize"):
        assert words in str(caught.value)


def test_large_images_are_decoded_by_threads_in_the_same_order(tmp_path):
    side = int(THREADS_PAY**0.5)
    for k in range(6):
        solid(tmp_path / f"{k}.png", (k, 0, 0), size=(side, side))
    assert decode(sorted(tmp_path.iterdir()))[:, 3, 4, 0].tolist() == list(range(6))


def test_progress_ends_at_the_total(tmp_path):
    seen = []
    source = write_images(tmp_path, n=300)
    load(source, center="none", scale="none", progress=lambda *call: seen.append(call))
    assert seen == [(500, 600), (600, 600)]


def test_images_are_decoded_once_until_a_file_changes(tmp_path, monkeypatch):
    calls = []

    def counted(paths, progress):
        calls.append(len(paths))
        return decode(paths, progress)

    monkeypatch.setattr(images_module, "decode", counted)
    source = write_images(tmp_path, n=3)
    first, second = load_images(source), load_images(source)
    assert calls == [6] and np.array_equal(first.x, second.x)
    path = tmp_path / "cat" / "000.png"
    solid(path, (1, 2, 3))
    os.utime(path, ns=(1, 1))
    assert load_images(source).x[0, :3].tolist() == [1, 2, 3] and calls == [6, 6]


def entries():
    """What the cache holds."""
    return sorted(Path(os.environ["HPSEARCH_CACHE_DIR"]).glob("*.npz"))


def other_images(content):
    file = io.BytesIO()
    np.savez(file, images=np.zeros((5, 6, 5, 3), np.uint8))
    return file.getvalue()


def flipped(at):
    def damage(content):
        changed = bytearray(content)
        changed[at] ^= 1
        return bytes(changed)

    return damage


@pytest.mark.parametrize("mapped_from", [0, 2**24])
@pytest.mark.parametrize(
    "damage",
    [lambda content: b"", lambda content: b"\x80\x04N.", lambda content: content[:-100],
     lambda content: content[:400] + content[500:], other_images, flipped(130), flipped(300),
     flipped(600)],
)  # fmt: skip
def test_a_damaged_cache_is_decoded_again_and_said(damage, mapped_from, tmp_path, monkeypatch):
    monkeypatch.setattr(arrays, "MAPPED_FROM", mapped_from)
    said, source = [], write_images(tmp_path / "data", n=3)
    expected = load_images(source, say=said.append).x.tobytes()
    (entry,) = entries()
    good = entry.read_bytes()
    entry.unlink()  # or whoever maps it would see it change
    entry.write_bytes(damage(good))
    for _ in range(2):
        assert load_images(source, say=said.append).x.tobytes() == expected
    (line,) = said
    assert str(entry) in line and line.endswith("; so the images are decoded again")
    assert entry.read_bytes() == good


def test_a_bit_of_the_cache_that_is_flipped_is_noticed_wherever_it_is(tmp_path):
    """But for what says nothing of the images: names and times of the archive's own."""
    source = write_images(tmp_path / "data", n=3)
    expected = load_images(source).x.copy()
    (entry,) = entries()
    good, rng = entry.read_bytes(), np.random.default_rng(0)
    noticed = 0
    for at in rng.integers(0, len(good), 40):
        entry.write_bytes(flipped(at)(good))
        said = []
        assert np.array_equal(load_images(source, say=said.append).x, expected), at
        noticed += bool(said)
    assert noticed > 30


def test_what_a_killed_writer_of_the_cache_left_goes(tmp_path):
    source = write_images(tmp_path / "data", n=3)
    left = Path(os.environ["HPSEARCH_CACHE_DIR"]) / ".unfinished-a.tmp"
    left.parent.mkdir(exist_ok=True)
    left.write_bytes(b"half")
    with FileLock(left.with_name(".lock")):  # he lives
        load_images(source)
    assert left.exists() and not entries()
    load_images(source)
    assert not left.exists() and len(entries()) == 1


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("HPSEARCH_CACHE_DIR", str(tmp_path / "file"))
    assert len(load_images(write_images(tmp_path / "data", n=3)).x) == 6


def test_the_cache_folder_follows_the_environment(tmp_path, monkeypatch):
    monkeypatch.delenv("HPSEARCH_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    load_images(write_images(tmp_path / "data", n=3))
    assert [path.suffix for path in (tmp_path / "xdg" / "hpsearch").glob("[!.]*")] == [".npz"]


def test_without_pillow_the_extra_is_named(tmp_path, monkeypatch):
    source = write_images(tmp_path)
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    with pytest.raises(DataError, match=r"pip install 'hpsearch\[images\]'"):
        plain(source)


@pytest.mark.skipif(not CIFAR10.is_dir(), reason="data/cifar10 is not unpacked")
def test_cifar10_as_an_image_folder():
    data = plain(Source("images", CIFAR10 / "test", validation=1000, test=0))
    assert len(data.train) == 9000 and data.test is None and data.image_shape == (32, 32, 3)
    assert np.bincount(data.validation.y).tolist() == [100] * 10
    assert data.train.gather().dtype == np.uint8 and 100 < data.train.gather().mean() < 140
