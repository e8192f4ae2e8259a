"""The expected best of n: what searches of so many trials would have reached."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from hpsearch.report.tables.points import is_loss, reached
from hpsearch.search.best_of_n import plug_in, spread, unbiased
from hpsearch.trial import TrialResult, ranking

if TYPE_CHECKING:
    import pandas as pd

POINTS = 40  # of a curve, at most
COLUMNS = ("n", "plug_in", "unbiased", "deviation")


def expected_best(results: Sequence[TrialResult], metric: str) -> "pd.DataFrame":
    """For n = 1 to all completed trials, on a logarithmic scale: n, the expected best by both
    estimators, in the metric's unit, and the standard `deviation` of the best of n. Empty without
    completed trials.
    """
    import pandas as pd

    sign = -1 if is_loss(metric) else 1
    values = np.array([reached(result, metric) for result in ranking(results)])
    scores = sign * values[np.isfinite(values)]
    rows = [
        (n, sign * plug_in(scores, n), sign * unbiased(scores, n), spread(scores, n))
        for n in _numbers(len(scores))
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _numbers(count: int) -> list[int]:
    """At most forty whole numbers from 1 to `count`."""
    if not count:
        return []
    return sorted({round(n) for n in np.geomspace(1, count, min(POINTS, count))})
