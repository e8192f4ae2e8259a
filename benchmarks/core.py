"""The cohort core: microseconds per trial and step, and the share of the sgemm rate.

A step is what training does for each minibatch: gather and preprocess its rows, forward,
backward, update. Evaluation and the start of a cohort are left out. On two cores, two cohorts
train side by side, as threads or as processes; the limit is that of two products side by side.
"""

from benchmarks import measure  # first: it sets the threads  # isort: skip

import argparse
import multiprocessing
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import cache, partial
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from hpsearch.cohort import Task, tasks
from hpsearch.data import Dataset, Rows, fit
from hpsearch.nn.net import Net
from hpsearch.spec import Budget, Rates, TrialSpec
from hpsearch.training import Watch, train_cohort
from hpsearch.trial import Status

NETS = ("64-50-10", "3072-50-10", "784-256-256-10", "3072-512-512-10")
BATCHES = (32, 100, 256)
COHORTS = (1, 4, 8, 16, 32, 64)
LARGEST = 10_000_000  # weights of a cohort: with gradients and velocity some 120 MB
BYTES = 64_000_000  # of raw rows: far more than the caches near the cores hold
WARM = 3  # first steps of a cohort that are not counted
STEP, SPEED = 100e-6, 50e9  # seconds and flop/s, to guess how many steps to take at once
SIDE = 2048  # of the matrices whose product is the limit
PLACES = {"1 core": (1, ThreadPoolExecutor), "2 threads": (2, ThreadPoolExecutor),
          "2 processes": (2, ProcessPoolExecutor)}  # fmt: skip


class Shape(NamedTuple):
    """A cohort: K = `trials` nets of these sizes on minibatches of `batch` rows."""

    sizes: tuple[int, ...]
    batch: int
    trials: int
    normalization: str = "none"
    dropout: float = 0.0

    @property
    def name(self) -> str:
        return f"{net_name(self.sizes)}, batch {self.batch}, K {self.trials}"


def net_name(sizes: Sequence[int]) -> str:
    return "-".join(map(str, sizes))


def sizes_of(name: str) -> tuple[int, ...]:
    sizes = tuple(map(int, name.split("-")))
    if len(sizes) < 2 or min(sizes) < 1:
        raise argparse.ArgumentTypeError(f"must be like 64-50-10, got {name}")
    return sizes


def flops(sizes: Sequence[int], batch: int) -> int:
    """Of one trial's step: three products per layer, but no gradient for the inputs."""
    weights = [i * o for i, o in pairwise(sizes)]
    return 2 * batch * (3 * sum(weights) - weights[0])


