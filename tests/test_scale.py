"""A run of 100,000 trials costs 1,000 times one of 100: counted in files, not in seconds."""

import json
import math
import os
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from test_report_samples import diverged, settings, trial
from test_runner import runner
from typer.testing import CliRunner

from hpsearch import cohort, csvtables
from hpsearch.atomic import _beside, write_atomically
from hpsearch.cli import app
from hpsearch.errors import HostError
from hpsearch.report.tables.learning import MOST
from hpsearch.search import samplers
from hpsearch.search.samplers import independent
from hpsearch.stages import search
from hpsearch.store import RunStore
from hpsearch.trial import Curves, TrialResult

AWKWARD = Curves(
    train_loss=[0.1 + 0.2, 1e-300, math.inf], train_accuracy=[1 / 3, math.nan, 1.0],
    val_loss=[-0.0, 5e-324, 1.7e308], val_accuracy=[0.5, 2 / 3, 0.5],
    val_balanced_accuracy=[0.1, 0.7, 0.1], learning_rate=[1e-4] * 3, update_ratio=[0.0] * 3,
)  # fmt: skip


def awkward(number: int) -> TrialResult:
    """Numbers that JSON has no word for, or that take all their digits."""
    given = trial(number, [0.1, 0.3, 0.2], **settings(10**-number / 3), activation="re,lu\"\n")
    losses = [(1, 2.3), (2, math.nan), (3, math.inf), (4, -math.inf), (5, 1 / 3), (6, 1e-12)]
    return replace(given, curves=AWKWARD, losses=losses, reason='says "losses": [],\n no')


def trials(count: int) -> list[TrialResult]:
    return [trial(n, [0.2, 0.5, 0.4], **settings(0.01 + n / 1000)) for n in range(count)]


@pytest.fixture
def touched(monkeypatch):
    """How often each of these has been done to a file."""
    count: Counter[str] = Counter()

    def watch(owner, name):
        original = getattr(owner, name)

        def counting(*args, **kwargs):
            count[name] += 1
            if name == "read_bytes" and args[0].parent.name == "trials":
                count[str(args[0])] += 1
            return original(*args, **kwargs)

        monkeypatch.setattr(owner, name, counting)

    for owner, names in ((os, ("fsync", "scandir", "stat")), (Path, ("read_bytes", "replace"))):
        for name in names:
            watch(owner, name)
    return count


def reads(touched) -> list[int]:
    """Of each trial's file that was read at all, how often."""
    return [times for name, times in touched.items() if name.endswith(".json")]


# --- what a command reads


@pytest.fixture
def searched(tmp_path):
    """A run with all its rounds; the settings of `runner` are in its config."""
    work = runner(tmp_path / "runs")
    list(work.run())
    return work.store


def unfinished(store):
    """The run as it was before its last stage was judged."""
    last = store.search_stages()[-1]
    store.write_document(replace(store.search_document(last), verdict=None, best=None))


@pytest.mark.parametrize("begun", [False, True], ids=["finished", "unfinished"])
@pytest.mark.parametrize(
    "words", ["report", "status", "ls", "search", "run", "sanity", "search --dry-run"]
)
def test_a_command_reads_each_trial_once(searched, touched, words, begun):
    if begun:
        unfinished(searched)
    touched.clear()
    where = ["--runs-dir", str(searched.folder.parent)]
    run = [] if words == "ls" else ["digits"]
    found = CliRunner().invoke(app, [*words.split(), *run, *where])
    assert found.exit_code in (0, 1), found.output
    again = sum(times - 1 for times in reads(touched))
    closely = MOST if words in ("report", "run") else 0  # whose minibatch losses the page shows
    assert again <= closely and max(reads(touched), default=0) <= 2
    if not begun and words in ("status", "ls", "sanity"):
        assert not reads(touched), "what the documents say is not counted again"


def test_a_search_reads_no_trial_of_its_own(tmp_path, touched, monkeypatch):
    """And looks at their folder as often for 8 cohorts as for 2."""
    looks = []
    for size in (16, 4):
        root = tmp_path / str(size)
        monkeypatch.setattr(cohort, "cohort_size", lambda n_params, size=size: size)
        touched.clear()
        runner(root, "search.coarse.trials=32").search("coarse")
        assert not reads(touched)
        looks.append(touched["scandir"])
    assert looks[0] == looks[1]


