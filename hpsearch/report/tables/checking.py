"""What sanity, overfit and sweep measured, as DataFrames; older documents lack some of it."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hpsearch.report.text import is_real
from hpsearch.trial import Status
from hpsearch.verdict import CheckDocument

if TYPE_CHECKING:
    import pandas as pd

RATE = ("rate", "best", "usable", "diverged", "step", "first", "score", "error", "accuracy")
COURSE = ("rate", "step", "loss")
RAMP = ("rate", "loss", "smoothed")
LAYER = ("layer", "units", "mean", "std", "zero", "saturated", "dead", "state")
BIN = ("layer", "low", "high", "count", "share")
OVERFIT = ("rate", "best", "status", "epochs", "first_loss", "loss", "accuracy")

Rows = list[tuple[Any, ...]]


def real(value: Any) -> float:
    """A document's number; NaN for what is none."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if number else math.nan


def listed(facts: Mapping[str, Any], name: str) -> list[Any]:
    """A list of the facts; empty where there is none."""
    found = facts.get(name)
    return list(found) if isinstance(found, list | tuple) else []


def records(facts: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    """A list of rows of the facts."""
    return [row for row in listed(facts, name) if isinstance(row, Mapping)]


def proposed(sweep: CheckDocument) -> tuple[float, float] | None:
    """The rates that the sweep proposes to search, None where it does not."""
    found = listed(sweep.facts, "range")
    return (found[0], found[1]) if len(found) == 2 and all(map(is_real, found)) else None


def mapped(facts: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A mapping of the facts; empty where there is none."""
    found = facts.get(name)
    return found if isinstance(found, Mapping) else {}


def sweep_rates(document: CheckDocument) -> "pd.DataFrame":
    """One row per rate of the sweep, the largest first."""
    import pandas as pd

    best = real(document.facts.get("learning_rate"))
    rows: Rows = [
        (real(row.get("rate")), real(row.get("rate")) == best, bool(row.get("usable")),
         bool(row.get("diverged")), *(real(row.get(name)) for name in RATE[4:]))
        for row in records(document.facts, "rates")
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=list(RATE))


def sweep_courses(document: CheckDocument) -> "pd.DataFrame":
    """One row per rate and stored minibatch, at most 100 of a rate; none in older documents."""
    import pandas as pd

    rows: Rows = [
        (real(row.get("rate")), step, real(loss))
        for row in records(document.facts, "rates")
        for step, loss in zip(listed(row, "steps"), listed(row, "losses"), strict=False)
    ]
    return pd.DataFrame(rows, columns=list(COURSE))


def ramp(document: CheckDocument) -> "pd.DataFrame":
    """One row per step of the range test, up to where the loss exploded."""
    import pandas as pd

    facts = mapped(document.facts, "ramp")
    columns = (listed(facts, name) for name in ("rates", "losses", "smoothed"))
    rows: Rows = [tuple(map(real, row)) for row in zip(*columns, strict=False)]
    return pd.DataFrame(rows, columns=list(RAMP))


def layers(document: CheckDocument) -> "pd.DataFrame":
    """One row per hidden layer: means over the initialisations, and in a word what they mean."""
    import pandas as pd

    band = _band(document)
    rows: Rows = [
        (*(row.get(name) for name in LAYER[:-1]), _state(row, band))
        for row in records(document.facts, "layers")
    ]
    return pd.DataFrame(rows, columns=list(LAYER))


def _band(document: CheckDocument) -> tuple[float, float] | None:
    """The standard deviations of healthy activations, from the check that judges them."""
    checks = {check.name: check for check in document.checks}
    check = checks.get("activation-statistics")
    try:
        low, high = map(float, str(check.expected if check else "").split(" to "))
    except ValueError:
        return None
    return low, high


def _state(row: Mapping[str, Any], band: tuple[float, float] | None) -> str:
    """A layer in a word."""
    std = real(row.get("std"))
    if real(row.get("saturated")) > 0.5:
        return "saturated"
    if band is None:
        return ""
    if std < band[0]:
        return "shrinking"
    return "healthy" if std <= band[1] else "growing"


def histograms(document: CheckDocument) -> "pd.DataFrame":
    """One row per layer and bin of its activations at the first initialisation: the bin's
    bounds, its count, and its share of all the layer's activations, those in no bin too.
    """
    import pandas as pd

    rows: Rows = []
    for layer in records(document.facts, "layers"):
        found = mapped(layer, "histogram")
        counts = listed(found, "counts")
        low, high = real(found.get("low")), real(found.get("high"))
        width = (high - low) / max(1, len(counts))
        beside = sum(found.get(name) or 0 for name in ("below", "above", "zeros", "lost"))
        whole = max(1, sum(counts) + beside)
        rows += [
            (layer.get("layer"), low + n * width, low + (n + 1) * width, count, count / whole)
            for n, count in enumerate(counts)
        ]
    return pd.DataFrame(rows, columns=list(BIN))


def overfit_rates(document: CheckDocument) -> "pd.DataFrame":
    """One row per rate that overfit tried."""
    import pandas as pd

    facts = document.facts
    chosen = facts.get("learning_rate"), facts.get("epochs")
    rows: Rows = [
        (real(row.get("learning_rate")), (row.get("learning_rate"), row.get("epochs")) == chosen,
         str(row.get("status", Status.DONE)), row.get("epochs"),
         *(real(row.get(name)) for name in OVERFIT[4:]))
        for row in records(facts, "rates")
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=list(OVERFIT))


def overfit_course(document: CheckDocument) -> Sequence[float]:
    """The best rate's loss, epoch by epoch."""
    return [real(loss) for loss in listed(document.facts, "curve")]
