"""A machine that dies or fails at any change of the disk: nothing finished is lost, and running
the same command again ends with the files of an uninterrupted run.
"""

import errno
import itertools
import os
import shutil

import pytest
from faulty_disk import WHEN, Disk, Killed, PowerLoss
from tiny_run import TRIALS, config_in, left_by, quickly, run, trials_in

from hpsearch.store import RunStore

ERRORS = (errno.ENOSPC, errno.EIO, errno.EACCES, errno.EROFS, errno.EMFILE)
CHUNKS = 24  # of the slow tests, each with every 24th change
STAGES = ("coarse", "refine-1", "final")


@pytest.fixture(autouse=True)
def _quickly(monkeypatch):
    quickly(monkeypatch)


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    return config_in(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def whole(config):
    """What an uninterrupted run leaves."""
    with pytest.MonkeyPatch.context() as patch:
        quickly(patch)
        done = run(config, config.parent / "whole")
    assert done.exit_code == 0, done.output
    found = left_by(config.parent / "whole")
    assert len(trials_in(config.parent / "whole")) == TRIALS
    return found


def killed(config, runs, **broken) -> Disk:
    """The run on a disk that ends it; `dead` where it came that far."""
    disk = Disk(runs, **broken)
    with disk.between():
        try:
            done = run(config, runs)
            assert done.exit_code == 0, done.output
        except Killed:
            pass
    return disk


def ends_well(config, runs, whole, finished):
    """Run again it leaves what it should, and the trials that were there untouched."""
    done = run(config, runs)
    assert done.exit_code == 0, done.output
    assert left_by(runs) == whole
    now = trials_in(runs)
    assert {name: now[name] for name in finished} == finished


def crash_at(config, runs, whole, *, at: int, when: str) -> bool:
    """Whether the run came as far as that change."""
    dead = killed(config, runs, at=at, when=when).dead
    ends_well(config, runs, whole, trials_in(runs))
    shutil.rmtree(runs)
    return dead


def fail_at(config, runs, whole, *, at: int, number: int, for_ever: bool) -> bool:
    disk, before = Disk(runs, at=at, errno=number, for_ever=for_ever), trials_in(runs)
    with disk.between():
        done = run(config, runs)
    assert before.items() <= trials_in(runs).items()
    idle = disk.broken[:1] == ("mkdir",) and disk.broken in disk.trace[:at]  # it is there
    if disk.told >= at and (for_ever or not idle):
        said = done.stderr
        assert done.exit_code == 3, f"change {at}: {disk.broken}: {done.output}"
        assert os.strerror(number) in said and str(runs) in said, said
        assert "Traceback" not in said and "bug" not in said
    ends_well(config, runs, whole, trials_in(runs))
    shutil.rmtree(runs)
    return disk.told >= at


@pytest.mark.parametrize("when", WHEN)
def test_a_crash_loses_nothing(config, whole, tmp_path, when):
    first = WHEN.index(when)
    for at in (40 + 20 * first, 190 + 30 * first):
        crash_at(config, tmp_path / "runs", whole, at=at, when=when)


@pytest.mark.slow
@pytest.mark.parametrize("chunk", range(CHUNKS))
@pytest.mark.parametrize("when", WHEN)
def test_a_crash_at_every_change_loses_nothing(config, whole, tmp_path, when, chunk):
    for at in itertools.count(chunk + 1, CHUNKS):
        if not crash_at(config, tmp_path / "runs", whole, at=at, when=when):
            return


@pytest.mark.parametrize(("at", "again"), [(100, 9), (230, 23)])
def test_a_crash_while_taking_up_a_crashed_run_loses_nothing(config, whole, tmp_path, at, again):
    assert killed(config, tmp_path / "runs", at=at, when="half-way").dead
    assert killed(config, tmp_path / "runs", at=again, when="after").dead
    ends_well(config, tmp_path / "runs", whole, trials_in(tmp_path / "runs"))


@pytest.mark.slow
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_a_crash_at_every_change_while_taking_up_loses_nothing(config, whole, tmp_path, chunk):
    """Crashed in the middle of each kind of work first."""
    begun, runs = tmp_path / "begun", tmp_path / "runs"
    assert killed(config, begun, at=100 + 5 * chunk, when=WHEN[chunk % 3]).dead
    for at in itertools.count(chunk + 1, CHUNKS):
        shutil.copytree(begun, runs)
        if not crash_at(config, runs, whole, at=at, when=WHEN[at % 3]):
            return


@pytest.mark.parametrize(
    ("at", "number", "for_ever"),
    [(2, errno.EROFS, True), (13, errno.EACCES, False), (78, errno.EMFILE, True),
     (114, errno.ENOSPC, True), (161, errno.EIO, False), (262, errno.ENOSPC, False)],
)  # fmt: skip
def test_a_failing_disk_is_a_clean_error(config, whole, tmp_path, at, number, for_ever):
    assert fail_at(config, tmp_path / "runs", whole, at=at, number=number, for_ever=for_ever)


@pytest.mark.slow
@pytest.mark.parametrize("chunk", range(CHUNKS))
@pytest.mark.parametrize("number", ERRORS, ids=errno.errorcode.get)
@pytest.mark.parametrize("for_ever", [False, True], ids=["once", "for ever"])
def test_a_disk_that_fails_at_any_change_is_a_clean_error(
    config, whole, tmp_path, chunk, number, for_ever
):
    given = {"number": number, "for_ever": for_ever}
    for at in itertools.count(chunk + 1, CHUNKS):
        if not fail_at(config, tmp_path / "runs", whole, at=at, **given):
            return


def test_a_disk_that_fails_while_taking_up_is_a_clean_error(config, whole, tmp_path):
    assert killed(config, tmp_path / "runs", at=240, when="half-way").dead
    given = {"number": errno.ENOSPC, "for_ever": True}
    assert fail_at(config, tmp_path / "runs", whole, at=33, **given)


@pytest.mark.slow
@pytest.mark.parametrize("chunk", range(CHUNKS))
@pytest.mark.parametrize("number", ERRORS, ids=errno.errorcode.get)
@pytest.mark.parametrize("for_ever", [False, True], ids=["once", "for ever"])
def test_a_disk_that_fails_at_any_change_while_taking_up_is_a_clean_error(
    config, whole, tmp_path, chunk, number, for_ever
):
    """Crashed in the middle of each kind of work first; then whatever is done about that fails."""
    begun, runs = tmp_path / "begun", tmp_path / "runs"
    assert killed(config, begun, at=100 + 5 * chunk, when=WHEN[chunk % 3]).dead
    for at in itertools.count(chunk + 1, CHUNKS):
        shutil.copytree(begun, runs)
        if not fail_at(config, runs, whole, at=at, number=number, for_ever=for_ever):
            return


# --- power loss


@pytest.fixture(scope="module")
def recorded(config, whole):
    """The changes of a whole run, and which trials had been recorded by when."""
    runs, told = config.parent / "recorded", []
    disk, record = Disk(runs), RunStore.record

    def telling(store, *results):
        record(store, *results)
        names = [store.trial_path(r.stage, r.id) for r in results if r.status != "paused"]
        told.append((len(disk.trace), [str(name.relative_to(runs)) for name in names]))

    with pytest.MonkeyPatch.context() as patch, disk.between():
        quickly(patch)
        patch.setattr(RunStore, "record", telling)
        assert run(config, runs).exit_code == 0
    return disk.trace, told, trials_in(runs)


def survives(recorded, folder, *, counts, names, data):
    """Every record that is there is whole, and all are there that were said to be recorded."""
    trace, told, trials = recorded
    assert len(trace) > 200 and len(trials) == TRIALS
    for count in counts(len(trace) + 1):
        runs = folder / str(count)
        runs.mkdir()
        PowerLoss(trace[:count]).left(runs, names=names, data=data)
        found = trials_in(runs)
        promised = {name for when, names in told if when <= count for name in names}
        assert promised <= set(found), f"{trace[count - 1][:2]}"
        assert all(trials[name] == content for name, content in found.items())
        store = RunStore(runs, "tiny")
        assert store.run_facts() is not None and store.documents() is not None
        assert all(len(store.results(stage)) <= TRIALS for stage in STAGES)
        assert all(len(store.checkpoints(stage).paused()) <= TRIALS for stage in STAGES)
        shutil.rmtree(runs)


LOSSES = list(itertools.product(["lost", "kept"], ["dropped", "zeroed", "torn"]))


@pytest.mark.parametrize(("names", "data"), LOSSES)
def test_a_power_loss_loses_nothing(recorded, tmp_path, names, data):
    first = LOSSES.index((names, data))
    survives(recorded, tmp_path, counts=lambda n: range(first, n, 19), names=names, data=data)


@pytest.mark.slow
@pytest.mark.parametrize(("names", "data"), LOSSES)
def test_a_power_loss_after_any_change_loses_nothing(recorded, tmp_path, names, data):
    survives(recorded, tmp_path, counts=range, names=names, data=data)


@pytest.mark.parametrize("count", [140, 222])
def test_after_a_power_loss_a_run_ends_as_it_should(config, whole, recorded, tmp_path, count):
    (tmp_path / "runs").mkdir()
    PowerLoss(recorded[0][:count]).left(tmp_path / "runs", names="lost", data="torn")
    ends_well(config, tmp_path / "runs", whole, trials_in(tmp_path / "runs"))
