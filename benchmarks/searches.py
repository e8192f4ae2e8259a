"""The searches that are measured: their data, their config, and a run of `hpsearch search`."""

import argparse
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.measure import ROOT, positive
from benchmarks.process import environment, hpsearch, run
from hpsearch.data import Dataset, Source, load

# Rates at which few trials diverge: one that does leaves early, and would flatter us.
LEARNING_RATE = (1e-3, 3e-2)
WEIGHT_DECAY = (1e-6, 1e-3)
BATCH = 100
HIDDEN = 50
EPOCHS = {"digits": 20, "cifar10": 5}

# Where hpsearch can run its cohorts: as it chooses itself (worker processes, for work like this),
# or as it is told.
EXECUTORS: dict[str, dict[str, str]] = {"chosen": {}, "threads": {"HPSEARCH_EXECUTOR": "threads"}}


@dataclass(frozen=True)
class Search:
    """One coarse search by momentum SGD; `space` holds what is drawn besides the two rates."""

    dataset: str
    path: Path | None
    trials: int
    epochs: int
    hidden: tuple[int, ...] = (HIDDEN,)
    batch: int = BATCH
    space: Mapping[str, Any] = field(default_factory=dict)

    @property
    def data(self) -> dict[str, Any]:
        """The `data` section of the config."""
        preprocess = {"center": "feature", "scale": "standard"}
        if self.dataset == "digits":
            return {"source": "digits", "preprocess": preprocess}
        assert self.path is not None
        batches = (self.path / "data_batch_1").exists()
        return {
            "source": "cifar10" if batches else "images", "path": str(self.path.resolve()),
            "split": {"validation": 1000}, "preprocess": preprocess,
        }  # fmt: skip

    @property
    def config(self) -> dict[str, Any]:
        rates = {
            "learning_rate": {"log_uniform": list(LEARNING_RATE)},
            "weight_decay": {"log_uniform": list(WEIGHT_DECAY)},
        }
        return {
            "name": "bench", "seed": 0, "data": self.data,
            "model": {"hidden": list(self.hidden), "activation": "relu", "init": "kaiming"},
            "train": {"optimizer": "momentum", "momentum": 0.9, "batch_size": self.batch},
            "search": {
                "space": {**rates, **self.space},
                "coarse": {"trials": self.trials, "epochs": self.epochs},
            },
        }  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """A search that was run: times in s, `stage` that of the search stage alone."""

    whole: float
    stage: float
    best: float  # of the validation accuracies after the last epoch
    diverged: int
    hparams: list[dict[str, Any]]

    @property
    def reading(self) -> dict[str, float]:
        return {
            "whole": self.whole, "stage": self.stage, "best": self.best,
            "diverged": float(self.diverged),
        }  # fmt: skip


@contextmanager
def prepared(search: Search, jobs: int | None) -> Iterator[tuple[list[str], Path]]:
    """The command line of the search, and the folder of its run, which is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="hpsearch-bench-") as folder:
        config = Path(folder) / "bench.yaml"
        config.write_text(json.dumps(search.config), "utf-8")  # YAML 1.2 contains JSON
        words = ["search", str(config), "--stage", "coarse", "--runs-dir", f"{folder}/runs"]
        words += ["--jobs", str(jobs)] if jobs else []
        yield hpsearch(*words), Path(folder) / "runs" / "bench"


def searched(
    search: Search, *, jobs: int | None = None, extra: Mapping[str, str] | None = None
) -> Outcome:
    """Runs the search from the command line, in a process and a folder of its own."""
    with prepared(search, jobs) as (command, folder):
        done = run(command, cwd=folder.parents[1], env=environment(**(extra or {})))
        return outcome(folder, done.seconds, jobs=jobs)


def outcome(folder: Path, whole: float, *, jobs: int | None) -> Outcome:
    """What a run's folder says of its coarse search.

    The stage begins when run.json is written, right before the first trial, and ends with its
    document, after tables and verdict. RuntimeError where that is less than its cohorts took.
    """
    stage = folder / "coarse" / "stage.json"
    document = json.loads(stage.read_text("utf-8"))
    taken = stage.stat().st_mtime_ns - (folder / "run.json").stat().st_mtime_ns
    files = sorted((folder / "coarse" / "trials").glob("*.json"))
    trials = [json.loads(file.read_text("utf-8")) for file in files]
    done = [trial for trial in trials if trial["status"] == "done"]
    if len(trials) != document["trials"] or not done:
        raise RuntimeError(f"the search has {len(trials)} of {document['trials']} trials")
    trained = sum(trial["train_seconds"] for trial in trials) / (jobs or os.cpu_count() or 1)
    if taken / 1e9 < 0.95 * trained:
        raise RuntimeError(f"the stage took {taken / 1e9} s, but its training {trained} s")
    return Outcome(
        whole=whole, stage=taken / 1e9,
        best=max(trial["curves"]["val_accuracy"][-1] for trial in done),
        diverged=int(document["diverged"]), hparams=[trial["hparams"] for trial in trials],
    )  # fmt: skip


def steps(rows: int, batch: int, epochs: int) -> int:
    """Minibatches of one trial."""
    return epochs * -(-rows // batch)


def options(
    parser: argparse.ArgumentParser, *, trials: tuple[int, int], dataset: str = "digits"
) -> argparse.ArgumentParser:
    """What chooses a search; `trials` are the defaults for digits and for CIFAR-10."""
    parser.add_argument("--dataset", choices=EPOCHS, default=dataset)
    parser.add_argument(
        "--data", type=Path, default=ROOT / "data" / "cifar10", metavar="FOLDER",
        help="CIFAR-10: a folder of images per class, or of Python batches",
    )  # fmt: skip
    parser.add_argument(
        "--trials", type=positive, default=None,
        help=f"{trials[0]} on digits, {trials[1]} on CIFAR-10",
    )  # fmt: skip
    parser.add_argument(
        "--epochs", type=positive, default=None,
        help=f"{EPOCHS['digits']} on digits, {EPOCHS['cifar10']} on CIFAR-10",
    )  # fmt: skip
    return parser


def complete(given: argparse.Namespace, *, trials: tuple[int, int]) -> argparse.Namespace:
    """The options with what depends on the dataset filled in."""
    if given.dataset == "cifar10" and not given.data.is_dir():
        raise SystemExit(f"{given.data}: no such folder; name CIFAR-10's with --data FOLDER")
    given.trials = given.trials or trials[given.dataset == "cifar10"]
    given.epochs = given.epochs or EPOCHS[given.dataset]
    return given


def asked(given: argparse.Namespace) -> Search:
    """The search that complete options describe."""
    path = given.data if given.dataset == "cifar10" else None
    return Search(given.dataset, path, given.trials, given.epochs)


def loaded(search: Search, seed: int = 0) -> Dataset:
    """The very rows that the search trains and validates on, if it has this seed."""
    data = search.data
    path = Path(data["path"]) if "path" in data else None
    validation = data.get("split", {}).get("validation")
    source = Source(data["source"], path, seed=seed, validation=validation)
    return load(source, **data["preprocess"])


def raw_bytes(search: Search) -> int:
    """Of all rows as they are stored, test rows included."""
    data = loaded(search)
    splits = [rows for rows in (data.train, data.validation, data.test) if rows]
    return sum(rows.base[:1].nbytes * len(rows) for rows in splits)
