"""What the shell offers while a command is being typed."""

import os
from pathlib import Path

import typer


def complete_runs(context: typer.Context, incomplete: str) -> list[str]:
    """Runs and bundled configs."""
    from hpsearch.config.find import bundled, runs

    names = sorted({*runs(_runs_dir(context)), *bundled()})
    return [name for name in names if name.startswith(incomplete) and name.isprintable()]


def complete_keys(incomplete: str) -> list[str]:
    """The keys of a run's cells, with a `-` before them too."""
    sign = "-" if incomplete.startswith("-") else ""
    return [sign + key for key in _keys(incomplete.removeprefix("-"))]


def complete_columns(incomplete: str) -> list[str]:
    """The same, after the last comma."""
    before, comma, last = incomplete.rpartition(",")
    return [f"{before}{comma}{key}" for key in _keys(last)]


def _keys(incomplete: str) -> list[str]:
    """Those of the config only once its section is begun: there are many."""
    from hpsearch.report.listing import KEYS, all_keys

    found = [key for key in KEYS if key.startswith(incomplete)]
    return found or sorted(key for key in all_keys() if key.startswith(incomplete))


def _runs_dir(context: typer.Context) -> Path:
    return Path(context.params.get("runs_dir") or os.environ.get("HPSEARCH_RUNS_DIR") or "runs")
