"""How often `data`, `sanity`, `overfit` and `sweep` are alarmed by healthy set-ups."""

from benchmarks import measure  # first: it sets the threads  # isort: skip

import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from benchmarks.audit import SETS, Arrays
from hpsearch.cohort import tasks
from hpsearch.config.find import find
from hpsearch.config.load import load
from hpsearch.config.schema import SEARCHABLE, Config, Model
from hpsearch.data import Dataset, Source
from hpsearch.data import load as load_data
from hpsearch.stages import CHECKS
from hpsearch.stages.context import Context, Stage
from hpsearch.training import Watch, train_cohort
from hpsearch.trial import TrialResult
from hpsearch.verdict import Check, Verdict

SEEDS = 10
SPACE = (
    "search.space={learning_rate: {log_uniform: [1e-4, 1]}, dropout: {uniform: [0, 0.5]},"
    " hidden: {choice: [[20], [50, 50], [100]]}, normalization: {choice: [none, batch, layer]},"
    " activation: {choice: [relu, leaky_relu, elu, tanh]}}"
)
WORDS = {
    "space": SPACE,
    "gentle": "search.space.learning_rate={log_uniform: [1e-5, 0.1]}",  # steps of equal length
}


def lopsided(seed: int) -> Arrays:
    """240 rows of 13 features, 3 classes; the largest is nine times the smallest."""
    rng, y = np.random.default_rng(seed), np.repeat(np.arange(3), (162, 60, 18))
    x = rng.normal(size=(240, 13)) + 1.5 * rng.normal(size=(3, 13))[y]
    return {"x": x * np.logspace(-1, 3, 13), "y": y}


NOTE = "Runs, each with a split of its own: those with an alarm, with two or more, with a fail."
TABLES: dict[str, Callable[[int], Arrays]] = SETS | {"lopsided": lopsided}
BUNDLED = ("digits", "spiral")

# A data set, and what is set beside its bundled config, `csv` of a table; they span every family.
QUICK = (
    "digits",
    "digits activation=leaky_relu optimizer=nesterov hidden=[100,50]",
    "digits activation=prelu normalization=batch dropout=0.2",
    "digits activation=elu optimizer=adam learning_rate=1e-3 dropout=0.5",
    "digits activation=maxout normalization=layer dropout=0.5",
    "digits activation=tanh optimizer=adagrad hidden=[50,50,50,50]",
    "digits activation=sigmoid optimizer=rmsprop learning_rate=1e-3 gentle",
    "digits label_smoothing=0.1 normalization=batch dropout=0.5 batch_size=20",
    "digits data.preprocess.whiten=pca activation=gelu",
    "digits data.preprocess.whiten=zca normalization=batch optimizer=adam",
    "digits data.preprocess.center=mean-image data.preprocess.scale=channel",
    "digits space",
    "spiral",
    "spiral activation=maxout loss=hinge",
    "blobs",
    "blobs activation=leaky_relu normalization=batch batch_size=20",
    "blobs activation=elu normalization=layer optimizer=adagrad loss=hinge",
    "blobs activation=selu optimizer=rmsprop learning_rate=1e-3 dropout=0.2 gentle",
    "blobs activation=tanh optimizer=sgd learning_rate=0.1 hidden=[20,20,20]",
    "blobs activation=sigmoid optimizer=adam normalization=batch",
    "blobs space",
    "lopsided last_bias=log_prior",
    "lopsided activation=tanh optimizer=adamw learning_rate=1e-3 normalization=layer",
    "lopsided last_bias=log_prior normalization=batch activation=gelu batch_size=20",
)
MORE = (
    "digits activation=selu optimizer=sgd learning_rate=0.1 hidden=[50,50,50,50]",
    "digits activation=gelu optimizer=adamw learning_rate=1e-3 weight_decay=1e-2",
    "digits loss=hinge learning_rate=1e-3",
    "digits loss=hinge activation=maxout normalization=batch optimizer=adam",
    "digits optimizer=adam last_bias=log_prior hidden=[100,100,100]",
    "digits hidden=[100] dropout=0.5 optimizer=rmsprop learning_rate=1e-3 gentle",
    "digits hidden=[]",
    "spiral activation=tanh optimizer=adam learning_rate=1e-2 gentle",
    "spiral activation=elu normalization=batch hidden=[50,50]",
    "spiral activation=gelu hidden=[50,50,50] dropout=0.2",
    "blobs activation=prelu optimizer=adam batch_size=20",
    "blobs activation=gelu dropout=0.5 batch_size=20 label_smoothing=0.1",
    "blobs activation=maxout optimizer=nesterov data.preprocess.whiten=pca",
    "lopsided loss=hinge optimizer=adam dropout=0.2 search.metric=val_balanced_accuracy",
    "iris",
    "iris activation=tanh optimizer=adam hidden=[10,10]",
    "wine",
    "wine activation=elu normalization=batch dropout=0.5 optimizer=adam learning_rate=1e-3",
    "breast_cancer",
    "breast_cancer activation=gelu optimizer=adam loss=hinge last_bias=log_prior",
)
SETUPS = tuple(setup for setup in (*QUICK, *MORE) if setup.split()[0] in (*BUNDLED, *TABLES))


