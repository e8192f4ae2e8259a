"""Where tasks run: the same bits everywhere, and what breaks a worker costs one trial."""

import json
import math
import os
import signal
import sys
import threading
import time
from collections import deque
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from poison import work
from poisoned import Poisoned, poisoned_cohort
from test_cli import SMALL, process
from test_lockstep import bits
from test_runner import contents, runner

from hpsearch import cohort, dispatch
from hpsearch.cohort import Task
from hpsearch.data import Source, load
from hpsearch.dispatch import Dispatch, Limits
from hpsearch.errors import DataError, HostError, Stopped, UsageError
from hpsearch.executors import Kind, as_finished, kind_for
from hpsearch.nn.optimizers import OPTIMIZERS
from hpsearch.report.page import page
from hpsearch.report.tables.stages import says, trial_rows
from hpsearch.spec import Budget
from hpsearch.training import Watch
from hpsearch.trial import Status
from hpsearch.workers import WorkerDied, Workers

KINDS = list(Kind)


@pytest.fixture
def poison(monkeypatch):
    """Lets trials with the hparam `poison` break down; only a worker may be killed."""
    monkeypatch.setattr(dispatch, "Trainer", Poisoned)
    monkeypatch.setattr(dispatch, "train_cohort", poisoned_cohort)


def train_all(data, specs, kind, monkeypatch, *, keep=True, watch=None, jobs=2):
    """What Dispatch makes of the specs: the results by id, and what it said."""
    monkeypatch.setenv("HPSEARCH_EXECUTOR", kind)
    said = []
    work = Dispatch(data, watch or Watch(), said.append, jobs=jobs, keep=keep)
    return {r.id: r for results in work.trained(specs) for r in results}, said


def children(pid):
    """The processes started by one that are still there."""
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = stat.read_text().rpartition(")")[2].split()[:2]
        except (FileNotFoundError, ProcessLookupError):
            continue
        found |= {int(stat.parent.name)} if int(parent) == pid and state != "Z" else set()
    return found


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_until(true):
    while not true():
        time.sleep(0.01)


linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")


# --- the workers themselves


@pytest.fixture(scope="module", params=[0, 2], ids=["fresh", "forked"])
def pool(request):
    """Shared: a broken worker is replaced anyhow."""
    stop = threading.Event()
    with Workers(work, steps=lambda n: None, stop=stop, forks=request.param) as workers:
        yield workers
    assert not workers._all


def test_a_worker_serves_task_after_task(pool):
    (one, first), (two, second) = pool("one"), pool("two")
    assert (one, two) == ("one", "two") and first == second != os.getpid()


@pytest.mark.parametrize(
    "task, error, says",
    [("kill", WorkerDied, "killed by SIGKILL"), ("exit", WorkerDied, "exit code 7"),
     ("memory", MemoryError, "no room"), ("bug", ZeroDivisionError, "a bug"),
     ("error", DataError, "the data are bad"), ("unportable", RuntimeError, "Unportable: one"),
     ("unpicklable", Exception, "lambda")],
)  # fmt: skip
def test_a_broken_task_is_an_error_and_the_next_has_a_fresh_worker(pool, task, error, says):
    _, before = pool("before")
    with pytest.raises(error, match=says) as caught:
        pool(task)
    assert pool("after")[0] == "after" and pool("after")[1] != before
    if error is not WorkerDied:
        assert "In the worker:" in caught.value.__notes__[0], "with the traceback there"


def test_a_worker_that_dies_while_idle_is_noticed(pool):
    _, pid = pool("before")
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(WorkerDied, match="SIGKILL"):
        pool("next")
    assert pool("after")[0] == "after"


@linux
def test_forks_start_at_once_and_end_with_the_pool():
    before = children(os.getpid())
    with Workers(work, steps=lambda n: None, stop=threading.Event(), forks=2) as workers:
        forks = children(os.getpid()) - before
        assert len(forks) == 2 and {workers("one")[1], workers("two")[1]} <= forks
        for pid in forks:
            kept = {str(fd.readlink()) for fd in Path(f"/proc/{pid}/fd").iterdir()}
            assert sum(name.startswith("socket:") for name in kept) == 1, "its own and no other"
    assert children(os.getpid()) == before


