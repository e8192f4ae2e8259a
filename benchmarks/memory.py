"""Memory: the peak of a search on CIFAR-10, all its processes, against the raw data."""

from benchmarks import measure  # first: it sets the threads  # isort: skip

import os
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from benchmarks import searches
from benchmarks.process import environment

MB = 1e6
FACTOR, MARGIN = 2, 250 * MB  # the target: so many times the raw bytes, and so much more
EVERY = 0.02  # seconds between two looks


class Usage(NamedTuple):
    """Bytes at the peak: the process tree's share (PSS), that without file pages, and the
    largest resident set of any one process.
    """

    pss: float
    own: float
    rss: float


def tree(root: int, parents: Mapping[int, int]) -> list[int]:
    """`root` and all that descend from it, by the table of parents."""
    found = [root]
    for process in found:
        found += [child for child, parent in parents.items() if parent == process]
    return found


def parents() -> dict[int, int]:
    """Each process's parent, from /proc."""
    table = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                # The name in brackets may hold spaces and brackets of its own.
                table[int(folder.name)] = int(
                    (folder / "stat").read_text("utf-8", "replace").rsplit(")", 1)[1].split()[1]
                )
            except OSError:
                continue  # it has ended
    return table


def rollup(text: str) -> dict[str, int]:
    """Bytes by name, of a smaps_rollup."""
    pairs = (line.split(":") for line in text.splitlines()[1:])
    return {name: int(value.split()[0]) * 1024 for name, value in pairs}


def used(processes: Iterable[int]) -> tuple[float, float]:
    """(PSS, PSS without pages of files) in bytes, summed over the processes."""
    pss = own = 0
    for process in processes:
        try:
            sizes = rollup(Path(f"/proc/{process}/smaps_rollup").read_text("utf-8"))
        except OSError:
            continue  # it has ended
        pss += sizes.get("Pss", 0)
        own += sizes.get("Pss", 0) - sizes.get("Pss_File", 0)
    return float(pss), float(own)


def watched(command: Sequence[str], cwd: Path, env: Mapping[str, str]) -> Usage:
    """The peak of the command and of all that it starts, while it runs."""
    with (
        (cwd / "output").open("wb") as output,
        subprocess.Popen(command, cwd=cwd, env=env, stdout=output, stderr=output) as child,
    ):
        pss = own = 0.0
        while True:
            ended, status, resources = os.wait4(child.pid, os.WNOHANG)
            if ended:
                break
            now = used(tree(child.pid, parents()))
            pss, own = max(pss, now[0]), max(own, now[1])
            time.sleep(EVERY)
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise RuntimeError((cwd / "output").read_text("utf-8", "replace")[-2000:])
    return Usage(pss, own, resources.ru_maxrss * 1024.0)


def measured(search: searches.Search, jobs: int | None, kind: str) -> measure.Reading:
    with searches.prepared(search, jobs) as (command, folder):
        env = environment(**searches.EXECUTORS[kind])
        usage = watched(command, folder.parents[1], env)
        searches.outcome(folder, 0.0, jobs=jobs)
    return {f"{name} bytes": value for name, value in usage._asdict().items()}


def tables(
    search: searches.Search, raw: int, middle: dict[str, measure.Reading]
) -> list[measure.Table]:
    """The peaks in MB, and against the target."""
    target = FACTOR * raw + MARGIN
    columns = ["workers", "tree, PSS", "without file pages", "largest RSS", "PSS of the target"]
    megabytes: Callable[[float], str] = "{:,.0f} MB".format
    rows = [
        [kind, *(megabytes(r[f"{name} bytes"] / MB) for name in Usage._fields),
         f"{r['pss bytes'] / target:.0%}"]
        for kind, r in middle.items()
    ]  # fmt: skip
    note = (
        f"Raw data {megabytes(raw / MB)}; target {FACTOR} x that + {megabytes(MARGIN / MB)}"
        f" = {megabytes(target / MB)}. File pages: mapped files that the system may drop."
    )
    title = f"Peak memory: {search.trials} trials x {search.epochs} epochs on {search.dataset}"
    return [measure.Table(title, columns, rows, note)]


def main(argv: Sequence[str]) -> int:
    parser = searches.options(
        measure.parser("memory", __doc__ or ""), trials=(32, 32), dataset="cifar10"
    )
    parser.add_argument("--jobs", type=measure.positive, default=None, help="default: all cores")
    options = searches.complete(parser.parse_args(argv), trials=(32, 32))
    search = searches.asked(options)
    raw = searches.raw_bytes(search)
    contenders = {
        kind: partial(measured, search, options.jobs, kind) for kind in searches.EXECUTORS
    }
    readings = measure.alternate(contenders, options.rounds, say=measure.say)
    draw = partial(tables, search, raw)
    measure.finish(measure.document("memory", "memory", options, readings, draw), options.out)
    return 0
