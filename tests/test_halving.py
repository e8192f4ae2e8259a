"""Successive halving: who goes on, and with the bits of a trial that never paused."""

import threading
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from conftest import weights_of
from test_runner import Seen, _one_by_one, contents, runner

from hpsearch import checkpoint
from hpsearch.checkpoint import Checkpoints, packed
from hpsearch.cohort import Task
from hpsearch.commands.rehearsal import rehearse
from hpsearch.config.schema import Halving
from hpsearch.errors import ConfigError, HostError, Stopped
from hpsearch.executors import Kind
from hpsearch.nn.net import Net
from hpsearch.spec import Budget, Rates
from hpsearch.stages.halving import Course, Rung, course, rungs
from hpsearch.training import Watch, train_cohort
from hpsearch.trial import Curves, Status, TrialResult, ranking

RUNGS = [1, 3]
HALVED = (
    "search.coarse={trials: 12, epochs: 5, halving: {eta: 3, min_epochs: 1}}",
    "search.space.hidden={choice: [[8], [12, 6]]}",
    "search.space.dropout={uniform: [0, 0.4]}",
    "train.schedule=one_cycle",
)  # fmt: skip
WHOLE = ("search.coarse={trials: 12, epochs: 5}", *HALVED[1:])


def result(number, accuracy, *, status=Status.PAUSED, loss=None, metric="val_accuracy"):
    """A trial with these curves."""
    curves = Curves(
        train_loss=accuracy, val_accuracy=accuracy,
        val_loss=[1.0] * len(accuracy) if loss is None else loss,
    )
    found = TrialResult("coarse", number, status, 0, {}, metric, curves, [], len(accuracy))
    if not accuracy:
        return found
    curve = np.array(getattr(curves, metric))
    best = curve.argmin() if metric == "val_loss" else curve.argmax()
    return replace(found, best_epoch=int(best) + 1)


def by_id(*results):
    return {r.id: r for r in results}


# --- who goes on


def test_rungs_are_eta_apart_and_keep_the_best_of_the_whole_stage():
    assert rungs(Halving(), 100, 20) == [Rung(1, 33), Rung(3, 11), Rung(9, 3)]
    assert rungs(Halving(eta=2, min_epochs=3), 5, 12) == [Rung(3, 2), Rung(6, 1)]
    assert rungs(Halving(eta=4), 3, 5) == [Rung(1, 1), Rung(4, 1)]
    assert rungs(Halving(min_epochs=5), 9, 5) == []


def test_nobody_passes_a_rung_before_all_are_there():
    ladder = [Rung(1, 2)]
    assert course({}, 4, ladder) == Course([0, 1, 2, 3], 1, {})
    three = by_id(*(result(n, [0.1 * n]) for n in range(3)))
    assert course(three, 4, ladder) == Course([3], 1, {})
    four = three | by_id(result(3, [0.05]))
    reason = "not among the best 2 at epoch 1"
    assert course(four, 4, ladder) == Course([1, 2], None, {0: reason, 3: reason})


def test_equals_are_told_apart_by_their_loss_then_by_their_id():
    tied = [result(n, [0.5], loss=[loss]) for n, loss in enumerate([2.0, 1.0, 1.0, 3.0])]
    assert course(by_id(*tied), 4, [Rung(1, 2)]).going == [1, 2]
    assert course(by_id(*tied), 4, [Rung(1, 1)]).going == [1]
    by_loss = [replace(each, metric="val_loss") for each in tied]
    assert course(by_id(*by_loss), 4, [Rung(1, 3)]).going == [0, 1, 2]


def test_the_diverged_never_go_on_and_the_patient_keep_their_place():
    diverged = result(0, [], status=Status.DIVERGED)
    early = result(1, [0.9, 0.8], status=Status.DONE)
    paused = [result(n, [0.1, 0.2, 0.1 * n]) for n in (2, 3, 4)]
    found = course(by_id(diverged, early, *paused), 5, [Rung(3, 2)])
    assert found.going == [4] and set(found.pruned) == {2, 3}
    none = by_id(*(result(n, [], status=Status.DIVERGED) for n in range(3)))
    assert course(none, 3, [Rung(1, 1), Rung(3, 1)]) == Course([], None, {})


