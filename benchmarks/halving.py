"""Successive halving beside plain random search and Optuna: the best, and how soon it is good.

Trial n of a seed is the same in every search of ours. Trial-epochs are those begun: who diverges
leaves early, in all searches. Optuna searches the same space on the same trainer, by TPE with
Hyperband (`peer_optuna`); where it is missing, the rest is shown.
"""

from benchmarks import measure  # first: it sets the threads  # isort: skip

import argparse
import json
import math
import statistics
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks import searches
from benchmarks.anytime import (
    Leg,
    Trained,
    best,
    first,
    in_cohorts,
    legs,
    one_by_one,
    total,
    until,
)
from benchmarks.process import answer, environment, hpsearch, peer, run
from hpsearch.config.schema import Halving
from hpsearch.stages.halving import cost, rungs
from hpsearch.strictjson import plain

TRIALS, EPOCHS = (81, 27), {"digits": 27, "cifar10": 9}
SPACES = {  # those of configs/digits.yaml and configs/cifar10.yaml
    "digits": {"learning_rate": {"log_uniform": [1e-4, 1.0]},
               "weight_decay": {"log_uniform": [1e-6, 1.0]}},
    "cifar10": {"learning_rate": {"log_uniform": [1e-4, 1e-1]},
                "weight_decay": {"log_uniform": [1e-5, 1.0]}},
}  # fmt: skip
SIZES = {"digits": (64, searches.HIDDEN, 10), "cifar10": (3072, searches.HIDDEN, 10)}
ACCURACY = {"digits": 0.97, "cifar10": 0.5}
PART = 3  # halving is to be as good with one third of the trial-epochs
PLAIN, SAME, MORE, OPTUNA = "plain", "halved", "halved, more", "Optuna"
ALONE, TOGETHER = "one by one", "in cohorts"


def config(
    search: searches.Search, seed: int, halving: Mapping[str, int] | None
) -> dict[str, Any]:
    """The config of one search."""
    coarse = {"trials": search.trials, "epochs": search.epochs, "halving": halving}
    space = SPACES[search.dataset]
    return search.config | {"seed": seed, "search": {"space": space, "coarse": coarse}}


def searched(given: dict[str, Any], folder: Path) -> list[Trained]:
    """The trials of a search. It is kept in `folder`, and what is there is not trained again."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "bench.yaml"
    path.write_text(json.dumps(given), "utf-8")  # YAML 1.2 contains JSON
    words = ["search", str(path), "--stage", "coarse", "--runs-dir", str(folder / "runs")]
    run(hpsearch(*words), env=environment())
    made = folder / "runs" / "bench"
    rows = json.loads((made / "run.json").read_text("utf-8"))["rows"]["train"]
    steps = searches.steps(rows, given["train"]["batch_size"], 1)
    files = sorted(made.glob("coarse/trials/*.json"))
    records = [json.loads(file.read_text("utf-8")) for file in files]
    return [Trained(-(-r["step"] // steps), r["curves"]["val_accuracy"]) for r in records]


def by_optuna(work: dict[str, Any], path: Path) -> list[Trained]:
    """The trials of Optuna's search, kept as the file `path`."""
    known = json.loads(path.read_text("utf-8")) if path.exists() else {}
    if known.get("work") != work:
        known = answer(run(peer("peer_optuna", work), env=environment(1))) | {"work": work}
        path.write_text(json.dumps(known), "utf-8")
    return [Trained(*trial) for trial in known["trained"]]


def affordable(halving: Halving, epochs: int, limit: float) -> int:
    """How many trials can be halved for so many trial-epochs; at least one."""
    fit = (n for n in range(int(limit), 0, -1) if cost(halving, n, epochs) <= limit)
    return next(fit, 1)


