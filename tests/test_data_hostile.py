"""Damaged, lying and malicious files: each ends in one DataError, and nothing in it ever runs."""

import gzip
import io
import os
import pickle
import struct
import tracemalloc
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image
from test_data_sources import (
    cifar_batch,
    idx_bytes,
    labels,
    own_cache,
    plain,
    write_cifar10,
    write_idx,
    write_images,
)
from tiny_run import quickly
from typer.testing import CliRunner

from hpsearch.cli import app
from hpsearch.data import Source, arrays
from hpsearch.errors import DataError

CASES = {}
STRANGE = os.fsdecode(b"a\xff")  # a name as Linux may have it, and no UTF-8
__all__ = ["own_cache"]


def case(build):
    CASES[build.__name__] = build
    return build


class Gadget:
    """Pickles into a call that would create a file."""

    def __init__(self, canary, call=os.mkdir):
        self.canary, self.call = str(canary), call

    def __reduce__(self):
        return self.call, (self.canary,)


def csv_case(name, content):
    def build(folder):
        path = folder / "table.csv"
        path.write_bytes(content)
        return Source("csv", path, target="y")

    CASES[f"csv_{name}"] = build


BODY = b"".join(b"%d,%d\n" % (k, k % 2) for k in range(20))
for csv_name, csv_content in {
    "empty": b"",
    "blank_lines": b"\n\n  \n",
    "header_only": b"x,y\n",
    "header_of_numbers": b"1,2\n3,4\n",
    "too_many_cells": b"x,y\n1,0\n2,1,7\n",
    "too_few_cells": b"x,y\n1,0\n2\n",
    "all_rows_wider": b"x,y\n1,0,5\n2,1,5\n",
    "same_name_twice": b"x,y,x\n1,0,1\n",
    "nul": b"x,y\n1,\x00\n" + BODY,
    "latin_1": "x,y,größe\n1,0,2\n".encode("latin-1"),
    "utf_16": "x,y\n1,0\n".encode("utf-16"),
    "binary": bytes(range(256)) * 4,
    "open_quote": b'x,y\n"1,0\n' + BODY,
    "quote_in_the_middle": b'x,y\n"1"2,0\n' + BODY,
    "huge_field": b"x,y\n" + b"1" * 200_000 + b",0\n",
    "one_row": b"x,y\n1,0\n",
    "one_class": b"x,y\n1,0\n2,0\n3,0\n",
    "one_column": b"y\n0\n1\n",
    "missing_cell": b"x,y\n1,0\n,1\n" + BODY,
    "text_among_numbers": b"x,y\n1,0\nabc,1\n" + BODY,
    "no_such_target": b"x,z\n1,0\n2,1\n",
    "infinite_target": b"x,y\n1,inf\n2,1\n" + BODY,
    "gzipped": gzip.compress(b"x,y\n" + BODY),
    "column_without_name": b",x,y\n" + b"".join(b"%d,1,%d\n" % (k, k % 2) for k in range(20)),
}.items():
    csv_case(csv_name, csv_content)


@case
def csv_is_a_folder(folder):
    return Source("csv", folder, target="y")


@case
def csv_is_a_device(folder):
    return Source("csv", folder / ".." / ".." / ".." / "dev" / "zero", target="y")


@case
def csv_is_a_pipe(folder):
    os.mkfifo(folder / "pipe")
    return Source("csv", folder / "pipe", target="y")


@case
def path_with_a_name_too_long(folder):
    return Source("npz", folder / ("a" * 5000))


def npz_of(folder, **arrays):
    np.savez_compressed(folder / "a.npz", **arrays)
    return Source("npz", folder / "a.npz")


@case
def npz_of_objects(folder):
    x = np.array([[Gadget(folder / "canary")]] * 4, object)
    return npz_of(folder, x=x, y=labels(4))


@case
def npz_with_object_labels(folder):
    return npz_of(folder, x=np.ones((4, 1)), y=np.array([Gadget(folder / "canary")] * 4, object))


