"""How often `hpsearch data` is alarmed: by healthy data, and by data broken on purpose."""

from benchmarks import measure  # first: it sets the threads  # isort: skip

import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from hpsearch.config.schema import Config
from hpsearch.data import Dataset, Source, load
from hpsearch.stages.context import Context
from hpsearch.stages.data import STAGE
from hpsearch.verdict import Verdict

Arrays = dict[str, np.ndarray]
SPLITS = 100


def digits(seed: int) -> Arrays:
    return _whole(Source("digits"))


def spiral(seed: int) -> Arrays:
    return _whole(Source("spiral", seed=seed))


def blobs(seed: int) -> Arrays:
    """150 rows of 13 features on scales of their own, 3 classes that overlap."""
    rng, y = np.random.default_rng(seed), np.arange(150) % 3
    x = rng.normal(size=(150, 13)) + 1.5 * rng.normal(size=(3, 13))[y]
    return {"x": x * np.logspace(-1, 3, 13), "y": y}


def _whole(source: Source) -> Arrays:
    data = load(source, center="none", scale="none")
    parts = [rows for rows in (data.train, data.validation, data.test) if rows]
    x, y = np.concatenate([p.gather() for p in parts]), np.concatenate([p.y for p in parts])
    return {"x": x, "y": y}


def _scikit_learn(name: str, seed: int) -> Arrays:
    from sklearn import datasets

    x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    return {"x": x, "y": y}


SETS: dict[str, Callable[[int], Arrays]] = {"digits": digits, "spiral": spiral, "blobs": blobs}
if find_spec("sklearn"):
    for _name in ("iris", "wine", "breast_cancer"):
        SETS[_name] = partial(_scikit_learn, _name)


def none(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> Arrays:
    return {"x": x, "y": y}


def labels_shuffled(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> Arrays:
    return {"x": x, "y": rng.permutation(y)}


def target_leaked(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> Arrays:
    return {"x": np.column_stack([x, y]), "y": y}


def target_leaked_noisily(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> Arrays:
    return {"x": np.column_stack([x, y + 0.1 * rng.normal(size=len(y))]), "y": y}


def normalized_apart(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> Arrays:
    """Validation and train each by their own mean and standard deviation."""
    return _held_out(x, y, rng.permutation(len(y)), prepare=_standardized)


def validation_raw(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> Arrays:
    """Train standardised, validation as it was."""
    split = _held_out(x, y, rng.permutation(len(y)))
    return split | {"x_train": _standardized(split["x_train"])}


def sorted_split(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> Arrays:
    """Validation is the last of the rows as one feature sorts them."""
    column = x[:, np.argmax(x.std(axis=0))]
    return _held_out(x, y, np.argsort(-column, kind="stable"))


def duplicated(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> Arrays:
    """A fifth of the rows come twice."""
    again = np.concatenate([np.arange(len(y)), rng.permutation(len(y))[: len(y) // 5]])
    return {"x": x[again], "y": y[again]}


FAULTS = {
    "healthy": none, "labels shuffled": labels_shuffled, "target leaked": target_leaked,
    "target leaked, noisy": target_leaked_noisily, "normalised apart": normalized_apart,
    "validation raw": validation_raw, "sorted split": sorted_split, "duplicates": duplicated,
}  # fmt: skip


def _standardized(x: np.ndarray) -> np.ndarray:
    sd = x.std(axis=0)
    return (x - x.mean(axis=0)) / np.where(sd > 0, sd, 1)


def _held_out(
    x: np.ndarray, y: np.ndarray, order: np.ndarray, *,
    prepare: Callable[[np.ndarray], np.ndarray] = lambda x: x,
) -> Arrays:  # fmt: skip
    """A split of its own: the first tenth in `order` validates."""
    cut = max(1, len(y) // 10)
    held, kept = order[:cut], order[cut:]
    return {
        "x_train": prepare(x[kept].astype(float)), "y_train": y[kept],
        "x_val": prepare(x[held].astype(float)), "y_val": y[held],
    }  # fmt: skip


def alarms(arrays: Arrays, folder: Path, seed: int) -> dict[str, Verdict]:
    """The checks that do not pass, by name."""
    np.savez(folder / "data.npz", **arrays)
    source = Source("npz", folder / "data.npz", seed=seed, test=0 if "x_val" in arrays else None)
    data: Dataset = load(source, center="feature", scale="standard")
    if data.inputs == 64:  # digits, whose corners are white in every image
        data = replace(data, image_shape=(8, 8, 1))
    document = STAGE.judge(Context(Config(), data, "data"), [])
    return {c.name: c.verdict for c in document.checks if c.verdict is not Verdict.PASS}


def counted(name: str, fault: str, splits: int) -> measure.Reading:
    """How many of `splits` splits end with each check's alarm."""
    found: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(prefix="hpsearch-bench-") as folder:
        for seed in range(splits):
            arrays = FAULTS[fault](**SETS[name](seed), rng=np.random.default_rng([seed, 9]))
            raised = alarms(arrays, Path(folder), seed)
            found["any"] += bool(raised)
            found.update(f"{check} {verdict}" for check, verdict in raised.items())
    return {key: float(count) for key, count in found.items()}


def tables(splits: int, found: dict[str, measure.Reading]) -> list[measure.Table]:
    rows = [
        [*who.split(": "), *(f"{counts.pop('any', 0):.0f}",), ", ".join(
            f"{check} {count:.0f}" for check, count in sorted(counts.items(), key=lambda c: -c[1])
        )]
        for who, counts in ((who, dict(reading)) for who, reading in found.items())
    ]  # fmt: skip
    columns = ["data", "fault", "splits with an alarm", "which"]
    return [measure.Table(f"Alarms of `hpsearch data` on {splits} splits", columns, rows, "")]


def main(argv: Sequence[str]) -> int:
    parser = measure.parser("audit", __doc__ or "", rounds=1)
    parser.add_argument("--splits", type=measure.positive, default=SPLITS)
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--faults", nargs="+", choices=FAULTS, default=list(FAULTS))
    options = parser.parse_args(argv)
    readings = {
        f"{name}: {fault}": [counted(name, fault, options.splits)]
        for fault in options.faults
        for name in options.sets
    }
    draw = partial(tables, options.splits)
    measure.finish(
        measure.document("audit", "audit", options, readings, draw), options.out
    )
    return 0
