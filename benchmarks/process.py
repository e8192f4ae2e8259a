"""Child processes, each with the environment that the user gave, timed from start to end."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import ENVIRONMENT
from benchmarks.measure import ROOT
from hpsearch.blas import THREAD_VARIABLES


@dataclass(frozen=True)
class Finished:
    """A child process that ended well; times in s."""

    seconds: float
    stdout: str
    stderr: str


def environment(threads: int | None = None, **extra: str) -> dict[str, str]:
    """The user's environment, this package importable, so many BLAS threads where they are set.

    Byte code may be kept: an installed package has it, and starts 0.15 s sooner for it.
    """
    found = ENVIRONMENT | extra
    found.pop("PYTHONDONTWRITEBYTECODE", None)
    found["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), found.get("PYTHONPATH")]))
    if threads is not None:
        found |= dict.fromkeys(THREAD_VARIABLES, str(threads))
    return found


def run(
    command: Sequence[str], *, cwd: Path = ROOT, env: Mapping[str, str] | None = None
) -> Finished:
    """Runs it to its end; RuntimeError with its last words where it fails."""
    started = time.perf_counter()
    done = subprocess.run(
        command, cwd=cwd, env=env or environment(), capture_output=True, text=True
    )
    taken = time.perf_counter() - started
    if done.returncode:
        raise RuntimeError(
            f"{' '.join(command)}: ended with {done.returncode}\n{done.stderr[-2000:]}"
        )
    return Finished(taken, done.stdout, done.stderr)


def python(*words: str) -> list[str]:
    return [sys.executable, *words]


def hpsearch(*words: str) -> list[str]:
    """The command as users have it: the console script, where this Python has one."""
    script = Path(sys.executable).with_name("hpsearch")
    return [str(script), *words] if script.exists() else python("-m", "hpsearch", *words)


def peer(module: str, work: Mapping[str, Any]) -> list[str]:
    """A peer's script, its work as one JSON argument."""
    return python("-m", f"benchmarks.{module}", json.dumps(work))


def answer(done: Finished) -> dict[str, Any]:
    """What a peer's script printed on its last line."""
    return dict(json.loads(done.stdout.strip().splitlines()[-1]))
