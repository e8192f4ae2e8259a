"""What a grid tried beside what as many random trials would have: in values of each hparam."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hpsearch.report.tables.material import Material
from hpsearch.report.tables.points import by_importance, reached
from hpsearch.report.tables.stages import parsed
from hpsearch.search.importance import key_of
from hpsearch.search.space import Distribution, ZeroOrLogUniform
from hpsearch.trial import TrialResult
from hpsearch.verdict import SearchDocument

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("hparam", "importance", "trials", "grid", "random")


class Waste(NamedTuple):
    """How far trials with one value of an hparam differ (the standard deviation of the metric
    `within`), beside those with different values (that of their means, `between`).
    """

    within: float
    between: float


def of_grid(material: Material) -> tuple[SearchDocument, list[TrialResult]] | None:
    """The last stage that searched a grid, and its own trials; None where none did."""
    found = [d for d in material.searches if d.sampler == "grid"]
    if not found or not (own := drawn(found[-1], material.trials[found[-1].stage])):
        return None
    return found[-1], own


def drawn(document: SearchDocument, results: Sequence[TrialResult]) -> list[TrialResult]:
    """A stage's trials without those carried over from the round before."""
    return [result for result in results if result.id >= len(document.carried)]


def distinct(document: SearchDocument, results: Sequence[TrialResult]) -> "pd.DataFrame":
    """One row per hparam, the most important first: its importance (NaN where it is not known),
    the trials that have it, how many different values the `grid` tried, and how many so many
    `random` trials would have, on average.
    """
    import pandas as pd

    space = parsed(document.stage, document.space)
    rows = []
    for name in by_importance([document], list(space)):
        values = [result.hparams[name] for result in results if name in result.hparams]
        tried, expected = len(set(map(key_of, values))), by_chance(space[name], len(values))
        rows.append(
            (name, document.importance.get(name, math.nan), len(values), tried, expected)
        )
    return pd.DataFrame(rows, columns=list(COLUMNS))


def by_chance(kind: Distribution, trials: int) -> float:
    """How many different values so many random draws have, on average."""
    if kind.values is not None:
        return len(kind.values) * (1 - (1 - 1 / len(kind.values)) ** trials)
    if isinstance(kind, ZeroOrLogUniform):
        zero = kind.zero_or_log_uniform.zero
        return trials * (1 - zero) + 1 - (1 - zero) ** trials
    return float(trials)


def waste(results: Sequence[TrialResult], name: str, metric: str) -> Waste | None:
    """How much of what was reached one hparam alone decides; None where no value of it was tried
    twice, or only one was.
    """
    columns: dict[str, list[float]] = {}
    for result in results:
        value = reached(result, metric)
        if name in result.hparams and math.isfinite(value):
            columns.setdefault(key_of(result.hparams[name]), []).append(value)
    parts = [np.array(values) for values in columns.values()]
    inside = sum(len(part) for part in parts) - len(parts)
    if len(parts) < 2 or inside < 1:
        return None
    squares = sum(float(((part - part.mean()) ** 2).sum()) for part in parts)
    between = float(np.std([part.mean() for part in parts], ddof=1))
    return Waste(math.sqrt(squares / inside), between)


def beside(material: Material) -> list[tuple[SearchDocument, list[TrialResult]]]:
    """The stages of a run that has searched a grid and otherwise as well, with their own trials;
    empty where one sampler did all.
    """
    found = [(d, drawn(d, material.trials[d.stage])) for d in material.searches]
    found = [(document, results) for document, results in found if results]
    samplers = {document.sampler for document, _ in found}
    return found if "grid" in samplers and len(samplers) > 1 else []

