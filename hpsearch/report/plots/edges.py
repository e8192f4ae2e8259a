"""What is said of the ends of the searched ranges."""

from collections.abc import Sequence

from hpsearch.report.doubts import beyond
from hpsearch.report.tables.material import Material
from hpsearch.report.tables.stages import narrow
from hpsearch.report.text import number, plain
from hpsearch.verdict import Edge, SearchDocument, Verdict


def caption(material: Material, document: SearchDocument) -> str:
    """What the evidence says of the ranges of a stage, of those before, and of the sweep's."""
    stage, before = plain(document.stage), _before(material.searches, document)
    unseen = _unsearched(material)
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
    steep = {plain(edge.hparam) for edge in document.edges if edge.strength == "stability"}
    quiet = {plain(edge.hparam) for edge in document.edges} - steep
    aside = f"; for {' and '.join(sorted(quiet))} there is no evidence beyond" if quiet else ""
    aside += f"; beyond that of {' and '.join(steep)} training diverges" if steep else ""
    return f"No range of {stage} ends too early: the best lie inside{aside}.{before}{unseen}{five}"


def _unsearched(material: Material) -> str:
    """The rate that did best in the sweep, where it lies beyond all ranges of the search."""
    rates = beyond(material)
    said = f" The rate that did best in the sweep, {number(rates.best)}," if rates else ""
    return f"{said} was never tried." if said else ""


def loud(document: SearchDocument) -> list[Edge]:
    """The ends of its ranges that want to be widened."""
    return narrow(document)


def _named(document: SearchDocument) -> str:
    return ", ".join(f"{plain(e.hparam)} at its {plain(e.side)} end ({plain(e.strength)})"
                     for e in loud(document))  # fmt: skip


def _before(documents: Sequence[SearchDocument], judged: SearchDocument) -> str:
    """Which ends were in question in earlier stages."""
    earlier = [document for document in documents if document is not judged and loud(document)]
    said = [f"{plain(document.stage)} {_named(document)}" for document in earlier]
    return f" Before, in question were {'; '.join(said)}." if said else ""
