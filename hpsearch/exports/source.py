"""What every export is made of: the trials of all stages, read once."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from hpsearch.errors import HostError, UsageError
from hpsearch.report.tables.material import Material
from hpsearch.report.tables.points import everything, spaces
from hpsearch.search.space import Distribution, Space
from hpsearch.store import RunStore
from hpsearch.trial import AT_BEST, TrialResult

Progress = Callable[[int, int], None]  # trials written, of so many


@dataclass(frozen=True)
class Exported:
    """A run as it was at one moment. `searched` has the trials of the search stages in the order
    of the recipe, each stage's by id; `repeats` those that `final` trained again.
    """

    store: RunStore
    metric: str
    spaces: Mapping[str, Space]
    searched: Sequence[TrialResult]
    repeats: Sequence[TrialResult]

    @classmethod
    def of(cls, store: RunStore) -> "Exported":
        """UsageError where no trial is finished; HostError where a file is damaged."""
        found = Material.of(store)
        if not everything(found):
            raise UsageError(
                f"{store.folder}: must have finished trials to export, got none; hpsearch search"
            )
        return cls(
            store, found.searches[-1].metric, spaces(found), everything(found),
            store.results("final"),
        )  # fmt: skip

    @property
    def name(self) -> str:
        return self.store.name

    @property
    def trials(self) -> list[TrialResult]:
        return [*self.searched, *self.repeats]

    @cached_property
    def curves(self) -> list[str]:
        """The names of the curves that some trial has."""
        names = vars(self.searched[0].curves)
        return [name for name in names if any(getattr(r.curves, name) for r in self.trials)]

    def times(self, result: TrialResult) -> tuple[float, float]:
        """When a trial began and ended, in seconds since 1970: it ended when its file was written,
        as far as the file system still knows.
        """
        path = self.store.trial_path(result.stage, result.id)
        try:
            ended = path.stat().st_mtime
        except OSError as error:
            raise HostError(f"{path}: cannot be read: {error.strerror}") from error
        return ended - result.train_seconds, ended

    @cached_property
    def types(self) -> dict[str, type]:
        """Every hparam that a trial has, in order, with what its values are: all float (or int),
        all bool, or else str.
        """
        values: dict[str, list[Any]] = {}
        for result in self.trials:
            for name, value in result.hparams.items():
                values.setdefault(name, []).append(value)
        return {name: _common(found) for name, found in values.items()}

    def kinds(self, hparam: str) -> list[Distribution]:
        """The hparam's range in every stage that searched it."""
        return [space[hparam] for space in self.spaces.values() if hparam in space]


def _common(values: Sequence[Any]) -> type:
    found = {float if type(value) is int else type(value) for value in values}
    return found.pop() if found in ({float}, {bool}) else str


def scalar(value: Any) -> Any:
    """A value of an hparam as other tools take it: a list as text, 64-32, as in `trials.csv`."""
    return "-".join(map(str, value)) if isinstance(value, tuple) else value


def best(result: TrialResult) -> dict[str, float]:
    """A trial's metrics at its best epoch; none where there is no such epoch."""
    if result.best_epoch is None:
        return {}
    return {name: result.at_best(name) for name in AT_BEST if getattr(result.curves, name)}


def facts(result: TrialResult) -> dict[str, Any]:
    """What else there is to say of a trial."""
    told = {
        "stage": result.stage, "trial": result.id, "status": str(result.status),
        "seed": result.seed, "verdict": result.verdict, "best_epoch": result.best_epoch,
        "epochs": result.epochs, "reason": result.reason,
    }  # fmt: skip
    return {name: value for name, value in told.items() if value not in ("", None)}
