"""Whole searches: `hpsearch search` against scikit-learn, and against Optuna with PyTorch.

All search the same learning rates and penalties for the same net on the same rows with the same
minibatches and epochs. Peers read rows that are preprocessed already, validate each trial once,
and are run with several settings of processes and threads: the best setting counts. After each
round, settings far behind their peer's best are run no more.
"""

from benchmarks import measure  # first: it sets the threads  # isort: skip

import argparse
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks import searches
from benchmarks.process import answer, environment, peer, run
from hpsearch.data import Dataset

TRIALS = (100, 100)
OURS = "hpsearch"
FAR = 1.5  # times the best setting's time: one that is above it drops out
TARGETS = {"digits": {"sklearn": 15, "torch": 15}, "cifar10": {"sklearn": 3, "torch": 4}}
WHOLE = {"digits": 8}  # of the whole process, against scikit-learn


class Setting(NamedTuple):
    """How a peer is run: as so many processes, or with so many jobs of its own, each with so
    many BLAS threads.
    """

    peer: str
    jobs: int
    processes: int
    threads: int

    @property
    def name(self) -> str:
        if self.peer == "sklearn":
            return f"sklearn, n_jobs {self.jobs}, threads {self.threads}"
        return f"torch, processes {self.processes}, threads {self.threads}"


SETTINGS = (
    Setting("sklearn", 1, 1, 1), Setting("sklearn", 1, 1, 2), Setting("sklearn", 2, 1, 1),
    Setting("torch", 1, 1, 1), Setting("torch", 1, 1, 2), Setting("torch", 1, 2, 1),
)  # fmt: skip


def written(data: Dataset, folder: Path) -> dict[str, Any]:
    """Writes the rows as the network sees them, float32, validation last; what peers are told."""
    cut, rows = len(data.train), len(data.train) + len(data.validation)
    x = np.lib.format.open_memmap(folder / "x.npy", "w+", np.float32, (rows, data.inputs))
    for start in range(0, cut, 1000):
        part = slice(start, min(start + 1000, cut))
        data.batch(data.train, part, out=x[part])
    data.batch(data.validation, slice(None), out=x[cut:])
    x.flush()
    np.save(folder / "y.npy", np.concatenate([data.train.y, data.validation.y]))
    return {
        "rows": str(folder), "train_rows": cut, "validation_rows": rows - cut,
        "classes": data.n_classes,
    }  # fmt: skip


def work_of(search: searches.Search, rows: dict[str, Any]) -> dict[str, Any]:
    """The search, as the peers' scripts read it."""
    return rows | {
        "trials": search.trials, "epochs": search.epochs, "batch": search.batch,
        "hidden": search.hidden, "learning_rate": searches.LEARNING_RATE,
        "weight_decay": searches.WEIGHT_DECAY, "seed": 0,
    }  # fmt: skip


