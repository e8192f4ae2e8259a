"""Data that would eat the machine, or wait for ever: refused in seconds, in bounded memory."""

import io
import json
import os
import struct
import subprocess
import sys
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from test_data_hostile import CASES as HOSTILE
from test_data_hostile import Gadget, npy_announcing, png
from test_data_sources import idx_bytes, labels, write_idx, write_images

from hpsearch.config.schema import Config
from hpsearch.data import Source, load
from hpsearch.data.signal import signal
from hpsearch.data.unlabelled import load_unlabelled
from hpsearch.errors import DataError
from hpsearch.lockstep import Lockstep
from hpsearch.nn.net import Net
from hpsearch.stages.context import Context
from hpsearch.stages.data import CHECKS, label_signal

MEMORY = 150  # MB beyond what the libraries take
SECONDS = 2  # of the processor, for one file
GUARD = f"""
import json, os, resource, signal, sys, time
from pathlib import Path

import numpy, pandas, PIL.Image
from hpsearch.data import Source, load
from hpsearch.data.unlabelled import load_unlabelled
from hpsearch.errors import DataError
from hpsearch.prediction import Predictor

def status(key):
    return next(int(x.split()[1]) / 1024 for x in Path("/proc/self/status").open() if key in x)

def outcome(kind, path):
    start, before = time.process_time(), status("VmRSS")
    resource.setrlimit(
        resource.RLIMIT_AS, (int(status("VmSize") + {MEMORY}) * 2**20, resource.RLIM_INFINITY)
    )
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    try:
        if kind == "predict":
            load_unlabelled(path, ["a", "b"])
        elif kind == "model":
            Predictor.read(path)
        else:
            source = Source(kind, path, target="y" if kind == "csv" else None)
            load(source, center="feature", scale="standard")
    except DataError as error:
        said = str(error)
    except BaseException as error:
        said = "not refused: " + repr(error)
    else:
        said = "not refused"
    return said, time.process_time() - start, status("VmHWM") - before

for line in sys.stdin:
    kind, path = json.loads(line)
    reading, writing = os.pipe()
    if not os.fork():
        signal.alarm(60)
        os.write(writing, json.dumps(outcome(kind, Path(path))).encode())
        os._exit(0)
    os.wait()
    os.close(writing)
    print(os.read(reading, 2**16).decode() or '["no answer", 60, 0]', flush=True)
"""
CASES = {}


def case(kind):
    def add(build):
        CASES[build.__name__] = kind, build
        return build

    return add


