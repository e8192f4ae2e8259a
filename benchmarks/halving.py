"""Successive halving beside plain random search and Optuna: how good, and how soon.

Trial n of a seed is the same in every search of ours. Trial-epochs are those begun: who diverges
leaves early, in all searches. Optuna searches the same space on the same trainer, by TPE with
Hyperband (`peer_optuna`); where it is missing, the rest is shown.
"""

from benchmarks import measure  # first: it sets the threads  # isort: skip

import argparse
import json
import math
import re
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
    in_cohorts,
    legs,
    one_by_one,
    total,
    until,
)
from benchmarks.process import answer, environment, hpsearch, peer, run
from hpsearch.config.schema import Halving
from hpsearch.data import Dataset
from hpsearch.prediction import Predictor
from hpsearch.stages.halving import cost, rungs
from hpsearch.strictjson import plain

TRIALS, EPOCHS = (81, 27), {"digits": 27, "cifar10": 9}
FIRST = {"digits": [1, 3], "cifar10": [1]}  # rungs
SPACES = {  # those of configs/digits.yaml and configs/cifar10.yaml
    "digits": {"learning_rate": {"log_uniform": [1e-4, 1.0]},
               "weight_decay": {"log_uniform": [1e-6, 1.0]}},
    "cifar10": {"learning_rate": {"log_uniform": [1e-4, 1e-1]},
                "weight_decay": {"log_uniform": [1e-5, 1.0]}},
}  # fmt: skip
SIZES = {"digits": (64, searches.HIDDEN, 10), "cifar10": (3072, searches.HIDDEN, 10)}
ACCURACY = {"digits": 0.97, "cifar10": 0.5}
PART = 3  # halving is to be as good with one third of the trial-epochs
PLAIN, OPTUNA = "plain", "Optuna"
ROUNDING = 1e-9
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


