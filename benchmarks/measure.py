"""What every benchmark shares: facts, alternating rounds, medians, tables, the JSON document.

Import it before NumPy: it sets one BLAS thread for this process. Child processes begin with the
environment that the user gave (`benchmarks.ENVIRONMENT`).
"""

from hpsearch.blas import describe, prepare

prepare()

import argparse  # noqa: E402
import importlib.metadata  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402
import platform  # noqa: E402
import statistics  # noqa: E402
import subprocess  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
from collections.abc import Callable, Mapping, Sequence  # noqa: E402
from datetime import UTC, datetime  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any, NamedTuple  # noqa: E402

from rich import box  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.table import Table as RichTable  # noqa: E402

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
QUICK = RESULTS / "quick"  # fewer rounds than ENOUGH: to look at, not to keep
ENOUGH = 5
WIDTH = 100
PACKAGES = ("hpsearch", "numpy", "scikit-learn", "optuna", "torch")

Reading = dict[str, float]
Readings = dict[str, list[Reading]]
Contender = Callable[[], Reading]


class Table(NamedTuple):
    """Rows of text under `columns`; `note` says how to read them."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""


def facts() -> dict[str, Any]:
    """The machine and the versions that a result depends on."""
    import numpy  # noqa: F401  so that its BLAS is loaded and can be described

    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if _LINUX else os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "python": platform.python_version(),
        "packages": {name: version for name in PACKAGES if (version := _version(name))},
        "commit": _commit(),
        "blas": describe(),
    }


_LINUX = hasattr(os, "sched_getaffinity")


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    named = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.machine()


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _commit() -> str | None:
    """The commit measured, "+" after it where files have changed since."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty=+", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def alternate(
    contenders: Mapping[str, Contender], rounds: int, *,
    going_on: Callable[[Readings], Sequence[str]] | None = None,
    say: Callable[[str], None] | None = None,
) -> Readings:  # fmt: skip
    """Each contender once per round, every other round backwards, so that a drift of the machine
    meets all alike. `going_on`, asked after each round, names those that stay.
    """
    readings: Readings = {name: [] for name in contenders}
    staying = list(contenders)
    for number in range(rounds):
        started = time.perf_counter()
        for name in staying if number % 2 == 0 else reversed(staying):
            readings[name].append(contenders[name]())
        if say:
            say(f"round {number + 1} of {rounds}: {time.perf_counter() - started:.0f} s")
        if going_on:
            still = going_on(readings)
            staying = [name for name in staying if name in still]
    return readings


def medians(readings: Readings) -> dict[str, Reading]:
    """The median of every number of every contender."""
    return {
        name: {key: statistics.median(reading[key] for reading in many) for key in many[0]}
        for name, many in readings.items()
        if many
    }


def fastest(middle: Mapping[str, Reading], names: Sequence[str], key: str) -> str:
    """Which of `names` has the smallest median of `key`."""
    return min(names, key=lambda name: middle[name][key])


def document(
    name: str, title: str, options: argparse.Namespace, readings: Readings,
    tables: Callable[[dict[str, Reading]], list[Table]],
) -> dict[str, Any]:  # fmt: skip
    """All of a benchmark: facts, single readings, medians, and the tables drawn from these."""
    middle = medians(readings)
    given = {key: v.name if isinstance(v, Path) else v for key, v in vars(options).items()}
    given.pop("out", None)
    return {
        "name": name, "title": title, "facts": facts(), "options": given,
        "rounds": max(map(len, readings.values())), "readings": readings, "medians": middle,
        "tables": [table._asdict() for table in tables(middle)],
    }  # fmt: skip


def parser(module: str, about: str, *, rounds: int = ENOUGH) -> argparse.ArgumentParser:
    """The options that every benchmark takes."""
    made = argparse.ArgumentParser(
        prog=f"python -m benchmarks {module}", description=about,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )  # fmt: skip
    made.add_argument("--rounds", type=positive, default=rounds, help="rounds to take medians of")
    made.add_argument(
        "--out", type=Path, default=None, metavar="FOLDER",
        help=f"where the JSON goes; results/, or results/quick/ below {ENOUGH} rounds",
    )  # fmt: skip
    return made


def positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {number}")
    return number


def say(text: str) -> None:
    """A line of progress, on stderr."""
    print(text, file=sys.stderr, flush=True)


def finish(result: Mapping[str, Any], out: Path | None) -> None:
    """Prints the tables and writes the document as JSON."""
    folder = out or (RESULTS if result["rounds"] >= ENOUGH else QUICK)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{result['name']}.json"
    path.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    console = Console(width=WIDTH, highlight=False)
    show(result, console)
    shown = path.resolve()
    shown = shown.relative_to(ROOT) if shown.is_relative_to(ROOT) else shown
    console.print(f"written: {shown}", soft_wrap=True, markup=False)


def show(result: Mapping[str, Any], console: Console) -> None:
    """A document's tables on a terminal."""
    console.print(machine(result["facts"]), style="dim", markup=False)
    for table in _tables(result):
        console.print()
        console.print(table.title, style="bold", markup=False)
        drawn = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
        for number, column in enumerate(table.columns):
            drawn.add_column(column, justify="left" if number == 0 else "right")
        for row in table.rows:
            drawn.add_row(*row)
        console.print(drawn)
        if table.note:
            console.print(table.note, style="dim", markup=False)


def markdown(result: Mapping[str, Any]) -> str:
    """A document's tables as Markdown, with the machine below."""
    parts = []
    for table in _tables(result):
        sides = [":--"] + ["--:"] * (len(table.columns) - 1)
        lines = ["| " + " | ".join(cells) + " |" for cells in (table.columns, sides, *table.rows)]
        parts += [f"**{table.title}**", "\n".join(lines)]
        parts += [table.note] if table.note else []
    rounds = result["rounds"]
    quick = "" if rounds >= ENOUGH else " (a quick run, not to be quoted)"
    basis = result.get("basis") or f"Medians of {rounds} alternating rounds{quick}"
    parts.append(f"{basis}; {machine(result['facts'])}.")
    return "\n\n".join(parts) + "\n"


def machine(facts: Mapping[str, Any]) -> str:
    """The facts in a line or two."""
    libraries = {
        f"{b['internal_api']} {b['version']} {b['architecture']}, threads {b['num_threads']}"
        for b in facts["blas"]
    }
    packages = ", ".join(f"{name} {version}" for name, version in facts["packages"].items())
    return (
        f"{facts['date'][:10]}, {facts['processor']}, {facts['cores']} cores,"
        f" {'; '.join(sorted(libraries))}, Python {facts['python']}, {packages},"
        f" commit {facts['commit']}"
    )


def _tables(result: Mapping[str, Any]) -> list[Table]:
    return [Table(**table) for table in result["tables"]]


def seconds(value: float) -> str:
    """3 figures, in s or ms."""
    return f"{value:.3g} s" if value >= 1 else f"{value * 1e3:.3g} ms"


def ratio(value: float) -> str:
    return f"{value:.2f}x"