@linux
def test_a_fork_that_fails_ends_those_before_it(monkeypatch):
    before, plain, calls = children(os.getpid()), os.fork, []

    def refuse():
        calls.append(1)
        if len(calls) == 3:
            raise BlockingIOError(11, "Resource temporarily unavailable")
        return plain()

    monkeypatch.setattr(os, "fork", refuse)
    with pytest.raises(HostError, match="Resource temporarily unavailable"):
        Workers(work, steps=lambda n: None, stop=threading.Event(), forks=3)
    assert children(os.getpid()) == before


@linux
def test_nothing_is_forked_beside_another_thread():
    """A lock which that thread holds would be held for ever in the fork."""
    before, other = children(os.getpid()), threading.Timer(60, lambda: None)
    other.start()
    try:
        with Workers(work, steps=lambda n: None, stop=threading.Event(), forks=2) as workers:
            assert children(os.getpid()) == before
            assert workers("task")[0] == "task"
    finally:
        other.cancel()
        other.join()


def test_fresh_workers_train_the_same_bits(digits, make_spec, monkeypatch):
    specs = [make_spec(n, 10.0 ** (-3 + n / 3)) for n in range(6)]
    ours, _ = train_all(digits, specs, "processes", monkeypatch)
    monkeypatch.setattr("hpsearch.workers.CAN_FORK", False)
    fresh, _ = train_all(digits, specs, "processes", monkeypatch)
    assert [bits(fresh[n]) for n in range(6)] == [bits(ours[n]) for n in range(6)]


@linux
def test_no_worker_outlives_its_pool():
    before = children(os.getpid())
    with Workers(work, steps=lambda n: None, stop=threading.Event()) as workers:
        assert children(os.getpid()) - before == set(), "started when first needed"
        _, pid = workers("task")
        assert children(os.getpid()) - before == {pid}
    assert children(os.getpid()) == before and not alive(pid)


def test_steps_come_while_the_task_runs_and_the_stop_gets_there():
    seen, stop = [], threading.Event()

    def steps(n):
        seen.append(n)
        stop.set()

    stopping = threading.Timer(0.3, stop.set)  # progress is told a few times a second
    stopping.start()
    with (
        Workers(work, steps=steps, stop=stop) as workers,
        pytest.raises(Stopped, match="as told"),
    ):
        workers("wait")
    stopping.cancel()
    assert sum(seen) == 5


@pytest.mark.parametrize("sent", [work, partial(work, more=bytes(2_000_000))])
def test_workers_that_cannot_start_are_the_machines_fault(monkeypatch, sent):
    """Also where what they are sent is more than a socket holds."""
    for program in ("/nowhere/python", "/bin/false"):
        monkeypatch.setattr(sys, "executable", program)
        with (
            Workers(sent, steps=lambda n: None, stop=threading.Event()) as workers,
            pytest.raises(HostError, match="start"),
        ):
            workers("task")


def test_signals_do_not_reach_a_worker(pool):
    _, pid = pool("before")
    for number in (signal.SIGINT, signal.SIGTERM):
        os.kill(pid, number)
    assert pool("after") == ("after", pid)
    assert not {signal.SIGINT, signal.SIGTERM} & signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_what_is_killed_starts_no_worker_more():
    """A thread may be about to, while another ends them all."""
    with Workers(work, steps=lambda n: None, stop=threading.Event()) as workers:
        workers.kill()
        with pytest.raises(HostError, match="killed by SIGKILL"):
            workers("task")


# --- feeding an executor


@pytest.mark.parametrize("jobs", [1, 2])
def test_who_takes_no_more_results_ends_the_rest_at_once(jobs):
    told, tasks = [], deque(range(9))
    results = as_finished(
        lambda task: task, tasks, jobs=jobs,
        on_error=lambda: told.append("stop"), on_leave=lambda: told.append("now"),
    )  # fmt: skip
    assert next(results) in (0, 1, 2)
    results.close()
    assert told == ["now"] and len(tasks) >= 6


def test_after_an_error_the_others_are_stopped_and_what_they_bring_still_comes():
    stop, tasks = threading.Event(), deque(["good", "bad", *["more"] * 9])

    def one(task):
        if task == "bad":
            raise ValueError(task)
        return task if stop.wait(30) else "never told"

    found = []
    with pytest.raises(ValueError, match="bad"):
        found.extend(as_finished(one, tasks, jobs=2, on_error=stop.set))
    assert "good" in found and "never told" not in found and len(tasks) >= 8


