"""Runs: resuming, stopping, changing the config, the gates and the folder."""

import json
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import weights_of

from hpsearch.config.find import bundled, find
from hpsearch.config.load import load
from hpsearch.data import Augment, Source
from hpsearch.data import load as load_data
from hpsearch.errors import ConfigError, GateError, HostError, Stopped
from hpsearch.runner import Runner
from hpsearch.store import RunStore
from hpsearch.training import Watch
from hpsearch.trial import TrialResult

TIMED = ("train_seconds", "checksum")
SMALL = (
    "search.coarse={trials: 9, epochs: 2}",
    "search.refine={trials: 6, epochs: 3, rounds: 2}",
    "search.space.learning_rate={log_uniform: [1e-3, 0.5]}",
    "search.space.weight_decay={log_uniform: [1e-6, 1e-2]}",
    "model.hidden=12",
    "overfit={epochs: 400}",
)  # fmt: skip


class Seen:
    """A view that remembers."""

    def __init__(self):
        self.begun, self.trials, self.said = [], [], []

    def begin(self, stage, trials, steps):
        self.begun.append((stage, trials))

    def steps(self, n): ...

    def trial(self, result):
        self.trials.append((result.stage, result.id))

    def end(self, document): ...

    def say(self, text):
        self.said.append(text)


def runner(root: Path, *overrides: str, jobs=1, stop=None, data=None, **flags) -> Runner:
    config = load(
        find(str(bundled()["digits"]), runs_dir=root, cwd=root.parent), [*SMALL, *overrides]
    )
    pre = config.data.preprocess

    def read():
        return data or load_data(
            Source("digits", seed=config.seed), center=pre.center, scale=pre.scale,
            augment=Augment(**vars(config.data.augment)),
        )

    watch = Watch(stop=stop or threading.Event())
    return Runner(
        config, RunStore(root, config.name), Seen(), load=read, jobs=jobs, watch=watch, **flags
    )


def contents(folder: Path) -> dict[str, object]:
    """Every trial and table, without what a clock decides."""
    found: dict[str, object] = {}
    for path in sorted(folder.rglob("*.json")):
        record = json.loads(path.read_text())
        if record.pop("train_seconds", None) is not None:
            del record["checksum"]
        found[str(path.relative_to(folder))] = record
    for path in sorted(folder.rglob("*.csv")):
        rows = [line.rsplit(",", 1)[0] for line in path.read_text().splitlines()]
        found[str(path.relative_to(folder))] = (
            rows if path.name == "trials.csv" else path.read_text()
        )
    return found


def test_the_whole_recipe(tmp_path):
    work = runner(tmp_path / "runs")
    documents = list(work.run())
    names = [d.stage for d in documents]
    assert names[:6] == ["data", "sanity", "overfit", "sweep", "coarse", "refine-1"]
    assert all(d.verdict in ("pass", "warn") for d in documents)
    folder = work.store.folder
    for name in ("data", "sanity", "overfit", "sweep"):
        assert (folder / f"{name}.json").exists()
    for name in ("stage.json", "trials.csv", "curves.csv", "best.npz", "next.yaml"):
        assert (folder / "coarse" / name).exists()
    coarse = work.store.search_document("coarse")
    assert coarse.completed + coarse.diverged == coarse.trials == 9
    best = max(work.store.results("coarse"), key=lambda r: r.rank)
    assert coarse.best["trial"] == best.id and coarse.best["value"] == best.value


def test_jobs_do_not_change_a_byte(tmp_path):
    for jobs in (1, 2):
        work = runner(tmp_path / f"runs{jobs}", jobs=jobs)
        work.search("coarse")
    one, two = (contents(tmp_path / f"runs{jobs}") for jobs in (1, 2))
    assert one == two and len(one) > 10


def test_running_again_does_nothing_twice(tmp_path):
    root = tmp_path / "runs"
    list(runner(root).run())
    before = {
        p: p.stat().st_mtime_ns for p in root.rglob("*") if p.is_file() and p.name != ".lock"
    }
    again = runner(root)
    list(again.run())
    assert again.view.begun == []
    assert {p: p.stat().st_mtime_ns for p in before} == before