class Comparison:
    """The searches of one seed, kept in `folder`."""

    def __init__(self, given: argparse.Namespace, seed: int, folder: Path) -> None:
        self.given, self.seed, self.folder = given, seed, folder
        self.search = searches.asked(given)

    def readings(self) -> dict[str, measure.Reading]:
        """Of every search."""
        given = self.given
        halving = Halving(eta=given.eta, min_epochs=given.min_epochs)
        found = {PLAIN: self._ours(PLAIN, given.trials)}
        whole = found[PLAIN]["trial_epochs"]
        more = affordable(halving, given.epochs, whole / PART)
        found[SAME] = self._ours(SAME, given.trials, halving)
        found[MORE] = self._ours(MORE, more, halving)
        if find_spec("optuna"):
            found[OPTUNA] = self._optuna(int(whole))
        return found

    def _ours(self, way: str, trials: int, halving: Halving | None = None) -> measure.Reading:
        search = replace(self.search, trials=trials)
        told = config(search, self.seed, halving.model_dump() if halving else None)
        found = searched(told, self._path(way))
        ladder = rungs(halving, trials, search.epochs) if halving else []
        order = list(legs(found, ladder, search.epochs))
        together = list(in_cohorts(order, SIZES[search.dataset]))
        return self._reading(found) | {
            ALONE: until(self.given.accuracy, found, one_by_one(order)),
            TOGETHER: until(self.given.accuracy, found, together),
        }

    def _optuna(self, budget: int) -> measure.Reading:
        given = self.given
        work = {
            "dataset": given.dataset, "path": str(given.data), "trials": given.trials,
            "epochs": given.epochs, "seed": self.seed, "eta": given.eta,
            "least": budget // PART, "budget": budget, "accuracy": given.accuracy,
        }  # fmt: skip
        found = by_optuna(work, self._path(OPTUNA).with_suffix(".json"))
        order = one_by_one([Leg(range(len(found)), 0, given.epochs)])
        third = self._reading(list(first(found, budget // PART)))
        return third | {ALONE: until(given.accuracy, found, order)}

    def _reading(self, found: Sequence[Trained]) -> measure.Reading:
        return {"best": best(found), "trials": len(found), "trial_epochs": total(found)}

    def _path(self, way: str) -> Path:
        words = [self.given.dataset, *way.replace(",", "").split(), str(self.seed)]
        return self.folder / "-".join(words)


def mean(values: Sequence[float]) -> tuple[float, float]:
    """The mean and its standard error; 0 where there is one value."""
    spread = statistics.stdev(values) if len(values) > 1 else 0.0
    return statistics.fmean(values), spread / math.sqrt(len(values))


def best_table(readings: measure.Readings) -> measure.Table:
    """The best accuracies, and what they cost."""
    whole = readings[PLAIN]
    error = mean([each["best"] for each in whole])[1]
    rows = []
    for way, found in readings.items():
        value, own = mean([each["best"] for each in found])
        above = [each["best"] - other["best"] for each, other in zip(found, whole, strict=True)]
        shares = [e["trial_epochs"] / o["trial_epochs"] for e, o in zip(found, whole, strict=True)]
        row = [way, span(each["trials"] for each in found), f"{value:.4f} ± {own:.4f}"]
        epochs = f"{mean([each['trial_epochs'] for each in found])[0]:.0f}"
        compared = ["{:+.4f} ± {:.4f}".format(*mean(above)), verdict(mean(above)[0], error)]
        rows.append([*row, *(["", ""] if way == PLAIN else compared), epochs,
                     f"{mean(shares)[0]:.2f}"])  # fmt: skip
    columns = ["search", "trials", "best", "above plain", "as good", "trial-epochs", "of plain"]
    note = (
        "Means over the seeds, ± their standard errors; above plain: seed by seed. Halved: the"
        " trials of plain; more: as many as a third of plain's trial-epochs pay for. As good: no"
        f" further below plain than the standard error of plain's mean, {error:.4f}."
    )
    return measure.Table("The best validation accuracy", columns, rows, note)


def verdict(above: float, error: float) -> str:
    return "yes" if above >= -error else "no"


def span(values: Iterable[float]) -> str:
    """`3` or `3-7`, of those that are finite; `-` where none is."""
    there = sorted(value for value in values if math.isfinite(value))
    if not there:
        return "-"
    ends = [f"{value:.0f}" for value in (there[0], there[-1])]
    return "-".join(dict.fromkeys(ends))


def soon_table(accuracy: float, readings: measure.Readings) -> measure.Table:
    """When the accuracy was first seen."""
    rows = []
    for way, found in readings.items():
        for order in (ALONE, TOGETHER):
            values = [each[order] for each in found if order in each]
            if values:
                middle = statistics.median(values)
                shown = f"{middle:.0f}" if math.isfinite(middle) else "never"
                lost = sum(map(math.isinf, values))
                rows.append([way, order, shown, span(values), str(lost)])
    columns = ["search", "trained", "median", "range", "never"]
    note = (
        "Trial-epochs spent when the epoch in which it was seen is over: for one trial after"
        " another; or for all trials of a cohort, as one worker trains them. Halved: rung by"
        " rung, each in trial order."
    )
    return measure.Table(f"Trial-epochs until {accuracy:g} is seen", columns, rows, note)


def options(argv: Sequence[str]) -> argparse.Namespace:
    parser = measure.parser("halving", __doc__ or "", rounds=1)
    parser.add_argument("--seeds", type=measure.positive, default=5)
    parser.add_argument("--eta", type=measure.positive, default=3)
    parser.add_argument("--min-epochs", type=measure.positive, default=1)
    parser.add_argument("--accuracy", type=float, default=None, help="that is waited for")
    parser.add_argument(
        "--keep", type=Path, default=None, metavar="FOLDER",
        help="where the searches are kept, and gone on with; else they are not kept",
    )  # fmt: skip
    given = searches.options(parser, trials=TRIALS).parse_args(argv)
    given.epochs = given.epochs or EPOCHS[given.dataset]
    given.accuracy = given.accuracy or ACCURACY[given.dataset]
    return searches.complete(given, trials=TRIALS)


def main(argv: Sequence[str]) -> int:
    given = options(argv)
    if not find_spec("optuna"):
        measure.say("Optuna is missing, and so are its rows: pip install 'hpsearch[optuna]'")
    readings: measure.Readings = {}
    with tempfile.TemporaryDirectory(prefix="hpsearch-bench-") as temporary:
        for seed in range(given.seeds):
            found = Comparison(given, seed, given.keep or Path(temporary)).readings()
            for way, reading in found.items():
                readings.setdefault(way, []).append(reading)
                measure.say(f"seed {seed}, {way}: {reading}")
    name = f"halving-{given.dataset}"
    title = f"{name}: {given.trials} trials, {given.epochs} epochs"

    def tables(_: Any) -> list[measure.Table]:
        return [best_table(readings), soon_table(given.accuracy, readings)]

    result = measure.document(name, title, given, readings, tables)
    measure.finish(plain(result | {"basis": f"{given.seeds} seeds"}), given.out)
    return 0
