"""Were the trials enough: the expected best of n, and what ten more would buy."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpsearch.search.best_of_n import Meter, meter, plug_in, unbiased
from hpsearch.trial import TrialResult


def best_of_n(best: Sequence[TrialResult], tried: NDArray[np.float64]) -> dict[str, Any]:
    """The expected best of n completed trials for n = 1, 2, 4, ... and all of them, by both
    estimators, in the metric's own unit; and in words what more would buy, as told by the scores
    (N,) of all that were `tried`: those that halving let go on, and those that did not diverge,
    are no random ones. Empty without completed trials.
    """
    if not best:
        return {}
    scores, sign = np.array([result.score for result in best]), -1 if _loss(best) else 1
    numbers = sorted({2**k for k in range(len(best).bit_length())} | {len(best)})
    return {
        "n": numbers,
        "plug_in": [sign * plug_in(scores, n) for n in numbers],
        "unbiased": [sign * unbiased(scores, n) for n in numbers],
        "meter": _said(meter(tried), loss=_loss(best)),
    }


def _loss(best: Sequence[TrialResult]) -> bool:
    return best[0].metric == "val_loss"


def _said(found: Meter | None, *, loss: bool) -> str:
    """`10 more trials buy about 0.3 points`; nothing where there are too few to say."""
    if found is None or not np.isfinite(found.gain):
        return ""
    if loss:
        return f"{found.more} more trials lower the best loss by about {found.gain:.2g}"
    points = 100 * found.gain
    worth = f"about {points:.1f}" if points >= 0.05 else "less than 0.1"
    return f"{found.more} more trials buy {worth} points"
