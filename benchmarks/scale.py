"""Does a trial cost the same, however many there are? `python -m benchmarks.scale`

Real digits trials through the runner: what runner and store add to the time inside training, early
and late in the stage. Invented trials through the store: recording the last of so many, and what
each command takes on them, in a process of its own: seconds, and peak memory.
"""

from benchmarks import measure  # first: it sets the threads  # isort: skip

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from hpsearch import dispatch
from hpsearch.config.dump import dump
from hpsearch.config.find import bundled, find
from hpsearch.config.load import load
from hpsearch.config.schema import Config
from hpsearch.data import Dataset, Source
from hpsearch.data import load as load_data
from hpsearch.runner import Runner
from hpsearch.settings import search_settings
from hpsearch.spec import TrialSpec
from hpsearch.stages import search
from hpsearch.stages.context import Context
from hpsearch.store import RunStore
from hpsearch.training import Watch
from hpsearch.trial import Curves, Status, TrialResult
from hpsearch.verdict import Document

COHORT = 50
EPOCHS, LOSSES = 20, 300
EARLY = 100  # the trial that the last one is compared with
CLOCKS: dict[str, Callable[[], float]] = {"wall": time.perf_counter, "cpu": time.process_time}
WINDOW = 10  # cohorts whose median is shown
COMMANDS = {  # on a finished run, unless said
    "resume": ("search", "--stage", "coarse"), "tables": ("search", "--stage", "coarse"),
    "report": ("report",), "status": ("status",), "ls": ("ls",),
    "status, unfinished": ("status",), "ls, unfinished": ("ls",),
    "report, unfinished": ("report",),
}  # fmt: skip
MEASURING = """
import json, resource, subprocess, sys, time
began = time.perf_counter()
code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode
took = time.perf_counter() - began
print(json.dumps([code, took, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss]))
"""  # in a small process between, since a child's peak is at least its parent's size
Measured = dict[str, Any]


class Silent:
    """A view that shows nothing."""

    def begin(self, stage: str, trials: int, steps: int) -> None: ...
    def steps(self, n: int) -> None: ...
    def trial(self, result: TrialResult) -> None: ...
    def end(self, document: Document) -> None: ...
    def say(self, text: str) -> None: ...


def digits(root: Path, trials: int) -> tuple[Config, Dataset]:
    """The bundled config, asking for so many trials, and its data."""
    overrides = [f"search.coarse={{trials: {trials}, epochs: {EPOCHS}}}"]
    config = load(find(str(bundled()["digits"]), runs_dir=root, cwd=root), overrides)
    pre = config.data.preprocess
    source = Source("digits", seed=config.seed)
    return config, load_data(source, center=pre.center, scale=pre.scale)


def now() -> dict[str, float]:
    return {name: clock() for name, clock in CLOCKS.items()}


def overhead(root: Path, trials: int) -> Measured:
    """A coarse search of real trials: the time outside `train_cohort`, per trial, as a share of
    that inside, and around trial 100 and the last. On both clocks: the wall's waits for the disk
    too, which others may keep busy.
    """
    config, data = digits(root, trials)
    spans: list[tuple[dict[str, float], dict[str, float], int]] = []  # began, ended, trials
    train = dispatch.train_cohort

    def timed(task: Any, *args: Any, **kwargs: Any) -> list[TrialResult]:
        began = now()
        results = train(task, *args, **kwargs)
        spans.append((began, now(), len(results)))
        return results

    dispatch.train_cohort = timed
    try:
        work = Runner(
            config, RunStore(root, config.name), Silent(), load=lambda: data, jobs=1, watch=Watch()
        )
        began = now()
        work.search("coarse")
        ended = now()
    finally:
        dispatch.train_cohort = train
    clocks = {name: _shares(name, spans, ended[name] - began[name], trials) for name in CLOCKS}
    return {"trials": trials, **clocks}


