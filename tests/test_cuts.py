"""Files cut off at any byte, as a disk that was full or lost its power may leave what others
write: every cut is found out and named, and what its remedy says leads to the right files.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from faulty_disk import Killed
from test_damage import FILES, GOLDEN, NEW, copied
from test_doctor import looked, not_well
from tiny_run import config_in, left_by, quickly, run, trials_in

import hpsearch
from hpsearch.atomic import LEFTOVER
from hpsearch.checkpoint import Checkpoints
from hpsearch.errors import HpsearchError
from hpsearch.store import RunStore

PACKAGE = Path(hpsearch.__file__).parent
SLOW = [pytest.param(1, marks=pytest.mark.slow)]


@pytest.fixture(autouse=True)
def _quickly(monkeypatch):
    quickly(monkeypatch)


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    return config_in(tmp_path_factory.mktemp("cuts"))


@pytest.fixture(scope="module")
def whole(config):
    """An uninterrupted run, and what it leaves."""
    with pytest.MonkeyPatch.context() as patch:
        quickly(patch)
        assert run(config, config.parent / "whole").exit_code == 0
    return config.parent / "whole", left_by(config.parent / "whole")


@pytest.fixture(scope="module")
def paused(config, whole):
    """A run that died when its first trials had paused."""
    runs, write = config.parent / "paused", Checkpoints.write

    def dying(checkpoints, *results):
        write(checkpoints, *results)
        raise Killed

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
        quickly(patch)
        patch.setattr(Checkpoints, "write", dying)
        run(config, runs)
    return runs


def undetected(path, read, *, step=1):
    """The cuts, after every so many bytes, that `read` takes for what was written."""
    content, missed = path.read_bytes(), []
    for size in range(0, len(content), step):
        path.write_bytes(content[:size])
        try:
            read()
        except HpsearchError as error:
            assert str(path) in str(error)
        else:
            missed.append(size)
    path.write_bytes(content)
    return missed


@pytest.mark.parametrize("step", [211, *SLOW])
@pytest.mark.parametrize("name", FILES)
def test_a_record_cut_at_any_byte_is_named(tmp_path, name, step):
    store = copied(tmp_path, NEW)

    def read():
        FILES[name](RunStore(store.folder.parent, store.name))

    assert undetected(store.folder / name, read, step=step) == []


@pytest.mark.parametrize("name", ["refine-1/trials/00000.json", "coarse/best.npz"])
def test_a_cut_of_its_last_bytes_is_named_too(tmp_path, name):
    """Where the JSON is whole but for its end, or the archive but for its checksum."""
    store = copied(tmp_path, NEW)
    path = store.folder / name
    content = path.read_bytes()
    for size in range(len(content) - 100, len(content)):
        path.write_bytes(content[:size])
        with pytest.raises(HpsearchError, match=path.name):
            FILES[name](RunStore(store.folder.parent, store.name))


@pytest.mark.slow
def test_a_checkpoint_cut_at_any_byte_is_named(paused, tmp_path):
    shutil.copytree(paused, tmp_path / "runs")
    folder = tmp_path / "runs" / "tiny" / "checkpoints" / "refine-1"
    path = folder / "00002.npz"
    assert len(Checkpoints(folder).paused()) == 4
    assert undetected(path, lambda: Checkpoints(folder).paused()) == []


@pytest.mark.parametrize("step", [401, *SLOW])
def test_a_config_cut_at_any_byte_is_named_by_doctor(tmp_path, step):
    """People may edit it: it has no checksum of its own, but run.json knows it."""
    store = RunStore(tmp_path / "runs", NEW)
    store.folder.mkdir(parents=True)
    for name in ("config.yaml", "run.json"):  # to look at the rest too would take minutes
        shutil.copy(GOLDEN / NEW / name, store.folder)
    content = store.config.read_bytes()
    for size in range(0, len(content), step):
        store.config.write_bytes(content[:size])
        found = not_well(looked(store))["config"]
        assert "config.yaml" in found.message and found.fix, size


def follow(path, config):
    """What the message about a damaged file says."""
    if path.name != "stage.json":
        path.unlink()
        return
    shutil.rmtree(path.parent)
    words = ("search", str(config), "--stage", path.parent.name.partition("-")[0])
    assert run(config, path.parents[2], *words).exit_code == 0


MENDED = ["coarse/stage.json", "final/trials/00001.json", *(
    pytest.param(name, marks=pytest.mark.slow) for name in (
        "coarse/trials/00001.json", "refine-1/trials/00003.json", "refine-1/stage.json",
        "run.json", "sanity.json",
    )
)]  # fmt: skip
SHARES = [0.4, *(pytest.param(n, marks=pytest.mark.slow) for n in (0, 0.15, 0.7, 0.9, 0.999))]


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("name", MENDED)
def test_a_remedy_leads_to_the_right_files(config, whole, tmp_path, name, share):
    runs, path = tmp_path / "runs", tmp_path / "runs" / "tiny" / name
    shutil.copytree(whole[0], runs)
    cut(path, share)
    left = trials_in(runs)
    found = run(config, runs)
    assert found.exit_code == 3 and str(path) in found.stderr and trials_in(runs) == left
    follow(path, config)
    assert run(config, runs).exit_code == 0
    assert left_by(runs) == whole[1]


@pytest.mark.slow
@pytest.mark.parametrize("share", SHARES)
def test_a_trial_whose_checkpoint_was_cut_begins_anew(config, whole, paused, tmp_path, share):
    runs = tmp_path / "runs"
    shutil.copytree(paused, runs)
    path = runs / "tiny" / "checkpoints" / "refine-1" / "00002.npz"
    cut(path, share)
    found = run(config, runs)
    assert found.exit_code == 3 and str(path) in found.stderr and "begins anew" in found.stderr
    path.unlink()
    assert run(config, runs).exit_code == 0
    assert left_by(runs) == whole[1]


@pytest.mark.slow
@pytest.mark.parametrize("share", SHARES)
def test_best_weights_that_were_cut_are_trained_again(config, whole, tmp_path, share):
    """As doctor says: delete them and their trial."""
    runs = tmp_path / "runs"
    shutil.copytree(whole[0], runs)
    store = RunStore(runs, "tiny")
    path, best = runs / "tiny" / "coarse" / "best.npz", store.search_document("coarse").best
    cut(path, share)
    found = not_well(looked(store))["weights"]
    trial = store.trial_path("coarse", best["trial"])
    assert str(path) in found.message and str(trial) in found.fix
    path.unlink()
    trial.unlink()
    assert run(config, runs).exit_code == 0
    assert left_by(runs) == whole[1]


@pytest.mark.parametrize("name", ["config.yaml", "models/best.npz", "coarse/trials.csv"])
@pytest.mark.parametrize("share", [pytest.param(s, marks=pytest.mark.slow) for s in (0, 0.3, 0.9)])
def test_what_is_made_again_without_a_word_is_right(config, whole, tmp_path, name, share):
    runs = tmp_path / "runs"
    shutil.copytree(whole[0], runs)
    cut(runs / "tiny" / name, share)
    run(config, runs, "doctor", "tiny")
    assert run(config, runs).exit_code == 0
    assert left_by(runs) == whole[1]


def cut(path, share):
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])


HEARS = """
import sys