def filled(path, size, piece):
    """A file of so many bytes that costs no disk where they are zeros."""
    with path.open("wb") as file:
        if piece == b"\0":
            file.truncate(size)
        else:
            for _ in range(size // len(piece)):
                file.write(piece)
    return path


@case("csv")
def csv_of_one_endless_line(folder):
    return filled(folder / "a.csv", 2**26, b"1," * 2**19)


@case("csv")
def csv_of_one_endless_line_without_a_comma(folder):
    return filled(folder / "a.csv", 2**26, b"x" * 2**20)


@case("csv")
def csv_of_a_gigabyte_of_zeros(folder):
    return filled(folder / "a.csv", 2**40, b"\0")


@case("csv")
def csv_with_an_endless_quote(folder):
    (folder / "a.csv").write_bytes(b'x,y\n"' + b"a\n" * 2**23)
    return folder / "a.csv"


@case("csv")
def csv_with_a_million_columns(folder):
    names = ",".join(f"c{k}" for k in range(1_000_000))
    (folder / "a.csv").write_text(f"{names},y\n" + "1," * 1_000_000 + "0\n")
    return folder / "a.csv"


@case("csv")
def csv_with_a_million_equal_columns(folder):
    (folder / "a.csv").write_text("c," * 1_000_000 + "y\n")
    return folder / "a.csv"


@case("csv")
def csv_with_many_texts(folder):
    rows = "".join(f"text {k},{k % 2}\n" for k in range(20_000))
    (folder / "a.csv").write_text("x,y\n" + rows)
    return folder / "a.csv"


@case("csv")
def csv_of_ten_thousand_classes(folder):
    (folder / "a.csv").write_text("x,y\n" + "".join(f"{k},{k}\n" for k in range(10_000)))
    return folder / "a.csv"


@case("csv")
def csv_of_ten_thousand_classes_by_name(folder):
    (folder / "a.csv").write_text("x,y\n" + "".join(f"{k},c{k // 2}\n" for k in range(20_000)))
    return folder / "a.csv"


@case("csv")
def csv_in_place_of_it_a_pipe(folder):
    os.mkfifo(folder / "a.csv")
    return folder / "a.csv"


@case("csv")
def csv_in_place_of_it_a_device(folder):
    (folder / "a.csv").symlink_to("/dev/zero")
    return folder / "a.csv"


@case("csv")
def csv_is_a_link_to_itself(folder):
    (folder / "a.csv").symlink_to("a.csv")
    return folder / "a.csv"


def archive_of(path, compressed=True, **members):
    how = zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED
    with zipfile.ZipFile(path, "w", how) as archive:
        for name, content in members.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                for piece in content:
                    member.write(piece)
    return path


def saved(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


@case("npz")
def npz_zip_bomb(folder):
    zeros = [npy_announcing((192 * 2**10, 2**10))] + [bytes(2**20)] * 192
    return archive_of(folder / "a.npz", x=zeros, y=[saved(labels(192 * 2**10))])


@case("npz")
def npz_zip_bomb_in_the_labels(folder):
    zeros = [npy_announcing((192 * 2**20,))] + [bytes(2**20)] * 192
    return archive_of(folder / "a.npz", x=[saved(np.ones((4, 1)))], y=zeros)


@case("npz")
def npz_with_more_features_than_memory(folder):
    return archive_of(folder / "a.npz", x=[npy_announcing((2, 2**42))], y=[saved(labels(2))])


@case("npz")
def npz_of_many_entries(folder):
    return archive_of(folder / "a.npz", **{f"a{k}": [b""] for k in range(20_000)})


@case("npz")
def npz_names_that_leave_the_folder(folder):
    content = [saved(np.ones((4, 1)))]
    names = ["../../x", "/etc/x", "..\\x", "x/../../y"]
    return archive_of(folder / "a.npz", **dict.fromkeys(names, content))


@case("npz")
def npz_in_which_a_gadget_hides_beside_good_arrays(folder):
    x, gadget = io.BytesIO(), np.array([Gadget(folder / "canary")], object)
    np.save(x, gadget)
    good = {"y": [saved(labels(4))], "x": [x.getvalue()]}
    return archive_of(folder / "a.npz", **good)


@case("idx")
def idx_gz_bomb_that_the_header_admits(folder):
    write_idx(folder, zipped=True)
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    head = bytes([0, 0, 8, 3]) + struct.pack(">3I", 192, 2**10, 2**10)
    pieces = [packer.compress(head), *(packer.compress(bytes(2**20)) for _ in range(192))]
    (folder / "train-images-idx3-ubyte.gz").write_bytes(b"".join(pieces) + packer.flush())
    return folder


@case("idx")
def idx_gz_of_many_members(folder):
    write_idx(folder, zipped=True)
    import gzip

    one = gzip.compress(b"")
    (folder / "train-images-idx3-ubyte.gz").write_bytes(
        gzip.compress(idx_bytes(np.ones((30, 4, 5)))) + one * 100_000 + gzip.compress(b"x")
    )
    return folder


@case("idx")
def idx_images_are_a_pipe(folder):
    write_idx(folder, zipped=False)
    (folder / "train-images-idx3-ubyte").unlink()
    os.mkfifo(folder / "train-images-idx3-ubyte")
    return folder


@case("cifar10")
def cifar_nested_without_end(folder):
    for k in range(1, 6):
        nested = b"\x80\x02" + b"]" * 10**6 + b"a" * 999_999 + b"."
        (folder / f"data_batch_{k}").write_bytes(nested)
    return folder


@case("cifar10")
def cifar_that_doubles_and_doubles(folder):
    double = b"]" + b"".join(b"q%c(h%ch%ce" % (k % 256, k % 256, k % 256) for k in range(99))
    for k in range(1, 6):
        (folder / f"data_batch_{k}").write_bytes(b"\x80\x02" + double + b".")
    return folder


@case("cifar10")
def cifar_is_a_pipe(folder):
    os.mkfifo(folder / "data_batch_1")
    return folder


@case("images")
def images_one_alone(folder):
    (folder / "cat").mkdir()
    (folder / "cat" / "a.png").write_bytes(png(5, 6, (b"\0" + bytes(15)) * 6))
    return folder


@case("images")
def images_that_are_pipes(folder):
    write_images(folder)
    for path in (folder / "cat").iterdir():
        path.unlink()
    os.mkfifo(folder / "cat" / "a.png")
    return folder


@case("images")
def images_that_are_links_to_devices(folder):
    write_images(folder)
    for path in (folder / "cat").iterdir():
        path.unlink()
    (folder / "cat" / "a.png").symlink_to("/dev/zero")
    return folder


@case("images")
def images_that_are_links_to_other_files(folder):
    write_images(folder)
    (folder / "cat" / "000.png").unlink()
    (folder / "cat" / "000.png").symlink_to("/etc/passwd")
    return folder


@case("images")
def images_of_a_gigabyte(folder):
    write_images(folder)
    filled(folder / "cat" / "000.png", 2**30 + 1, b"\0")
    return folder


@case("images")
def images_of_a_bomb_each(folder):
    rows = zlib.compress((b"\0" + bytes(3 * 8000)) * 8000)
    for name in ("cat", "dog"):
        (folder / name).mkdir()
        for k in range(8):
            (folder / name / f"{k}.png").write_bytes(png_of(8000, 8000, rows))
    return folder


def png_of(width, height, packed):
    def chunk(kind, data):
        crc = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + crc

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


@case("predict")
def predict_a_pipe(folder):
    os.mkfifo(folder / "a.npz")
    return folder / "a.npz"


@case("predict")
def predict_an_image_that_is_a_pipe(folder):
    os.mkfifo(folder / "a.png")
    return folder / "a.png"


@case("predict")
def predict_a_folder_of_pipes(folder):
    os.mkfifo(folder / "a.png")
    return folder


@case("predict")
def predict_a_folder_that_holds_itself(folder):
    (folder / "again").symlink_to(folder)
    return folder


@case("predict")
def predict_an_endless_line(folder):
    return csv_of_one_endless_line(folder)


@case("predict")
def predict_objects(folder):
    np.save(folder / "a.npy", np.array([[Gadget(folder / "canary")] * 2] * 4, object))
    return folder / "a.npy"


@case("model")
def model_of_objects(folder):
    gadget = np.array(Gadget(folder / "canary"), object)
    np.savez(folder / "a.npz", weights=gadget, sizes=gadget, classes=gadget, features=gadget)
    return folder / "a.npz"


@case("model")
def model_that_announces_billions(folder):
    np.savez(
        folder / "a.npz", weights=np.ones(4, np.float32), sizes=np.array([2, 2**60, 2]),
        activation="relu", normalization="none", shift=0.0, factor=1.0,
        classes=np.array(["a", "b"]), features=np.array(["a", "b"]),
    )  # fmt: skip
    return folder / "a.npz"


@case("model")
def model_of_very_many_members(folder):
    np.savez(
        folder / "a.npz", weights=np.ones(6, np.float32), sizes=np.array([2, 2]),
        activation="relu", normalization="none", shift=0.0, factor=1.0,
        classes=np.array(["a", "b"]), features=np.array(["a", "b"]), members=2**40,
    )  # fmt: skip
    return folder / "a.npz"


@case("model")
def model_with_a_text_for_a_number(folder):
    np.savez(
        folder / "a.npz", weights=np.array(["x"] * 6), sizes=np.array([2, 2]),
        activation="rélu", normalization=np.array([1, 2]), shift=np.array("x"), factor=1.0,
        classes=np.array(["a", "b"]), features=np.array(["a", "b"]),
    )  # fmt: skip
    return folder / "a.npz"


@case("model")
def model_bomb(folder):
    return archive_of(
        folder / "a.npz", weights=[npy_announcing((192 * 2**20,))] + [bytes(2**20)] * 192
    )


def test_more_features_than_memory_are_refused_before_they_are_named(tmp_path):
    head = npy_announcing((2, 2**36))
    (tmp_path / "x.npy").write_bytes(head)
    os.truncate(tmp_path / "x.npy", len(head) + 2**37)  # of zeros, which take no room
    np.save(tmp_path / "y.npy", labels(2))
    with pytest.raises(DataError, match="68,719,476,736 features: must fit into memory"):
        load(Source("npz", tmp_path), center="feature", scale="standard")


def test_folders_without_end(tmp_path):
    deep = [tmp_path]
    while len(deep) < 1200:  # more than Python calls of one function may be begun
        deep.append(deep[-1] / "d")
        deep[-1].mkdir()
    with pytest.raises(DataError, match="a class folder must hold images"):
        load(Source("images", tmp_path), center="feature", scale="standard")
    with pytest.raises(DataError, match="must hold images"):
        load_unlabelled(tmp_path, ["a", "b"])
    while len(deep) > 1:
        deep.pop().rmdir()


def test_ten_thousand_classes_fit_into_memory(tmp_path, rng, make_spec):
    """A table of 10,000 x 10,000 numbers would be 400 MB or more."""
    np.savez(tmp_path / "a.npz", x=rng.normal(size=(20_000, 4)), y=np.arange(20_000) % 10_000)
    source = Source("npz", tmp_path / "a.npz", validation=500)
    data = load(source, center="feature", scale="standard")
    cohort = Lockstep([make_spec(0, net=Net((4, 2, 10_000)))])
    context = Context(Config(), data, "data")
    audited = [check(context) for check in CHECKS if check is not label_signal]
    tracemalloc.start()
    found = [signal(data, 4000).centroid, *cohort.evaluate(data, data.validation).accuracy]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert data.n_classes == 10_000 and len(audited) == 8 and max(found) < 0.1
    assert peak < MEMORY * 1e6


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """Of each case what was said, the seconds, and the MB that it took."""
    folders = {name: tmp_path_factory.mktemp("hostile") for name in CASES}
    asked = [json.dumps([kind, str(build(folders[n]))]) for n, (kind, build) in CASES.items()]
    child = subprocess.run(
        [sys.executable, "-c", GUARD], input="\n".join(asked), capture_output=True, text=True,
        env={**os.environ, "HPSEARCH_CACHE_DIR": "/proc/none"},
    )  # fmt: skip
    assert not child.stderr
    found = dict(zip(CASES, map(json.loads, child.stdout.splitlines()), strict=True))
    assert not [folder for folder in folders.values() if (folder / "canary").exists()]
    return found


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
@pytest.mark.parametrize("name", CASES)
def test_what_would_eat_the_machine_is_refused(name, outcomes):
    said, seconds, memory = outcomes[name]
    print(name, seconds, memory, said)
    assert ": " in said and "; " in said and "\n" not in said and len(said) < 1000
    assert not said.startswith(("no answer", "not refused"))
    assert seconds <= SECONDS and memory <= MEMORY


def test_the_corpus_is_large():
    assert len(CASES) + len(HOSTILE) >= 150
