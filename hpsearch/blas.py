"""The matrix library under NumPy: one thread for each worker, its fastest kernel, and a record of
both, because both decide the last bits of every result.
"""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

THREAD_VARIABLES = (
    "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS", "VECLIB_MAXIMUM_THREADS",
)  # fmt: skip
KERNEL_VARIABLE = "OPENBLAS_CORETYPE"

# What the kernel needs that OpenBLAS calls SKYLAKEX.
AVX512 = {"avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512cd"}
CPUINFO = Path("/proc/cpuinfo")  # Linux alone has it
FIRST_CORE = 8192  # characters of it that are more than its first core's

_set_by_us: set[str] = set()


def one_thread() -> None:
    """Call before NumPy is imported: threads of its own would fight with our workers for the
    cores, and change the bits of the results with their number.
    """
    for variable in THREAD_VARIABLES:
        os.environ[variable] = "1"
        _set_by_us.add(variable)


def prepare() -> None:
    """One thread and the fastest kernel, for this process and those it starts; nothing once NumPy
    is imported, for it would have no effect here, and another one there.
    """
    if "numpy" in sys.modules:
        return
    one_thread()
    if kernel := kernel_for(_cpuinfo(), os.environ):
        os.environ[KERNEL_VARIABLE] = kernel
        _set_by_us.add(KERNEL_VARIABLE)


def kernel_for(cpuinfo: str, environment: Mapping[str, str]) -> str | None:
    """The kernel to ask OpenBLAS for, given the text of /proc/cpuinfo; None leaves it the choice.

    OpenBLAS knows AMD's processors by their family, and up to 0.3.31 that list ends at Zen 4: an
    EPYC with AVX-512 was given Haswell's kernel, half as fast. Where it does know the processor
    this asks for what it would have taken.
    """
    if KERNEL_VARIABLE in environment:
        return None
    core = dict(_fields(cpuinfo.split("\n\n", 1)[0]))
    able = set(core.get("flags", "").split()) >= AVX512
    return "SKYLAKEX" if able and core.get("vendor_id") == "AuthenticAMD" else None


def _fields(core: str) -> list[tuple[str, str]]:
    """The `name : value` lines of one core."""
    parts = (line.partition(":") for line in core.splitlines())
    return [(name.strip(), value.strip()) for name, colon, value in parts if colon]


def _cpuinfo() -> str:
    """The first core's part of the file; empty where there is none."""
    try:
        with CPUINFO.open(errors="replace") as file:
            return file.read(FIRST_CORE)
    except OSError:
        return ""


def describe() -> list[dict[str, Any]]:
    """The libraries loaded, with version, kernel and number of threads."""
    from threadpoolctl import threadpool_info

    keys = ("internal_api", "version", "architecture", "num_threads")
    return [{key: info.get(key) for key in keys} for info in threadpool_info()]


def record() -> dict[str, Any]:
    """For `run.json`: the libraries, and the variables that steer them, by whom they were set."""
    settings = {
        name: {"value": os.environ[name], "by": "hpsearch" if name in _set_by_us else "user"}
        for name in (*THREAD_VARIABLES, KERNEL_VARIABLE)
        if name in os.environ
    }
    late = not _set_by_us and "NumPy was imported before hpsearch could choose threads and kernel"
    return {"libraries": describe(), "settings": settings, **({"note": late} if late else {})}


def usable_cores() -> int:
    """The cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)  # Linux alone has it
    return len(affinity(0)) if affinity else os.cpu_count() or 1