@pytest.mark.parametrize("after", [1, 4, 8])
def test_a_stopped_stage_is_taken_up_where_it_was(tmp_path, after):
    whole, part = tmp_path / "whole", tmp_path / "part"
    runner(whole).search("coarse")
    stop = threading.Event()
    work = runner(part, stop=stop)

    class Stopping(Seen):
        def trial(self, result):
            super().trial(result)
            if len(self.trials) == after:
                stop.set()

    work.view = Stopping()
    _one_by_one(work)
    with pytest.raises(Stopped):
        work.search("coarse")
    finished = {r.id for r in work.store.results("coarse")}
    assert len(finished) == after
    resumed = runner(part)
    resumed.search("coarse")
    assert {i for _, i in resumed.view.trials}.isdisjoint(finished)
    assert contents(part) == contents(whole)
    best = [weights_of(root / "digits/coarse/best.npz") for root in (whole, part)]
    assert (best[0] == best[1]).all()


def _one_by_one(work):
    """Cohorts of one, so that a stop can fall between any two trials."""
    from hpsearch import cohort

    work_tasks = cohort.tasks
    cohort.tasks = lambda specs, jobs: [cohort.Task((s,)) for s in specs]
    train = work._train

    def restore(*args, **kwargs):
        try:
            return train(*args, **kwargs)
        finally:
            cohort.tasks = work_tasks

    work._train = restore


def test_more_trials_may_be_asked_for_and_the_old_ones_stay(tmp_path):
    root = tmp_path / "runs"
    runner(root).search("coarse")
    old = {r.id: r for r in runner(root).store.results("coarse")}
    more = runner(root, "search.coarse.trials=12")
    assert more.search("coarse").trials == 12
    assert [i for _, i in more.view.trials] == [9, 10, 11]
    assert {r.id: r for r in more.store.results("coarse") if r.id < 9} == old


@pytest.mark.parametrize(
    "change",
    ["model.hidden=13", "train.batch_size=50", "seed=1", "search.coarse.epochs=3",
     "search.space.learning_rate={log_uniform: [1e-4, 0.5]}", "data.preprocess.scale=none"],
)  # fmt: skip
def test_a_change_that_would_change_finished_trials_is_refused_by_name(tmp_path, change):
    root = tmp_path / "runs"
    runner(root).search("coarse")
    key = change.split("=")[0]
    with pytest.raises(ConfigError, match=r"preprocessing" if "data" in key else re_escape(key)):
        runner(root, change).search("coarse")
    with pytest.raises(ConfigError, match="other settings"):
        list(runner(root, change).run())
    saved = load(find("digits", runs_dir=root, cwd=tmp_path))
    assert saved == runner(root).config, "what was refused is not saved"


def re_escape(key: str) -> str:
    return key.replace(".", r"\.")


@pytest.mark.parametrize(
    "change", ["train.learning_rate=0.3", "sanity.examples=99", "overfit.epochs=9"]
)
def test_a_change_that_no_trial_depends_on_is_not_refused(tmp_path, change):
    root = tmp_path / "runs"
    runner(root).search("coarse")
    again = runner(root, change)
    again.search("coarse")
    assert again.view.trials == []


def test_a_checking_stage_runs_again_when_its_settings_change(tmp_path):
    root = tmp_path / "runs"
    first = runner(root, "data.preprocess={center: none, scale: none}", "model.init_scale=9")
    assert first.check("sanity").verdict == "fail"
    mended = runner(root)
    assert mended.check("sanity").verdict != "fail"
    assert mended.view.begun, "it was measured again"
    same = runner(root)
    same.check("sanity")
    assert same.view.begun == [] and "nothing changed" in same.view.said[0]


def test_a_check_with_other_settings_leaves_the_config_of_the_trials(tmp_path):
    root = tmp_path / "runs"
    runner(root).search("coarse")
    before = (root / "digits" / "config.yaml").read_text()
    other = runner(root, "model.hidden=13")
    assert other.check("sanity").verdict == "pass"
    assert (root / "digits" / "config.yaml").read_text() == before
    assert any("stays as it is" in text for text in other.view.said)


def test_run_trains_what_a_raised_total_asks_for(tmp_path):
    root = tmp_path / "runs"
    list(runner(root).run())
    more = runner(root, "search.coarse.trials=11")
    documents = {d.stage: d for d in more.run()}
    assert [trial for trial in more.view.trials if trial[0] == "coarse"] == [
        ("coarse", 9), ("coarse", 10),
    ]  # fmt: skip
    assert documents["coarse"].trials == 11 and "refine-1" in documents


def test_a_refused_command_leaves_no_folder(tmp_path):
    root = tmp_path / "runs"
    work = runner(root, "search.space={weight_decay: {log_uniform: [1e-6, 1e-2]}}")
    with work.store.writing(), pytest.raises(GateError):
        work.search("coarse")
    assert not (root / "digits").exists()


