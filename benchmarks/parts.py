"""Where the time of a step goes, part by part, on one core.

The parts are timed inside the real training loop, by a clock around each of its functions, on the
digits and on rows of CIFAR-10's size. The products' own speed stands beside the sgemm rate.
"""

from benchmarks import measure  # first: it sets the threads  # isort: skip

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

from benchmarks.core import Shape, chosen, dataset, sgemm, sizes_of, specs
from hpsearch import lockstep, training
from hpsearch.cohort import Task
from hpsearch.data import Dataset
from hpsearch.nn import mlp
from hpsearch.nn.optimizers import Linear
from hpsearch.recorder import Recorder
from hpsearch.training import Watch, train_cohort

# What is timed: where it is found, its name there, and the part it is, or the larger one's that
# it is taken out of.
CLOCKS: tuple[tuple[Any, str, str, str | None], ...] = (
    (Dataset, "batch", "gather the minibatch, preprocess", None),
    (lockstep, "batch", "gather the minibatch, preprocess", None),
    (lockstep, "forward", "forward: later layers, biases, activations", None),
    (mlp, "project", "first layer's product, forward",
     "forward: later layers, biases, activations"),
    (lockstep, "softmax_cross_entropy", "softmax and loss", None),
    (lockstep, "backward", "backward: later layers, biases, activations", None),
    (mlp, "correlate", "first layer's product, backward",
     "backward: later layers, biases, activations"),
    (Linear, "apply", "update", None),
    (Recorder, "loss", "record and watch the losses", None),
)  # fmt: skip
REST = "all else, calls included"
ITERATIONS = 140
Times = dict[str, float]


@contextmanager
def clocks() -> Iterator[Times]:
    """Seconds spent in each part since; nothing is timed any more on leaving."""
    spent: Times = defaultdict(float)
    with ExitStack() as undo:
        for owner, name, part, outer in CLOCKS:
            plain = getattr(owner, name)
            setattr(owner, name, _timed(plain, spent, part, outer))
            undo.callback(setattr, owner, name, plain)
        yield spent


def _timed(plain: Callable[..., Any], spent: Times, part: str, outer: str | None) -> Any:
    def timed(*args: Any, **kwargs: Any) -> Any:
        started = time.perf_counter()
        result = plain(*args, **kwargs)
        taken = time.perf_counter() - started
        spent[part] += taken
        if outer:
            spent[outer] -= taken
        return result

    return timed


def reading(net: str, batch: int, least: float) -> measure.Reading:
    """Microseconds per trial and step of every part, and flop/s of the first layer's products."""
    sizes = sizes_of(net)
    shape = Shape(sizes, batch, chosen(sizes, batch))
    data = dataset(sizes[0], sizes[-1])
    steps = min(ITERATIONS, len(data.train) // batch)
    task = Task(specs(shape, steps))
    train_cohort(task, data, Watch())
    with clocks() as spent:
        started, done = time.perf_counter(), 0
        while time.perf_counter() - started < least:
            done += sum(result.step for result in training.train_cohort(task, data, Watch()))
        whole = time.perf_counter() - started
    each = {part: seconds / done * 1e6 for part, seconds in spent.items()}
    each[REST] = whole / done * 1e6 - sum(each.values())
    flop = 2 * batch * sizes[0] * sizes[1] * 1e6
    rates = {part: flop / each[part] for part in each if part.startswith("first layer")}
    return {**each, **{f"{part}, flop/s": rate for part, rate in rates.items()}}


def tables(nets: Sequence[str], batch: int, middle: dict[str, measure.Reading]) -> list[Any]:
    """A table per net: us, share of the step, share of the sgemm rate where it is a product."""
    limit = middle["sgemm"]["flop/s"]
    found = []
    for net in nets:
        parts = {k: v for k, v in middle[net].items() if not k.endswith("flop/s")}
        whole = sum(parts.values())
        rows = [
            [part, f"{us:,.1f} us", f"{us / whole:.0%}", _share(middle[net], part, limit)]
            for part, us in sorted(parts.items(), key=lambda item: -item[1])
        ]
        rows.append(["together", f"{whole:,.1f} us", "100%", ""])
        title = f"Parts of a step: {net}, batch {batch}, K {chosen(sizes_of(net), batch)}"
        columns = ["part", "a trial's step", "share", "of sgemm"]
        note = f"One core; its sgemm rate in the same run: {limit / 1e9:.0f} GFLOP/s."
        found.append(measure.Table(title, columns, rows, note))
    return found


def _share(times: measure.Reading, part: str, limit: float) -> str:
    rate = times.get(f"{part}, flop/s")
    return f"{rate / limit:.0%}" if rate else ""


def main(argv: Sequence[str]) -> int:
    parser = measure.parser("parts", __doc__ or "")
    parser.add_argument("--nets", nargs="+", default=["64-50-10", "3072-50-10"])
    parser.add_argument("--batch", type=measure.positive, default=100)
    parser.add_argument("--least", type=float, default=1.0, help="seconds of each timing")
    options = parser.parse_args(argv)
    contenders: dict[str, Callable[[], measure.Reading]] = {
        net: partial(reading, net, options.batch, options.least) for net in options.nets
    }
    contenders["sgemm"] = lambda: {"flop/s": sgemm(options.least)}
    readings = measure.alternate(contenders, options.rounds, say=measure.say)
    draw = partial(tables, options.nets, options.batch)
    measure.finish(measure.document("parts", "parts", options, readings, draw), options.out)
    return 0