def test_what_a_search_keeps_of_its_trials_is_light(tmp_path):
    work = runner(tmp_path / "runs")
    work.search("coarse")
    kept = work.store.results("coarse")
    assert all(result.losses == [] and result.weights is None for result in kept)
    on_disk = RunStore(tmp_path / "runs", "digits").results("coarse")
    assert repr(on_disk) == repr(kept), "read or remembered, they are the same"
    assert len(work.store.result("coarse", 3).losses) > 10
    assert work.store.result("coarse", 99) is None


# --- what recording writes


@pytest.mark.parametrize("count", [10, 100, 1000])
def test_recording_touches_a_trials_file_and_once_per_cohort_its_folder(tmp_path, touched, count):
    store, results = RunStore(tmp_path, "x"), trials(count)
    for start in range(0, count, 10):
        store.record(*results[start : start + 10])
    made = 3  # folders: x, coarse, trials
    assert touched["replace"] == count and touched["fsync"] == made + count + count // 10
    assert touched["scandir"] == 0 and not reads(touched)
    expected = [result.light for result in results]
    assert store.results("coarse") == expected == RunStore(tmp_path, "x").results("coarse")


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_cohort_that_cannot_be_written_leaves_whole_files_only(tmp_path, monkeypatch, failing):
    store, calls = RunStore(tmp_path, "x"), []
    owner = os if failing == "fsync" else Path
    original = getattr(owner, failing)

    def full(*args):
        calls.append(args)
        if len(calls) == 4 + (3 if failing == "fsync" else 0):  # for the folders made
            raise OSError(28, "no space left on device")
        return original(*args)

    monkeypatch.setattr(owner, failing, full)
    with pytest.raises(HostError, match=r"trials: cannot be written: no space left"):
        store.record(*trials(9))
    left = sorted(p.name for p in store.trials_folder("coarse").iterdir())
    written = 0 if failing == "fsync" else 3
    assert left == [f"{n:05d}.json" for n in range(written)], "no half, and nothing beside"
    assert [r.id for r in store.results("coarse")] == list(range(written))


def test_the_best_weights_are_not_opened_for_every_cohort(tmp_path, monkeypatch):
    store, opened = RunStore(tmp_path, "x"), []
    load = np.load
    monkeypatch.setattr(np, "load", lambda *a, **k: opened.append(a) or load(*a, **k))
    assert store.best_trial("coarse") is None
    for number in (3, 8):
        store.write_weights("coarse/best", number, {"weights": np.zeros(2)})
        assert [store.best_trial("coarse") for _ in range(5)] == [number] * 5
    assert len(opened) == 2
    (store.folder / "coarse" / "best.npz").unlink()
    assert store.best_trial("coarse") is None


# --- what a reading leaves out


def test_without_losses_all_else_is_the_same():
    for result in (awkward(1), diverged(2), *trials(2)):
        text = result.to_text()
        whole, light = (TrialResult.from_text(text, losses=wanted) for wanted in (True, False))
        assert light.losses == [] and len(whole.losses) == len(result.losses)
        assert repr(replace(whole, losses=[])) == repr(light)


def test_curves_are_exact_and_losses_have_six_digits():
    back = TrialResult.from_text(awkward(1).to_text())
    for name, curve in vars(AWKWARD).items():
        finite = [x if math.isfinite(x) else math.nan for x in curve]
        np.testing.assert_array_equal(getattr(back.curves, name), finite)
    assert repr(back.losses) == repr(
        [(1, 2.3), (2, math.nan), (3, math.nan), (4, math.nan), (5, 0.333333), (6, 1e-12)]
    )
    assert TrialResult.from_text(back.to_text()).to_text() == back.to_text()


