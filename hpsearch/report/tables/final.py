"""What `final` came to, with how sure that is: winners, ensembles, the test."""

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from hpsearch.errors import HostError
from hpsearch.report.tables.material import Material
from hpsearch.verdict import FinalDocument

if TYPE_CHECKING:
    import pandas as pd

Row = dict[str, Any]
COLUMNS = (
    "kind", "name", "chosen", "metric", "search", "value", "low", "high", "each", "measured_on",
)  # fmt: skip


def intervals(material: Material) -> "pd.DataFrame | None":
    """One row per `kind`: the candidates, the predictors on the validation rows, and the test.

    Candidates are in the search's `metric`: what the search promised, their mean (`value`)
    over `measured_on` fresh seeds, one standard deviation around it, and the seeds' values
    (`each`). The others are accuracies on so many rows, `low` to `high` 95 % (one net: the mean of
    several, without an interval). NaN is what nobody knows; None before `final` has judged.
    """
    import pandas as pd

    document = material.final
    if document is None or document.verdict is None:
        return None
    try:
        if not isinstance(document.metric, str) or not isinstance(document.earlier, list | tuple):
            raise TypeError("metric or earlier")
        rows = list(_rows(document))
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise HostError(
            "final.json: damaged: its candidates cannot be read; put a copy of it back, or delete"
            " it and run hpsearch final again"
        ) from error
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _rows(document: FinalDocument) -> Iterator[Row]:
    for place, candidate in enumerate(document.candidates):
        yield {**_candidate(candidate), "chosen": place == document.winner,
               "metric": document.metric}  # fmt: skip
    for found in document.predictors:
        name = str(found["name"])
        yield {**_accuracy("predictor", name, found), "chosen": name == document.chosen}
    if document.test is not None:
        yield {**_accuracy("test", "test", document.test), "chosen": True}


def _candidate(candidate: Mapping[str, Any]) -> Row:
    mean, sd, values = candidate["mean"], candidate["sd"], list(map(float, candidate["values"]))
    value, around = _number(mean), _number(sd)
    return {
        "kind": "candidate", "name": f"{candidate['stage']}/{candidate['trial']}",
        "search": _number(candidate["value"]), "value": value, "low": value - around,
        "high": value + around, "each": values, "measured_on": len(values),
    }  # fmt: skip


def _accuracy(kind: str, name: str, found: Mapping[str, Any]) -> Row:
    low, high = found.get("interval", (math.nan, math.nan))
    return {
        "kind": kind, "name": name, "metric": "accuracy",
        "search": math.nan, "value": _number(found["accuracy"]), "low": _number(low),
        "high": _number(high), "each": [], "measured_on": int(found["rows"]),
    }  # fmt: skip


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)
