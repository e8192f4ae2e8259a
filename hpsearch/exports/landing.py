"""How a file or folder that another library writes appears: whole or not at all."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from hpsearch.errors import HostError, UsageError


@contextmanager
def landing(target: Path, *, force: bool) -> Iterator[Path]:
    """Where to write what is to become `target`, a file or a folder: in a folder beside it, which
    is gone afterwards. UsageError where something is there already and `force` does not say to
    replace it, or where it is a folder that holds what the new one does not.
    """
    if target.exists() and not force:
        raise UsageError(f"{target}: is there already; --force writes over it, or name an --out")
    if target.exists() and not (target.is_file() or target.is_dir()):
        raise UsageError(f"{target}: must be a file or a folder, got a device; name another --out")
    beside = target.absolute()
    try:
        beside.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(
            prefix=f".{beside.name}.", dir=beside.parent, ignore_cleanup_errors=True
        ) as folder:
            made = Path(folder) / "made"
            yield made
            _replace(target, made, Path(folder) / "before")
    except OSError as error:
        reason = error.strerror or str(error)
        raise HostError(
            f"{target}: cannot be written: {reason}; make room, or name another --out"
        ) from error


def _replace(target: Path, made: Path, before: Path) -> None:
    if target.is_dir():
        ours = {path.name for path in made.iterdir()} if made.is_dir() else set()
        strange = sorted({path.name for path in target.iterdir()} - ours)
        if strange:
            raise UsageError(
                f"{target}: holds {strange[0]}, no part of this export; name another --out"
            )
        target.rename(before)
    elif target.exists() and made.is_dir():
        raise UsageError(f"{target}: must be a folder, got a file; name another --out")
    made.replace(target)
