"""Records whose bytes change are found out, always, and never misread; `doctor` names the file."""

import io
import json
import random
import shutil
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from damage import mutations
from tiny_run import quickly
from typer.testing import CliRunner

from hpsearch import records, seal
from hpsearch.checkpoint import packed
from hpsearch.checkpoint import read as read_checkpoint
from hpsearch.cli import app
from hpsearch.errors import DataError, HpsearchError
from hpsearch.prediction import Predictor
from hpsearch.store import RunStore
from hpsearch.strictjson import dumps

GOLDEN = Path(__file__).parent / "golden" / "runs"
OLD, NEW = "format-1", "format-1-checksums"
COUNT, MANY = 200, 10_000
FILES = {  # a file of each kind, and what reads it
    "run.json": RunStore.run_facts,
    "data.json": lambda store: store.check_document("data"),
    "sanity.json": lambda store: store.check_document("sanity"),
    "overfit.json": lambda store: store.check_document("overfit"),
    "sweep.json": lambda store: store.check_document("sweep"),
    "coarse/stage.json": lambda store: store.search_document("coarse"),
    "final.json": RunStore.final_document,
    "coarse/trials/00002.json": lambda store: store.results("coarse"),
    "refine-1/trials/00000.json": lambda store: store.result("refine-1", 0),
    "coarse/best.npz": lambda store: records.arrays_of(store.folder / "coarse/best.npz"),
    "models/best.npz": lambda store: Predictor.read(store.folder / "models/best.npz"),
}
COMMANDS = ("report", "status", "ls", "doctor", "diff", "replay")


@pytest.fixture(autouse=True)
def _quickly(monkeypatch):
    quickly(monkeypatch)


def copied(tmp_path, name):
    shutil.copytree(GOLDEN / name, tmp_path / "runs" / name)
    return RunStore(tmp_path / "runs", name)


def undetected(store, name, count, seed=0) -> list[bytes]:
    """The changed contents, of so many, that were read as if nothing had happened."""
    path, missed = store.folder / name, []
    content = path.read_bytes()
    for changed in islice(mutations(content, seed), count):
        path.write_bytes(changed)
        try:
            FILES[name](RunStore(store.folder.parent, store.name))
        except HpsearchError as error:
            assert path.name in str(error)
        else:
            missed.append(changed)
    path.write_bytes(content)
    return missed


def shell(store, words):
    given = {"ls": [], "diff": [store.name, store.name], "replay": [store.name, "coarse/1"]}
    where = ["--runs-dir", str(store.folder.parent)]
    return CliRunner().invoke(app, [words, *given.get(words, [store.name]), *where])


@pytest.mark.parametrize("name", FILES)
def test_every_changed_record_is_found_out(tmp_path, name):
    assert undetected(copied(tmp_path, NEW), name, COUNT) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_every_one_of_many_changed_records_is_found_out(tmp_path, name):
    assert undetected(copied(tmp_path, NEW), name, MANY, seed=1) == []


@pytest.mark.parametrize("count", [COUNT, pytest.param(MANY, marks=pytest.mark.slow)])
def test_every_changed_checkpoint_is_found_out(tmp_path, count):
    result = RunStore(GOLDEN, NEW).result("coarse", 0)
    path, state = tmp_path / "00000.npz", {"weights": np.arange(9.0), "place": np.array(3)}
    object.__setattr__(result, "state", state)
    content = packed(result)
    path.write_bytes(content)
    assert read_checkpoint(path).curves == result.curves
    for changed in islice(mutations(content, 0), count):
        path.write_bytes(changed)
        with pytest.raises(HpsearchError, match=r"00000\.npz: damaged"):
            read_checkpoint(path)


@pytest.mark.parametrize("name", [name for name in FILES if name.endswith(".npz")])
def test_weights_without_a_checksum_are_read_right_or_not_at_all(tmp_path, name):
    """Of an archive the zip format itself guards what is in it."""
    store = copied(tmp_path, OLD)
    path = store.folder / name
    content, before = path.read_bytes(), records.arrays_of(path)
    for changed in islice(mutations(content, 1), COUNT):
        path.write_bytes(changed)
        try:
            found = records.arrays_of(path)
            Predictor.read(path)
        except (HpsearchError, DataError):
            continue
        assert all((found[key] == before[key]).all() for key in before.keys() & found.keys())


