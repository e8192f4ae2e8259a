"""`hpsearch doctor`: what is damaged is named with its remedy, the rest is counted as good, and
what is derived is as its records say afterwards.
"""

import errno
import json
import os
import shutil
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from damage import mutations
from faulty_disk import Disk
from filelock import FileLock
from tiny_run import quickly
from typer.testing import CliRunner

from hpsearch.atomic import _beside
from hpsearch.cli import app
from hpsearch.data import cache
from hpsearch.doctor.folder import examined
from hpsearch.doctor.machine import machine_checks
from hpsearch.store import RunStore
from hpsearch.verdict import Verdict

GOLDEN = Path(__file__).parent / "golden" / "runs"
NAME = "format-1-checksums"
TABLES = [f"{stage}/{name}" for stage in ("coarse", "refine-1", "final")
          for name in ("trials.csv", "curves.csv")]  # fmt: skip


@pytest.fixture(autouse=True)
def _quickly(monkeypatch):
    quickly(monkeypatch)


@pytest.fixture
def store(tmp_path):
    shutil.copytree(GOLDEN / NAME, tmp_path / "runs" / NAME)
    return RunStore(tmp_path / "runs", NAME)


def page(store):
    return f"<html>{store.name}</html>"


def looked(store):
    """The checks by a look with fresh eyes."""
    return list(examined(RunStore(store.folder.parent, store.name), page))


def shell(store, *words):
    return CliRunner().invoke(app, ["doctor", *words, "--runs-dir", str(store.folder.parent)])


def contents(store):
    files = (path for path in store.folder.rglob("*") if path.is_file() and path.name != ".lock")
    return {str(path.relative_to(store.folder)): path.read_bytes() for path in files}


def not_well(checks):
    return {check.name: check for check in checks if check.verdict is not Verdict.PASS}


@pytest.mark.parametrize("name", sorted(path.name for path in GOLDEN.iterdir()))
def test_a_good_run_is_found_good_and_left_as_it_is(tmp_path, name):
    store = RunStore(tmp_path / "runs", name)
    shutil.copytree(GOLDEN / name, store.folder)
    before = contents(store)
    found = shell(store, name, "--json")
    document = json.loads(found.stdout)
    assert found.exit_code == 0 and document["stage"] == "doctor"
    assert {c["verdict"] for c in document["checks"] if c["name"] != "memory"} == {"pass"}
    assert contents(store) == before
    bare = [check for check in document["checks"] if check["name"] == "checksums"]
    assert [check["value"] for check in bare] == ([] if name == NAME else [22])


def test_without_a_run_the_machine_alone_is_looked_at(store):
    document = json.loads(shell(store, "--json").stdout)
    names = [check["name"] for check in document["checks"]]
    assert names == ["versions", "matrix-library", "cores", "memory", "extras", "disk-space",
                     "disk-writes"]  # fmt: skip
    assert {path.name for path in store.folder.parent.iterdir()} == {NAME}


def test_a_folder_of_runs_that_is_not_there_is_not_made(tmp_path):
    checks = {check.name: check for check in machine_checks(tmp_path / "a" / "b")}
    assert checks["disk-writes"].verdict is not Verdict.FAIL
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
def test_a_disk_that_cannot_be_written_is_exit_3(store, number):
    disk = Disk(store.folder.parent, at=1, errno=number, for_ever=True)
    with disk.between():
        found = shell(store)
    assert found.exit_code == 3 and "✗ fail  disk-writes" in found.stdout
    assert "cannot be written" in found.stdout


def test_threads_and_small_disks_are_warned_of(monkeypatch, tmp_path):
    library = {"internal_api": "mkl", "version": "1", "architecture": "x", "num_threads": 8}
    monkeypatch.setattr("hpsearch.blas.describe", lambda: [library])
    monkeypatch.setattr("hpsearch.doctor.machine.LEAST_SPACE", 1e18)
    monkeypatch.setattr("hpsearch.doctor.machine.SLOWEST", 0.0)
    monkeypatch.setattr("hpsearch.doctor.machine._available", lambda: 1000)
    found = not_well(machine_checks(tmp_path))
    assert set(found) == {"matrix-library", "disk-space", "disk-writes", "memory"}
    assert all(check.verdict is Verdict.WARN and check.fix for check in found.values())


