"""How a command ends: the result on stdout, the next command on stderr, the exit code."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

from hpsearch.commands.options import Options
from hpsearch.errors import HostError
from hpsearch.inert import inert

if TYPE_CHECKING:
    from rich.console import RenderableType

    from hpsearch.commands.session import Session
    from hpsearch.store import RunStore
    from hpsearch.verdict import Verdict

PIPE_WIDTH = 100  # columns where stdout is no terminal


def emit(options: Options, document: dict[str, Any], view: "RenderableType") -> None:
    """The result on stdout: one JSON document, or what a person reads."""
    from hpsearch.strictjson import dumps

    if options.json:
        tell(dumps(document))
    else:
        show(view)


def tell(text: str, *, err: bool = False) -> None:
    """Lines as they are, but for characters that act."""
    with written_to("stderr" if err else "stdout"):
        typer.echo(inert(text), err=err)


@contextmanager
def written_to(place: str) -> Iterator[None]:
    """HostError where it cannot be written to, but for a pipe that nobody reads."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        why = f"cannot be written: {error.strerror}"
        raise HostError(f"{place}: {why}; make room there") from error


def show(view: "RenderableType", *, quiet: bool = False) -> None:
    """What a person reads, on stdout; no line ends in spaces where it goes into a pipe."""
    from hpsearch.report.console import Terminal

    if quiet:
        return

    with written_to("stdout"):
        console = Terminal()
        if console.is_terminal:
            console.print(view)
            return
        console = Terminal(width=PIPE_WIDTH)
        with console.capture() as capture:
            console.print(view)
        typer.echo("\n".join(line.rstrip() for line in capture.get().splitlines()))


def passed(options: Options, verdict: "Verdict | None") -> bool:
    """Whether the gate is open: --strict closes it for warnings too."""
    return verdict == "pass" or (verdict == "warn" and not options.strict)


def finish(
    session: "Session", verdict: "Verdict | None", then: str, *,
    last: str | None = None, goes_on: bool = False,
) -> None:  # fmt: skip
    """The next command, a `last` line on stdout, and exit 1 if the gate is closed. Where a failed
    search `goes_on` elsewhere, the next command needs nothing mended.
    """
    open_ = passed(session.options, verdict)
    mending = "" if open_ or goes_on else "   (after mending the above)"
    follow(session.options, session.next(then) + mending)
    if last:
        tell(last)
    if not open_:
        raise typer.Exit(1)


def follow(options: Options, following: str) -> None:
    """The line that every command ends with, on stderr so that stdout stays the result's."""
    if not options.quiet:
        tell(f"next: {following}", err=True)


def next_words(session: "Session") -> str:
    """What a run needs next; of one that is finished, rows that its model answers for."""
    from hpsearch.report.progress import following

    words = following(session.store.documents(), strict=session.options.strict)
    return f"predict {session.store.name} DATA" if words == "predict" else words


def write_page(session: "Session") -> None:
    """`report.html`, whole or not at all."""
    from hpsearch.report.page import page

    html = page(session.store)
    require_there(session.store)
    session.store.write_report(html)


def require_there(store: "RunStore") -> None:
    """HostError where a run that was read is no more: what then reads as empty is not its end,
    and what is written would be a part of a run.
    """
    if not store.config.exists():
        raise HostError(f"{store.folder}: was moved or deleted meanwhile; see hpsearch ls")


def teller(options: Options) -> Callable[[str], None]:
    """Prints a line of a live table on stderr, unless quiet."""
    return (lambda line: None) if options.quiet else (lambda line: tell(line, err=True))
