"""The winner's pictures: first weights, confusions, surest mistakes, intervals; and PNG files."""

import io
import json
import math
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from plotly.graph_objects import Figure
from test_predict import FLOWERS, flowers
from test_report_samples import NAMES, full_run
from typer.testing import CliRunner

from hpsearch.cli import app
from hpsearch.data import Rows, Source, load
from hpsearch.errors import HostError
from hpsearch.nn.net import Net
from hpsearch.prediction import Member, Predictor
from hpsearch.report.plots import final, winner
from hpsearch.report.plots.plot import Gallery, Listing
from hpsearch.report.plots.png import png, smaller
from hpsearch.report.tables import winner as tables
from hpsearch.report.tables.final import intervals
from hpsearch.report.tables.material import Material
from hpsearch.stages import mistakes
from hpsearch.store import RunStore

SMALL = (
    "model.hidden=[20]", "search.coarse={trials: 3, epochs: 1}", "final={top: 2, seeds: 2}",
    "search.refine={trials: 3, epochs: 1, rounds: 1}",
)  # fmt: skip
DRAWN = (final.final_intervals, winner.confusion)


def shell(*words):
    found = CliRunner().invoke(app, list(map(str, words)))
    assert found.exit_code == 0, found.stderr
    return found.stdout


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Runs of digits, of a table, and of digits by another metric; none of them trained long."""
    root = tmp_path_factory.mktemp("trained")
    text = list(flowers(300, np.random.default_rng(0)))
    text[::7] = [line.replace("rose", "iris") for line in text[::7]]  # so that some are mistaken
    rows = "\n".join(["size,shape,colour,wild,species", *text])
    (root / "flowers.csv").write_text(rows.replace("rose", "<b>rose"))
    (root / "flowers.yaml").write_text(FLOWERS)
    small = [word for change in SMALL for word in ("--set", change)]
    by_loss = ["--run", "loss", "--set", "search.metric=val_loss"]
    for config, more in (("digits", small), ("digits", [*small, *by_loss]),
                         (root / "flowers.yaml", ["--set", "model.hidden=2"])):  # fmt: skip
        for command in ("data", "search", "final"):  # forced: so short a search fails
            words = [command, config, *more, "--runs-dir", root / "runs", "--quiet", "--force"]
            CliRunner().invoke(app, list(map(str, words)))
    return root / "runs"


@pytest.fixture
def run(trained, tmp_path, monkeypatch):
    """A copy of the digits' run, to be damaged; nobody waits for the disk."""
    monkeypatch.setattr("os.fsync", lambda _: None)
    shutil.copytree(trained / "digits", tmp_path / "digits")
    return RunStore(tmp_path, "digits")


def material(root, name="digits"):
    return Material.of(RunStore(root, name))


def pixels(data):
    """What Pillow reads of a picture."""
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        return np.asarray(image)


def answers(root, name, rows, tmp_path):
    """What `hpsearch predict` says of raw rows: probabilities (N, C)."""
    np.savez(tmp_path / "rows.npz", x=rows)
    said = shell("predict", name, tmp_path / "rows.npz", "--json", "--runs-dir", root)
    return np.array([row["probabilities"] for row in json.loads(said)["rows"]])


@given(
    st.tuples(st.integers(1, 9), st.integers(1, 9)).flatmap(
        lambda size: st.one_of(arrays(np.uint8, size), arrays(np.uint8, (*size, 3)))
    )
)
def test_pillow_reads_the_pixels_that_were_written(image):
    assert (pixels(png(image)) == image).all()


@pytest.mark.parametrize("shape", [(3,), (2, 2, 1), (2, 2, 4), (0, 2), (2, 0, 3), (1, 2, 2, 3)])
def test_what_is_no_image_is_no_png(shape):
    with pytest.raises(ValueError, match="must be"):
        png(np.zeros(shape, np.uint8))