# --- the same everywhere


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_kind_trains_the_same_bits(digits, make_spec, monkeypatch, optimizer):
    specs = [make_spec(n, 10.0 ** (-3 + n / 6), optimizer=optimizer) for n in range(12)]
    one, two, three = (train_all(digits, specs, kind, monkeypatch)[0] for kind in KINDS)
    assert sorted(one) == sorted(two) == sorted(three) == list(range(12))
    for n in range(12):
        assert bits(one[n]) == bits(two[n]) == bits(three[n])
        assert sum(r[n].weights is not None for r in (one, two, three)) in (0, 3)


@pytest.mark.parametrize("kind", KINDS[:2])
def test_an_error_for_the_user_is_raised_as_it_is(digits, make_spec, monkeypatch, poison, kind):
    specs = [make_spec(n, hparams={"poison": "error"} if n == 2 else {}) for n in range(6)]
    with pytest.raises(DataError, match="the data are bad"):
        train_all(digits, specs, kind, monkeypatch)


@pytest.mark.parametrize("kind", KINDS)
def test_training_stops_soon_and_what_is_finished_has_come(digits, make_spec, monkeypatch, kind):
    stop, arrived = threading.Event(), []
    specs = [make_spec(0), *(make_spec(n, budget=Budget(100_000)) for n in range(1, 4))]
    monkeypatch.setenv("HPSEARCH_EXECUTOR", kind)
    one_by_one = [Task((spec,)) for spec in specs]  # not the longest first
    monkeypatch.setattr(cohort, "tasks", lambda specs, jobs: one_by_one)
    work = Dispatch(digits, Watch(stop=stop), arrived.append, jobs=2, keep=True)
    with pytest.raises(Stopped, match="kept"):
        for results in work.trained(specs):
            arrived += results
            stop.set()
    assert [result.id for result in arrived] == [0]


@linux
def test_results_that_cannot_be_taken_end_the_workers_at_once(digits, make_spec, monkeypatch):
    monkeypatch.setenv("HPSEARCH_EXECUTOR", "processes")
    before = children(os.getpid())
    specs = [make_spec(0), *(make_spec(n, budget=Budget(100_000)) for n in range(1, 4))]
    watch = Watch()
    work = Dispatch(digits, watch, print, jobs=2, keep=True).trained(specs)
    assert next(work)[0].id == 0
    work.close()
    assert children(os.getpid()) == before and watch.stop.is_set() and not watch.busy.is_set()


# --- poison


def poisoned(make_spec, how, **more):
    """Nine trials, the fifth of which breaks down."""
    return [
        make_spec(n, hparams={"poison": how, **more} if n == 4 else {"n": n}) for n in range(9)
    ]


CAUGHT = {"memory": "MemoryError: no room", "bug": "ZeroDivisionError: a bug"}
DEADLY = {
    "kill": "killed by SIGKILL", "segfault": "killed by SIGSEGV", "bus": "killed by SIGBUS",
}  # fmt: skip
REMEDY = {**dict.fromkeys(("memory", "kill"), "if memory ran out"), "bus": "leave the data alone"}


@pytest.mark.parametrize(
    "kind, how",
    [*((kind, how) for kind in KINDS[:2] for how in CAUGHT),
     *((KINDS[2], how) for how in ("memory", *DEADLY))],
)
def test_a_poisonous_trial_costs_itself_alone(digits, make_spec, monkeypatch, poison, kind, how):
    traces = []
    specs, watch = poisoned(make_spec, how), Watch(failed=traces.append)
    results, said = train_all(digits, specs, kind, monkeypatch, watch=watch)
    lost = results.pop(4)
    reason = (CAUGHT | DEADLY)[how]
    assert (lost.status, lost.reason) == (Status.FAILED, reason)
    assert lost.epochs == 0 and lost.weights is None and lost.seed == specs[4].seed
    healthy = {n: train_all(digits, [specs[n]], KINDS[0], monkeypatch)[0][n] for n in (0, 8)}
    assert sorted(results) == [0, 1, 2, 3, 5, 6, 7, 8]
    for n in healthy:
        assert bits(results[n]) == bits(healthy[n])
    assert len(said) == 2 and "trials failed" in said[0] and "tried again alone" in said[0]
    assert said[1].startswith(f"coarse: trial 4 failed: {reason}")
    assert ("; " + REMEDY.get(how, "") in said[1]) == (how in REMEDY)
    assert len(traces) == 1 and (how in DEADLY or "break_down" in traces[0])


