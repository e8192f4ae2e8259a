"""Trials in training are written down now and then: a kill costs no more than what came since."""

import errno
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import weights_of
from faulty_disk import Disk, PowerLoss
from test_final import finisher
from test_lockstep import bits
from test_runner import contents, runner

from hpsearch.checkpoint import Checkpoints
from hpsearch.dispatch import Allowance, Dispatch, Limits
from hpsearch.errors import HostError
from hpsearch.executors import Kind
from hpsearch.pausing import missing
from hpsearch.spec import Budget
from hpsearch.stages.context import Stage
from hpsearch.store import RunStore
from hpsearch.training import Watch
from hpsearch.trial import Curves, Status, TrialResult

NEVER, OFTEN = "search.checkpoint_seconds=null", "search.checkpoint_seconds=1.0e-9"
MANY = (
    "search.coarse={trials: 12, epochs: 5}",
    "search.space.hidden={choice: [[8], [12, 6]]}",
    "search.space.dropout={uniform: [0, 0.4]}",
    "search.space.optimizer={choice: [adam, momentum]}",
    "search.space.patience={int_uniform: [1, 4]}",
    "train.schedule=one_cycle",
    "data.augment.shift=1",
)
HALVED = "search.coarse.halving={eta: 3, min_epochs: 2}"


class Cut(Exception):
    """The power fails."""


class Counted:
    """Counts the epochs of every trial that are trained, and how often trials are written down."""

    def __init__(self, monkeypatch, *, cut=0):
        self.epochs, self.written, write = 0, 0, Checkpoints.write

        def writing(checkpoints, *results):
            write(checkpoints, *results)
            self.written += 1
            if self.written == cut:
                raise Cut

        monkeypatch.setattr(Checkpoints, "write", writing)

    def watch(self, work):
        def epoch(recorder):
            self.epochs += recorder.cohort.size

        work.watch = replace(work.watch, epoch=epoch)
        return work


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """Searches that nothing was written down of, and all they wrote."""
    found = {}
    for name, more in (("plain", ()), ("halved", (HALVED,))):
        root = tmp_path_factory.mktemp(name)
        work = runner(root, *MANY, NEVER, *more)
        work.search("coarse")
        found[name] = root, more, {k: v for k, v in contents(root).items() if "run.json" not in k}
    return found


def told(root):
    """All files but the one that names the config's checksum, in which the setting shows."""
    return {k: v for k, v in contents(root).items() if "run.json" not in k}


@pytest.mark.parametrize("name", ["plain", "halved"])
@pytest.mark.parametrize(("jobs", "kind"), [(1, Kind.IN_PROCESS), (2, Kind.PROCESSES)])
def test_what_was_written_down_changes_no_byte(
    undisturbed, name, jobs, kind, tmp_path, monkeypatch
):
    root, more, wanted = undisturbed[name]
    monkeypatch.setenv("HPSEARCH_EXECUTOR", kind)
    counted = Counted(monkeypatch)
    runner(tmp_path, *MANY, OFTEN, *more, jobs=jobs).search("coarse")
    assert told(tmp_path) == wanted and counted.written > 10
    assert not (tmp_path / "digits" / "checkpoints").exists()
    best = [weights_of(f / "digits/coarse/best.npz") for f in (root, tmp_path)]
    assert (best[0] == best[1]).all()


@pytest.mark.parametrize("name", ["plain", "halved"])
@pytest.mark.parametrize("cut", [1, 6, 9])
def test_after_a_kill_training_goes_on_from_the_last_checkpoint(
    undisturbed, name, cut, tmp_path, monkeypatch
):
    """No epoch is trained twice where each has been written down."""
    _, more, wanted = undisturbed[name]
    with monkeypatch.context() as patch:
        whole = Counted(patch)
        whole.watch(runner(tmp_path / "whole", *MANY, NEVER, *more)).search("coarse")
    counted = Counted(monkeypatch, cut=cut)
    with pytest.raises(Cut):
        counted.watch(runner(tmp_path / "cut", *MANY, OFTEN, *more)).search("coarse")
    assert 0 < counted.epochs < whole.epochs
    assert RunStore(tmp_path / "cut", "digits").checkpoints("coarse").exist
    counted.watch(runner(tmp_path / "cut", *MANY, OFTEN, *more)).search("coarse")
    assert counted.epochs == whole.epochs and told(tmp_path / "cut") == wanted
    assert not (tmp_path / "cut" / "digits" / "checkpoints").exists()


