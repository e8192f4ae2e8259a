"""`hpsearch export`: a run in the format of another tool."""

from pathlib import Path
from typing import Annotated

import typer

from hpsearch.commands.options import Options, command
from hpsearch.commands.showing import emit, follow
from hpsearch.exports import Format
from hpsearch.inert import plain


@command
def export(
    options: Options,
    name: Annotated[str, typer.Argument(metavar="RUN", help="The run's name.")],
    to: Annotated[Format, typer.Option("--to", help="The format.")],
    out: Annotated[
        Path | None, typer.Option(metavar="PATH", help="Instead of RUN-FORMAT, here.")
    ] = None,
) -> None:
    """Write a run as tables, or as a file of another tool."""
    from hpsearch.commands.session import Session
    from hpsearch.exports.writing import LOOK, target_of
    from hpsearch.exports.writing import export as written
    from hpsearch.progress import TerminalDisplay

    session = Session.of(options, name)
    store = session.existing()
    target = out or target_of(store.name, to)
    view = TerminalDisplay(session.console, quiet=options.quiet)
    with view.loading("writing trials") as progress:
        run = written(store, to, target, force=options.force, progress=progress)
    facts = {"written": str(target), "format": str(to), "trials": len(run.trials)}
    look = f"\nlook at it: {LOOK[to].format(plain(target.absolute()))}" if to in LOOK else ""
    emit(options, facts, f"wrote {plain(target)}{look}")
    follow(options, session.next("report"))
