"""Records that are JSON, but not what was written: named, or shown as a gap, and never a bug."""

import json
import math
import random
import shutil
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_report_samples import quickly, search, trial
from test_runner import SMALL
from typer.testing import CliRunner

from hpsearch.cli import app
from hpsearch.errors import HostError
from hpsearch.report.page import UNREAD, page
from hpsearch.report.tables.stages import varying
from hpsearch.report.text import is_real
from hpsearch.store import RunStore
from hpsearch.strictjson import fitting
from hpsearch.trial import TrialResult

HUGE = 10**400
VALUES = (
    None, True, -1, HUGE, 1e308, "", "<b>", [], {}, [None], ["x"], [1, 2, 3, 4], {"x": None},
)  # fmt: skip
TOLD = [  # a file, a place in it, what stands there
    ("coarse/stage.json", "pruned", "x"), ("coarse/stage.json", "metric", None),
    ("coarse/stage.json", "stage", [[]]), ("coarse/stage.json", "stage", "../../etc"),
    ("coarse/stage.json", "best", []), ("coarse/stage.json", "best.value", "x"),
    ("coarse/stage.json", "importance", []), ("coarse/stage.json", "verdicts", "x"),
    ("coarse/stage.json", "space", {"learning_rate": {"uniform": ["x"]}}),
    ("coarse/stage.json", "diverged", HUGE),
    ("coarse/trials/00001.json", "metric", [None]), ("coarse/trials/00001.json", "metric", "x"),
    ("coarse/trials/00001.json", "id", ["x"]), ("coarse/trials/00001.json", "step", {}),
    ("coarse/trials/00001.json", "curves.val_loss", [1]),
    ("coarse/trials/00001.json", "curves.val_loss", [HUGE, 1]),
    ("coarse/trials/00001.json", "verdict", [1]),
    ("final.json", "candidates", [None]), ("final.json", "test.interval", 1),
    ("final.json", "test.accuracy", [1]), ("final.json", "predictors", {"x": None}),
    ("final.json", "winner", 99), ("final.json", "stage", {}),
    ("overfit.json", "checks.0.message", None), ("sanity.json", "facts", "x"),
    ("sanity.json", "facts.layers.0.std", ["x"]), ("sweep.json", "facts.range", [[], 1]),
    ("sweep.json", "facts.rates.0.steps", ["x"]), ("sweep.json", "facts.rates.0.score", HUGE),
    ("overfit.json", "facts.rates.0.epochs", [None]), ("run.json", "blas.libraries", [None]),
]  # fmt: skip


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run with everything."""
    root = tmp_path_factory.mktemp("damage")
    words = ["run", "digits", "--quiet", "--runs-dir", str(root), "--jobs", "1"]
    for each in (*SMALL, "final={top: 2, seeds: 2}"):
        words += ["--set", each]
    quickly(CliRunner().invoke)(app, words)
    store = RunStore(root, "digits")
    assert store.final_document().winner is not None
    return store


@pytest.fixture(autouse=True)
def _light(monkeypatch):
    """Pages without the script that draws, which is most of a page."""
    monkeypatch.setattr("hpsearch.report.page.plotly", lambda: "")


@pytest.fixture
def store(finished, tmp_path):
    ignored = shutil.ignore_patterns("report.html")
    shutil.copytree(finished.folder, tmp_path / "runs" / finished.name, ignore=ignored)
    return RunStore(tmp_path / "runs", finished.name)


@pytest.mark.parametrize("loss", [math.inf, math.nan, 1e308, 1e17, 0.0, -3.0])
def test_losses_that_are_all_alike_and_odd_are_shown(tmp_path, loss):
    store = RunStore(tmp_path / "runs", "odd")
    store.write_config("name: odd\n")
    results = [trial(n, [0.5], metric="val_loss", learning_rate=10.0**-n) for n in range(6)]
    same = [replace(r.curves, val_loss=[loss], train_loss=[loss]) for r in results]
    results = [replace(r, curves=each) for r, each in zip(results, same, strict=True)]
    space = {"learning_rate": {"log_uniform": [1e-6, 1]}}
    store.write_document(
        search(best=results[0].described, metric="val_loss", space=space, next_space={}, edges=())
    )
    store.record(*results)
    looked_at(store)
    assert UNREAD not in store.report.read_text()


def put(record, where, value):
    """The value at a place of the record, as `facts.rates.0.steps`."""
    *path, last = [int(part) if part.isdigit() else part for part in where.split(".")]
    for part in path:
        record = record[part]
    record[last] = value


def change(store, name, where, value):
    path = store.folder / name
    record = json.loads(path.read_text())
    record.pop("checksum", None)
    put(record, where, value)
    path.write_text(json.dumps(record))


def places(value, at=""):
    """Every place in a record, of long lists the first two."""
    items = value.items() if isinstance(value, dict) else enumerate(value[:2]) if isinstance(
        value, list) else ()  # fmt: skip
    for key, inside in items:
        if "." not in str(key):
            yield f"{at}{key}"
            yield from places(inside, f"{at}{key}.")


def looked_at(store):
    """What the commands end with; a message is of one line and names the file."""
    for words in (["report"], ["status"], ["status", "--json"], ["ls"]):
        name = [] if words == ["ls"] else [store.name]
        where = ["--runs-dir", str(store.folder.parent)]
        found = CliRunner().invoke(app, [*words, *name, *where])
        assert found.exit_code in (0, 1, 3), (words, found.output)
        assert found.exit_code != 3 or ".json: " in found.stderr.splitlines()[-1], found.stderr
        assert "Traceback" not in found.output


@pytest.mark.parametrize(("name", "where", "value"), TOLD, ids=lambda given: repr(given)[:20])
def test_a_record_that_is_not_what_was_written_is_no_bug(store, name, where, value):
    change(store, name, where, value)
    looked_at(store)


def test_nor_is_any_other(store):
    """Somewhere in some record something else."""
    rng = random.Random(0)
    names = ["coarse/trials/00000.json", "coarse/stage.json", "final.json", "sweep.json",
             "sanity.json", "data.json", "overfit.json", "run.json"]  # fmt: skip
    for name in names:
        before = (store.folder / name).read_text()
        record = json.loads(before)
        change(store, name, rng.choice(list(places(record))), rng.choice(VALUES))
        looked_at(store)
        (store.folder / name).write_text(before)


def test_of_facts_that_cannot_be_read_only_their_plot_is_lost(store):
    assert UNREAD not in page(store)
    change(store, "sanity.json", "facts.layers.0.std", ["x"])
    written = page(store)
    assert written.count(UNREAD) == 1 and 'id="activations"' in written
    assert 'id="sweep"' in written, "the others are there"


def test_a_document_of_another_stage_is_no_stages(store):
    change(store, "coarse/stage.json", "stage", "../../etc")
    with pytest.raises(HostError, match=r"stage\.json: is the document of \.\./\.\./etc; "):
        store.search_document("coarse")


def test_a_best_epoch_beyond_any_curve_is_damage(store):
    change(store, "coarse/trials/00001.json", "curves.val_loss", [1.0])
    change(store, "coarse/trials/00001.json", "best_epoch", 2)
    with pytest.raises(HostError, match=r"00001\.json: damaged .*best_epoch 2 is beyond"):
        store.results("coarse")


def test_what_a_trial_has_worked_out_is_no_part_of_its_file(finished):
    result = finished.results("coarse")[0]
    before = result.to_text()
    assert result.rank == result.rank and result.to_text() == before
    assert TrialResult.from_text(before) == result


@pytest.mark.parametrize(
    ("hint", "good", "bad"),
    [
        (int, (0, -3), (True, 1.5, "1", None, HUGE)),
        (float, (0, 1.5, None), (True, "1", [], HUGE)),
        (str | None, ("", None), (0, [])),
        (list[int], ([], [1]), ([None], "1", {})),
        (tuple[float, float], ([0, 1],), ([0], [0, 1, 2], ["0", 1])),
        (tuple[int, ...], ((), (1, 2)), (("x",), 1)),
        (dict[str, int], ({}, {"a": 1}), ({"a": "x"}, [])),
    ],
)
def test_what_is_read_is_what_its_annotation_says(hint, good, bad):
    for value in good:
        assert fitting({"key": value}, {"key": hint}) == {"key": value}
    for value in bad:
        with pytest.raises(ValueError, match="key"):
            fitting({"key": value}, {"key": hint})
    with pytest.raises(ValueError, match="key is missing"):
        fitting({}, {"key": hint})
    for record in (None, [], "key"):
        with pytest.raises(ValueError, match="key"):
            fitting(record, {"key": hint})


@pytest.mark.parametrize("value", [HUGE, -HUGE, float("inf"), float("nan"), True, "1", None])
def test_what_no_float_can_hold_is_no_real_number(value):
    assert not is_real(value)


@given(st.lists(st.sampled_from([1, 1.0, True, "1", (1,), None]), max_size=6))
def test_an_hparam_varies_if_it_is_written_in_several_ways(finished, values):
    one = finished.results("coarse")[0]
    results = [replace(one, hparams={"x": value}) for value in values]
    expected = len(results) == 1 or len({repr(value) for value in values}) > 1
    assert varying(results) == (["x"] if expected else [])
