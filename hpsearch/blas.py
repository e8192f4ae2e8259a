"""The matrix library under NumPy: one thread for each worker, and a record of what was used."""

import os
from typing import Any

THREAD_VARIABLES = (
    "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS", "VECLIB_MAXIMUM_THREADS",
)  # fmt: skip


def one_thread() -> None:
    """Call before NumPy is imported: threads of its own would fight with our workers for the
    cores, and change the bits of the results with their number.
    """
    for variable in THREAD_VARIABLES:
        os.environ[variable] = "1"


def describe() -> list[dict[str, Any]]:
    """The libraries loaded, with version, kernel and number of threads, for `run.json`."""
    from threadpoolctl import threadpool_info

    keys = ("internal_api", "version", "architecture", "num_threads")
    return [{key: info.get(key) for key in keys} for info in threadpool_info()]
