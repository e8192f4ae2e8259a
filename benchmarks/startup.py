"""Starting up: `hpsearch --help` against `import typer`, and `hpsearch sanity`."""

from benchmarks import measure  # first: it sets the threads  # isort: skip

import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.process import hpsearch, python, run

TARGET, LONGEST = 2.0, 0.150  # of --help: times `import typer`, and seconds
COMMANDS = {
    "python -c pass": python("-c", "pass"),
    "python -c 'import typer'": python("-c", "import typer"),
    "hpsearch --help": hpsearch("--help"),
    "hpsearch sanity": hpsearch("sanity"),
}


def timed(command: Sequence[str]) -> measure.Reading:
    """Seconds of the command in an empty folder."""
    with tempfile.TemporaryDirectory(prefix="hpsearch-bench-") as folder:
        return {"whole": run(command, cwd=Path(folder)).seconds}


def tables(middle: dict[str, measure.Reading]) -> list[measure.Table]:
    """Each command's time, alone and against `import typer`."""
    typer = middle["python -c 'import typer'"]["whole"]
    rows = [
        [name, measure.seconds(reading["whole"]), measure.ratio(reading["whole"] / typer)]
        for name, reading in middle.items()
    ]
    note = f"Target for --help: below {TARGET:g}x, and below {measure.seconds(LONGEST)}."
    return [measure.Table("Starting up", ["command", "time", "of import typer"], rows, note)]


def main(argv: Sequence[str]) -> int:
    options = measure.parser("startup", __doc__ or "", rounds=11).parse_args(argv)
    for command in COMMANDS.values():
        timed(command)  # files into the page cache, modules compiled
    contenders = {name: lambda c=command: timed(c) for name, command in COMMANDS.items()}
    readings = measure.alternate(contenders, options.rounds)
    measure.finish(measure.document("startup", "startup", options, readings, tables), options.out)
    return 0
