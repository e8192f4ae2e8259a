"""The smallest run that has everything: all stages, halving, `final`; and what it leaves."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.main import get_command
from typer.testing import CliRunner, Result

from hpsearch.cli import app

CONFIG = """
name: tiny
data: {source: npz, path: data.npz, split: {validation: 20, test: 20}}
model: {hidden: [5]}
train: {batch_size: 25}
overfit: {examples: 6, epochs: 60}
sweep: {learning_rates: [0.1, 0.01], iterations: 20}
search:
  space: {learning_rate: {log_uniform: [1e-2, 1]}}
  coarse: {trials: 4, epochs: 1}
  refine: {trials: 4, epochs: 2, rounds: 1, halving: {eta: 2, min_epochs: 1}}
final: {top: 1, seeds: 2}
"""
TRIALS = 4 + 4 + 2


def config_in(folder: Path) -> Path:
    """The config in a folder, with its data."""
    rng = np.random.default_rng(0)
    y = np.arange(90) % 3
    np.savez(folder / "data.npz", x=rng.normal(size=(90, 4)) + y[:, None] * 2, y=y)
    (folder / "tiny.yaml").write_text(CONFIG)
    return folder / "tiny.yaml"


def run(config: Path, runs: Path, *words: str, jobs: int = 1) -> Result:
    """`hpsearch run`, or another command, here in this process."""
    given = words or ("run", str(config), "--json", "--quiet")
    return CliRunner().invoke(app, [*given, "--runs-dir", str(runs), "--jobs", str(jobs)])


COMMAND = get_command(app)


def quickly(patch: pytest.MonkeyPatch) -> None:
    """No workers, a page that takes no time, and a command line that is made once."""
    patch.setenv("HPSEARCH_EXECUTOR", "in-process")
    patch.setattr("hpsearch.report.page.page", lambda store: f"<html>{store.name}</html>")
    patch.setattr("typer.testing._get_command", lambda app: COMMAND)


def left_by(runs: Path) -> dict[str, Any]:
    """Every file with its content, but for what a clock decides."""
    return {str(path.relative_to(runs)): _untimed(path) for path in _files(runs)}


def trials_in(runs: Path) -> dict[str, bytes]:
    """The finished trials as they lie there."""
    found = [path for path in _files(runs) if path.parent.name == "trials" and path.stem.isdigit()]
    return {str(path.relative_to(runs)): path.read_bytes() for path in found}


def _files(runs: Path) -> Iterator[Path]:
    yield from (p for p in sorted(runs.rglob("*")) if p.is_file() and p.name != ".lock")


def _untimed(path: Path) -> Any:
    if path.suffix == ".json":
        record = json.loads(path.read_bytes())
        if record.pop("train_seconds", None) is not None:
            del record["checksum"]
        return record
    if path.name == "trials.csv":
        return [line.rsplit(",", 1)[0] for line in path.read_text().splitlines()]
    return path.read_bytes()
