"""Paused trials as files: their records, exact curves, and all that they need to go on."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from hpsearch import records
from hpsearch.atomic import delete, delete_empty, write_together
from hpsearch.errors import HostError
from hpsearch.trial import Curves, TrialResult

RECORD, CURVE = "record", "curve "
AGAIN = "delete it, and run the stage again: its trial begins anew"


def packed(result: TrialResult) -> bytes:
    """The content of a paused trial's file, an npz archive."""
    assert result.state is not None
    curves = {f"{CURVE}{name}": np.array(curve) for name, curve in vars(result.curves).items()}
    arrays: dict[str, Any] = {RECORD: np.array(result.to_text()), **curves, **result.state}
    return records.packed(arrays)


def read(path: Path) -> TrialResult:
    """The paused trial, its losses with six digits; HostError where the file is damaged."""
    try:
        arrays: dict[str, Any] = records.arrays_of(path)
        result = TrialResult.from_text(str(arrays.pop(RECORD)))
        names = [name for name in arrays if name.startswith(CURVE)]
        curves = Curves(**{name.removeprefix(CURVE): arrays.pop(name) for name in names})
    except HostError as error:
        raise HostError(f"{error}; {AGAIN}") from error
    except records.UNREADABLE as error:
        raise HostError(f"{path}: damaged ({error!r}); {AGAIN}") from error
    return replace(result, curves=curves, state=arrays)


class Checkpoints:
    """The paused trials of one stage, each a file in `folder`; with the last the folder goes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, trial: int) -> Path:
        return self.folder / f"{trial:05d}.npz"

    @property
    def exist(self) -> bool:
        """Whether there are any."""
        return bool(self._files())

    def write(self, *results: TrialResult) -> None:
        """Writes paused trials, those of a cohort together."""
        write_together({self.path(result.id): packed(result) for result in results})

    def paused(self) -> list[TrialResult]:
        """All of them, without their losses and state."""
        return [read(path).light for path in self._files()]

    def clear(self) -> None:
        """Removes all of them."""
        self._remove(self._files())

    def remove(self, *trials: int) -> None:
        """Removes those of these trials that there are."""
        self._remove([self.path(trial) for trial in trials])

    def _remove(self, paths: Sequence[Path]) -> None:
        delete(paths)
        for folder in (self.folder, self.folder.parent):
            delete_empty(folder)

    def _files(self) -> list[Path]:
        return list(self.folder.glob("[0-9]*.npz"))
