"""The hparams' shares of the importance, as a DataFrame."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hpsearch.report.tables.axis import axis
from hpsearch.report.tables.material import Material
from hpsearch.report.tables.stages import parsed
from hpsearch.report.text import is_real
from hpsearch.search.space import Choice, Distribution, Space
from hpsearch.verdict import SearchDocument, Verdict

if TYPE_CHECKING:
    import pandas as pd

WIDER = 1.01  # times: ranges less far apart are equally wide
IDLE = 0.05  # a share below it is nothing


def tells(document: SearchDocument) -> bool:
    """Whether its importance says what decides: there are hparams to compare, and trials that
    learnt.
    """
    return len(document.importance) > 1 and document.verdict is not Verdict.FAIL


def shares(material: Material) -> "pd.DataFrame":
    """One row per stage and hparam, the stages in order and in each the most important hparam
    first: stage, hparam, `share` (1 in all; PED-ANOVA). Stages of a single hparam, in which
    nothing can be compared, and those not judged yet have none.
    """
    import pandas as pd

    rows = [
        {"stage": document.stage, "hparam": name, "share": value}
        for document in material.searches
        for name, value in ordered(document.importance)
        if len(document.importance) > 1
    ]
    return pd.DataFrame(rows, columns=["stage", "hparam", "share"])


def ordered(importance: Mapping[str, Any]) -> list[tuple[str, float]]:
    """The hparams with their shares, the largest first."""
    real = [(name, float(value)) for name, value in importance.items() if is_real(value)]
    return sorted(real, key=lambda item: -item[1])


def widest(documents: Sequence[SearchDocument]) -> SearchDocument | None:
    """Of the stages that say what mattered and in which something was learnt the one whose ranges
    are the widest, on the scales of their hparams; the earliest of equals.
    """
    told = [d for d in documents if d.importance and d.verdict is not Verdict.FAIL]
    known = [parsed(document.stage, document.space) for document in told]
    found, most = None, 0.0
    for document, space in zip(told, known, strict=True):
        width = _width(space, known)
        if found is None or width > WIDER * most:
            found, most = document, width
    return found


def _width(space: Space, known: Sequence[Space]) -> float:
    """The sum of the parts of all ranges that a space covers; a list is covered whole."""
    return sum(_part(kind, [s[name] for s in known if name in s], name)
               for name, kind in space.items())  # fmt: skip


def _part(kind: Distribution, kinds: Sequence[Distribution], name: str) -> float:
    whole = axis(name, kinds, [])
    if isinstance(kind, Choice) or not whole.ranged:
        return 1.0
    low, high = map(whole.place, kind.bounds)
    return (high - low) / (whole.high - whole.low)