def test_a_trial_that_failed_costs_no_other_its_place():
    failed = result(0, [], status=Status.FAILED)
    others = [result(n, [0.1 * n]) for n in (1, 2, 3)]
    assert course(by_id(failed, *others), 4, [Rung(1, 2)]).going == [2, 3]


@pytest.mark.parametrize("metric", ["val_accuracy", "val_loss"])
def test_what_was_decided_at_a_rung_is_decided_again_from_where_the_trials_are_now(metric, rng):
    """Halving simulated with all curves known beforehand, any number of trials at a time."""
    ladder, trials, epochs = [Rung(1, 6), Rung(3, 3), Rung(6, 1)], 18, 9
    for _ in range(30):
        shape = (trials, epochs)
        curves, losses = rng.integers(0, 4, shape) / 4, rng.integers(0, 3, shape) / 2
        known = {}
        while (now := course(known, trials, ladder)).going:
            for n, _ in now.pruned.items():
                known[n] = replace(known[n], status=Status.PRUNED)
            chosen = rng.permutation(now.going)[: rng.integers(1, len(now.going) + 1)]
            for n in chosen.tolist():
                last, status = now.pause or epochs, Status.PAUSED if now.pause else Status.DONE
                if rng.random() < 0.1:
                    last = int(rng.integers(known[n].epochs if n in known else 0, last))
                    status = Status.DIVERGED
                curve, loss = list(curves[n, :last]), list(losses[n, :last])
                known[n] = result(n, curve, status=status, loss=loss, metric=metric)
        for n in now.pruned:
            known[n] = replace(known[n], status=Status.PRUNED)
        ended = course(known, trials, ladder)
        assert not ended.going and not ended.pruned
        assert all(r.status is not Status.PAUSED for r in known.values())
        past = [sum(r.epochs > rung.epochs for r in known.values()) for rung in ladder]
        assert all(n <= rung.places for n, rung in zip(past, ladder, strict=True))
        for rung in ladder:  # the oracle: sort those that were there by what they had then
            there = [r for r in known.values() if r.epochs >= rung.epochs]
            if metric == "val_accuracy":
                then = {r.id: max(r.curves.val_accuracy[: rung.epochs]) for r in there}
            else:
                then = {r.id: -min(r.curves.val_loss[: rung.epochs]) for r in there}
            on = {r.id for r in there if r.epochs > rung.epochs}
            stay = {r.id for r in there if r.status is Status.PRUNED and r.epochs == rung.epochs}
            assert not on or not stay or min(then[n] for n in on) >= max(then[n] for n in stay)


# --- the same bits


def legs(data, specs, folder, cuts=RUNGS, group=lambda number: 0):
    """Trains the specs from rung to rung, in cohorts that `group` decides anew at each."""
    ends = [*cuts, None]
    results = {}
    for number, (done, pause) in enumerate(zip([0, *cuts], ends, strict=True)):
        budget = replace(specs[0].budget, done=done, pause=pause)
        tasks = {}
        for spec in specs:
            if spec.id not in results or results[spec.id].status is Status.PAUSED:
                path = folder / f"{spec.id}.npz" if done else None
                leg = replace(spec, budget=budget, checkpoint=path)
                tasks.setdefault(group(spec.id + number), []).append(leg)
        for task in tasks.values():
            for found in train_cohort(Task(tuple(task)), data, Watch()):
                results[found.id] = found
                if found.status is Status.PAUSED:
                    (folder / f"{found.id}.npz").write_bytes(packed(found))
    return results


def bits(found):
    """Everything of a result but the seconds; NaN equals NaN."""
    return replace(found, train_seconds=0.0).to_text(), [repr(loss) for _, loss in found.losses]