@linux
@pytest.mark.parametrize("retries, tries", [(0, 2), (3, 4)])
def test_a_trial_that_hangs_is_given_up_after_its_tries(
    digits, make_spec, monkeypatch, poison, retries, tries
):
    """Alone in its cohort, or in company first, it has one try at least alone."""
    specs = [make_spec(n, hparams={"poison": "hang"} if n == 1 else {"n": n}) for n in range(3)]
    monkeypatch.setenv("HPSEARCH_EXECUTOR", "processes")
    monkeypatch.setattr(cohort, "tasks", lambda specs, jobs: [Task(tuple(specs))])
    said, before = [], children(os.getpid())
    limits = Limits(silence=0.3, retries=retries)
    work = Dispatch(digits, Watch(), said.append, jobs=1, keep=True, limits=limits)
    results = {r.id: r for results in work.trained(specs) for r in results}
    lost = results.pop(1)
    assert (lost.status, lost.reason) == (Status.FAILED, "no answer for 0.3 s")
    assert {r.status for r in results.values()} == {Status.DONE} and len(results) == 2
    assert len(said) == tries and "tried again alone" in said[0]
    assert children(os.getpid()) == before


@pytest.mark.parametrize(
    "words, limits",
    [(("checkpoint_seconds=5", "silence_seconds=7", "retries=3"), Limits(5.0, 7.0, 3)),
     (("checkpoint_seconds=null", "silence_seconds=null"), Limits(math.inf, math.inf, 1)),
     ((), Limits(60.0, 600.0, 1))],
)  # fmt: skip
def test_the_limits_are_those_of_the_config(tmp_path, digits, monkeypatch, words, limits):
    given = []

    def seen(*args, **kwargs):
        given.append(kwargs["limits"])
        return Dispatch(*args, **kwargs)

    monkeypatch.setattr("hpsearch.runner.Dispatch", seen)
    runner(tmp_path, *(f"search.{word}" for word in words), data=digits).search("coarse")
    assert given == [limits]


@linux
def test_a_check_that_hangs_says_what_to_do(digits, make_spec, monkeypatch, poison):
    monkeypatch.setenv("HPSEARCH_EXECUTOR", "processes")
    specs = [make_spec(0, hparams={"poison": "hang"})]
    limits = Limits(silence=0.1, retries=0)
    work = Dispatch(digits, Watch(), print, jobs=1, keep=False, limits=limits)
    with pytest.raises(HostError, match=r"no answer for 0\.1 s; raise search\.silence_seconds"):
        list(work.trained(specs))


def test_time_in_which_all_were_halted_is_no_silence(monkeypatch):
    """Ticks are counted: between two of them a day may pass."""
    now = [0.0]
    monkeypatch.setattr("hpsearch.workers.time.monotonic", lambda: now.append(0) or 1e5 * len(now))
    told = []
    with Workers(work, steps=told.append, stop=threading.Event(), silence=60.0) as workers:
        assert workers("task")[0] == "task"


def test_a_trial_that_fails_once_is_trained_after_all(
    digits, make_spec, monkeypatch, poison, tmp_path
):
    specs = poisoned(make_spec, "kill", once=str(tmp_path / "mark"))[4:5]
    results, said = train_all(digits, specs, KINDS[2], monkeypatch)
    assert results[4].status is Status.DONE and len(said) == 1 and "tried again" in said[0]


@pytest.mark.parametrize(
    "how, error, says",
    [("kill", HostError, "SIGKILL; if memory"), ("memory", HostError, "batch_size"),
     ("bug", RuntimeError, "trial 4 failed: ZeroDivisionError")],
)  # fmt: skip
def test_a_check_does_not_judge_by_what_is_not_there(
    digits, make_spec, monkeypatch, poison, how, error, says
):
    kind = KINDS[2] if how == "kill" else KINDS[0]
    with pytest.raises(error, match=says):
        train_all(digits, poisoned(make_spec, how), kind, monkeypatch, keep=False)


