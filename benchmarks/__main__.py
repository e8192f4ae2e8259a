"""`make bench`: how near the cohort core comes to this machine's limit in matrix products.

For each network: microseconds per trial and step (gather, forward, backward, update, no
evaluation) alone and in a cohort, and the share of the single-core sgemm rate that the
arithmetic of its matrix products amounts to. Rounds alternate; medians are shown.
"""

from hpsearch.blas import describe, one_thread

one_thread()

import platform  # noqa: E402
import statistics  # noqa: E402
import time  # noqa: E402
from collections.abc import Callable  # noqa: E402

import numpy as np  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402

from hpsearch.cohort import cohort_size  # noqa: E402
from hpsearch.lockstep import Lockstep  # noqa: E402
from hpsearch.nn.mlp import Net  # noqa: E402
from hpsearch.trial import Budget, Rates, TrialSpec  # noqa: E402

ROUNDS = 5
NETS = {"digits": (64, 50, 10), "CIFAR-10": (3072, 50, 10), "deep": (784, 256, 256, 10)}
BATCH = 100


def seconds(work: Callable[[], object], times: int) -> float:
    started = time.perf_counter()
    for _ in range(times):
        work()
    return (time.perf_counter() - started) / times


def stepper(sizes: tuple[int, ...], trials: int) -> Callable[[], object]:
    """A step of a cohort of so many trials on one random minibatch."""
    specs = [
        TrialSpec("bench", k, k, 0, Net(sizes), Rates(1e-3, 1e-4), BATCH, "momentum", Budget(1))
        for k in range(trials)
    ]
    rng = np.random.default_rng(0)
    x = rng.standard_normal((BATCH, sizes[0])).astype(np.float32)
    y = rng.integers(0, sizes[-1], BATCH)
    cohort = Lockstep(specs)
    return lambda: cohort.step(x, y, 0.0)


def flops(sizes: tuple[int, ...]) -> int:
    """Of one trial's step: three products per layer, but no gradient for the inputs."""
    weights = Net(sizes).n_weights
    return 2 * BATCH * (3 * weights - sizes[0] * sizes[1])


def main() -> None:
    a = np.random.default_rng(0).standard_normal((2048, 2048)).astype(np.float32)
    works = {(name, k): stepper(sizes, k) for name, sizes in NETS.items()
             for k in (1, cohort_size(Net(sizes).n_params))}  # fmt: skip
    measured: dict[object, list[float]] = {key: [] for key in ("sgemm", *works)}
    for _ in range(ROUNDS):
        measured["sgemm"].append(seconds(lambda: a @ a, 2))
        for key, work in works.items():
            measured[key].append(seconds(work, max(3, 60 // key[1])))
    limit = 2 * 2048**3 / statistics.median(measured["sgemm"])
    table = Table("net", "K", "us per trial and step", "of sgemm", box=None)
    for (name, k), _ in works.items():
        each = statistics.median(measured[name, k]) / k
        share = flops(NETS[name]) / each / limit
        table.add_row(f"{name} {NETS[name]}", str(k), f"{each * 1e6:.0f}", f"{share:.0%}")
    console = Console(width=100, highlight=False)
    console.print(f"{platform.machine()}, numpy {np.__version__}, {describe()}")
    console.print(f"sgemm 2048^3 on one core: {limit / 1e9:.0f} GFLOP/s")
    console.print(table)


if __name__ == "__main__":
    main()
