"""The gates: may a stage start, given what the stages before it concluded?"""

from hpsearch.stages.context import Context
from hpsearch.verdict import CHECKING, Document, FinalDocument, SearchDocument, Verdict


def closed(verdict: Verdict | None, *, strict: bool) -> bool:
    """Whether a verdict stops what comes after it; `strict` makes warnings do so."""
    return verdict is Verdict.FAIL or (strict and verdict is Verdict.WARN)


def refusal(context: Context, *, strict: bool) -> str | None:
    """Why the stage may not start: the first earlier one whose gate is closed."""
    before: list[Document] = [context.checks[n] for n in _earlier(context) if n in context.checks]
    if context.stage not in CHECKING:
        before += [round_.document for round_ in context.rounds]
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