def test_a_stage_whose_trials_all_failed_says_so(tmp_path, digits, monkeypatch):
    def no_memory(task, data, watch):
        raise MemoryError

    monkeypatch.setattr(dispatch, "train_cohort", no_memory)
    work = runner(tmp_path / "runs", data=digits)
    document = work.search("coarse")
    assert (document.verdict, document.failed, document.best) == ("fail", 9, None)
    assert "9 failed (MemoryError)" in document.message
    assert "delete coarse/trials/00000.json" in document.message
    assert "diverged" not in document.message
    row = (work.store.folder / "coarse" / "trials.csv").read_text().splitlines()[1]
    assert row.startswith("0,failed,") and "MemoryError" in row
    assert "9 failed" in page(work.store)


def test_a_failed_trial_is_shown_and_never_ranked(tmp_path, digits, monkeypatch):
    work = runner(tmp_path / "runs", data=digits)
    work.search("coarse")
    results = [r for r in work.store.results("coarse") if r.id != 3]
    work.store.trial_path("coarse", 3).unlink()
    monkeypatch.setattr(dispatch, "train_cohort", lambda task, data, watch: 1 / 0)
    again = runner(tmp_path / "runs", data=digits, force=True)
    document = again.search("coarse")
    assert (document.failed, document.completed + document.diverged) == (1, 8)
    assert [r for r in work.store.results("coarse") if r.id != 3] == results
    assert "1 failed" in says(document) and "1 failed" in page(work.store)
    last = trial_rows(work.store.results("coarse"))[-1]
    assert (last["trial"], last["status"]) == (3, "failed")
    assert "trial 3 failed: ZeroDivisionError" in again.view.said[-1]


@pytest.mark.parametrize("kind", KINDS)
def test_data_changed_while_trials_train_on_it_are_not_recorded(tmp_path, monkeypatch, kind):
    rng, path = np.random.default_rng(0), tmp_path / "x.npy"
    np.save(path, rng.integers(0, 256, (20_000, 900), np.uint8))
    np.save(tmp_path / "y.npy", rng.integers(0, 3, 20_000))
    data = load(Source("npz", path), center="none", scale="unit")
    monkeypatch.setenv("HPSEARCH_EXECUTOR", kind)
    work = runner(tmp_path / "runs", data=data, force=True)
    assert work.data is data
    os.utime(path, ns=(1, 1))
    with pytest.raises(DataError, match="must stay as it is while trials train on it"):
        work.search("coarse")
    assert not work.store.results("coarse")


@linux
def test_a_worker_that_hangs_is_ended_soon_after_the_stop(monkeypatch):
    monkeypatch.setattr("hpsearch.workers.STOPPING", 0.2)
    stop = threading.Event()
    with Workers(work, steps=lambda n: None, stop=stop, forks=1) as workers:
        _, pid = workers("task")
        os.kill(pid, signal.SIGSTOP)
        stop.set()
        with pytest.raises(WorkerDied, match="SIGKILL"):
            workers("next")
    assert not alive(pid)


# --- the choice


def test_what_is_worth_a_process(monkeypatch):
    assert kind_for(1e9, jobs=1) is Kind.IN_PROCESS
    assert kind_for(0.01, jobs=2) is Kind.THREADS
    assert kind_for(1e3, jobs=2) is Kind.PROCESSES
    monkeypatch.setattr(sys, "platform", "darwin")
    assert kind_for(1.0, jobs=2) is Kind.THREADS
    monkeypatch.setenv("HPSEARCH_EXECUTOR", "threads")
    assert kind_for(1e3, jobs=2) is Kind.THREADS
    monkeypatch.setenv("HPSEARCH_EXECUTOR", "carrots")
    with pytest.raises(UsageError, match="in-process, threads, processes, got carrots"):
        kind_for(1e3, jobs=2)


def test_no_worker_is_a_process_where_signals_are_not_those_of_posix(monkeypatch):
    monkeypatch.setattr(os, "name", "other")
    assert kind_for(1e3, jobs=2) is Kind.THREADS
    monkeypatch.setenv("HPSEARCH_EXECUTOR", "processes")
    with pytest.raises(UsageError, match="must be threads or in-process on other"):
        kind_for(1e3, jobs=2)


def test_a_misspelt_executor_is_refused_before_anything_is_written(tmp_path):
    words = ("search", "digits", "--runs-dir", str(tmp_path / "runs"))
    wrong = process(*words, env={**os.environ, "HPSEARCH_EXECUTOR": "carrots"})
    _, errors = wrong.communicate(timeout=60)
    assert wrong.returncode == 2 and "carrots" in errors and not (tmp_path / "runs").exists()


