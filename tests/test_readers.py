"""Commands that read: they neither wait nor write, and need no right to; and whatever they read
is no bug.
"""

import hashlib
import json
import os
import shutil
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from odd_records import Oddities, finished
from tiny_run import quickly, run

from hpsearch.store import RunStore

NOBODY = 65534
READERS = (
    "status tiny", "status tiny --json", "status tiny --watch", "ls", "ls --json",
    "ls --where best>0.1 --sort -best --columns name,best,model.hidden", "ls --format csv",
    "diff tiny whole", "diff tiny:coarse/0 whole:refine-1/1 --json",
    "predict tiny rows.npy", "predict tiny rows.npy --json", "replay tiny coarse/1",
    "search tiny --dry-run", "export tiny --to csv --out out/csv",
)  # fmt: skip


@pytest.fixture(autouse=True)
def _quickly(monkeypatch):
    quickly(monkeypatch)


@pytest.fixture(scope="module")
def folder():
    """A folder that everybody may read, with two finished runs, and one to write into."""
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as name:
        quickly(patch)
        Path(name).chmod(0o755)
        finished(Path(name))
        (Path(name) / "out").mkdir()
        (Path(name) / "out").chmod(0o777)
        yield Path(name)
        changed_modes(Path(name), 0o755, 0o644)


def answers(folder, commands=READERS):
    """The exit code and the output of each."""
    found = {}
    for words in commands:
        given = [str(folder / w) if w.startswith(("rows", "out/")) else w for w in words.split()]
        ended = run(folder / "tiny.yaml", folder / "runs", *given)
        found[words] = [ended.exit_code, ended.stdout, ended.stderr]
        for path in (folder / "out").iterdir():
            shutil.rmtree(path)
    return found


def by_nobody(work):
    """What `work` returns in a process that may do no more than anybody else."""
    here, there = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            if os.getuid() == 0:
                os.setgroups([])
                os.setgid(NOBODY)
                os.setuid(NOBODY)
            with os.fdopen(there, "w") as file:
                json.dump(work(), file)
        finally:
            os._exit(0)
    os.close(there)
    with os.fdopen(here) as file:
        text = file.read()
    os.waitpid(child, 0)
    return json.loads(text)


def changed_modes(folder, of_folders, of_files):
    for path in (folder, *folder.rglob("*")):
        path.chmod(of_folders if path.is_dir() else of_files)


def tree(folder):
    """Every file's and folder's bytes, times and number."""
    found = hashlib.sha256()
    for path in sorted((folder, *folder.rglob("*"))):
        stat = path.stat()
        found.update(repr((str(path), stat.st_mtime_ns, stat.st_ino, stat.st_size)).encode())
        found.update(path.read_bytes() if path.is_file() else b"")
    return found.hexdigest()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks")
def test_readers_need_no_right_to_write(folder, monkeypatch):
    """What they cannot do is said as what the machine refuses, and after what they read."""
    runs = folder / "runs"
    usual = answers(folder)
    assert {words: found[0] for words, found in usual.items() if found[0]} == {}
    page = runs / "tiny" / "report.html"
    refused = {"report tiny": page, "report tiny --json": page, "doctor tiny": runs}
    shown = answers(folder, refused)
    changed_modes(runs, 0o555, 0o444)
    monkeypatch.setattr("hpsearch.report.page.page", lambda store: "<html>another</html>")
    before = tree(runs)
    found = by_nobody(lambda: answers(folder, (*READERS, *refused)))
    assert tree(runs) == before
    for words, place in refused.items():
        code, out, err = found.pop(words)
        assert code == 3 and "Permission denied" in out + err, (out, err)
        assert str(place) in "".join((out + err).split()), (out, err)
        told = shown[words][1].replace(f"report: {page}\n", "")
        assert out == told or words == "doctor tiny", "all that was read"
    assert found == usual
    changed_modes(runs, 0o755, 0o644)
    with RunStore(runs, "tiny").writing():
        before = tree(runs)
        assert answers(folder) == usual, "nor the lock"
        assert tree(runs) == before


def test_records_that_say_anything_are_no_bug(folder, tmp_path):
    odd = Oddities(shutil.copytree(folder, tmp_path / "odd"), seed=3)
    for _ in range(3):
        odd.one()
    assert not odd.faults and odd.codes[0] > 20


def test_hparams_that_nobody_here_knows_are_compared_and_not_trained(folder, tmp_path):
    odd = shutil.copytree(folder, tmp_path / "odd")
    store = RunStore(odd / "runs", "tiny")
    for number, more in ((0, {"no_such": 0.5}), (1, {"no_such": "x"}), (2, {"hidden": "x"})):
        result = store.result("coarse", number)
        store.record(replace(result, hparams={**result.hparams, **more}))
    unknown, training, misfit = (
        run(odd / "tiny.yaml", odd / "runs", *words.split())
        for words in ("diff tiny:coarse/0 tiny:coarse/1 --json", "replay tiny coarse/0",
                      "diff tiny:coarse/0 tiny:coarse/2")
    )  # fmt: skip
    rows = json.loads(unknown.stdout)["differences"]
    assert {"key": "hparams.no_such", "a": 0.5, "b": "x"} in rows
    assert training.exit_code == 2 and "hparam 'no_such': must be a key of" in training.stderr
    assert misfit.exit_code == 2 and "hparam hidden: " in misfit.stderr