opened = []
sys.addaudithook(lambda event, args: event == "open" and opened.append(args))
from hpsearch.cli import main

try:
    main()
finally:
    for path, mode, flags in opened:
        print(path, mode, flags, sep="|")
"""


@pytest.mark.slow
def test_nothing_is_ever_added_to_a_file(config, tmp_path):
    """So no torn end can be carried on: every file is written anew, beside the old one, but for
    the lock's, which says who holds it.
    """
    words = ["run", "tiny.yaml", "--runs-dir", str(tmp_path), "--jobs", "1", "--quiet", "--json"]
    done = subprocess.run(
        [sys.executable, "-c", HEARS, *words], cwd=config.parent, capture_output=True, text=True
    )
    opened = [line.split("|") for line in done.stdout.splitlines() if line.count("|") == 2]
    ours = [(Path(p), mode, int(flags)) for p, mode, flags in opened if str(tmp_path) in p]
    written = [each for each in ours if each[2] & (os.O_WRONLY | os.O_RDWR)]
    assert len(written) > 50
    for path, mode, flags in written:
        assert not flags & os.O_APPEND and "a" not in mode
        assert LEFTOVER.fullmatch(path.name) or path.name == ".lock"


def test_no_module_opens_a_file_to_add_to_it():
    adding = re.compile(r"O_APPEND|open\([^)]*[\"']a[bt+]*[\"']")
    assert adding.search('path.open("ab")') and adding.search("open(path, 'a')")
    files = list(PACKAGE.rglob("*.py"))
    assert len(files) > 100 and not [p for p in files if adding.search(p.read_text("utf-8"))]