def test_smaller_images_have_the_mean_of_blocks(rng):
    images = rng.random((2, 7, 4, 3))
    assert smaller(images, 7) is images
    found = smaller(images, 3)
    assert found.shape == (2, 2, 2, 3)
    assert found[1, 1, 0, 2] == pytest.approx(images[1, 3:6, 0:2, 2].mean())
    assert smaller(rng.random((1, 1, 500, 1)), 64).shape == (1, 1, 62, 1)


def test_the_confusions_are_those_of_the_saved_model(trained, digits, tmp_path):
    said = answers(trained, "digits", digits.validation.gather(), tmp_path).argmax(axis=1)
    counts = tables.confusion(material(trained))
    y, wanted = digits.validation.y, np.zeros((10, 10), int)
    for true, taken in zip(y, said, strict=True):
        wanted[true, taken] += 1
    assert (counts.to_numpy() == wanted).all() and list(counts.index) == list("0123456789")
    classes = tables.per_class(counts)
    for k, row in classes.iterrows():
        assert row.recall == pytest.approx((said[y == k] == k).mean())
        taken = y[said == k] == k
        assert row.precision == pytest.approx(taken.mean()) if len(taken) else (
            math.isnan(row.precision)
        )
        assert row.low < row.recall < row.high or row.recall in (0, 1)
        others = wanted[k].copy()
        others[k] = 0
        assert row.times == others.max() and (not row.times or others[int(row.taken_for)])
    document = material(trained).final
    chosen = next(p for p in document.predictors if p["name"] == document.chosen)
    assert classes.right.sum() / classes.rows.sum() == chosen["accuracy"]
    assert f"{classes.right.sum()} are right" in winner.confusion(material(trained)).caption


def test_the_surest_mistakes_are_those_of_the_saved_model(trained, digits, tmp_path):
    rows = digits.validation
    found = answers(trained, "digits", rows.gather(), tmp_path)
    said, sure = found.argmax(axis=1), found.max(axis=1)
    wrong = sorted(np.flatnonzero(said != rows.y), key=lambda n: -sure[n])[:24]
    ours = tables.mistakes(material(trained))
    assert len(wrong) == 24 and list(ours.table.row) == list(rows.index[wrong])
    assert np.allclose(ours.table.probability, sure[wrong])
    assert list(ours.table.truth) == [str(n) for n in rows.y[wrong]]
    assert list(ours.table.said) == [str(n) for n in said[wrong]]
    gallery = winner.mistakes(material(trained))
    assert isinstance(gallery, Gallery) and "no test set" in gallery.caption
    for place, picture in zip(wrong, gallery.pictures, strict=True):
        source = rows.base[rows.index[place]].reshape(8, 8).astype(float)
        assert (pixels(picture.png) == np.rint(source * 255 / 16)).all()
        where, answer = rows.index[place], f"said {said[place]} {sure[place]:.2f}"
        assert picture.label == f"row {where}: {rows.y[place]}, {answer}"


def test_pixels_of_all_bytes_are_shown_as_they_are(rng):
    images = rng.integers(0, 256, (3, 4, 5, 3), dtype=np.uint8)
    assert (tables.as_bytes(images, 0, 255) == images).all()
    assert (tables.as_bytes(images / 255, 0, 1) == images).all()
    assert not tables.as_bytes(images, 7, 7).any()


def test_a_tables_mistakes_come_with_what_stands_out(trained):
    source = Source("csv", trained.parent / "flowers.csv", "species", validation=60, test=20)
    data = load(source, center="feature", scale="standard")
    x = pd.DataFrame(data.validation.gather(), index=data.validation.index, columns=data.features)
    away = (x - x.mean()) / x.std(ddof=0)
    listing, found = (f(material(trained, "flowers")) for f in (winner.mistakes, tables.mistakes))
    assert isinstance(listing, Listing) and len(listing.table) and found.images is None
    texts = listing.table.iloc[:, -3:].agg("; ".join, axis=1)
    for (_, row), text in zip(found.table.iterrows(), texts, strict=True):
        wanted = away.loc[row.row].abs().nlargest(3)
        names = [name for name, _, _ in row.features]
        assert away.loc[row.row].abs()[names].tolist() == pytest.approx(wanted.tolist())
        for name, value, z in row.features:
            assert (value, z) == (x.loc[row.row, name], pytest.approx(away.loc[row.row, name]))
            assert f"{name} " in text and f"({z:+.1f})" in text


