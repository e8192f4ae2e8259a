"""What a run happens in: versions, machine and matrix library; for `run.json` and `--version`."""

import os
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from hpsearch import __version__, blas
from hpsearch.executors import wanted_kind

PACKAGES = (
    "numpy", "typer", "pyyaml", "rich", "pandas", "pydantic", "threadpoolctl", "filelock",
    "plotly", "pillow", "optuna",
)  # fmt: skip


def environment() -> dict[str, Any]:
    """What, besides the config and the data, decides the bits, or explains them."""
    import numpy as np

    return {
        "hpsearch": __version__, "python": platform.python_version(), "numpy": np.__version__,
        "machine": {"system": platform.platform(), "processor": platform.machine(),
                    "cores": os.cpu_count()},
        "blas": blas.record(),
    }  # fmt: skip


def about() -> dict[str, Any]:
    """The document of `hpsearch --version --json`."""
    blas.prepare()
    kind = wanted_kind()
    executor = str(kind) if kind else "chosen by the work"
    packages = {name: _version(name) for name in PACKAGES}  # for a bug report; slow to look up
    usable = {"cores": blas.usable_cores(), "executor": executor}
    return {**environment(), "packages": packages, **usable}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def other_kernel(before: Mapping[str, Any], now: Mapping[str, Any]) -> str | None:
    """What to say where the matrix library is not the one that an earlier `run.json` names."""
    old, new = _kernels(before.get("blas")), _kernels(now.get("blas"))
    if not old or old == new:
        return None
    return (
        f"the finished trials were made with {' and '.join(old)}, here it is"
        f" {' and '.join(new) or 'another library'}: new trials may differ in their last bits"
    )


def _kernels(record: Any) -> list[str]:
    """`openblas 0.3.31 SkylakeX`, for each library; none where the record is of another kind."""
    found = record.get("libraries", []) if isinstance(record, Mapping) else record
    return sorted(
        f"{item.get('internal_api')} {item.get('version')} {item['architecture']}"
        for item in (found if isinstance(found, list) else [])
        if isinstance(item, Mapping) and item.get("architecture")
    )
