"""What a saved model says of new rows, and what it will not say."""

import csv
import io
import json

import numpy as np
import pytest
from typer.testing import CliRunner

from hpsearch.cli import app
from hpsearch.data import Source, load
from hpsearch.data.unlabelled import load_unlabelled
from hpsearch.errors import DataError, HostError
from hpsearch.prediction import Predictor

FLOWERS = """
name: flowers
data: {source: csv, path: flowers.csv, target: species, split: {validation: 60, test: 20}}
model: {hidden: [8]}
search:
  space: {learning_rate: {log_uniform: [1e-2, 0.3]}}
  coarse: {trials: 3, epochs: 4}
  refine: {trials: 3, epochs: 4, rounds: 1}
final: {top: 2, seeds: 2}
"""


def flowers(rows, rng):
    """Rows of a table: two numbers, a text, a truth, and the species that they decide."""
    for _ in range(rows):
        species = rng.integers(0, 2)
        size, shape = rng.normal(3 * species, 0.5), rng.normal()
        colour = ("red", "a=b")[species] if rng.random() < 0.9 else "blue"
        yield f"{size:.3f},{shape:.3f},{colour},{rng.random() < 0.5},{('iris', 'rose')[species]}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a table, and the run of a search on it."""
    path, rng = tmp_path_factory.mktemp("flowers"), np.random.default_rng(0)
    text = "\n".join(["size,shape,colour,wild,species", *flowers(300, rng)])
    (path / "flowers.csv").write_text(text)
    (path / "flowers.yaml").write_text(FLOWERS)
    for words in (["search"], ["search"], ["final"]):
        given = [*words, str(path / "flowers.yaml"), "--runs-dir", str(path / "runs")]
        assert CliRunner().invoke(app, given).exit_code == 0
    return path


def shell(folder, *words):
    return CliRunner().invoke(app, ["predict", *words, "--runs-dir", str(folder / "runs")])


def test_a_table_is_answered_as_its_test_rows_were(folder, tmp_path):
    model = folder / "runs/flowers/models/best.npz"
    source = Source("csv", folder / "flowers.csv", "species", validation=60, test=20)
    data = load(source, center="feature", scale="standard")
    wanted = Predictor.read(model).probabilities(data.test.gather())
    lines = (folder / "flowers.csv").read_text().splitlines()
    table = tmp_path / "new.csv"
    table.write_text("\n".join([lines[0], *(lines[n + 1] for n in data.test.index)]))
    found = shell(folder, str(model), str(table))
    assert found.exit_code == 0
    rows = list(csv.reader(io.StringIO(found.stdout)))
    assert rows[0] == ["row", "class", "p(iris)", "p(rose)"]
    assert [row[0] for row in rows[1:]] == [str(n) for n in range(2, 22)]
    assert np.allclose(np.array([row[2:] for row in rows[1:]], float), wanted, atol=1e-5)
    right = [row[1] == lines[n + 1].split(",")[-1]
             for row, n in zip(rows[1:], data.test.index, strict=True)]  # fmt: skip
    stored = json.loads((folder / "runs/flowers/final.json").read_text())
    assert np.mean(right) == stored["test"]["accuracy"] > 0.8
    named = json.loads(shell(folder, "flowers", str(table), "--json").stdout)
    assert named["classes"] == ["iris", "rose"]
    assert [row["class"] for row in named["rows"]] == [row[1] for row in rows[1:]]


def test_columns_are_found_by_name_and_a_level_that_is_absent_is_no_error(folder, tmp_path):
    one, other = tmp_path / "one.csv", tmp_path / "other.csv"
    one.write_text("size,shape,colour,wild\n3,0.5,a=b,True\n0,1,red,False\n")
    other.write_text("note;wild;colour;shape;size\nx;true;a=b;0.5;3\ny;false;red;1;0\n")
    assert shell(folder, "flowers", str(one)).stdout == shell(folder, "flowers", str(other)).stdout


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("size,shape,wild\n1,2,True\n", 'lacks "colour"'),
        ("a,b\n1,2\n", 'lacks "size", "shape", "colour", "wild"'),
        ("size,shape,colour,wild\n1,2,green,True\n", 'row 2, column "colour": must be one of'),
        ("size,shape,colour,wild\n1,2,7,True\n", 'row 2, column "colour": must be one of'),
        ("size,shape,colour,wild\n1,,red,True\n", "got a missing value"),
        ("size,shape,colour,wild\n1,2,red,True\nbig,2,red,True\n", 'row 3, column "size"'),
        ("size,shape,colour,wild\n1,inf,red,True\n", 'column "shape": must be a finite number'),
    ],
)
def test_what_does_not_fit_is_said(folder, tmp_path, text, said):
    path = tmp_path / "bad.csv"
    path.write_text(text)
    found = shell(folder, "flowers", str(path))
    assert found.exit_code == 2 and found.stdout == ""
    assert said in found.stderr