def test_answers_that_are_no_numbers_are_no_mistakes(digits):
    rows = digits.validation.part(slice(4))
    said = np.full((4, 10), 0.01)
    said[np.arange(4), (rows.y + 1) % 10] = [0.5, 0.9, 0.9, 0.7]
    said[3] = math.nan
    found = mistakes.surest(said, rows, digits)
    assert found["row"].tolist() == rows.index[[1, 2, 0]].tolist()
    own = Rows(rows.gather(), rows.y)  # a split that came as a file of its own
    assert mistakes.surest(said, own, digits)["row"].tolist() == [1, 2, 0]
    right = mistakes.surest(np.eye(10)[rows.y], rows, digits)
    assert len(right["row"]) == 0 and len(right["x"]) == 0


def test_very_many_classes_are_not_counted():
    y, names = np.arange(201), tuple(map(str, range(201)))
    assert mistakes.confusion(np.eye(201), y, names) is None
    found = mistakes.confusion(np.eye(200), y[:200], names[:200])
    assert np.array_equal(found["counts"], np.eye(200))


def told(store, **changes):
    """The run with another final.json."""
    store.write_document(replace(store.final_document(), **changes))
    return Material.of(store)


def test_of_many_classes_the_most_confused_are_drawn(run, rng):
    counts = np.diag(rng.integers(5, 9, 40))
    counts[30, 7] = counts[3, 39] = 4
    found = told(run, confusion={"classes": [f"c{n}" for n in range(40)],
                                 "counts": counts.tolist()})  # fmt: skip
    plot = winner.confusion(found)
    assert "25 of 40" in plot.thinned and len(plot.table) == 40
    for drawing in plot.views.values():
        names = drawing["layout"]["yaxis"]["ticktext"]
        assert len(names) == 25 and {"c30", "c7", "c3", "c39"} <= set(names)
    trace = plot.views["share of the class"]["data"][0]
    at = names.index("c30"), names.index("c7")
    assert trace["z"][at[0]][at[1]] == pytest.approx(4 / (4 + counts[30, 30]))
    assert "text" not in trace and "25 worst of 40" in final.final_intervals(found).thinned


def test_the_drawings_are_plotlys_and_say_what_the_tables_say(trained):
    for name in ("digits", "loss", "flowers"):
        for draw in DRAWN:
            plot = draw(material(trained, name))
            assert plot.caption and plot.alt and len(plot.table)
            for drawing in plot.views.values():
                assert len(Figure(drawing).data)
    counts = tables.confusion(material(trained)).to_numpy()
    views = winner.confusion(material(trained)).views
    assert views["rows"]["data"][0]["z"] == counts.tolist()
    shares = np.array(views["share of the class"]["data"][0]["z"])
    assert np.allclose(shares, counts / counts.sum(axis=1, keepdims=True))
    wrong = np.array(views["mistakes alone"]["data"][0]["z"], float)
    assert np.isnan(wrong.diagonal()).all() and np.nansum(wrong) == pytest.approx(
        10 - shares.trace()
    )


def test_the_intervals_are_those_of_the_document(trained):
    found = material(trained)
    table, document = intervals(found), found.final
    ours = table[table.kind == "candidate"]
    for (_, row), candidate in zip(ours.iterrows(), document.candidates, strict=True):
        values = np.array(candidate["values"])
        assert row.search == candidate["value"] and row["each"] == candidate["values"]
        assert (row.low + row.high) / 2 == pytest.approx(values.mean())
        assert (row.high - row.low) / 2 == pytest.approx(values.std(ddof=1))
    assert list(ours.chosen).index(True) == document.winner
    test = table[table.kind == "test"].iloc[0]
    assert [test.low, test.high] == document.test["interval"]
    assert test.measured_on == document.test["rows"]
    plot = final.final_intervals(found)
    traces = {trace["name"]: trace for trace in plot.views["results"]["data"]}
    whiskers = traces["test, 95 %"]["error_x"]
    assert whiskers["array"][0] == pytest.approx(test.high - test.value)
    assert whiskers["arrayminus"][0] == pytest.approx(test.value - test.low)
    assert len(traces["each seed"]["x"]) == 4
    stars = [at for n in ("trained again, ± sd", "validation, 95 %")
             for at, symbol in zip(traces[n]["y"], traces[n]["marker"]["symbol"], strict=True)
             if symbol == "star"]  # fmt: skip
    assert stars == [n for n in table.index if table.chosen[n] and table.kind[n] != "test"]