def _shares(clock: str, spans: Sequence[Any], whole: float, trials: int) -> Measured:
    inside = sum(end[clock] - start[clock] for start, end, _ in spans)
    gaps = [(b[0][clock] - a[1][clock]) / a[2] for a, b in pairwise(spans)]
    place = EARLY // spans[0][2]
    around, last = slice(max(0, place - WINDOW // 2), place + WINDOW // 2), slice(-WINDOW, None)
    early, late = statistics.median(gaps[around]), statistics.median(gaps[last])
    trained = [(end[clock] - start[clock]) / n for start, end, n in spans[:-1]]
    pace = statistics.median(trained[last]) / statistics.median(trained[around])
    return {
        "training_us": inside / trials * 1e6, "outside_us": (whole - inside) / trials * 1e6,
        "share": (whole - inside) / inside, "early_us": early * 1e6, "late_us": late * 1e6,
        "late_over_early": late / early / pace,  # a machine that has slowed down is no growth
    }  # fmt: skip


def invented(spec: TrialSpec, rng: np.random.Generator) -> TrialResult:
    """What might have come of a trial of 20 epochs; one in ten diverged."""
    curves = Curves(*(rng.random(EPOCHS).tolist() for _ in vars(Curves())))
    losses = [(step, float(loss)) for step, loss in enumerate(rng.random(LOSSES), 1)]
    best = int(np.argmax(curves.val_accuracy)) + 1
    result = TrialResult(
        spec.stage, spec.id, Status.DONE, spec.seed, spec.hparams, spec.metric, curves, losses,
        step=LOSSES, best_epoch=best, train_seconds=0.004,
    )  # fmt: skip
    lost = rng.random() < 0.1
    return replace(result, status=Status.DIVERGED, reason="invented") if lost else result


class Invented:
    """A coarse search of invented trials, recorded a cohort at a time."""

    def __init__(self, root: Path, trials: int) -> None:
        self.root, (self.config, data) = root, digits(root, trials)
        self.store, self.trials = RunStore(root, self.config.name), trials
        context = Context(self.config, data, "coarse")
        settings = search_settings(self.config, "coarse", data, self.config.search.space)
        self.opened = search.opening(context, settings)
        self.context = replace(context, opened=self.opened)
        self.store.write_config(dump(self.config))
        self.store.write_document(self.opened)

    def plan(self) -> list[TrialSpec]:
        return search.plan(self.context, [])

    def record(self, specs: Sequence[TrialSpec]) -> list[float]:
        """Seconds per trial of each cohort."""
        rng, times = np.random.default_rng(0), []
        for start in range(0, len(specs), COHORT):
            results = [invented(spec, rng) for spec in specs[start : start + COHORT]]
            times.append(seconds(lambda results=results: self.store.record(*results)) / COHORT)
        return times

    def finish(self) -> None:
        """The stage's verdict, as the runner writes it."""
        document = search.judge(self.context, self.store.results("coarse"))
        self.store.write_document(document)

    def command(self, name: str) -> tuple[float, float]:
        """Seconds and peak MB of a command."""
        if name == "tables":
            for table in ("trials.csv", "curves.csv"):
                (self.store.folder / "coarse" / table).unlink(missing_ok=True)
        words, run = COMMANDS[name], [self.config.name] if name.split(",")[0] != "ls" else []
        return outside([*words, *run, "--runs-dir", str(self.root), "--quiet"])


def outside(words: Sequence[str]) -> tuple[float, float]:
    """Seconds and peak MB of `hpsearch WORDS` as a process."""
    command = [sys.executable, "-m", "hpsearch", *words]
    ran = subprocess.run(
        [sys.executable, "-I", "-S", "-c", MEASURING, *command], capture_output=True, text=True
    )
    code, took, peak = json.loads(ran.stdout)
    if code > 1:  # 1: a gate is closed, which invented trials may well close
        raise SystemExit(f"hpsearch {' '.join(words)}: exit {code}: {ran.stderr}")
    return took, peak / 1024


def commands(root: Path, trials: int) -> Measured:
    """What recording, planning and each command take on a run of so many trials."""
    made = Invented(root, trials)
    planned = seconds(made.plan)
    times = made.record(made.plan())
    unfinished = {name: made.command(name) for name in COMMANDS if "unfinished" in name}
    made.finish()
    measured = {name: made.command(name) for name in COMMANDS if "unfinished" not in name}
    return {
        "trials": trials, "plan_us": planned / trials * 1e6,
        "record_us": statistics.median(times[-WINDOW:]) * 1e6,
        "commands": {
            name: {"seconds": took, "peak_mb": peak}
            for name, (took, peak) in (measured | unfinished).items()
        },
    }  # fmt: skip


def seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def table(real: Measured, sizes: Sequence[Measured]) -> measure.Table:
    """One column per number of trials."""
    rows = [
        [title, *(f"{size[key]:.0f}" for size in sizes)]
        for key, title in (("plan_us", "plan, us a trial"), ("record_us", "record, us a trial"))
    ]
    for name in COMMANDS:
        found = [size["commands"][name] for size in sizes]
        rows.append([name, *(f"{f['seconds']:.2f} s, {f['peak_mb']:.0f} MB" for f in found)])
    columns = ["invented trials", *(f"{size['trials']:,}" for size in sizes)]
    note = ". ".join(sentence(real, clock) for clock in CLOCKS) + "."
    return measure.Table("What many trials cost", columns, rows, note)


def sentence(real: Measured, clock: str) -> str:
    found = real[clock]
    return (
        f"{real['trials']:,} real trials, {clock} time: {found['training_us']:.0f} us of training"
        f" each and {found['outside_us']:.0f} us besides ({found['share']:.1%}); between cohorts"
        f" {found['early_us']:.0f} us around trial {EARLY}, {found['late_us']:.0f} us around the"
        f" last ({found['late_over_early']:.2f} x in units of training)"
    )


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=1000, help="real trials (the target: 5000)")
    parser.add_argument("--sizes", type=int, nargs="*", default=[100, 1000, 10_000])
    parser.add_argument("--large", action="store_true", help="100,000 invented trials too")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="default: results/")
    given = parser.parse_args(argv)
    sizes = [*given.sizes, 100_000] if given.large else given.sizes
    with tempfile.TemporaryDirectory() as folder:
        real = overhead(Path(folder) / "real", given.trials)
        measured = [commands(Path(folder) / str(size), size) for size in sizes]
    document = {
        "name": "scale", "title": "scale", "facts": measure.facts(), "rounds": 1,
        "basis": "Medians over the trials of one run",
        "measured": {"overhead": real, "sizes": measured},
        "tables": [table(real, measured)._asdict()],
    }  # fmt: skip
    measure.finish(document, given.out or measure.RESULTS)


if __name__ == "__main__":
    main()
