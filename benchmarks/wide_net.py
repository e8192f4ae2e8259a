"""One wide net: an epoch of 3072-512-512-10 on one core, against PyTorch.

Both train one net by momentum SGD with L2 on random rows, each pinned to the same core: with
batch norm before each hidden activation and a dropout of one half behind it, or plain. Ours
gathers and preprocesses bytes, PyTorch indexes rows that are float32 already.
"""

from benchmarks import measure  # first: it sets the threads  # isort: skip

import os
from collections.abc import Sequence
from functools import partial

from benchmarks.core import Shape, net_name, rate
from benchmarks.process import answer, environment, peer, run

SIZES = (3072, 512, 512, 10)
BATCH = 128
ROWS = 50_000
TARGET = 2.0
OURS = "hpsearch"


def ours(plain: bool, least: float) -> measure.Reading:
    """Seconds per epoch, from at least so many seconds of steps."""
    shape = Shape(SIZES, BATCH, 1) if plain else Shape(SIZES, BATCH, 1, "batch", 0.5)
    return {"epoch": steps() / rate(shape, least)}


def steps() -> int:
    return -(-ROWS // BATCH)


def torch(plain: bool, threads: int) -> measure.Reading:
    """Seconds of an epoch in a fresh process."""
    work = {"sizes": SIZES, "batch": BATCH, "train_rows": ROWS, "threads": threads,
            "plain": plain}  # fmt: skip
    found = answer(run(peer("peer_torch", work), env=environment(threads)))
    return {"epoch": found["ended"] - found["begun"]}


def tables(plain: bool, middle: dict[str, measure.Reading]) -> list[measure.Table]:
    """Seconds per epoch, and against ours."""
    rows = [
        [name, measure.seconds(r["epoch"]), f"{r['epoch'] / steps() * 1e3:.2f} ms",
         measure.ratio(r["epoch"] / middle[OURS]["epoch"])]
        for name, r in middle.items()
    ]  # fmt: skip
    kind = "plain" if plain else "batch norm, dropout"
    title = f"{net_name(SIZES)}, {kind}, batch {BATCH}, {ROWS:,} rows, one core"
    columns = ["contender", "an epoch", "a step", "of ours"]
    return [measure.Table(title, columns, rows, f"Target: {TARGET:g}x.")]


def main(argv: Sequence[str]) -> int:
    parser = measure.parser("wide_net", __doc__ or "")
    parser.add_argument("--plain", action="store_true", help="without batch norm and dropout")
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2], help="of PyTorch")
    parser.add_argument("--least", type=float, default=2.0, help="seconds of steps of ours")
    options = parser.parse_args(argv)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    contenders: dict[str, measure.Contender] = {OURS: partial(ours, options.plain, options.least)}
    for threads in options.threads:
        contenders[f"torch, threads {threads}"] = partial(torch, options.plain, threads)
    readings = measure.alternate(contenders, options.rounds, say=measure.say)
    name = "wide_net_plain" if options.plain else "wide_net"
    shown = partial(tables, options.plain)
    result = measure.document("wide_net", name, options, readings, shown)
    measure.finish(result, options.out)
    return 0
