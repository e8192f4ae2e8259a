"""One export: where it goes, and that it comes there whole."""

from importlib import import_module
from pathlib import Path

from hpsearch.errors import UsageError
from hpsearch.exports import Format
from hpsearch.exports.landing import landing
from hpsearch.exports.source import Exported, Progress
from hpsearch.store import RunStore

ENDINGS = {
    Format.csv: "csv", Format.optuna: "optuna.db", Format.tensorboard: "tensorboard",
    Format.mlflow: "mlflow.db",
}  # fmt: skip
LOOK = {
    Format.optuna: "optuna-dashboard sqlite:///{}", Format.tensorboard: "tensorboard --logdir {}",
    Format.mlflow: "mlflow server --backend-store-uri sqlite:///{}",
}  # what opens it


def target_of(run: str, kind: Format) -> Path:
    """Where an export goes that nobody named a place for: the working directory."""
    return Path(f"{run}-{ENDINGS[kind]}")


def export(
    store: RunStore, kind: Format, target: Path, *, force: bool, progress: Progress
) -> Exported:
    """Writes the run to `target`, whole or not at all. UsageError where something is there (but
    with `force`), where it lies in the run's folder, or where the library for it is missing.
    """
    module = import_module(f"hpsearch.exports.{kind}")
    _outside(target, store.folder)
    with landing(target, force=force) as place:
        run = Exported.of(store)
        module.write(run, place, progress)
    return run


def _outside(target: Path, folder: Path) -> None:
    """A run's folder is the store's alone."""
    ours, asked = folder.resolve(), target.resolve()
    if asked.is_relative_to(ours) or ours.is_relative_to(asked):
        raise UsageError(
            f"--out {target}: must not be, hold or lie in the run's own folder {folder}; name"
            " another place"
        )