@cache
def dataset(inputs: int, classes: int) -> Dataset:
    """Random bytes with random labels, and one row for validation, so that it costs nothing."""
    rng = np.random.default_rng(0)
    n = min(50_000, BYTES // inputs)
    x, y = rng.integers(0, 256, (n, inputs), np.uint8), rng.integers(0, classes, n)
    rows = Rows(x, y)
    some, one = rows.part(slice(0, 1000)), rows.part(slice(0, 1))
    return Dataset(
        train=rows, validation=one, test=None,
        classes=tuple(map(str, range(classes))), features=tuple(map(str, range(inputs))),
        image_shape=None, preprocess=fit(some, None, "feature", "standard"), fingerprint="",
    )  # fmt: skip


def specs(shape: Shape, iterations: int) -> tuple[TrialSpec, ...]:
    """The trials of the cohort: momentum SGD with L2; the loss stays near log C, so that none
    diverges.
    """
    net = Net(shape.sizes, init_scale=0.1, normalization=shape.normalization)
    rates = Rates(1e-4, 1e-4, dropout=shape.dropout)
    return tuple(
        TrialSpec(
            "bench", k, k, 0, net, rates, shape.batch, "momentum",
            Budget(1, iterations), evaluate=False,
        )
        for k in range(shape.trials)
    )  # fmt: skip


def chosen(sizes: tuple[int, ...], batch: int) -> int:
    """The K that hpsearch itself would train this net in."""
    return max(len(t.specs) for t in tasks(specs(Shape(sizes, batch, 128), 1), jobs=1))


def rate(shape: Shape, least: float) -> float:
    """Trial-steps per second of one core, over at least so many seconds of steps."""
    data = dataset(shape.sizes[0], shape.sizes[-1])
    guess = STEP + shape.trials * flops(shape.sizes, shape.batch) / SPEED
    iterations = max(8, min(round(least / guess), len(data.train) // shape.batch)) + WARM
    task = Task(specs(shape, iterations))
    done, taken = 0, 0.0
    while taken < least:
        told: list[tuple[int, float]] = []
        watch = Watch(steps=lambda n, told=told: told.append((n, time.perf_counter())))
        results = train_cohort(task, data, watch)
        assert all(result.status is Status.DONE for result in results), "a trial diverged"
        done += sum(n for n, _ in told[WARM + 1 :])
        taken += told[-1][1] - told[WARM][1]
    return done / taken


@cache
def _matrix() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((SIDE, SIDE)).astype(np.float32)


def sgemm(least: float) -> float:
    """Floating-point operations per second of one core in large matrix products."""
    a = _matrix()
    out = np.empty_like(a)
    done, started = 0, time.perf_counter()
    while time.perf_counter() - started < least:
        np.matmul(a, a, out=out)
        done += 2 * SIDE**3
    return done / (time.perf_counter() - started)


@contextmanager
def workers(place: str) -> Iterator[list[Executor]]:
    """One executor per core, so that each does its own share."""
    number, kind = PLACES[place]
    spawn = multiprocessing.get_context("spawn")
    with ExitStack() as stack:
        make: Callable[[], Executor] = (
            partial(ProcessPoolExecutor, 1, spawn) if kind is ProcessPoolExecutor
            else partial(ThreadPoolExecutor, 1)
        )  # fmt: skip
        yield [stack.enter_context(make()) for _ in range(number)]


def together(pools: Sequence[Executor], work: Callable[..., float], *given: Any) -> dict:
    """The sum of the rates of the same work on every worker at once."""
    running = [pool.submit(work, *given) for pool in pools]
    return {"rate": sum(future.result() for future in running)}


def shapes(options: argparse.Namespace) -> list[Shape]:
    """Every cohort asked for that fits, and for each net and batch the one hpsearch chooses."""
    found = []
    for sizes in options.nets:
        most = max(1, LARGEST // Net(sizes).n_params)
        for batch in options.batches:
            wanted = {k for k in options.cohorts if k <= most} | {chosen(sizes, batch)}
            found += [Shape(sizes, batch, k) for k in sorted(wanted)]
    return found


def tables(
    wanted: Sequence[Shape], places: Sequence[str], middle: dict[str, measure.Reading]
) -> list[measure.Table]:
    """Microseconds per trial and step, and the share of the limit, in every place."""
    rows = []
    for shape in wanted:
        star = "*" if shape.trials == chosen(shape.sizes, shape.batch) else ""
        row = [net_name(shape.sizes), str(shape.batch), f"{shape.trials}{star}"]
        for place in places:
            speed = middle[f"{shape.name}, {place}"]["rate"]
            share = speed * flops(shape.sizes, shape.batch) / middle[f"sgemm, {place}"]["rate"]
            row.append(f"{1e6 / speed:,.1f} us {share:4.0%}")
        rows.append(row)
    limits = ", ".join(
        f"{middle[f'sgemm, {place}']['rate'] / 1e9:.0f} GFLOP/s ({place})" for place in places
    )
    note = (
        f"Microseconds per trial and step, and share of the sgemm rate: {limits}."
        " *: the K that hpsearch chooses."
    )
    return [measure.Table("The cohort core", ["net", "batch", "K", *places], rows, note)]


def options_of(argv: Sequence[str]) -> argparse.Namespace:
    parser = measure.parser("core", __doc__ or "")
    parser.add_argument("--nets", nargs="+", type=sizes_of, default=list(map(sizes_of, NETS)))
    parser.add_argument("--batches", nargs="+", type=measure.positive, default=list(BATCHES))
    parser.add_argument("--cohorts", nargs="+", type=measure.positive, default=list(COHORTS))
    parser.add_argument("--places", nargs="+", choices=PLACES, default=["1 core", "2 processes"])
    parser.add_argument("--least", type=float, default=0.2, help="seconds of each timing")
    return parser.parse_args(argv)


def main(argv: Sequence[str]) -> int:
    options = options_of(argv)
    wanted = shapes(options)
    with ExitStack() as stack:
        contenders: dict[str, measure.Contender] = {}
        for place in options.places:
            pools = stack.enter_context(workers(place))
            contenders[f"sgemm, {place}"] = partial(together, pools, sgemm, options.least)
            for shape in wanted:
                work = partial(together, pools, rate, shape, options.least)
                contenders[f"{shape.name}, {place}"] = work
        measure.say(f"core: {len(contenders)} contenders")
        readings = measure.alternate(contenders, options.rounds, say=measure.say)
    draw = partial(tables, wanted, options.places)
    measure.finish(measure.document("core", "core", options, readings, draw), options.out)
    return 0