@case
def npz_is_a_pickle(folder):
    (folder / "a.npz").write_bytes(pickle.dumps(Gadget(folder / "canary")))
    return Source("npz", folder / "a.npz")


@case
def npz_empty(folder):
    (folder / "a.npz").write_bytes(b"")
    return Source("npz", folder / "a.npz")


@case
def npz_is_a_folder(folder):
    return Source("npz", folder)


@case
def npz_truncated(folder):
    source = npz_of(folder, x=np.random.default_rng(0).normal(size=(40, 4)), y=labels(40))
    source.path.write_bytes(source.path.read_bytes()[:-300])
    return source


@case
def npz_with_a_flipped_byte(folder):
    np.savez(folder / "a.npz", x=np.ones((40, 4)), y=labels(40))
    data = bytearray((folder / "a.npz").read_bytes())
    data[400] ^= 255
    (folder / "a.npz").write_bytes(bytes(data))
    return Source("npz", folder / "a.npz")


def npy_announcing(shape, data=b"", descr="|u1"):
    file = io.BytesIO()
    header = {"descr": descr, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    return file.getvalue() + data


def npz_with_x(folder, member):
    y = io.BytesIO()
    np.save(y, labels(4))
    with zipfile.ZipFile(folder / "a.npz", "w") as archive:
        archive.writestr("x.npy", member)
        archive.writestr("y.npy", y.getvalue())
    return Source("npz", folder / "a.npz")


@case
def npz_header_announces_a_terabyte(folder):
    return npz_with_x(folder, npy_announcing((2**20, 2**20), b"1234"))


@case
def npz_header_announces_gigabytes(folder):
    return npz_with_x(folder, npy_announcing((2**11, 2**20), b"1234"))


@case
def npz_header_announces_less_than_nothing(folder):
    return npz_with_x(folder, npy_announcing((-2, -2), b"1234"))


@case
def npz_header_overflows(folder):
    return npz_with_x(folder, npy_announcing((2**70, 0)))


@case
def npz_header_is_code(folder):
    code = f"__import__('os').mkdir({str(folder / 'canary')!r})".encode()
    return npz_with_x(folder, b"\x93NUMPY\x01\x00" + struct.pack("<H", len(code)) + code)


@case
def npz_header_of_records(folder):
    return npz_with_x(folder, npy_announcing((4,), b"1" * 8, descr=[("a", "|u1"), ("b", "|u1")]))


@case
def npz_members_without_arrays(folder):
    with zipfile.ZipFile(folder / "a.npz", "w") as archive:
        archive.writestr("../../x.npy", b"")
        archive.writestr("y.txt", b"")
    return Source("npz", folder / "a.npz")


@case
def npz_x_without_y(folder):
    return npz_of(folder, x=np.ones((4, 2)))


@case
def npz_of_text(folder):
    return npz_of(folder, x=np.array([["a"], ["b"]] * 8), y=labels(16))


@case
def npz_of_complex_numbers(folder):
    return npz_of(folder, x=np.ones((16, 2), complex), y=labels(16))


@case
def npz_without_rows(folder):
    return npz_of(folder, x=np.ones((0, 4)), y=labels(0))


@case
def npz_with_fewer_labels(folder):
    return npz_of(folder, x=np.ones((20, 4)), y=labels(19))


@case
def npz_regression(folder):
    return npz_of(folder, x=np.ones((20, 4)), y=np.linspace(0, 1, 20))


@case
def npz_nan_labels(folder):
    return npz_of(folder, x=np.ones((20, 4)), y=np.where(labels(20), 1.0, np.nan))


@case
def npz_class_that_is_no_text(folder):
    return npz_of(folder, x=np.ones((20, 4)), y=np.array([STRANGE, "b"] * 10))


@pytest.mark.parametrize("order", "<>")
def test_characters_that_do_not_exist_are_refused(order, tmp_path):
    y = np.array(["a", "b"] * 10)
    y.view(np.uint32)[4] = 0x110000
    source = npz_of(tmp_path, x=np.ones((20, 4)), y=y.astype(f"{order}U1"))
    with pytest.raises(DataError, match="characters that do not exist"):
        plain(source)


@case
def npz_scalar(folder):
    return npz_of(folder, x=np.float64(3), y=labels(1))


def npz_with_entry(folder, change):
    """An archive whose x is fine but for what `change` does to the file's bytes."""
    np.savez(folder / "a.npz", x=np.ones((40, 4)), y=labels(40))
    data = bytearray((folder / "a.npz").read_bytes())
    change(data)
    (folder / "a.npz").write_bytes(bytes(data))
    return Source("npz", folder / "a.npz")


@case
def npz_local_header_has_a_longer_extra_field(folder):
    return npz_with_entry(folder, lambda data: data.__setitem__(28, data[28] + 1))


@case
def npz_local_header_points_behind_the_end(folder):
    return npz_with_entry(folder, lambda data: data.__setitem__(slice(28, 30), b"\xff\xff"))


@case
def npz_local_header_is_none(folder):
    return npz_with_entry(folder, lambda data: data.__setitem__(0, 0))


@case
def npz_directory_announces_a_longer_array(folder):
    def change(data):
        entry = data.index(b"PK\x01\x02")
        for at in (entry + 20, entry + 24):
            data[at : at + 4] = struct.pack("<I", 2**30)

    return npz_with_entry(folder, change)


@case
def npz_is_encrypted(folder):
    def change(data):
        for at in (6, data.index(b"PK\x01\x02") + 8):
            data[at] |= 1

    return npz_with_entry(folder, change)


def npy_with_x(folder, data):
    np.save(folder / "y.npy", labels(4))
    (folder / "x.npy").write_bytes(data)
    return Source("npz", folder / "x.npy")


@case
def npy_of_objects(folder):
    np.save(folder / "x.npy", np.array([[Gadget(folder / "canary")]] * 4, object))
    np.save(folder / "y.npy", labels(4))
    return Source("npz", folder)


@case
def npy_is_a_pickle(folder):
    return npy_with_x(folder, pickle.dumps(Gadget(folder / "canary")))


@case
def npy_empty(folder):
    return npy_with_x(folder, b"")


@case
def npy_announces_gigabytes(folder):
    return npy_with_x(folder, npy_announcing((4, 2**30), b"1234"))


@case
def npy_holds_more_than_it_announces(folder):
    return npy_with_x(folder, npy_announcing((4, 1), b"12345"))


@case
def npy_header_overflows(folder):
    return npy_with_x(folder, npy_announcing((2**70, 0)))


@case
def npy_is_a_pipe(folder):
    np.save(folder / "y.npy", labels(4))
    os.mkfifo(folder / "x.npy")
    return Source("npz", folder)


@case
def npy_without_labels(folder):
    np.save(folder / "x.npy", np.ones((4, 1)))
    return Source("npz", folder / "x.npy")


@case
def npy_of_another_name(folder):
    np.save(folder / "rows.npy", np.ones((4, 1)))
    return Source("npz", folder / "rows.npy")


@case
def npy_names_differ_by_case_alone(folder):
    for name in "xXy":
        np.save(folder / f"{name}.npy", labels(4))
    return Source("npz", folder)


def idx_with(folder, name, data):
    write_idx(folder, zipped=name.endswith(".gz"))
    (folder / name).write_bytes(data)
    return Source("idx", folder)


@case
def idx_truncated(folder):
    return idx_with(folder, "train-images-idx3-ubyte", idx_bytes(np.ones((30, 4, 5)))[:-1])


@case
def idx_with_a_byte_too_many(folder):
    return idx_with(folder, "train-images-idx3-ubyte", idx_bytes(np.ones((30, 4, 5))) + b"!")


@case
def idx_header_announces_exabytes(folder):
    lie = bytes([0, 0, 8, 3]) + b"\xff" * 12 + b"data"
    return idx_with(folder, "train-images-idx3-ubyte", lie)


@case
def idx_header_announces_gigabytes(folder):
    lie = bytes([0, 0, 8, 3]) + struct.pack(">3I", 2**15, 2**8, 2**8) + b"data"
    return idx_with(folder, "train-images-idx3-ubyte", lie)


@case
def idx_gz_header_announces_exabytes(folder):
    lie = bytes([0, 0, 8, 3]) + b"\xff" * 12 + b"data"
    return idx_with(folder, "train-images-idx3-ubyte.gz", gzip.compress(lie))


@case
def idx_gz_bomb(folder):
    bomb = gzip.compress(idx_bytes(np.ones((30, 4, 5))) + bytes(50_000_000))
    return idx_with(folder, "train-images-idx3-ubyte.gz", bomb)


@case
def idx_gz_truncated(folder):
    whole = gzip.compress(idx_bytes(np.ones((30, 4, 5))))
    return idx_with(folder, "train-images-idx3-ubyte.gz", whole[:-9])


@case
def idx_gz_is_not_gzip(folder):
    return idx_with(folder, "train-images-idx3-ubyte.gz", b"plain text")


@case
def idx_gz_corrupt(folder):
    pixels = np.random.default_rng(0).integers(0, 99, (30, 4, 5))
    data = bytearray(gzip.compress(idx_bytes(pixels)))
    data[40:60] = b"\xff" * 20
    return idx_with(folder, "train-images-idx3-ubyte.gz", bytes(data))


@case
def idx_of_floats(folder):
    return idx_with(folder, "train-images-idx3-ubyte", bytes([0, 0, 13, 3]) + bytes(12))


@case
def idx_without_rows(folder):
    return idx_with(folder, "train-images-idx3-ubyte", idx_bytes(np.ones((0, 4, 5))))


@case
def idx_labels_are_a_folder(folder):
    source = write_idx(folder, zipped=False)
    (folder / "train-labels-idx1-ubyte").unlink()
    (folder / "train-labels-idx1-ubyte").mkdir()
    return source


@case
def idx_without_labels(folder):
    source = write_idx(folder, zipped=False)
    (folder / "train-labels-idx1-ubyte").unlink()
    return source


def cifar_with(folder, data):
    write_cifar10(folder)
    (folder / "data_batch_3").write_bytes(data)
    return Source("cifar10", folder)


@case
def cifar_gadget(folder):
    return cifar_with(folder, pickle.dumps(Gadget(folder / "canary")))


@case
def cifar_gadget_among_good_data(folder):
    good = cifar_batch(np.ones((4, 3072), np.uint8), labels(4))
    return cifar_with(folder, pickle.dumps({**good, b"more": Gadget(folder / "canary")}))


@case
def cifar_gadget_eval(folder):
    code = Gadget(f"__import__('os').mkdir({str(folder / 'canary')!r})", call=eval)
    return cifar_with(folder, pickle.dumps(code))


@case
def cifar_object_array(folder):
    pixels = np.array([Gadget(folder / "canary")], object)
    return cifar_with(folder, pickle.dumps(cifar_batch(pixels, [0])))


@case
def cifar_poisons_the_reader(folder):
    build = b"\x80\x02c_codecs\nencode\nN}X\x0c\0\0\0__defaults__K\x01\x85s\x86b."
    return cifar_with(folder, build)


@case
def cifar_persistent_id(folder):
    return cifar_with(folder, b"Pname\n.")


@case
def cifar_length_announces_gigabytes(folder):
    return cifar_with(folder, b"\x80\x04\x8e" + struct.pack("<Q", 2**40) + b"abc.")


@case
def cifar_bytearray_announces_gigabytes(folder):
    return cifar_with(folder, b"\x80\x05\x96" + struct.pack("<Q", 2**33) + b"abc.")


@case
def cifar_memo_announces_gigabytes(folder):
    return cifar_with(folder, b"\x80\x02Nr" + b"\xff" * 4 + b".")


@case
def cifar_buffer_from_a_number(folder):
    call = b"cnumpy.core.numeric\n_frombuffer\n(J\xff\xff\xff\x7fNNNtR."
    return cifar_with(folder, b"\x80\x02" + call)


@case
def cifar_truncated(folder):
    whole = pickle.dumps(cifar_batch(np.ones((4, 3072), np.uint8), labels(4)))
    return cifar_with(folder, whole[:5000])


@case
def cifar_empty(folder):
    return cifar_with(folder, b"")


@case
def cifar_is_a_list(folder):
    return cifar_with(folder, pickle.dumps([1, 2]))


@case
def cifar_of_another_width(folder):
    return cifar_with(folder, pickle.dumps(cifar_batch(np.ones((4, 3000), np.uint8), labels(4))))


@case
def cifar_with_label_ten(folder):
    return cifar_with(folder, pickle.dumps(cifar_batch(np.ones((2, 3072), np.uint8), [0, 10])))


@case
def cifar_without_labels(folder):
    return cifar_with(folder, pickle.dumps({b"data": np.ones((2, 3072), np.uint8)}))


@case
def cifar_batch_missing(folder):
    source = write_cifar10(folder)
    (folder / "data_batch_4").unlink()
    return source


def image_with(folder, data, name="000.png"):
    source = write_images(folder)
    (folder / "cat" / name).write_bytes(data)
    return source


def png(width, height, rows=b""):
    def chunk(kind, data):
        crc = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + crc

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


@case
def image_empty(folder):
    return image_with(folder, b"")


@case
def image_is_text(folder):
    return image_with(folder, b"not an image")


@case
def image_truncated(folder):
    source = write_images(folder)
    path = folder / "dog" / "005.png"
    path.write_bytes(path.read_bytes()[:80])
    return source


@case
def image_without_pixels(folder):
    return image_with(folder, png(5, 6))


@case
def image_bomb(folder):
    return image_with(folder, png(60_000, 60_000, bytes(1000)))


@case
def image_bomb_that_pillow_only_warns_of(folder):
    return image_with(folder, png(10_000, 10_000, bytes(1000)))


@case
def image_of_zero_width(folder):
    return image_with(folder, png(0, 6))


@case
def image_postscript(folder):
    return image_with(folder, b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 5 6\n", "a.png")


@case
def image_of_a_format_not_asked_for(folder):
    source = write_images(folder)
    Image.new("RGB", (5, 6)).save(folder / "cat" / "000.png", format="TIFF")
    return source


@case
def image_of_16_bits(folder):
    source = write_images(folder)
    Image.fromarray(np.ones((6, 5), np.uint16)).save(folder / "cat" / "000.png")
    return source


@case
def image_of_another_size(folder):
    source = write_images(folder)
    Image.new("RGB", (9, 9)).save(folder / "dog" / "003.png")
    return source


@case
def image_class_without_images(folder):
    source = write_images(folder)
    (folder / "bird").mkdir()
    (folder / "bird" / "readme.txt").write_text("none")
    return source


@case
def image_one_class(folder):
    write_images(folder)
    return Source("images", folder / "cat")


@case
def image_class_that_is_no_text(folder):
    source = write_images(folder)
    (folder / "cat").rename(folder / STRANGE)
    return source


@case
def image_folder_empty(folder):
    return Source("images", folder)


@case
def image_path_is_a_file(folder):
    return Source("images", write_images(folder).path / "cat" / "000.png")


MAPPED = [(name, 0) for name in CASES if name.startswith("np")]


@pytest.mark.parametrize(("name", "mapped_from"), [*((n, 2**24) for n in CASES), *MAPPED])
def test_hostile_files_are_refused_in_one_line(name, mapped_from, tmp_path, monkeypatch):
    monkeypatch.setattr(arrays, "MAPPED_FROM", mapped_from)
    source = CASES[name](tmp_path)
    tracemalloc.start()
    try:
        with pytest.raises(DataError) as caught:
            plain(source)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    message = str(caught.value)
    assert "\n" not in message and "\x1b" not in message and len(message) < 600 + len(str(source))
    assert ": " in message and "; " in message
    assert not (tmp_path / "canary").exists()
    assert peak < 30e6


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (npz_of_objects, "never unpickled"),
        (npz_nan_labels, "labels must be finite, got nan"),
        (cifar_gadget, "it names posix.mkdir"),
        (cifar_poisons_the_reader, "it sets attributes"),
        (idx_gz_bomb, "the file holds more"),
        (image_bomb, "exceeds limit"),
        (image_class_that_is_no_text, r'must be UTF-8, got "a\udcff"; rename'),
        (csv_is_a_folder, "must be a file, got a folder"),
    ],
)
def test_the_reason_is_given(build, words, tmp_path):
    with pytest.raises(DataError) as caught:
        plain(build(tmp_path))
    assert words in str(caught.value)


