"""Golden files: what the oracles say, for those who have not installed them.

`python -m tests.oracle.golden` rebuilds tests/golden/<family>.npz from every golden_<family>.py
beside this file; its make() gives the arrays by name: the problem, and each member's answer.
"""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import numpy as np

Arrays = dict[str, np.ndarray]
HERE = Path(__file__).parent
FOLDER = HERE.parent / "golden"


def families() -> dict[str, Callable[[], Arrays]]:
    """The function that makes each family's arrays."""
    names = sorted(path.stem for path in HERE.glob("golden_*.py"))
    return {
        name.removeprefix("golden_"): import_module(f".{name}", __package__).make for name in names
    }


def rebuild() -> None:
    FOLDER.mkdir(exist_ok=True)
    for family, make in families().items():
        np.savez_compressed(FOLDER / f"{family}.npz", **make())


if __name__ == "__main__":
    rebuild()