def test_the_caption_tells_the_optimism_of_a_loss_too(trained, run):
    first = {"value": 0.6415, "mean": 0.6345, "sd": 0.001, "values": [0.634, 0.635]}
    candidates = [{**run.final_document().candidates[0], **first}]
    said = final.final_intervals(told(run, candidates=candidates, winner=0)).caption
    assert "the best of 3 trials, promised a validation accuracy of 0.6415" in said
    assert "has 0.6345: 0.0070 too much" in said and "without the input is right 10.0%" in said
    worse = [{**candidates[0], "value": 0.6}]
    assert "not promise too much" in final.final_intervals(told(run, candidates=worse)).caption
    plot = final.final_intervals(material(trained, "loss"))
    document = material(trained, "loss").final
    assert list(plot.views) == ["trained again", "ensembles and test", "per class"]
    assert "promised a validation loss" in plot.caption
    assert ("too good" in plot.caption) == (document.optimism > 0)


def test_the_caption_tells_what_was_chosen_why_and_what_is_saved(trained, run):
    document = run.final_document()
    winner_of = document.candidates[document.winner]
    name = f"{winner_of['stage']}/{winner_of['trial']}"
    for reason, words in (
        (f"{name} has the best mean", f"Chosen: {name}, which has the best mean."),
        ("it was liked", f"Chosen: {name} (it was liked)."), ("", f"Chosen: {name}."),
    ):  # fmt: skip
        assert words in final.final_intervals(told(run, reason=reason)).caption
    for chosen, members, words in (
        ("ensemble of the winner's 3", [0, 1, 2], "the ensemble of its 3 nets"),
        ("ensemble of the winner's 1", [0], "its only net"),
        ("ensemble of all 6", [0, 1, 2, 3, 4, 5], "the ensemble of all 6 nets, those of every"),
    ):
        said = final.final_intervals(told(run, chosen=chosen, members=members)).caption
        assert f"Saved: {words}" in said


@pytest.mark.parametrize(("wrong", "words"), [
    ({(0, 1): 1, (1, 2): 1}, "No confusion stands out: each of the 2 mistakes is of another kind"),
    ({(0, 1): 1}, "The only mistake: a is taken for b."),
    ({(0, 1): 3, (1, 2): 1}, "Most often a is taken for b: 3 times, 23.1% of its rows."),
    ({(0, 1): 2, (2, 1): 2}, "of its rows (as is the case with 1 other pair)."),
])  # fmt: skip
def test_a_confusion_is_named_where_it_stands_out(run, wrong, words):
    counts = 10 * np.eye(3, dtype=int)
    for place, times in wrong.items():
        counts[place] = times
    found = {"classes": ["a", "b", "c"], "counts": counts.tolist()}
    assert words in winner.confusion(told(run, confusion=found)).caption


def test_a_run_without_a_test_set_or_a_winner_says_so(run):
    assert "no test set" in final.final_intervals(told(run, test=None)).caption
    nobody = [{**c, "values": [], "mean": None, "sd": None}
              for c in run.final_document().candidates]  # fmt: skip
    lost = told(run, winner=None, candidates=nobody, predictors=[], test=None, confusion=None,
                message="none finished")  # fmt: skip
    plot = final.final_intervals(lost)
    assert plot.caption == "none finished" and Figure(plot.views["results"])
    assert winner.mistakes(lost) is None and winner.confusion(lost) is None
    assert final.final_intervals(told(run, verdict=None)) is None