# --- records that were written by hand, or before there were checksums


@pytest.mark.parametrize("name", [name for name in FILES if name.endswith(".json")])
def test_no_wrong_value_in_a_record_makes_a_command_crash(tmp_path, name):
    """Valid JSON with something else in one place: said to be damaged, or shown as it is."""
    store = copied(tmp_path, OLD)
    path, rng = store.folder / name, random.Random(0)
    record = json.loads(path.read_text())
    for words in COMMANDS * 3:
        path.write_text(json.dumps(_altered(record, rng)))
        found = shell(store, words)
        assert found.exit_code in (0, 1, 2, 3), f"{words}: {found.output}"


def _altered(record, rng):
    """A copy with another value at one place, mostly a shallow one; or with a key less."""
    copy = json.loads(json.dumps(record))
    at = copy
    while True:
        key = rng.choice(list(at) if isinstance(at, dict) else range(len(at)))
        inner = at[key]
        if not (isinstance(inner, dict | list) and inner and rng.random() < 0.7):
            break
        at = inner
    if rng.random() < 0.2:
        del at[key]
    else:
        at[key] = rng.choice([None, True, -1, 0, 1e300, "", "x", [], {}, [[]], {"x": 1}, [None]])
    return copy


# --- the seal


def test_a_sealed_record_is_json_and_opens_to_what_it_was():
    record = {"a": [1, 2.5, None], "b": {"c": "é\n\"checksum\": 'crc32:'"}}
    for text in (dumps(record), dumps(record, None), dumps(record) + "\n"):
        content = seal.sealed(text)
        assert json.loads(content).items() >= record.items()
        assert list(json.loads(content))[-1] == "checksum"
        assert json.loads(seal.opened(content)) == record


def test_a_sealed_archive_is_one_that_numpy_reads():
    content = records.packed({"x": np.arange(5), "y": np.array("z")})
    with np.load(io.BytesIO(content)) as file:
        assert file["x"].tolist() == [0, 1, 2, 3, 4] and str(file["y"]) == "z"
    seal.check_archive(content)


def test_a_record_that_talks_of_checksums_is_not_taken_for_a_sealed_one():
    for record in ({"features": ["checksum"], "x": 1}, {"x": "checksum crc32"}):
        content = dumps(record).encode() + b" " * seal.LAST
        assert seal.opened(content) == content


def test_a_record_that_a_tool_has_written_again_is_found_out():
    """Its checksum may stand anywhere then, and is no longer that of the bytes."""
    record = {"a": [1] * 50, "zeros": [0] * 50}
    for given in ({"indent": 4}, {"sort_keys": True}, {"separators": (",", ":")}):
        again = json.dumps(json.loads(seal.sealed(dumps(record))), **given).encode()
        with pytest.raises(seal.Changed):
            seal.opened(again + b" " * seal.LAST)


def test_a_change_that_was_meant_is_accepted_without_the_checksum(tmp_path):
    store = copied(tmp_path, NEW)
    path = store.trial_path("coarse", 1)
    lines = path.read_text().splitlines()
    lines = [line.replace('"reason": ""', '"reason": "looked at"') for line in lines]
    path.write_text("\n".join(lines))
    with pytest.raises(HpsearchError, match='take "checksum", its last line, out'):
        store.result("coarse", 1)
    assert lines[-2].startswith('"checksum": "crc32:')
    path.write_text("\n".join([*lines[:-3], lines[-3].rstrip(","), "}"]))
    assert store.result("coarse", 1).reason == "looked at"


def test_a_trial_under_another_ones_name_is_refused(tmp_path):
    store = copied(tmp_path, NEW)
    for path in (store.trial_path("coarse", 7), store.trial_path("refine-1", 1)):
        before = path.read_bytes() if path.exists() else None
        shutil.copy(store.trial_path("coarse", 1), path)
        with pytest.raises(HpsearchError, match="holds trial 1 of coarse"):
            store.results(path.parent.parent.name)
        path.write_bytes(before) if before else path.unlink()