def config_of(setup: str, folder: Path, seed: int) -> Config:
    """The set-up's config; its table, where it has one, is written into `folder`."""
    name, *words = setup.split()
    overrides = [f"seed={seed}", "model.init=auto"]
    overrides += [WORDS.get(word) or _override(word) for word in words]
    if name not in BUNDLED:
        _write(folder / "table.csv", **TABLES[name](seed))
        overrides += [f"data.path={folder / 'table.csv'}"]
    found = find(name if name in BUNDLED else "csv", runs_dir=folder, cwd=folder)
    return load(found, overrides)


def _write(path: Path, x: np.ndarray, y: np.ndarray) -> None:
    names = [*(f"feature {n}" for n in range(x.shape[1])), "label"]
    form = ["%.9g"] * x.shape[1] + ["class %d"]
    rows = np.column_stack([x, y])
    np.savetxt(path, rows, form, ",", header=",".join(names), comments="")


def _override(word: str) -> str:
    """With the section before a key of the model's or the training's."""
    section = SEARCHABLE.get(word.split("=")[0])
    return f"{'model' if section is Model else 'train'}.{word}" if section else word


def data_of(config: Config) -> Dataset:
    data = config.data
    source = Source(
        data.source, Path(data.path) if data.path else None, data.target, seed=config.seed
    )
    return load_data(source, **data.preprocess.model_dump())


def concluded(stage: Stage, context: Context) -> Sequence[Check]:
    """The checks of a stage, planned, trained and judged as the runner does."""
    done: dict[int, TrialResult] = {}
    while specs := [s for s in stage.plan(context, list(done.values())) if s.id not in done]:
        for task in tasks(specs, jobs=1):
            done |= {r.id: r for r in train_cohort(task, context.data, Watch())}
    document = stage.judge(context, [done[number] for number in sorted(done)])
    return getattr(document, "checks", ())


def alarms(setup: str, folder: Path, seed: int = 0) -> dict[str, Check]:
    """The checks that do not pass, by name."""
    config = config_of(setup, folder, seed)
    data = data_of(config)
    return {
        check.name: check
        for stage in CHECKS
        for check in concluded(stage, Context(config, data, stage.name))
        if check.verdict is not Verdict.PASS
    }


def counted(setup: str, seeds: int) -> measure.Reading:
    """Of `seeds` seeds, each with a split of its own, how many end with each check's alarm."""
    found: Counter[str] = Counter(runs=seeds)
    with tempfile.TemporaryDirectory(prefix="hpsearch-bench-") as folder:
        for seed in range(seeds):
            raised = alarms(setup, Path(folder), seed)
            found["any"] += bool(raised)
            found["several"] += len(raised) > 1
            found["fails"] += any(check.verdict is Verdict.FAIL for check in raised.values())
            found.update(_named(check) for check in raised.values())
            for name, check in raised.items():
                measure.say(f"{setup}, seed {seed}: {name} {check.verdict}: {check.message}")
    return {key: float(count) for key, count in found.items()}


def _named(check: Check) -> str:
    """A warning needs no word."""
    return f"{check.name} fails" if check.verdict is Verdict.FAIL else check.name


def tables(found: dict[str, measure.Reading]) -> list[measure.Table]:
    counts = ("runs", "any", "several", "fails")
    rows = [
        [setup, *(f"{reading[key]:.0f}" for key in counts), ", ".join(
            f"{name} {count:.0f}" for name, count in reading.items() if name not in counts
        )]
        for setup, reading in found.items()
    ]  # fmt: skip
    sums = [f"{sum(reading[key] for reading in found.values()):.0f}" for key in counts]
    columns = ["set-up", "runs", "alarm", "two", "fail", "which"]
    title = "Alarms of the four checking stages on healthy set-ups"
    return [measure.Table(title, columns, [*rows, ["all", *sums, ""]], NOTE)]


def main(argv: Sequence[str]) -> int:
    parser = measure.parser("alarms", __doc__ or "", rounds=1)
    parser.add_argument("--seeds", type=measure.positive, default=SEEDS)
    parser.add_argument("--only", nargs="+", metavar="TEXT", help="set-ups that contain one of")
    options = parser.parse_args(argv)
    wanted = [s for s in SETUPS if any(text in s for text in options.only or [""])]
    readings = {setup: [counted(setup, options.seeds)] for setup in wanted}
    made = measure.document("alarms", "alarms", options, readings, tables)
    measure.finish(made, options.out)
    return 0