def test_the_final_trials_are_written_down_too(tmp_path, monkeypatch):
    work = finisher(tmp_path / "one")
    work.search("coarse")
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    finisher(tmp_path / "one", NEVER).final()
    counted = Counted(monkeypatch, cut=1)
    with pytest.raises(Cut):
        finisher(tmp_path / "two", OFTEN).final()
    finisher(tmp_path / "two", OFTEN).final()
    assert told(tmp_path / "one") == told(tmp_path / "two") and counted.written > 1
    models = [(tmp_path / n / "digits/models/best.npz").read_bytes() for n in ("one", "two")]
    assert models[0] == models[1]


@pytest.mark.parametrize("stage", ["coarse", "final"])
def test_a_kill_before_checkpoints_are_removed_leaves_none_in_the_end(
    stage, tmp_path, monkeypatch
):
    """Trials are on record, their checkpoints still there, and the stage is not judged."""
    work = finisher(tmp_path, OFTEN)
    if stage == "final":
        work.search("coarse")

    def kill(checkpoints, *trials):
        raise Cut

    with monkeypatch.context() as patch, pytest.raises(Cut):
        patch.setattr(Checkpoints, "remove", kill)
        work.search("coarse") if stage == "coarse" else work.final()
    assert work.store.checkpoints(stage).exist and work.store.finished(stage)
    write = RunStore.write_document

    def writing(store, document):
        assert document.verdict is None or not store.checkpoints(stage).exist
        write(store, document)

    monkeypatch.setattr(RunStore, "write_document", writing)
    again = finisher(tmp_path, OFTEN)
    again.search("coarse") if stage == "coarse" else again.final()
    assert not (work.store.folder / "checkpoints").exists()


def test_what_is_in_training_when_the_time_is_up_is_finished(digits, make_spec, tmp_path):
    checkpoints = Checkpoints(tmp_path)
    specs = [make_spec(n, budget=Budget(4), checkpoint=checkpoints.path(n)) for n in range(3)]
    over = Allowance(1.0, spent=2.0)
    work = Dispatch(
        digits, Watch(), print, jobs=1, keep=True, allowance=over, limits=Limits(checkpoint=0.0)
    )
    ended = []
    for results in work.trained(specs):
        paused = [r for r in results if r.status is Status.PAUSED]
        checkpoints.write(*paused)
        ended += [r for r in results if r not in paused]
    assert over.is_over and sorted(r.id for r in ended) == [0, 1, 2]
    plain = Dispatch(digits, Watch(), print, jobs=1, keep=True)
    whole = {r.id: r for results in plain.trained(specs) for r in results}
    assert all(bits(r) == bits(whole[r.id]) for r in ended)


def test_what_is_finished_has_no_checkpoint(digits, make_spec, tmp_path):
    """For good: the power may be lost when it is gone, and one that comes back may be of a stage
    that was deleted.
    """
    store, disk = RunStore(tmp_path, "run"), Disk(tmp_path)
    checkpoints = store.checkpoints("coarse")
    spec = make_spec(0, budget=Budget(3), checkpoint=checkpoints.path(0))
    work = Dispatch(digits, Watch(), print, jobs=1, keep=True, limits=Limits(checkpoint=0.0))
    with disk.between():
        for results in work.trained([spec]):
            store.record(*results)
            assert checkpoints.exist == (results[0].status is Status.PAUSED)
    assert not [path for path in PowerLoss(disk.trace).sure if path.suffix == ".npz"]


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO])
def test_a_checkpoint_that_cannot_be_removed_is_an_error_with_its_place(tmp_path, number):
    path = Checkpoints(tmp_path).path(0)
    path.write_bytes(b"")
    disk = Disk(tmp_path, at=1, errno=number)
    with disk.between(), pytest.raises(HostError, match=os.strerror(number)) as caught:
        Checkpoints(tmp_path).clear()
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize("change", [{"seed": 7}, {"hparams": {"learning_rate": 0.5}}])
def test_a_checkpoint_of_another_trial_is_not_gone_on_from(make_spec, change, tmp_path):
    spec = make_spec(0)
    curves = Curves(train_loss=[1.0], val_accuracy=[0.5])
    paused = TrialResult("final", 0, Status.PAUSED, spec.seed, spec.hparams, "val_accuracy",
                         curves, [], 15)  # fmt: skip
    stage = Stage("final", lambda context, done: [spec], lambda context, done: None)
    for known, done in ((paused, 1), (replace(paused, **change), 0)):
        [planned] = missing(stage, None, {0: known}, Checkpoints(tmp_path))
        assert planned.budget.done == done and planned.checkpoint == Path(tmp_path / "00000.npz")


def test_checks_are_not_written_down(digits, make_spec):
    """Nobody keeps their trials: they are trained in one go."""
    specs = [make_spec(n, budget=Budget(3)) for n in range(2)]
    work = Dispatch(digits, Watch(), print, jobs=1, keep=False, limits=Limits(checkpoint=0.0))
    assert [r.status for results in work.trained(specs) for r in results] == [Status.DONE] * 2
