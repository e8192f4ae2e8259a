"""The machine: versions, matrix library, cores, memory and disk."""

import os
import platform
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

from hpsearch import blas
from hpsearch.atomic import write_atomically
from hpsearch.data import cache
from hpsearch.environment import environment
from hpsearch.errors import HostError
from hpsearch.verdict import Check, Verdict

LEAST_SPACE = 200e6  # bytes free on the disk; weights and the page are the largest of a run
LEAST_MEMORY = 500e6  # bytes available; workers share the data, but each loads NumPy
SLOWEST = 0.05  # seconds for a small record, written and synced; a local disk takes 0.001
RECORDS, LARGE = 20, 4_000_000  # small files written, and bytes of the large one
OURS, OLD = ".doctor-", 60.0  # a file's name, and seconds after which nobody writes it any more
EXTRAS = {"optuna": ("optuna", "search.sampler: tpe"), "PIL": ("images", "folders of images")}


def machine_checks(runs_dir: Path) -> Iterator[Check]:
    """What hpsearch needs of the machine, and how fast it writes where the runs are."""
    yield _versions()
    yield _library()
    yield _cores()
    yield _memory()
    yield _extras()
    there = next(p for p in (runs_dir.absolute(), *runs_dir.absolute().parents) if p.exists())
    yield _space(there)
    yield _writes(there)
    yield from _cache()


def _versions() -> Check:
    found = environment()
    said = f"hpsearch {found['hpsearch']}, Python {found['python']}, numpy {found['numpy']}"
    said = f"{said}, {platform.system()} {platform.machine()}"
    return Check("versions", Verdict.PASS, found["numpy"], None, said)


def _library() -> Check:
    record = blas.record()
    libraries = [
        f"{each['internal_api']} {each['version']} {each['architecture']}"
        for each in record["libraries"]
    ]
    said = f"{', '.join(libraries) or 'unknown'}"
    threads = max((each["num_threads"] or 1 for each in record["libraries"]), default=1)
    alone = threads == 1
    words = f"{said}, {threads} thread{'' if alone else 's'} per worker"
    fix = "" if alone else "OPENBLAS_NUM_THREADS=1: workers share the cores, and threads the bits"
    return Check("matrix-library", _warn(alone), threads, 1, words, fix)


def _cores() -> Check:
    usable, there = blas.usable_cores(), os.cpu_count() or 1
    return Check("cores", Verdict.PASS, usable, there, f"{usable} of {there} may be used")


def _memory() -> Check:
    """Unknown passes: it is told by Linux alone."""
    free = _available()
    if free is None:
        return Check("memory", Verdict.PASS, None, None, "how much is free is not known here")
    fix = "fewer --jobs" if free < LEAST_MEMORY else ""
    said = f"{free / 1e9:.1f} GB available"
    return Check("memory", _warn(not fix), free, LEAST_MEMORY, said, fix)


def _available() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text("ascii").splitlines()
        fields = dict(line.split(":", 1) for line in lines)
        return int(fields["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return None


def _extras() -> Check:
    missing = [(extra, use) for module, (extra, use) in EXTRAS.items() if not find_spec(module)]
    said = "; ".join(f"without [{extra}]: no {use}" for extra, use in missing)
    there = len(EXTRAS) - len(missing)
    return Check("extras", Verdict.PASS, there, len(EXTRAS), said or "all installed")


def _space(folder: Path) -> Check:
    free = shutil.disk_usage(folder).free
    fix = f"make room on the disk of {folder}, or --runs-dir" if free < LEAST_SPACE else ""
    return Check(
        "disk-space", _warn(not fix), free, LEAST_SPACE, f"{free / 1e9:.1f} GB free in {folder}",
        fix,
    )  # fmt: skip


def _writes(folder: Path) -> Check:
    """Small records as trials are written, and one large file; nothing of them stays."""
    path = folder / f"{OURS}{os.getpid()}"
    _remove_old(folder)
    try:
        small = min(_seconds(path, 1000) for _ in range(RECORDS))
        large = _seconds(path, LARGE)
    except HostError as error:
        said, _, fix = str(error).partition("; ")
        return Check("disk-writes", Verdict.FAIL, None, None, said, f"{fix}: --runs-dir")
    finally:
        with suppress(OSError):
            path.unlink(missing_ok=True)
    said = f"{small * 1e3:.2f} ms for a record, {LARGE / large / 1e6:.0f} MB/s, in {folder}"
    fix = "keep the runs on a local disk: --runs-dir" if small > SLOWEST else ""
    return Check("disk-writes", _warn(not fix), small, SLOWEST, said, fix)


def _remove_old(folder: Path) -> None:
    """What a doctor that was killed has left, of whichever machine that shares the disk."""
    for path in (*folder.glob(f"{OURS}*"), *folder.glob(f".{OURS}*")):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > OLD:
                path.unlink()


def _cache() -> Iterator[Check]:
    """Decoded images that are as they were written; the others go, to be decoded again."""
    there, bad = cache.entries(), dict(cache.damaged())
    for path in bad:
        with suppress(OSError):
            path.unlink()
    if not there:
        return
    said = f"{len(there) - len(bad)} of {len(there)} sets of decoded images as written"
    kept = [path for path in bad if path.exists()]
    if kept:
        yield Check("cache", Verdict.WARN, len(kept), 0, bad[kept[0]], f"delete {kept[0]}")
        return
    words = f"{said}, in {cache.folder()}" + ("; the others removed" if bad else "")
    yield Check("cache", Verdict.PASS, len(there) - len(bad), len(there), words)


def _seconds(path: Path, size: int) -> float:
    content = os.urandom(size)
    began = time.monotonic()
    write_atomically(path, content)
    return time.monotonic() - began


def _warn(fine: bool) -> Verdict:
    return Verdict.PASS if fine else Verdict.WARN