def test_the_corpus_is_large():
    assert len(CASES) >= 60


def test_gadgets_would_work_without_the_guard(tmp_path):
    pickle.loads(pickle.dumps(Gadget(tmp_path / "canary")))
    assert (tmp_path / "canary").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_no_permission(tmp_path):
    source = npz_of(tmp_path, x=np.ones((4, 2)), y=labels(4))
    source.path.chmod(0)
    with pytest.raises(DataError, match="permission"):
        plain(source)


def test_reader_is_the_same_after_an_attack(tmp_path):
    with pytest.raises(DataError):
        plain(cifar_poisons_the_reader(tmp_path))
    from hpsearch.data import cifar10

    assert cifar10._encode.__defaults__ is None


def test_files_whose_names_are_no_text_are_read(tmp_path):
    source = write_images(tmp_path / "images")
    for path in (tmp_path / "images").glob("*/*.png"):
        path.rename(path.with_name(f"{STRANGE}-{path.name}"))
    assert len(plain(source).train) > 0
    (tmp_path / STRANGE).mkdir()
    table = tmp_path / STRANGE / f"{STRANGE}.csv"
    table.write_bytes(b"x,y\n" + BODY)
    assert len(plain(Source("csv", table, target="y")).train) > 0


def test_what_has_to_be_written_down_must_be_text_and_the_rest_may_be_anything(
    tmp_path, monkeypatch
):
    quickly(monkeypatch)

    def exits(*words):
        return CliRunner().invoke(app, [*map(str, words), "--runs-dir", str(tmp_path / STRANGE)])

    (tmp_path / STRANGE).mkdir()
    (tmp_path / "t.csv").write_bytes(b"x,y\n" + BODY)
    config = tmp_path / f"{STRANGE}.yaml"
    config.write_text("data: {source: csv, path: t.csv, target: y}")
    assert exits("data", config, "--run", "a").exit_code == 0
    for command in ("report", "status", "doctor", "data"):
        assert exits(command, "a").exit_code == 0
    beside = (tmp_path / STRANGE / "t.csv").write_bytes(b"x,y\n" + BODY)
    within = tmp_path / STRANGE / "c.yaml"
    within.write_text(config.read_text())
    refused = exits("data", within, "--run", "b")
    assert beside and refused.exit_code == 2
    assert "c.yaml:1:27: data.path: must be UTF-8" in refused.output
    monkeypatch.chdir(tmp_path)
    given = CliRunner().invoke(app, ["init", "--data", f"{STRANGE}/t.csv", "--target", "y"])
    assert given.exit_code == 2 and "must be UTF-8" in given.output
    assert not (tmp_path / "hpsearch.yaml").exists()