def tested(model: Path, data: Dataset) -> float:
    """The accuracy of a saved model on the test rows."""
    assert data.test is not None
    answers = Predictor.read(model).probabilities(data.test.gather()).argmax(axis=1)
    return float((answers == data.test.y).mean())


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
        self.data = searches.loaded(self.search, seed)

    def readings(self) -> dict[str, measure.Reading]:
        """Of every search."""
        given = self.given
        found = {PLAIN: self._ours(PLAIN, given.trials)}
        whole = int(found[PLAIN]["trial_epochs"])
        for least in given.min_epochs:
            halving = Halving(eta=given.eta, min_epochs=least)
            ladder = rungs(halving, given.trials, given.epochs)
            name = f"halved {', '.join(str(rung.epochs) for rung in ladder)}"
            found[name] = self._ours(name, given.trials, halving)
            name, trials = f"{name} more", affordable(halving, given.epochs, whole / PART)
            found[name] = self._ours(name, trials, halving)
        if find_spec("optuna"):
            found[OPTUNA] = self._optuna(whole // PART)
        return found

    def _ours(self, way: str, trials: int, halving: Halving | None = None) -> measure.Reading:
        search = replace(self.search, trials=trials)
        told = config(search, self.seed, halving.model_dump() if halving else None)
        folder = self._path(way)
        found = searched(told, folder)
        ladder = rungs(halving, trials, search.epochs) if halving else []
        order = list(legs(found, ladder, search.epochs))
        together = list(in_cohorts(order, SIZES[search.dataset]))
        return self._reading(found) | {
            "test": tested(folder / "runs/bench/coarse/best.npz", self.data),
            ALONE: until(self.given.accuracy, found, one_by_one(order)),
            TOGETHER: until(self.given.accuracy, found, together),
        }

    def _optuna(self, budget: int) -> measure.Reading:
        given = self.given
        work = {
            "dataset": given.dataset, "path": str(given.data), "trials": given.trials,
            "epochs": given.epochs, "seed": self.seed, "eta": given.eta, "budget": budget,
        }  # fmt: skip
        found = by_optuna(work, self._path(OPTUNA).with_suffix(".json"))
        order = one_by_one([Leg(range(len(found)), 0, given.epochs)])
        return self._reading(found) | {ALONE: until(given.accuracy, found, order)}

    def _reading(self, found: Sequence[Trained]) -> measure.Reading:
        return {"best": best(found), "trials": len(found), "trial_epochs": total(found)}

    def _path(self, way: str) -> Path:
        words = re.findall(r"\w+", f"{self.given.dataset} {way} {self.seed}")
        return self.folder / "-".join(words)


def mean(values: Sequence[float]) -> tuple[float, float]:
    """The mean and its standard error; 0 where there is one value."""
    spread = statistics.stdev(values) if len(values) > 1 else 0.0
    return statistics.fmean(values), spread / math.sqrt(len(values))


def best_table(readings: measure.Readings) -> measure.Table:
    """The best accuracies, and what they cost."""
    rows = [best_row(way, found, readings[PLAIN]) for way, found in readings.items()]
    columns = ["search", "trials", "best", "above plain", "means", "paired", "test", "epochs", ""]
    note = (
        "Means over the seeds, ± their standard errors. Above plain: seed by seed. Means: no"
        " further below than the standard error of plain's mean; paired: than that of the"
        " differences. Halved: the trials of plain, the rungs after these epochs; more: as many"
        " trials as a third of plain's trial-epochs pay for. Test: of the best, on the test rows."
        " Epochs: trial-epochs, and how many times plain's."
    )
    return measure.Table("The best validation accuracy", columns, rows, note)


def best_row(
    way: str, found: Sequence[measure.Reading], whole: Sequence[measure.Reading]
) -> list[str]:
    """A search beside the `whole`, plain one."""
    pairs = list(zip(found, whole, strict=True))
    share, _ = mean([each["trial_epochs"] / other["trial_epochs"] for each, other in pairs])
    tests = [each["test"] for each in found if "test" in each]
    return [
        way, span([each["trials"] for each in found]),
        short("{:.4f} ± {:.4f}", *mean([each["best"] for each in found])),
        *(["", "", ""] if way == PLAIN else compared(pairs)),
        short("{:.4f}", mean(tests)[0]) if tests else "",
        f"{mean([each['trial_epochs'] for each in found])[0]:.0f}", f"{share:.2f}",
    ]  # fmt: skip


def compared(pairs: Sequence[tuple[measure.Reading, measure.Reading]]) -> list[str]:
    """By how much the first are above the second, and whether that is within both errors."""
    above, paired = mean([each["best"] - other["best"] for each, other in pairs])
    _, means = mean([other["best"] for _, other in pairs])
    within = ["yes" if above >= -error - ROUNDING else "no" for error in (means, paired)]
    return [short("{:+.4f} ± {:.4f}", above + ROUNDING, paired), *within]


def short(form: str, *numbers: float) -> str:
    """The numbers in this form, without a zero before the point."""
    return form.format(*numbers).replace("0.", ".")


def span(values: Iterable[float]) -> str:
    """`3` or `3-7`, of those that are finite; `-` where none is."""
    there = sorted(value for value in values if math.isfinite(value))
    ends = [f"{value:.0f}" for value in (*there[:1], *there[-1:])]
    return "-".join(dict.fromkeys(ends)) or "-"


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
    parser.add_argument("--min-epochs", nargs="+", type=measure.positive, default=None)
    parser.add_argument("--accuracy", type=float, default=None, help="that is waited for")
    parser.add_argument(
        "--keep", type=Path, default=None, metavar="FOLDER",
        help="where the searches are kept, and gone on with; else they are not kept",
    )  # fmt: skip
    given = searches.options(parser, trials=TRIALS).parse_args(argv)
    given.epochs = given.epochs or EPOCHS[given.dataset]
    given.min_epochs = given.min_epochs or FIRST[given.dataset]
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
