"""Successive halving beside plain random search: the best, and the trial-epochs."""

from benchmarks import measure  # first: it sets the threads  # isort: skip

import argparse
import json
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import searches
from benchmarks.process import environment, hpsearch, run

TRIALS, EPOCHS = (81, 36), {"digits": 27, "cifar10": 9}
SPACE = {"learning_rate": {"log_uniform": [1e-4, 1.0]}, "weight_decay": {"log_uniform": [1e-6, 1]}}
WAYS = {"plain": None, "halving": {"eta": 3, "min_epochs": 1}}


def config(search: searches.Search, seed: int, halving: dict[str, int] | None) -> dict[str, Any]:
    """The config of one search; the trials are the same for each way."""
    found = search.config | {"seed": seed}
    coarse = {"trials": search.trials, "epochs": search.epochs, "halving": halving}
    return found | {"search": {"space": SPACE, "coarse": coarse}}


def searched(given: dict[str, Any]) -> measure.Reading:
    """The best validation accuracy, the trial-epochs trained, and the seconds it took."""
    with tempfile.TemporaryDirectory(prefix="hpsearch-bench-") as folder:
        path = Path(folder) / "bench.yaml"
        path.write_text(json.dumps(given), "utf-8")  # YAML 1.2 contains JSON
        words = ["search", str(path), "--stage", "coarse", "--runs-dir", f"{folder}/runs"]
        done = run(hpsearch(*words, "--json"), env=environment())
        files = Path(folder).glob("runs/bench/coarse/trials/*.json")
        epochs = sum(json.loads(file.read_text("utf-8"))["epochs"] for file in files)
    best = json.loads(done.stdout)["best"]
    return {"best": best["value"], "trial_epochs": epochs, "seconds": done.seconds}


def summed(readings: Sequence[measure.Reading]) -> measure.Reading:
    """Means over the seeds, and the standard error of the mean of the best accuracy."""
    means = {key: statistics.fmean(r[key] for r in readings) for key in readings[0]}
    spread = statistics.stdev([r["best"] for r in readings]) if len(readings) > 1 else 0.0
    return means | {"error": spread / len(readings) ** 0.5}


def tables(found: dict[str, measure.Reading]) -> list[measure.Table]:
    whole = found["plain"]["trial_epochs"]
    rows = [
        [way, f"{r['best']:.4f} ± {r['error']:.4f}", f"{r['trial_epochs']:.0f}",
         f"{r['trial_epochs'] / whole:.2f}", f"{r['seconds']:.1f}"]
        for way, r in found.items()
    ]  # fmt: skip
    columns = ["search", "best val accuracy", "trial-epochs", "of plain", "seconds"]
    note = "Means over the seeds, ± their standard error. A diverged trial ends early in both."
    return [measure.Table("The same trials, all to the end or halved", columns, rows, note)]


def options(argv: Sequence[str]) -> argparse.Namespace:
    parser = measure.parser("halving", __doc__ or "", rounds=1)
    parser.add_argument("--seeds", type=measure.positive, default=5)
    given = searches.options(parser, trials=TRIALS).parse_args(argv)
    given.epochs = given.epochs or EPOCHS[given.dataset]
    return searches.complete(given, trials=TRIALS)


def main(argv: Sequence[str]) -> int:
    given = options(argv)
    readings: dict[str, list[measure.Reading]] = {way: [] for way in WAYS}
    for seed in range(given.seeds):
        for way, halving in WAYS.items():
            reading = searched(config(searches.asked(given), seed, halving))
            readings[way].append(reading)
            measure.say(f"seed {seed}, {way}: {reading}")
    each = {way: [summed(found)] for way, found in readings.items()}
    title = f"halving {given.dataset}: {given.trials} trials, {given.epochs} epochs"
    result = measure.document(f"halving-{given.dataset}", title, given, each, tables)
    measure.finish(result | {"basis": f"means over {given.seeds} seeds"}, given.out)
    return 0
