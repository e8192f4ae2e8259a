"""What is said of the ends of the searched ranges."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hpsearch.report.tables.material import Material
from hpsearch.report.tables.points import NEXT
from hpsearch.report.text import is_real, number, plain
from hpsearch.verdict import Edge, SearchDocument, Verdict

if TYPE_CHECKING:
    import pandas as pd

RATE, FAR = "learning_rate", 3  # times beyond what was searched: worth to be told


def caption(material: Material, document: SearchDocument, bounds: "pd.DataFrame") -> str:
    """What the evidence says of the ranges of a stage, of those before, and of the sweep's; the
    `bounds` are those of all stages (see `tables.points.ranges`).
    """
    stage, before = plain(document.stage), _before(material.searches, document)
    unseen = _unsearched(material, bounds)
    if document.verdict is None:
        return f"{stage} is not judged yet: whether the best lie on an edge is said when it ends."
    if document.verdict is Verdict.FAIL:
        return f"Not known: nothing was learnt in {stage}.{before}{unseen}"
    five = " The circles are the best five of all trials."
    if loud(document):
        return (
            f"In {stage} the best may lie beyond the range: {_named(document)}. The shaded zone is"
            f" the end in question.{before}{unseen}{five}"
        )
    quiet = sorted({plain(edge.hparam) for edge in document.edges})
    aside = f"; for {' and '.join(quiet)} there is no evidence beyond" if quiet else ""
    return f"No range of {stage} ends too early: the best lie inside{aside}.{before}{unseen}{five}"


def _unsearched(material: Material, bounds: "pd.DataFrame") -> str:
    """The rates that the sweep proposes and that lie far beyond all ranges of the search."""
    document = material.check("sweep")
    proposed = document.facts.get("range") if document else None
    own = bounds[(bounds["hparam"] == RATE) & (bounds["stage"] != NEXT)]
    if own.empty or not isinstance(proposed, list | tuple) or len(proposed) != 2:
        return ""
    low, high = proposed
    if not (is_real(low) and is_real(high)):
        return ""
    said = [f"up to {number(float(high))}"] if high > FAR * own["high"].max() else []
    said += [f"down to {number(float(low))}"] if low * FAR < own["low"].min() else []
    if not said:
        return ""
    return f" Rates {' and '.join(said)}, which the sweep proposes, were never searched."


def loud(document: SearchDocument) -> list[Edge]:
    """The ends of its ranges that want to be widened."""
    return [edge for edge in document.edges if edge.strength != "info"]


def _named(document: SearchDocument) -> str:
    return ", ".join(f"{plain(e.hparam)} at its {plain(e.side)} end ({plain(e.strength)})"
                     for e in loud(document))  # fmt: skip


def _before(documents: Sequence[SearchDocument], judged: SearchDocument) -> str:
    """Which ends were in question in earlier stages."""
    earlier = [document for document in documents if document is not judged and loud(document)]
    said = [f"{plain(document.stage)} {_named(document)}" for document in earlier]
    return f" Before, in question were {'; '.join(said)}." if said else ""