KINDS = {
    "momentum": {},
    "adam": {"optimizer": "adam"},
    "dropout": {"rates": Rates(0.05, 1e-3, dropout=0.3), "schedule": "cosine"},
    "cycle": {"schedule": "one_cycle", "rates": Rates(0.05, warmup_epochs=1.5)},
    "batch norm": {"net": Net((64, 12, 8, 10), normalization="batch")},
    "prelu": {"net": Net((64, 12, 10), "prelu"), "batch_size": 7},  # over 490 losses by epoch 3
    "patience": {"patience": 1, "rates": Rates(0.3)},
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_trial_that_pauses_has_the_bits_of_one_that_does_not(kind, digits, make_spec, tmp_path):
    specs = [make_spec(n, budget=Budget(5), **KINDS[kind]) for n in range(5)]
    whole = train_cohort(Task(tuple(specs)), digits, Watch())
    paused = legs(digits, specs, tmp_path, group=lambda number: number % 2)
    assert [bits(paused[r.id]) for r in whole] == [bits(r) for r in whole]
    best = max(whole, key=lambda r: r.rank)
    assert (paused[best.id].weights == best.weights).all()


@pytest.mark.parametrize("kind", KINDS)
def test_a_trial_stands_at_a_rung_whichever_way_it_came_there(kind, digits, make_spec, tmp_path):
    """Whether it has paused before or not: everything that it goes on from is the same."""
    specs = [make_spec(n, budget=Budget(5), **KINDS[kind]) for n in range(3)]
    states = []
    for folder, cuts in ((tmp_path / "a", [1, 3]), (tmp_path / "b", [3])):
        folder.mkdir()
        legs(digits, specs, folder, cuts)
        paused = (checkpoint.read(path) for path in sorted(folder.iterdir()))
        states.append([found.state for found in paused if found.epochs == 3])
    assert len(states[0]) == len(states[1]) > 0
    for one, other in zip(*states, strict=True):
        assert one.keys() == other.keys()
        assert all(np.array_equal(one[name], other[name]) for name in one)


def test_a_trial_that_diverges_between_rungs_does_so_at_the_same_step(
    digits, make_spec, tmp_path
):
    rates = [0.1, 40.0, 1e3, 4.0, 0.5, 12.0]
    specs = [make_spec(n, rate, budget=Budget(5), batch_size=400) for n, rate in enumerate(rates)]
    whole = train_cohort(Task(tuple(specs)), digits, Watch())
    paused = legs(digits, specs, tmp_path)
    assert any(r.status is Status.DIVERGED for r in whole)
    assert [bits(paused[r.id]) for r in whole] == [bits(r) for r in whole]


def test_what_pauses_is_what_it_would_have_been_then(digits, make_spec, tmp_path):
    """The record of a pruned trial: its losses and best epoch are of what it trained."""
    spec = make_spec(0, budget=Budget(5, pause=3), schedule="cosine")
    (paused,) = train_cohort(Task((spec,)), digits, Watch())
    (whole,) = train_cohort(Task((replace(spec, budget=Budget(5)),)), digits, Watch())
    assert paused.status is Status.PAUSED and paused.epochs == 3 and paused.verdict
    for name, curve in vars(paused.curves).items():
        assert list(curve) == list(getattr(whole.curves, name))[:3]
    assert paused.step == paused.losses[-1][0] == 45
    path = tmp_path / "0.npz"
    path.write_bytes(packed(paused))
    again = checkpoint.read(path)
    assert again.to_text() == paused.to_text() and again.state.keys() == paused.state.keys()


# --- the whole stage


@pytest.fixture(scope="module")
def halved(tmp_path_factory):
    """A halved search, with all that it wrote."""
    root = tmp_path_factory.mktemp("halved")
    work = runner(root, *HALVED)
    return work, work.search("coarse"), contents(root)


def test_the_stage_counts_its_pruned_trials_and_never_ranks_them(halved, tmp_path):
    work, document, _ = halved
    assert (document.trials, document.completed, document.pruned) == (12, 1, 11)
    done = work.store.results("coarse")
    assert sorted(r.epochs for r in done) == [1] * 8 + [3] * 3 + [5]
    assert [r.status for r in ranking(done)] == [Status.DONE]
    assert document.best["trial"] == ranking(done)[0].id
    assert not list(work.store.folder.rglob("checkpoints"))
    assert all(work.store.result("coarse", r.id).losses for r in done)
    plain = runner(tmp_path, *WHOLE)
    plain.search("coarse")
    for found, whole in zip(done, plain.store.results("coarse"), strict=True):
        assert found.hparams == whole.hparams and found.seed == whole.seed
        for name, curve in vars(found.curves).items():
            assert list(curve) == list(getattr(whole.curves, name))[: found.epochs]
    best = document.best["trial"]
    assert bits(work.store.result("coarse", best)) == bits(plain.store.result("coarse", best))


@pytest.mark.parametrize(("jobs", "kind"), [(2, Kind.THREADS), (3, Kind.PROCESSES)])
def test_neither_jobs_nor_executors_change_a_byte(halved, jobs, kind, tmp_path, monkeypatch):
    monkeypatch.setenv("HPSEARCH_EXECUTOR", kind)
    work = runner(tmp_path, *HALVED, jobs=jobs)
    work.search("coarse")
    assert contents(tmp_path) == halved[2]
    assert sum(trials for _, trials in work.view.begun) == 12
    assert sorted(n for _, n in work.view.trials) == list(range(12))


@pytest.mark.parametrize("after", [1, 7, 12, 14, 16, 17])
def test_a_stop_between_or_within_rungs_changes_nothing(halved, after, tmp_path):
    """12 trials come to the first rung, 4 to the second, 1 to the end; the pruned are written
    between. A stop after the last of all is one, too: the search goes no further.
    """
    stop = threading.Event()
    work = runner(tmp_path, *HALVED, stop=stop)
    _one_by_one(work)
    record, arrived = work._record, []

    def recording(results, known):
        record(results, known)
        arrived.extend(r for r in results if r.status is not Status.PRUNED)
        if len(arrived) >= after:
            stop.set()

    work._record = recording
    with pytest.raises(Stopped):
        work.search("coarse")
    again = runner(tmp_path, *HALVED)
    again.search("coarse")
    assert contents(tmp_path) == halved[2]
    folder = tmp_path / "digits"
    assert not (folder / "checkpoints").exists()
    best = [weights_of(f / "coarse/best.npz") for f in (folder, halved[0].store.folder)]
    assert (best[0] == best[1]).all()


class Cut(Exception):
    """The power fails."""


@pytest.mark.parametrize("call", [0, 1, 3])
def test_a_crash_before_checkpoints_are_removed_changes_nothing(
    halved, call, tmp_path, monkeypatch
):
    remove, calls = Checkpoints.remove, []

    def failing(self, *trials):
        calls.append(trials)
        if len(calls) == call + 1:
            raise Cut
        remove(self, *trials)

    monkeypatch.setattr(Checkpoints, "remove", failing)
    with pytest.raises(Cut):
        runner(tmp_path, *HALVED).search("coarse")
    runner(tmp_path, *HALVED).search("coarse")
    assert contents(tmp_path) == halved[2]
    assert not (tmp_path / "digits/checkpoints").exists()


def stopped(root, after):
    """A halved search that was stopped after so many trials had come to a rung."""
    stop = threading.Event()
    work = runner(root, *HALVED, stop=stop)
    _one_by_one(work)
    record, seen = work._record, []

    def recording(results, known):
        record(results, known)
        seen.extend(results)
        if len(seen) >= after:
            stop.set()

    work._record = recording
    with pytest.raises(Stopped):
        work.search("coarse")
    return work.store.checkpoints("coarse")


@pytest.mark.parametrize("after", [12, 22])
def test_paused_trials_go_on_and_those_whose_checkpoint_is_gone_begin_anew(
    halved, after, tmp_path
):
    checkpoints = stopped(tmp_path, after)
    kept = [r.id for r in checkpoints.paused()]
    finished = {r.id for r in runner(tmp_path, *HALVED).store.results("coarse")}
    assert len(kept) == 12 - len(finished) and finished.isdisjoint(kept)
    for number in kept[::2]:
        checkpoints.path(number).unlink()
    runner(tmp_path, *HALVED).search("coarse")
    assert contents(tmp_path) == halved[2]


def test_a_damaged_checkpoint_is_named(tmp_path):
    path = next(stopped(tmp_path, 3).folder.iterdir())
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(HostError, match=f"{path.name}: damaged .*delete it"):
        runner(tmp_path, *HALVED).search("coarse")
    path.write_bytes(b"no archive at all")
    with pytest.raises(HostError, match=f"{path.name}: damaged .changed since it was written"):
        runner(tmp_path, *HALVED).search("coarse")


def test_a_change_that_would_change_who_goes_on_is_refused(tmp_path):
    stopped(tmp_path, 3)
    for change in ("trials=13", "halving.eta=4", "halving.min_epochs=2", "halving=null"):
        with pytest.raises(ConfigError, match="search.coarse." + change.split("=")[0]):
            runner(tmp_path, *HALVED, f"search.coarse.{change}").search("coarse")


def test_checkpoints_of_a_stage_that_was_deleted_are_not_taken_up(halved, tmp_path):
    stopped(tmp_path, 3)
    (tmp_path / "digits/coarse/stage.json").unlink()
    other = runner(tmp_path, *HALVED, "train.batch_size=50")
    other.search("coarse")
    fresh = runner(tmp_path / "fresh", *HALVED, "train.batch_size=50")
    fresh.search("coarse")
    assert contents(tmp_path / "digits") == contents(tmp_path / "fresh/digits")


def test_a_rehearsal_counts_what_is_trained(tmp_path):
    """12 trials for 1 epoch, 4 for 2 more, 1 for the last 2."""
    found = rehearse(runner(tmp_path, *HALVED), "coarse")
    assert (found.trials, found.trial_epochs) == (12, 12 + 8 + 2)
    assert found.trial_steps == 15 * 22
    stopped(tmp_path, 5)
    left = rehearse(runner(tmp_path, *HALVED), "coarse")
    assert left.trial_epochs == 22 - 5


def test_every_epoch_is_trained_once(tmp_path, monkeypatch):
    """Promoted trials go on; they do not begin again."""
    seen = []
    work = runner(tmp_path, *HALVED)
    work.watch = replace(work.watch, epoch=lambda recorder: seen.append(recorder.cohort.size))
    work.search("coarse")
    assert sum(seen) == 22


def test_diverged_trials_do_not_go_on(tmp_path):
    given = (*HALVED, "search.space.learning_rate={log_uniform: [1e-3, 1e4]}")
    document = runner(tmp_path, *given).search("coarse")
    done = runner(tmp_path, *given).store.results("coarse")
    assert document.diverged >= 3 and document.completed == 1
    assert document.completed + document.diverged + document.pruned == 12
    for r in done:
        assert (r.epochs < 5) == (r.status is not Status.DONE)


def test_refine_halves_too(tmp_path):
    halving = "search.refine={trials: 6, epochs: 4, rounds: 1, halving: {eta: 2, min_epochs: 2}}"
    work = runner(tmp_path, halving)
    work.search("coarse")
    document = work.search("refine-1")
    assert (document.completed, document.pruned) == (3, 3)


# --- the config


@pytest.mark.parametrize(("given", "says"), [
    ("halving={eta: 1}", r"halving\.eta: must be at least 2, got 1"),
    ("halving={min_epochs: 0}", r"halving\.min_epochs: must be at least 1, got 0"),
    ("halving={min_epochs: 5}", r"min_epochs: must be below search\.coarse\.epochs, 5, got 5"),
    ("halving={eat: 3}", 'unknown key "eat": did you mean "eta"'),
    ("halving=3", r"search\.coarse\.halving: must be a mapping"),
])  # fmt: skip
def test_a_halving_that_cannot_be_is_refused(given, says, tmp_path):
    with pytest.raises(ConfigError, match=says):
        runner(tmp_path, "search.coarse={trials: 9, epochs: 5}", f"search.coarse.{given}")


def test_tpe_cannot_wait_at_rungs(tmp_path):
    with pytest.raises(ConfigError, match=r"coarse\.halving: must be null .*sampler: random"):
        runner(tmp_path, *HALVED, "search.sampler=tpe")


def test_null_is_off_and_the_rungs_do_not_show(tmp_path):
    plain = runner(tmp_path, "search.coarse.halving=null")
    plain.search("coarse")
    settings = plain.store.search_document("coarse").settings
    assert not any("halving" in key for key in settings)
    assert all(a <= b for a, b in pairwise(r.id for r in plain.store.results("coarse")))
    assert isinstance(plain.view, Seen) and plain.view.begun == [("coarse", 9)]
