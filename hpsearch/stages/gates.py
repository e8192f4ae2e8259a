"""The gates: may a stage start, given what the stages before it concluded?"""

from collections.abc import Sequence

from hpsearch.stages.context import Context
from hpsearch.stages.rounds import points_on
from hpsearch.verdict import (
    CHECKING,
    Document,
    FinalDocument,
    SearchDocument,
    Verdict,
    worst,
)


def closed(verdict: Verdict | None, *, strict: bool) -> bool:
    """Whether a verdict stops what comes after it; `strict` makes warnings do so."""
    return verdict is Verdict.FAIL or (strict and verdict is Verdict.WARN)


def closes(context: Context, document: Document, *, strict: bool) -> bool:
    """Whether a run ends at this document: not at a failed search that points on."""
    pointing = [r.document.stage for r in context.rounds if points_on(context, r)]
    return closed(document.verdict, strict=strict) and document.stage not in pointing


def outcome(context: Context, documents: Sequence[Document]) -> Verdict:
    """The worst verdict, without those of failed searches that pointed on to a later one."""
    pointing = {r.document.stage for r in context.rounds if points_on(context, r)}
    left_behind = {document.stage for document in documents[:-1]} & pointing
    return worst([d.verdict for d in documents if d.verdict and d.stage not in left_behind])


def refusal(context: Context, *, strict: bool) -> str | None:
    """Why the stage may not start: the first earlier one whose gate is closed. That of a search
    which failed and points on is open.
    """
    before: list[Document] = [context.checks[n] for n in _earlier(context) if n in context.checks]
    if context.stage not in CHECKING:
        before += [r.document for r in context.rounds if not points_on(context, r)]
    for document in before:
        if closed(document.verdict, strict=strict):
            return (
                f"{context.stage}: does not start, since {document.stage} says"
                f" {document.verdict}: {_why(document, strict)}; mend that, or --force"
            )
    return None


def not_run(context: Context) -> list[str]:
    """The earlier stages that have not been run with this config."""
    missing = [name for name in _earlier(context) if name not in context.checks]
    refining = context.stage.startswith("refine")
    return [*missing, "coarse"] if refining and not context.rounds else missing


def _earlier(context: Context) -> tuple[str, ...]:
    if context.stage not in CHECKING:
        return CHECKING
    return CHECKING[: CHECKING.index(context.stage)]


def _why(document: Document, strict: bool) -> str:
    if isinstance(document, SearchDocument):
        edges = [edge.message for edge in document.edges]
        return "; ".join([document.message, *edges][:2])
    if isinstance(document, FinalDocument):
        return document.message
    bad = [check for check in document.checks if closed(check.verdict, strict=strict)]
    return "; ".join(check.message for check in bad[:2])