def test_what_is_no_model_or_no_data_is_said(folder, tmp_path):
    broken = tmp_path / "broken.npz"
    np.savez(broken, weights=np.zeros(3))
    table = tmp_path / "x.csv"
    table.write_text("size,shape,colour,wild\n1,2,red,True\n")
    for model, data, said in (
        ("nobody", table, "must be an .npz file or a run"),
        (str(broken), table, "must be a model that hpsearch saved"),
        (str(table), table, "readable .npz"),
        ("flowers", tmp_path / "gone.csv", "must exist; name a file of rows"),
        ("flowers", "", "DATA (nothing): must exist"),
        ("flowers", "x" * 5000, "must exist; name a file of rows"),
        ("../runs/flowers", table, "must be an .npz file or a run"),
        ("", table, "must be an .npz file or a run"),
        ("flowers", broken, "must hold x"),
    ):
        found = shell(folder, model, str(data))
        assert found.exit_code == 2 and said in found.stderr, found.stderr


@pytest.mark.parametrize("name, change", [
    ("classes", lambda classes: classes[:1]), ("features", lambda features: features[:2]),
    ("shift", lambda shift: shift[:2]), ("factor", lambda factor: factor[:2]),
    ("members", lambda members: members * 0),
])  # fmt: skip
def test_a_model_whose_parts_do_not_fit_one_another_is_none(folder, tmp_path, name, change):
    with np.load(folder / "runs/flowers/models/best.npz") as file:
        arrays = dict(file)
    np.savez(tmp_path / "m.npz", **{**arrays, name: change(arrays[name])})
    with pytest.raises(DataError, match="must be a model that hpsearch saved"):
        Predictor.read(tmp_path / "m.npz")


def test_a_row_without_an_answer_is_named(folder, tmp_path):
    path = tmp_path / "far.csv"
    path.write_text("size,shape,colour,wild\n1,2,red,True\n1e300,2,red,True\n")
    found = shell(folder, "flowers", str(path))
    assert found.exit_code == 2 and found.stdout == ""
    assert "far.csv: row 3: must be of a size" in found.stderr


def test_arrays_and_a_single_nets_file(tmp_path, monkeypatch, digits):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HPSEARCH_RUNS_DIR")
    small = ["--set", "search.coarse={trials: 2, epochs: 1}"]
    best = json.loads(CliRunner().invoke(app, ["search", "digits", "--json", *small]).stdout)
    x = digits.validation.gather()
    np.savez("rows.npz", x=x.reshape(-1, 8, 8))
    np.save("rows.npy", x)
    found = [shell(tmp_path, "runs/digits/coarse/best.npz", f"rows.{e}") for e in ("npz", "npy")]
    assert found[0].stdout == found[1].stdout
    said = [row[1] for row in csv.reader(io.StringIO(found[0].stdout))][1:]
    right = [digits.classes[y] == name for y, name in zip(digits.validation.y, said, strict=True)]
    assert np.mean(right) == best["best"]["val_accuracy"]
    np.save("narrow.npy", x[:, :60])
    narrow = shell(tmp_path, "runs/digits/coarse/best.npz", "narrow.npy")
    assert narrow.exit_code == 2 and "must be (N, 64)" in narrow.stderr


def test_images(tmp_path, rng):
    image = pytest.importorskip("PIL.Image")
    pixels = rng.integers(0, 256, (3, 4, 5), dtype=np.uint8)
    for n, each in enumerate(pixels):
        (tmp_path / f"part{n % 2}").mkdir(exist_ok=True)
        image.fromarray(each).save(tmp_path / f"part{n % 2}" / f"{n}.png")
    features = [f"pixel {n}" for n in range(60)]
    found = load_unlabelled(tmp_path, features, (4, 5, 3))
    assert found.names == ["part0/0.png", "part0/2.png", "part1/1.png"] and found.kind == "image"
    assert (found.x.reshape(3, 4, 5, 3) == pixels[[0, 2, 1], :, :, None]).all()
    one = load_unlabelled(tmp_path / "part1/1.png", features[:20], (4, 5, 1))
    assert one.names == ["1.png"] and (one.x == pixels[1].reshape(1, 20)).all()
    with pytest.raises(DataError, match="images must be 5 x 4 x 3"):
        load_unlabelled(tmp_path, features, (5, 4, 3))


def test_a_model_that_cannot_be_read_is_the_machines_fault(folder, monkeypatch):
    def refused(path, *mode):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.open", refused)
    with pytest.raises(HostError, match=r"best.npz: cannot be read: Permission denied; make"):
        Predictor.read(folder / "best.npz")