def test_a_failed_gate_stops_what_comes_after_it_until_forced(tmp_path):
    root = tmp_path / "runs"
    assert runner(root, "model.init=constant").check("sanity").verdict == "fail"
    for later in ("overfit", "sweep"):
        with pytest.raises(GateError, match="sanity says fail"):
            runner(root, "model.init=constant").check(later)
    with pytest.raises(GateError, match="sanity says fail"):
        runner(root, "model.init=constant").search("coarse")
    forced = runner(root, "model.init=constant", force=True)
    assert forced.search("coarse").trials == 9


def test_a_gate_that_has_not_been_run_is_only_mentioned(tmp_path):
    work = runner(tmp_path / "runs")
    work.search("coarse")
    assert any("data, sanity, overfit, sweep" in text for text in work.view.said)


def test_refine_searches_what_coarse_left_and_runs_the_best_again(tmp_path):
    work = runner(tmp_path / "runs", "search.refine.trials=20")
    coarse = work.search("coarse")
    assert work.due()[0] == "refine-1"
    refined = work.search("refine-1")
    assert refined.space == coarse.next_space
    carried = {json.dumps(r.hparams) for r in work.store.results("refine-1")[:2]}
    best = sorted(work.store.results("coarse"), key=lambda r: r.rank, reverse=True)[:2]
    assert carried == {json.dumps(r.hparams) for r in best}


def test_next_yaml_as_config_steers_the_next_round(tmp_path):
    root = tmp_path / "runs"
    work = runner(root)
    work.search("coarse")
    path = work.store.folder / "coarse" / "next.yaml"
    text = path.read_text()
    assert "# " in text.split("space:")[1]
    steered = load(find(str(path), runs_dir=root, cwd=tmp_path),
                   ["search.space.learning_rate={log_uniform: [0.02, 0.03]}"])  # fmt: skip
    following = runner(root)
    following.config = steered
    assert following.due()[0] == "refine-1"
    document = following.search("refine-1")
    assert document.space["learning_rate"] == {"log_uniform": [0.02, 0.03]}


def test_a_space_without_a_learning_rate_takes_the_sweeps(tmp_path):
    root = tmp_path / "runs"
    space = "search.space={weight_decay: {log_uniform: [1e-6, 1e-2]}}"
    with pytest.raises(GateError, match="sweep"):
        runner(root, space).search("coarse")
    assert not (root / "digits" / "coarse").exists()
    work = runner(root, space)
    proposed = work.check("sweep").facts["range"]
    assert work.search("coarse").space["learning_rate"] == {"log_uniform": list(proposed)}


def test_one_writer_at_a_time(tmp_path):
    store, other = RunStore(tmp_path, "x"), RunStore(tmp_path, "x")
    with store.writing(), pytest.raises(HostError, match="another hpsearch"), other.writing():
        pass
    with other.writing():
        pass


def test_a_damaged_trial_is_named(tmp_path):
    work = runner(tmp_path / "runs")
    work.search("coarse")
    path = work.store.trial_path("coarse", 3)
    for text in ("", "{", "[]", '{"id": 3}', "null"):
        path.write_text(text)
        with pytest.raises(HostError, match="00003"):
            work.store.results("coarse")


def test_a_trial_that_is_a_link_to_nothing_is_trained_again(tmp_path):
    work = runner(tmp_path / "runs")
    work.search("coarse")
    path = work.store.trial_path("coarse", 3)
    before = {k: v for k, v in json.loads(path.read_bytes()).items() if k not in TIMED}
    path.unlink()
    path.symlink_to("nowhere")
    runner(tmp_path / "runs").search("coarse")
    assert not path.is_symlink()
    assert before == {k: v for k, v in json.loads(path.read_bytes()).items() if k not in TIMED}


def test_a_trial_survives_the_way_to_disk_and_back(tmp_path):
    work = runner(tmp_path / "runs")
    work.search("coarse")
    for result in work.store.results("coarse"):
        back = TrialResult.from_json(json.loads(json.dumps(result.to_json())))
        assert repr(replace(back, weights=None)) == repr(replace(result, weights=None))


def test_every_json_is_strict(tmp_path):
    """Even of trials that diverge: no NaN, no Infinity."""
    work = runner(
        tmp_path / "runs", "search.space.learning_rate={log_uniform: [1, 1e9]}", force=True
    )
    list(work.run())
    assert work.store.search_document("coarse").diverged > 0

    def refuse(word):
        raise AssertionError(f"{word} in a JSON file")

    for path in work.store.folder.rglob("*.json"):
        json.loads(path.read_text(), parse_constant=refuse)


def test_nothing_left_to_do_is_said(tmp_path):
    work = runner(tmp_path / "runs", "search.refine.rounds=1")
    list(work.run())
    name, why = work.due()
    assert name is None and why