@pytest.mark.parametrize("name", ["nobody", "../runs", "", "a/b"])
def test_no_such_run(store, name):
    found = shell(store, name, "--json")
    assert found.exit_code == (0 if name == "" else 2), found.output


@pytest.mark.parametrize("name", TABLES)
def test_a_table_is_written_again_whatever_became_of_it(store, name):
    before, path = contents(store), store.folder / name
    for changed in [*islice(mutations(before[name], 0), 4), None]:
        path.unlink() if changed is None else path.write_bytes(changed)
        (found,) = [c for c in looked(store) if c.message.endswith("written again")]
        assert found.verdict is Verdict.PASS and path.name in found.message
        assert contents(store) == before


def test_the_page_is_written_again_where_it_is_another(store):
    assert "page" not in {check.name for check in looked(store)}
    store.report.write_text("<script>")
    assert "report.html: written again" in {c.name: c for c in looked(store)}["page"].message
    assert store.report.read_text() == page(store)


def test_no_page_is_made_of_what_is_damaged(store):
    store.report.write_text("as it was")
    store.trial_path("coarse", 2).write_bytes(b"?")
    assert "page" not in {check.name for check in looked(store)}
    assert store.report.read_text() == "as it was"


@pytest.mark.parametrize(
    ("name", "check"),
    [("run.json", "config"), ("sweep.json", "documents"), ("coarse/stage.json", "documents"),
     ("final.json", "documents"), ("coarse/trials/00002.json", "trials"),
     ("final/trials/00001.json", "trials"), ("coarse/best.npz", "weights"),
     ("models/best.npz", "weights"), ("final/nets/00001.npz", "weights")],
)  # fmt: skip
def test_what_is_damaged_is_named_and_the_rest_stays(store, name, check):
    path, before = store.folder / name, contents(store)
    for changed in islice(mutations(before[name], 0), 5):
        path.write_bytes(changed)
        found = not_well(looked(store))
        assert found[check].verdict is Verdict.FAIL, found
        assert str(path) in found[check].message and found[check].fix
        after = contents(store)
        assert {n for n in after if after[n] != before[n]} == {name}


def test_its_remedies_mend_what_can_be_trained_again(store):
    """A damaged trial and the best weights, as it says, deleted and run again."""
    before = contents(store)
    best = store.search_document("coarse").best["trial"]
    for path in (store.trial_path("coarse", best), store.folder / "coarse" / "best.npz"):
        path.write_bytes(b"?")
    found = not_well(looked(store))
    assert set(found) == {"trials", "weights"}
    assert str(store.trial_path("coarse", best)) in found["weights"].fix
    store.trial_path("coarse", best).unlink()
    (store.folder / "coarse" / "best.npz").unlink()
    again = ["search", NAME, "--stage", "coarse", "--runs-dir", str(store.folder.parent)]
    assert CliRunner().invoke(app, again).exit_code == 0
    assert not_well(looked(store)) == {} and contents(store).keys() == before.keys()


def test_a_config_that_was_changed_is_named(store):
    text = store.config.read_text()
    store.config.write_text(text.replace("batch_size: 100", "batch_size: 101"))
    found = not_well(looked(store))
    assert found["config"].verdict is Verdict.WARN and "changed" in found["config"].message
    store.config.write_text(text[:200] + "\0" + text[200:])
    assert not_well(looked(store))["config"].verdict is Verdict.FAIL
    store.config.unlink()
    assert "is gone" in not_well(looked(store))["config"].message