def test_before_the_end_there_is_nothing_but_the_best_trials_weights(run):
    (run.folder / "final.json").unlink()
    found = Material.of(run)
    assert [draw(found) for draw in (*DRAWN, winner.mistakes)] == [None] * 3
    assert "/best.npz: the weights" in winner.weights(found).caption


def test_a_final_from_before_this_was_kept_shows_the_rest(run):
    path = run.folder / "final.json"
    record = json.loads(path.read_text())
    del record["confusion"], record["checksum"]
    path.write_text(json.dumps(record))
    (run.folder / "final/mistakes.npz").unlink()
    found = Material.of(run)
    assert winner.confusion(found) is None and winner.mistakes(found) is None
    assert list(final.final_intervals(found).views) == ["results"]


@pytest.mark.parametrize("name", NAMES)
def test_names_are_inert_in_drawings(run, name):
    name = name.encode("utf-8", "replace").decode()  # no file can hold a lone surrogate
    found = told(run, confusion={"classes": [name, "b"], "counts": [[2, 1], [0, 3]]})
    for draw in DRAWN:
        plot = draw(found)
        said = json.dumps([*plot.views.values()], ensure_ascii=False)
        assert not set("\x1b\x07\x00\u202e\u2028\udcff\x9b") & set(said)
        assert not any(tag in said for tag in ("<script", "<img", "</pre"))
        assert len(plot.caption) < 500


DAMAGE = [
    {"confusion": found} for found in (
        3, [], {}, {"classes": ["a"]}, {"classes": ["a"], "counts": [[1, 2]]},
        {"classes": ["a"], "counts": [["x"]]}, {"classes": ["a"], "counts": [[0.5]]},
        {"classes": ["a"], "counts": [[-1]]}, {"classes": 3, "counts": [[1]]},
        {"classes": ["a", "b"], "counts": [[1], [2, 3]]}, {"classes": [], "counts": []},
    )
] + [
    {"candidates": [3]}, {"candidates": [{"stage": "coarse"}]}, {"metric": 3}, {"earlier": 3},
    {"test": {"accuracy": "x"}}, {"test": 3}, {"predictors": [{}]}, {"predictors": 3},
    {"test": {"accuracy": 0.5, "interval": [1], "rows": 3}},
    {"test": {"accuracy": 0.5, "interval": [0.1, 0.9], "rows": "many"}},
]  # fmt: skip


@pytest.mark.parametrize("change", DAMAGE, ids=str)
def test_a_damaged_document_is_said(run, change):
    path = run.folder / "final.json"
    record = json.loads(path.read_text())
    del record["checksum"]
    path.write_text(json.dumps({**record, **change}))
    with pytest.raises(HostError, match=r"final\.json: damaged"):
        for draw in DRAWN:
            draw(Material.of(run))


