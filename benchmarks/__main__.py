"""`python -m benchmarks`: the list; `python -m benchmarks NAME [options]`: one of them."""

import importlib
import json
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from benchmarks import measure

NAMES = ("core", "parts", "search", "memory", "startup", "jobs", "mixed", "wide_net", "scale",
         "audit", "alarms", "edges", "halving")  # fmt: skip
# No peers needed, two minutes together.
SHORT: tuple[tuple[str, ...], ...] = (
    ("startup",),
    ("core", "--nets", "64-50-10", "3072-50-10", "784-256-256-10", "--batches", "100",
     "--cohorts", "1", "--least", "0.1"),
    ("jobs", "--trials", "100"),
    ("mixed", "--trials", "48", "--widths", "25", "100", "--batches", "100"),
)  # fmt: skip
START, END = "<!-- results -->\n", "<!-- end of results -->\n"


def listing() -> str:
    """Every benchmark with one line, and what else there is."""
    lines = ["python -m benchmarks NAME [options]; NAME --help says which", ""]
    for name in available():
        about = (importlib.import_module(f"benchmarks.{name}").__doc__ or "").splitlines()[0]
        lines.append(f"  {name:<10}{about}")
    lines += ["", "  short     those that take seconds, one after the other (make bench)"]
    lines += ["  table     the results as Markdown; --write puts them into benchmarks/README.md"]
    return "\n".join(lines)


def available() -> list[str]:
    return [name for name in NAMES if find_spec(f"benchmarks.{name}")]


def results(folder: Path) -> str:
    """The tables of every JSON document in `folder`, as Markdown, in the order of NAMES."""
    files = sorted(folder.glob("*.json"), key=lambda file: (_place(file.stem), file.stem))
    documents = [json.loads(file.read_text("utf-8")) for file in files]
    parts = [f"### {document['title']}\n\n{measure.markdown(document)}" for document in documents]
    return "\n".join(parts) or "None yet: `python -m benchmarks NAME` makes them.\n"


def _place(stem: str) -> int:
    name = stem.split("-")[0]
    return NAMES.index(name) if name in NAMES else len(NAMES)


def written_into(readme: str, tables: str) -> str:
    """`readme` with the tables between its two marks."""
    before, rest = readme.split(START)
    return before + START + "\n" + tables + "\n" + END + rest.split(END)[1]


def table(argv: Sequence[str]) -> int:
    quick, write = "--quick" in argv, "--write" in argv
    tables = results(measure.QUICK if quick else measure.RESULTS)
    if write:
        path = Path(__file__).with_name("README.md")
        path.write_text(written_into(path.read_text("utf-8"), tables), "utf-8")
    else:
        print(tables, end="")
    return 0


def short() -> int:
    """The short ones; their results are to look at."""
    for name, *options in SHORT:
        run = importlib.import_module(f"benchmarks.{name}").main
        run([*options, "--out", str(measure.QUICK)])
        print()
    return 0


def main(argv: Sequence[str]) -> int:
    name, *rest = argv or [""]
    if name in ("", "-h", "--help"):
        print(listing())
        return 0
    if name == "table":
        return table(rest)
    if name == "short":
        return short()
    if name not in available():
        print(f"no benchmark {name}\n\n{listing()}", file=sys.stderr)
        return 2
    return int(importlib.import_module(f"benchmarks.{name}").main(rest) or 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