def test_a_next_config_may_be_edited_but_not_broken(store):
    path = store.folder / "refine-1" / "next.yaml"
    path.write_text(path.read_text() + "# mine\n")
    assert not_well(looked(store)) == {} and path.read_text().endswith("# mine\n")
    path.write_text("search: {coarse: {trials: none}}")
    assert str(path) in not_well(looked(store))["next-config"].message


def test_a_stage_whose_document_is_gone_is_named(store):
    store.document_path("coarse").unlink()
    found = not_well(looked(store))["documents"]
    assert found.verdict is Verdict.FAIL and "stage.json: is gone" in found.message


@pytest.mark.parametrize(
    ("name", "check"),
    [("coarse/trials/00002.json", "trials"), ("sweep.json", "documents"), ("run.json", "config"),
     ("coarse/best.npz", "weights")],
)  # fmt: skip
def test_what_cannot_be_opened_is_named_and_the_rest_looked_at(store, name, check):
    (store.folder / name).unlink()
    (store.folder / name).mkdir()
    found = not_well(looked(store))
    assert check in found and str(store.folder / name) in found[check].message
    assert "Is a directory" in found[check].message and found[check].fix
    assert {c.name for c in looked(store)} >= {"config", "documents", "trials", "weights"}


@pytest.mark.parametrize("name", ["coarse/trials.csv", "report.html"])
def test_what_cannot_be_written_again_is_named(store, name):
    (store.folder / name).unlink(missing_ok=True)
    (store.folder / name).mkdir()
    with FileLock(store.folder / ".lock"):
        found = not_well(looked(store))
    assert name.rpartition("/")[2] in {check.value for check in found.values()}
    found = shell(store, NAME, "--json")
    assert found.exit_code == 1 and str(store.folder / name) in found.stdout
    assert "Traceback" not in found.output


def test_missing_trials_are_no_damage(store):
    store.trial_path("coarse", 1).unlink()
    found = not_well(looked(store))["trials"]
    assert found.verdict is Verdict.WARN and (found.value, found.expected) == (3, 4)


@pytest.mark.parametrize("lost", ["coarse", "final", "final/trials/00001.json"])
def test_what_is_lost_is_named_and_comes_back_as_it_was(store, lost):
    """Of `final`, where its document is there: it is locked, and yet its trials are the truth."""
    before, path = contents(store), store.folder / lost
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    (found,) = not_well(looked(store)).values()
    assert found.verdict is Verdict.WARN and lost.split("/")[0] in found.message
    assert f"hpsearch {'run' if lost == 'coarse' else 'final'} {NAME}" in found.fix
    ran = CliRunner().invoke(app, ["run", NAME, "--runs-dir", str(store.folder.parent)])
    assert ran.exit_code == 0, ran.output
    assert not_well(looked(store)) == {} and planned(contents(store)) == planned(before)
    assert contents(store)["final.json"] == before["final.json"]


def test_a_stage_that_final_chose_from_is_missed(store):
    ended = store.final_document()
    chosen = [{**candidate, "stage": "refine-1"} for candidate in ended.candidates]
    store.write_document(replace(ended, candidates=chosen))
    assert not_well(looked(store)) == {}
    shutil.rmtree(store.folder / "refine-1")
    found = not_well(looked(store))["documents"]
    assert found.verdict is Verdict.WARN and found.message.startswith("refine-1: is not there")
    assert "next: hpsearch run" in shell(store, NAME).stderr


def planned(files):
    """What decides the numbers of every trial there is."""
    trials = {name: json.loads(text) for name, text in files.items() if "/trials/" in name}
    return {name: (t["id"], t["seed"], t["hparams"]) for name, t in trials.items()}


def test_trials_of_final_without_its_document_are_damage(store):
    """Without it other seeds are drawn, and the test set is read again."""
    store.document_path("final").unlink()
    found = not_well(looked(store))["documents"]
    assert found.verdict is Verdict.FAIL and "final.json: is gone" in found.message
    assert "the test set is read again" in found.fix