@pytest.mark.parametrize("file, draw", [
    ("final/mistakes.npz", winner.mistakes), ("models/best.npz", winner.weights),
])  # fmt: skip
def test_a_damaged_file_is_as_none(run, file, draw, rng):
    for stage in run.search_stages():
        (run.folder / stage / "best.npz").unlink()
    path = run.folder / file
    whole = path.read_bytes()
    assert draw(Material.of(run)) is not None
    for data in (b"", whole[: len(whole) // 2], b"PK" + bytes(99), whole[:200] + whole[300:]):
        path.write_bytes(data)
        assert draw(Material.of(run)) is None
    path.unlink()
    assert draw(Material.of(run)) is None


@pytest.mark.parametrize("change", [
    {"x": np.zeros((3, 64), np.uint8)}, {"x": np.zeros((24, 60), np.uint8)},
    {"truth": np.full(24, 99)}, {"truth": np.zeros(24)}, {"said": np.array("x")},
    {"image_shape": np.array([9, 9, 1])}, {"image_shape": np.array([8, 8])},
    {"image_shape": np.array(["a", "b", "c"])}, {"span": np.zeros(3)}, {"span": np.array("x")},
    {"probability": np.zeros(3)}, {"probability": np.full(24, "x")}, {"x": np.array("x")},
    {"classes": np.array(3)}, {"row": np.zeros(())}, {"x": np.full((24, 64), "x")},
])  # fmt: skip
def test_mistakes_whose_shapes_lie_are_none(run, change):
    run.write_weights("final/mistakes", 0, {**run.arrays("final/mistakes"), **change})
    assert winner.mistakes(Material.of(run)) is None


@pytest.mark.parametrize("shape", [[9, 9, 1], [8, 8], "8x8", [8, 8, -1], [8.0, 8, 1], 3, None])
def test_weights_of_what_is_no_such_image_are_none(run, shape):
    """The best trial's own file does not say what images they are: the audit does."""
    (run.folder / "final.json").unlink()
    data = run.check_document("data")
    assert winner.weights(Material.of(run)) is not None
    run.write_document(replace(data, facts={**data.facts, "image_shape": shape}))
    assert winner.weights(Material.of(run)) is None
    (run.folder / "data.json").unlink()
    assert winner.weights(Material.of(run)) is None


def net_of(root, shape, weights, classes=("a", "b"), *, rotation=None, hidden=True,
           activation="relu"):  # fmt: skip
    """A run whose winner's first layer has these weights (O, D), and nothing behind it."""
    store = full_run(root)
    data = store.check_document("data")
    store.write_document(replace(data, facts={**data.facts, "image_shape": list(shape)}))
    (units, inputs), pieces = weights.shape, 2 if activation == "maxout" else 1
    sizes = (inputs, units // pieces, len(classes)) if hidden else (inputs, units)
    net = Net(sizes, activation)
    flat = np.zeros(net.n_numbers, np.float32)
    flat[: weights.size] = weights.ravel()
    preprocess = load(Source("spiral"), center="none", scale="none").preprocess
    factor = np.ones(inputs)
    factor[0] = 0.0
    preprocess = replace(preprocess, shift=np.zeros(inputs), factor=factor, rotation=rotation)
    features = tuple(f"pixel {n}" for n in range(inputs))
    found = Predictor([Member(net, flat)], preprocess, classes, features)
    store.write_weights("coarse/best", 4, found.arrays())
    return Material.of(store)


def test_weights_are_pictures_of_themselves(run):
    """As they lie in the file: first the first layer's, unit by unit."""
    file = run.arrays("models/best")
    layer = file["weights"][: 20 * 64].reshape(20, 64) * (file["factor"] > 0)
    gallery = winner.weights(Material.of(run))
    order = np.argsort(-(layer**2).sum(axis=1))
    assert [picture.label for picture in gallery.pictures] == [f"unit {n}" for n in order]
    assert gallery.thinned == "" and gallery.caption.startswith("models/best.npz")
    for unit, picture in zip(order, gallery.pictures, strict=True):
        image, weights = pixels(picture.png).astype(int), layer[unit].reshape(8, 8)
        assert (image[weights == 0] == winner.ZERO).all()
        most = np.unravel_index(np.abs(weights).argmax(), (8, 8))
        end = winner.POSITIVE if weights[most] > 0 else winner.NEGATIVE
        assert tuple(image[most]) == end
        warm = image[:, :, 0] - image[:, :, 2]
        strong = np.abs(weights) > 0.05 * np.abs(weights).max()
        assert (np.sign(warm) == np.sign(weights))[strong].all()
    assert "3 inputs never vary" in gallery.caption or (file["factor"] > 0).all()


def test_colour_weights_are_around_grey_and_the_largest_units_are_shown(tmp_path, rng):
    weights = rng.normal(size=(60, 3 * 5 * 3)) * rng.permutation(60)[:, None]
    gallery = winner.weights(net_of(tmp_path, (3, 5, 3), weights))
    weights[:, 0] = 0
    order = np.argsort(-np.linalg.norm(weights, axis=1))[:24]
    assert [picture.label for picture in gallery.pictures] == [f"unit {n}" for n in order]
    assert "24 of 60 hidden units" in gallery.thinned and "grey is zero" in gallery.caption
    for unit, picture in zip(order, gallery.pictures, strict=True):
        part = weights[unit].astype(np.float32) / np.abs(weights[unit].astype(np.float32)).max()
        wanted = np.rint(127.5 + 127.5 * part).reshape(3, 5, 3)
        assert np.abs(pixels(picture.png) - wanted).max() <= 1


def test_a_net_without_hidden_layers_has_a_picture_for_each_class(tmp_path, rng):
    found = net_of(tmp_path, (2, 2, 1), rng.normal(size=(3, 4)), ("<b>", "b", "c"), hidden=False)
    gallery = winner.weights(found)
    assert [picture.label for picture in gallery.pictures] == ["class <b>", "class b", "class c"]


def test_the_sums_of_a_unit_that_takes_the_largest_are_pictures_each(tmp_path, rng):
    found = net_of(tmp_path, (2, 2, 1), rng.normal(size=(6, 4)), activation="maxout")
    gallery = winner.weights(found)
    assert {picture.label for picture in gallery.pictures} == {f"piece {n}" for n in range(6)}
    assert "hidden pieces" in gallery.caption


def test_whitened_weights_are_turned_back_to_pixels(tmp_path, rng):
    """So that a picture times the scaled pixels is what the unit is given."""
    weights, rotation = rng.normal(size=(5, 12)), rng.normal(size=(12, 12))
    found = tables.first_layer(net_of(tmp_path, (2, 2, 3), weights, rotation=rotation), 48)
    x = rng.normal(size=(7, 12))
    x[:, 0] = 0  # as a constant pixel is, once centred
    seen = (x @ rotation) @ weights[found.units].T
    assert np.allclose(x @ found.images.reshape(5, 12).T, seen, atol=1e-4) and found.whitened


def test_neighbours_correlate_in_shapes_and_not_in_noise(tmp_path, rng):
    noise = rng.normal(size=(40, 32 * 32 * 3))
    said = winner.weights(net_of(tmp_path / "n", (32, 32, 3), noise)).caption
    assert "mostly noise" in said and "above 0.5" in said and "CS231n" in said
    height, width = np.mgrid[0:32, 0:32]
    waves = [np.cos((height * a + width * b) / 9)[:, :, None] * rng.normal(size=3)
             for a, b in rng.normal(size=(9, 2))]  # fmt: skip
    smooth = np.array(waves).reshape(9, -1)
    said = winner.weights(net_of(tmp_path / "s", (32, 32, 3), smooth)).caption
    assert "smooth" in said and "CS231n" not in said
    coarse = winner.weights(net_of(tmp_path / "c", (8, 8, 1), noise[:, :64])).caption
    assert "hard to tell from noise" in coarse and "CS231n" not in coarse
    tiny = winner.weights(net_of(tmp_path / "t", (1, 2, 1), noise[:, :2])).caption
    assert "too few pixels" in tiny


def test_the_correlation_of_neighbours_is_pearsons(rng):
    images, varying = rng.normal(size=(4, 5, 6, 2)).cumsum(axis=1), rng.random((5, 6, 2)) < 0.8
    wanted = []
    for image in images:
        pairs = [(image[h, w, c], image[i, j, c])
                 for h in range(5) for w in range(6) for c in range(2)
                 for i, j in ((h + 1, w), (h, w + 1))
                 if i < 5 and j < 6 and varying[h, w, c] and varying[i, j, c]]  # fmt: skip
        wanted.append(np.corrcoef(np.array(pairs).T)[0, 1])
    assert tables.neighbours(images, varying) == pytest.approx(np.mean(wanted))
    assert math.isnan(tables.neighbours(np.zeros((2, 9, 9, 1)), np.ones((9, 9, 1), bool)))


def test_large_images_are_drawn_smaller_and_that_is_said(tmp_path, rng):
    gallery = winner.weights(net_of(tmp_path, (130, 70, 2), rng.normal(size=(2, 130 * 70 * 2))))
    assert pixels(gallery.pictures[0].png).shape == (43, 35, 3)
    assert "averaged to 43 x 35" in gallery.thinned and "2 channels" in gallery.thinned