def test_the_seconds_foreseen_grow_with_the_work(digits, make_spec):
    work = Dispatch(digits, Watch(), print, jobs=1, keep=True)

    def seconds(**changes):
        return work._seconds(make_spec(0, **changes))

    usual = seconds()
    assert seconds(budget=Budget(20)) == pytest.approx(10 * usual)
    assert seconds(net=replace(make_spec(0).net, sizes=(64, 5000, 10))) > 20 * usual


# --- from the command line


@pytest.fixture
def started(tmp_path):
    """hpsearch with worker processes in the middle of a long search, and its workers."""
    config = tmp_path / "long.yaml"
    config.write_text(SMALL.replace("trials: 6, epochs: 2", "trials: 2000, epochs: 8"))
    words = ("search", str(config), "--jobs", "2", "--runs-dir", str(tmp_path / "runs"))
    env = {"HPSEARCH_EXECUTOR": "processes", "TMPDIR": str(tmp_path)}  # some are killed
    running = process(*words, env={**os.environ, **env})
    trials = tmp_path / "runs" / "small" / "coarse" / "trials"
    while not list(trials.glob("0*.json")):
        assert running.poll() is None, running.communicate()
        time.sleep(0.01)
    yield running, trials
    running.kill()
    running.communicate()


@linux
@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_to_the_whole_group_keeps_what_is_finished(started, number, code):
    running, trials = started
    workers = children(running.pid)
    assert len(workers) == 2
    for pid in (*workers, running.pid):  # as a terminal does it
        os.kill(pid, number)
    _, errors = running.communicate(timeout=30)
    assert running.returncode == code, errors
    assert "kept" in errors and "Traceback" not in errors and "failed" not in errors
    assert not any(map(alive, workers))
    assert all(json.loads(path.read_text())["status"] != "failed" for path in trials.iterdir())


@linux
def test_ctrl_c_again_ends_even_a_worker_that_hangs(started):
    running, _ = started
    workers = children(running.pid)
    for pid in workers:
        os.kill(pid, signal.SIGSTOP)
    for _ in range(2):
        running.send_signal(signal.SIGINT)
        time.sleep(0.2)  # two signals at once would arrive as one
    _, errors = running.communicate(timeout=30)
    assert running.returncode == 130 and "Traceback" not in errors
    assert "stopped at once" in errors and not any(map(alive, workers))


@linux
def test_no_worker_outlives_a_parent_that_is_killed(started):
    running, _ = started
    workers = children(running.pid)
    running.kill()
    running.communicate(timeout=30)
    wait_until(lambda: not any(map(alive, workers)))


@linux
def test_a_worker_killed_from_outside_changes_no_result(tmp_path):
    config = tmp_path / "some.yaml"
    config.write_text(SMALL.replace("trials: 6, epochs: 2", "trials: 250, epochs: 4"))

    def begin(folder, **env):
        words = ("search", str(config), "--jobs", "2", "--runs-dir", str(tmp_path / folder))
        return process(*words, env={**os.environ, **env})

    disturbed = begin("disturbed", HPSEARCH_EXECUTOR="processes")
    trials = tmp_path / "disturbed" / "small" / "coarse" / "trials"
    wait_until(lambda: list(trials.glob("0*")) or disturbed.poll() is not None)
    for pid in list(children(disturbed.pid))[:1]:
        os.kill(pid, signal.SIGKILL)
    _, errors = disturbed.communicate(timeout=60)
    undisturbed = begin("undisturbed", HPSEARCH_EXECUTOR="threads")
    undisturbed.communicate(timeout=60)
    assert disturbed.returncode == undisturbed.returncode == 0, errors
    one, two = (contents(tmp_path / name / "small" / "coarse") for name in
                ("disturbed", "undisturbed"))  # fmt: skip
    assert one == two and len(one) > 250


def test_a_data_set_with_few_columns_is_shared_too(spiral, make_spec, monkeypatch):
    net = replace(make_spec(0).net, sizes=(spiral.inputs, 8, spiral.n_classes))
    specs = [make_spec(n, net=net) for n in range(3)]
    one, three = (train_all(spiral, specs, kind, monkeypatch)[0] for kind in KINDS[::2])
    assert all(bits(one[n]) == bits(three[n]) for n in range(3))
    assert np.isfinite(one[0].curves.val_loss).all()