@pytest.mark.parametrize(
    ("name", "odd"),
    [("sweep.json", "folder"), ("sweep.json", "link"), ("coarse/trials/00001.json", "folder"),
     ("coarse/trials/00001.json", "link"), ("coarse/trials.csv", "folder")],
)  # fmt: skip
def test_what_is_no_file_is_named_and_the_rest_is_looked_at(store, name, odd):
    path, good = store.folder / name, {check.name for check in looked(store)}
    path.unlink()
    path.mkdir() if odd == "folder" else path.symlink_to(path.name)
    checks = looked(store)
    (found,) = (check for check in checks if check.verdict is Verdict.FAIL)
    assert str(path) in found.message and found.fix
    assert good - {check.name for check in checks} <= {"page", "tables"}


@pytest.mark.parametrize("name", ["sweep.json", "coarse/trials/00001.json", "coarse/best.npz"])
def test_what_never_ends_is_not_read(store, name):
    (store.folder / name).unlink()
    (store.folder / name).symlink_to("/dev/zero")
    said = " ".join(check.message for check in not_well(looked(store)).values())
    assert f"{store.folder / name}: cannot be read: it is no file" in said


def test_a_run_whose_facts_are_gone_is_warned_of(store):
    (store.folder / "run.json").unlink()
    (found,) = not_well(looked(store)).values()
    assert found.verdict is Verdict.WARN and "run.json: is gone" in found.message


def test_a_table_that_is_a_link_to_itself_is_written_again(store):
    path = store.folder / "coarse" / "trials.csv"
    before = path.read_bytes()
    path.unlink()
    path.symlink_to(path.name)
    assert not_well(looked(store)) == {} and path.read_bytes() == before
    assert not path.is_symlink()


def test_a_stage_that_may_not_be_read_is_named(store, monkeypatch):
    def refused(self, name):
        raise PermissionError(errno.EACCES, "Permission denied", f"{self.folder}/{name}")

    monkeypatch.setattr(RunStore, "_document", lambda self, name, build: refused(self, name))
    names = [c.name for c in looked(store) if "Permission denied" in c.message and c.fix]
    assert names[0] == "documents" and "config" not in names


def test_weights_that_are_gone_or_anothers_are_named(store):
    path = store.folder / "coarse" / "best.npz"
    other = (store.search_document("coarse").best["trial"] + 1) % 2
    shutil.copy(store.folder / "final" / "nets" / f"{other:05d}.npz", path)
    other = not_well(looked(store))["weights"]
    path.unlink()
    gone = not_well(looked(store))["weights"]
    assert "the best is" in other.message and "is gone" in gone.message


def test_the_nets_of_final_are_those_of_their_trials_and_the_model_is_there(store):
    nets = store.folder / "final" / "nets"
    shutil.copy(nets / "00001.npz", nets / "00000.npz")
    found = not_well(looked(store))["weights"]
    assert "00000.npz: holds trial 1" in found.message and "delete it; hpsearch final" in found.fix
    shutil.copytree(GOLDEN / NAME / "final", store.folder / "final", dirs_exist_ok=True)
    (store.folder / "models" / "best.npz").unlink()
    (found,) = not_well(looked(store)).values()
    assert found.verdict is Verdict.WARN and "models/best.npz: is gone" in found.message


def test_a_run_that_somebody_writes_is_looked_at_and_left_alone(store):
    left = _beside(store.trial_path("coarse", 3))
    left.write_bytes(b"half")
    (store.folder / "coarse" / "trials.csv").write_text("other")
    before = contents(store)
    with FileLock(store.folder / ".lock"):
        found = not_well(looked(store))
    assert set(found) == {"lock", "tables"} and contents(store) == before
    assert all(check.verdict is Verdict.WARN for check in found.values())
    checks = {check.name: check for check in looked(store)}
    assert checks["leftovers"].value == 1 and not left.exists()


