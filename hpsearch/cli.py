"""The command line: every command by its name; what it does stands in `commands/`."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from types import FrameType
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from hpsearch import __version__
from hpsearch.commands import afterwards, checking, examining, exporting, looking, searching
from hpsearch.commands.options import guarded, open_standard_files
from hpsearch.commands.showing import tell, written_to
from hpsearch.errors import Terminated, UsageError
from hpsearch.inert import inert

COMPLETION = "_HPSEARCH_COMPLETE"


class _Commands(TyperGroup):
    """Tells --version of --json, whichever comes first: to wait for it would import pydantic.
    What was typed wrongly is quoted as text that does not act.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        ctx.meta["json"] = "--json" in args
        with _inert_messages():
            return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        with _inert_messages():
            return super().invoke(ctx)


@contextmanager
def _inert_messages() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        if hasattr(error, "format_message"):  # typer's own
            message = inert(error.format_message())
            error.format_message = lambda: message
        raise


app = typer.Typer(
    name="hpsearch", cls=_Commands, no_args_is_help=True, pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help starts in half the time
    context_settings={"help_option_names": ["-h", "--help"]},
    help="The practitioner's recipe for tuning a neural network, as one command.",
)  # fmt: skip


def _show_version(context: typer.Context, wanted: bool) -> None:
    if not wanted:
        return
    if context.meta["json"]:
        from hpsearch.environment import about
        from hpsearch.strictjson import dumps

        guarded(lambda: tell(dumps(about())), debug=False)
    else:
        typer.echo(f"hpsearch {__version__}")
    raise typer.Exit


@app.callback()
def _main(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show it.")
    ] = False,
    json: Annotated[
        bool, typer.Option("--json", help="With --version: all that decides the bits.")
    ] = False,
) -> None:
    if json:
        context.fail("--json goes after the command, or with --version")


app.command("init")(looking.init)
app.command("data")(checking.data)
app.command("sanity")(checking.sanity)
app.command("overfit")(checking.overfit)
app.command("sweep")(checking.sweep)
app.command("search")(searching.search)
app.command("run")(searching.run)
app.command("final")(afterwards.final)
app.command("train")(afterwards.train)
app.command("predict")(afterwards.predict)
app.command("report")(looking.report)
app.command("status")(looking.status)
app.command("ls")(looking.ls)
app.command("diff")(afterwards.diff)
app.command("replay")(afterwards.replay)
app.command("export")(exporting.export)
app.command("doctor")(examining.doctor)
app.command("schema")(looking.schema)


def _terminated(number: int, frame: FrameType | None) -> None:
    """As Ctrl-C does it: what is half written is removed, and the terminal put back."""
    raise Terminated


def _answer() -> None:
    """The command that is asked for, or typer's own answer: help, the version, completions."""
    try:
        with written_to("stdout"):
            app(prog_name="hpsearch")
    except (KeyError, ValueError) as error:
        if COMPLETION not in os.environ:
            raise
        said = f"{COMPLETION}: is set by a shell that wants completions, got nothing to complete"
        raise UsageError(f"{said} ({error!r}); unset it") from error


def main() -> None:
    """The console script."""
    open_standard_files()
    if signal.getsignal(signal.SIGTERM) is not signal.SIG_IGN:
        signal.signal(signal.SIGTERM, _terminated)
    if hasattr(signal, "SIGCHLD"):  # ignored, as some have it, nobody can wait for a worker
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without the signs shows ? instead
    try:
        guarded(_answer, debug="--debug" in sys.argv)
    except typer.Exit as ended:  # of a stop before the command began, or after it
        sys.exit(ended.exit_code)
    finally:
        _end_at_once()


def _end_at_once() -> None:
    """From now on at a signal: the interpreter is about to end, and would print a traceback."""
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