@pytest.mark.parametrize(
    "layout",
    [lambda r: json.dumps(r), lambda r: json.dumps(r, indent=4), lambda r: json.dumps(r, indent=0),
     lambda r: json.dumps({k: r[k] for k in sorted(r, reverse=True)}, indent=1),
     lambda r: json.dumps({**r, "losses": r["losses"]}, indent=0).replace("\n", "\r\n")],
    ids=["one line", "indented", "no indent", "reordered", "other line ends"],
)  # fmt: skip
def test_a_file_laid_out_by_hand_reads_the_same(tmp_path, layout):
    store, result = RunStore(tmp_path, "x"), trials(1)[0]
    store.record(result)
    path = store.trial_path("coarse", 0)
    as_written = store.result("coarse", 0)
    record = json.loads(path.read_text())
    path.write_text(layout(record))
    with pytest.raises(HostError, match=r'damaged .*take "checksum", its last line, out'):
        RunStore(tmp_path, "x").results("coarse")
    del record["checksum"]
    path.write_text(layout(record))
    assert store.result("coarse", 0) == as_written
    assert [replace(r, losses=[]) for r in store.results("coarse")] == [as_written.light]


@pytest.mark.parametrize("cut", [0.1, 0.5, 0.9, 0.999])
def test_a_file_cut_short_is_damaged_with_or_without_its_losses(tmp_path, cut):
    store = RunStore(tmp_path, "x")
    store.record(awkward(1))
    path = store.trial_path("coarse", 1)
    text = path.read_text().rstrip()
    path.write_text(text[: int(len(text) * cut)])
    with pytest.raises(HostError, match=r"00001\.json: damaged"):
        store.results("coarse")
    with pytest.raises(HostError, match=r"00001\.json: damaged"):
        store.result("coarse", 1)


def test_a_file_that_changed_or_went_is_noticed_at_the_next_look(tmp_path):
    store = RunStore(tmp_path, "x")
    store.record(*trials(4))
    assert len(store.results("coarse")) == 4
    store.trial_path("coarse", 1).unlink()
    other = RunStore(tmp_path, "x")
    other.record(replace(trials(3)[2], reason="trained again"), trial(7, [0.9]))
    seen = store.results("coarse")
    assert [r.id for r in seen] == [0, 2, 3, 7] and seen[1].reason == "trained again"


# --- plans and tables


@pytest.mark.parametrize("seed", [0, 1, 2**32 - 1, 2**32, 2**53 - 1])
def test_streams_are_numpys_own(seed):
    """However they are made: another way would draw other trials."""
    for name in ("learning_rate", "weight_decay", "é"):
        words = independent.digest(name)
        digest = sum(word << 32 * place for place, word in enumerate(words))
        expected = np.random.default_rng([seed, 2, digest])
        assert independent.stream(seed, name).bit_generator.state == expected.bit_generator.state


def test_a_plan_draws_only_what_is_not_done(tmp_path, monkeypatch):
    work, drawn = runner(tmp_path / "runs"), []
    sampler = samplers.POINTS["random"]
    monkeypatch.setitem(
        samplers.POINTS, "random", lambda space, at: drawn.append(at) or sampler(space, at)
    )
    whole = search.plan(work.context("coarse"), [])
    assert len(drawn) == len(whole) == 9
    done = [trial(n, [0.5]) for n in (0, 4, 8)]
    rest = search.plan(work.context("coarse"), done)
    assert rest == [spec for spec in whole if spec.id not in (0, 4, 8)]
    assert len(drawn) == 9 + 6


def test_tables_are_written_a_piece_at_a_time(monkeypatch):
    results = [*trials(30), awkward(30), diverged(31, learning_rate=9.0)]
    for table in (csvtables.trials_csv, csvtables.curves_csv):
        (whole,) = table(results)
        with monkeypatch.context() as patch:
            patch.setattr(csvtables, "PIECE", 500)
            pieces = list(table(results))
        assert "".join(pieces) == whole and len(pieces) > 3
        assert max(map(len, pieces)) < 1000


def test_what_a_kill_left_in_the_middle_of_writing_is_removed_by_the_next_writer(tmp_path):
    store = RunStore(tmp_path, "run")
    path = tmp_path / "run" / "coarse" / "trials" / "00041.json"
    write_atomically(path, b"{}")
    left, other = _beside(path), path.with_name(".keep.json")
    left.write_bytes(b'{"id": 41, "cur')
    other.touch()
    with store.writing():
        assert not left.exists() and path.exists() and other.exists()