def test_a_newer_format_is_not_guessed_at(store):
    (store.folder / "run.json").write_text('{"format": 2}')
    before = contents(store)
    (found,) = looked(store)
    assert found.name == "format" and found.verdict is Verdict.FAIL
    assert "format 2" in found.message and "newer" in found.fix and contents(store) == before


def test_damage_is_exit_1_and_the_table_says_what(store):
    path = store.trial_path("coarse", 2)
    path.write_bytes(path.read_bytes()[:-9])
    found = shell(store, NAME)
    assert found.exit_code == 1
    said = " ".join(found.stdout.split())
    assert "fail trials" in said and "coarse: 3 of 4 trials as written" in said
    assert f"next: hpsearch doctor {NAME}" in found.stderr


def test_decoded_images_are_verified_and_damaged_ones_removed(tmp_path):
    def found():
        return {check.name: check for check in machine_checks(tmp_path)}.get("cache")

    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "mine.npz").write_bytes(b"of somebody else")
    assert found() is None
    for number in range(3):
        cache.write(cache.key([("a", 1, number)]), np.zeros((4, 5, 6, 3), np.uint8))
    assert (found().value, found().expected) == (3, 3)
    path = cache.path_of(cache.key([("a", 1, 1)]))
    path.write_bytes(path.read_bytes().replace(b"\0" * 100, b"\1" * 100, 1))
    removed = found()
    assert removed.verdict is Verdict.PASS and "2 of 3" in removed.message
    assert not path.exists() and (found().value, found().expected) == (2, 2)
    assert (tmp_path / "cache" / "mine.npz").exists()


def test_documents_that_have_changed_places_are_named_and_no_weights_are(store):
    one, other = store.document_path("coarse"), store.document_path("refine-1")
    texts = one.read_bytes(), other.read_bytes()
    one.write_bytes(texts[1])
    other.write_bytes(texts[0])
    found = [check for check in looked(store) if check.verdict is Verdict.FAIL]
    assert {check.name for check in found} == {"documents"}
    assert f"{one}: is the document of refine-1" in found[0].message


def test_a_trial_of_a_run_with_another_seed_is_named(store):
    path = store.trial_path("coarse", 2)
    trial = json.loads(path.read_bytes())
    path.write_text(json.dumps({k: v for k, v in trial.items() if k != "checksum"} | {"seed": 1}))
    found = not_well(looked(store))["trials"]
    assert found.verdict is Verdict.FAIL and "another seed" in found.message
    words = ["search", NAME, "--stage", "coarse", "--runs-dir", str(store.folder.parent)]
    again = CliRunner().invoke(app, words)
    assert again.exit_code == 3 and f"{path}: holds trial 2 of a run with" in again.stderr


def test_a_file_in_the_place_of_the_trials_is_named(store):
    folder = store.trials_folder("coarse")
    shutil.rmtree(folder)
    folder.write_bytes(b"")
    found = not_well(looked(store))["trials"]
    assert found.verdict is Verdict.FAIL and found.fix == "remove it"
    assert f"{folder}: must be a folder" in found.message


def test_what_a_killed_doctor_left_goes_with_the_next(tmp_path):
    (tmp_path / ".doctor-1").write_bytes(b"at this moment")
    for name in (".doctor-2", "..doctor-3.3-3-a"):
        (tmp_path / name).write_bytes(b"")
        os.utime(tmp_path / name, (0, 0))
    list(machine_checks(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == [".doctor-1"]


def test_no_text_of_a_record_is_taken_for_the_remedy(store):
    path = store.document_path("sweep")
    bare = {k: v for k, v in json.loads(path.read_bytes()).items() if k != "checksum"}
    bare["checks"][0]["verdict"] = "no; such"
    path.write_text(json.dumps(bare))
    found = not_well(looked(store))["documents"]
    assert found.fix == "delete it, and run the stage again" and "such" in found.message