def searched_by(setting: Setting, work: dict[str, Any]) -> measure.Reading:
    """A peer's search in fresh processes; several processes share the trials out."""
    shares = [work["trials"] // setting.processes] * setting.processes
    shares[0] += work["trials"] - sum(shares)
    env = environment(setting.threads)
    tasks = [
        work | {"trials": share, "seed": seed, "jobs": setting.jobs, "threads": setting.threads}
        for seed, share in enumerate(shares)
        if share
    ]
    with ThreadPoolExecutor(len(tasks)) as pool:
        commands = [peer(f"peer_{setting.peer}", task) for task in tasks]
        done = list(pool.map(partial(run, env=env), commands))
    found = [answer(each) for each in done]
    return {
        "whole": max(each.seconds for each in done),
        "stage": max(f["ended"] for f in found) - min(f["begun"] for f in found),
        "best": max(f["best"] for f in found), "diverged": sum(f["diverged"] for f in found),
    }  # fmt: skip


def going_on(readings: measure.Readings) -> list[str]:
    """Ours, and of each peer the settings that may still turn out to be its best."""
    middle = measure.medians(readings)
    staying = [OURS]
    for name in {setting.peer for setting in SETTINGS}:
        own = [s.name for s in SETTINGS if s.peer == name and s.name in middle]
        if own:
            best = middle[measure.fastest(middle, own, "stage")]["stage"]
            staying += [n for n in own if middle[n]["stage"] <= FAR * best]
    return staying


def best_of(peer: str, middle: dict[str, measure.Reading], key: str) -> str:
    """The peer's best setting."""
    own = [s.name for s in SETTINGS if s.peer == peer and s.name in middle]
    return measure.fastest(middle, own, key)


def tables(
    search: searches.Search, rows: int, middle: dict[str, measure.Reading]
) -> list[measure.Table]:
    """Every contender, then the ratios of each peer's best setting to ours."""
    total = search.trials * searches.steps(rows, search.batch, search.epochs)
    all_ = [
        [name, measure.seconds(r["stage"]), f"{r['stage'] / total * 1e6:,.1f} us",
         measure.seconds(r["whole"]), f"{r['best']:.4f}", f"{r['diverged']:.0f}"]
        for name, r in middle.items()
    ]  # fmt: skip
    columns = ["search", "search stage", "trial and step", "whole process", "best", "diverged"]
    title = f"{search.trials} trials x {search.epochs} epochs on {search.dataset}"
    note = (
        "Search stage: from the first trial to the verdict, tables and files included; of peers,"
        " fit and optimize. Trial and step: that time shared out. Best: the highest validation"
        " accuracy after the last epoch. Settings that dropped out have fewer rounds."
    )
    against = measure.Table(
        f"hpsearch against each peer's best setting, {search.dataset}",
        ["peer", "search stage", "target", "whole process", "target"], ratios(search, middle),
    )  # fmt: skip
    return [measure.Table(title, columns, all_, note), *([against] if against.rows else [])]


def ratios(search: searches.Search, middle: dict[str, measure.Reading]) -> list[list[str]]:
    """How many times as long each peer takes at its best."""
    rows, ours = [], middle[OURS]
    measured = {setting.peer for setting in SETTINGS if setting.name in middle}
    for name in sorted(measured):
        stage, whole = (middle[best_of(name, middle, key)][key] for key in ("stage", "whole"))
        target = WHOLE.get(search.dataset) if name == "sklearn" else None
        rows.append([
            best_of(name, middle, "stage"), measure.ratio(stage / ours["stage"]),
            f"{TARGETS[search.dataset][name]}x", measure.ratio(whole / ours["whole"]),
            f"{target}x" if target else "",
        ])  # fmt: skip
    return rows


def ours(search: searches.Search, jobs: int | None, kind: str) -> measure.Reading:
    return searches.searched(search, jobs=jobs, extra=searches.EXECUTORS[kind]).reading


def options_of(argv: Sequence[str]) -> argparse.Namespace:
    parser = searches.options(measure.parser("search", __doc__ or ""), trials=TRIALS)
    known = sorted({setting.peer for setting in SETTINGS})
    parser.add_argument("--peers", type=names(known), default=known, help="with commas between")
    parser.add_argument("--jobs", type=measure.positive, default=None, help="ours: all cores")
    kinds = list(searches.EXECUTORS)
    parser.add_argument("--workers", choices=kinds, default=kinds[0], help="ours")
    parser.add_argument("--all-settings", action="store_true", help="none drops out")
    return searches.complete(parser.parse_args(argv), trials=TRIALS)


def names(known: Sequence[str]) -> Callable[[str], list[str]]:
    """A list with commas, of known names; `none` for none."""

    def parse(text: str) -> list[str]:
        found = [] if text == "none" else text.split(",")
        if wrong := set(found) - set(known):
            raise argparse.ArgumentTypeError(f"{wrong.pop()} is none of {', '.join(known)}")
        return found

    return parse


def main(argv: Sequence[str]) -> int:
    options = options_of(argv)
    search = searches.asked(options)
    contenders = {OURS: partial(ours, search, options.jobs, options.workers)}
    with tempfile.TemporaryDirectory(prefix="hpsearch-bench-") as folder:
        rows = written(searches.loaded(search), Path(folder))
        for setting in SETTINGS:
            if setting.peer in options.peers:
                contenders[setting.name] = partial(searched_by, setting, work_of(search, rows))
        readings = measure.alternate(
            contenders, options.rounds, say=measure.say,
            going_on=None if options.all_settings else going_on,
        )  # fmt: skip
    name = f"search-{search.dataset}"
    draw = partial(tables, search, rows["train_rows"])
    measure.finish(measure.document(name, name, options, readings, draw), options.out)
    return 0
