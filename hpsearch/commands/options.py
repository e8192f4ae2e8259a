"""The options that every command takes, and what every command does with an error."""

import inspect
import os
import sys
import tempfile
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from hpsearch.blas import prepare, usable_cores
from hpsearch.commands.completing import complete_runs
from hpsearch.errors import HostError, HpsearchError, Terminated
from hpsearch.inert import inert
from hpsearch.seal import unvouched

BUG = 4
UNREADABLE = (KeyError, TypeError, ValueError, AttributeError, IndexError, AssertionError)


ConfigArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="CONFIG", autocompletion=complete_runs,
        help="A YAML file, a run, or a bundled config (digits, spiral, ...);"
        " without it ./hpsearch.yaml, else digits.",
    ),
]  # fmt: skip


@dataclass(frozen=True)
class Options:
    """The same everywhere; see `hpsearch COMMAND --help`."""

    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change a key of the config; repeatable."),
    ] = None
    run: Annotated[str | None, typer.Option(metavar="NAME", help="The run's name.")] = None
    runs_dir: Annotated[
        Path, typer.Option(metavar="DIR", envvar="HPSEARCH_RUNS_DIR", help="Where runs are kept.")
    ] = Path("runs")
    jobs: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Workers.", show_default="all cores")
    ] = None
    seed: Annotated[int | None, typer.Option(metavar="N", help="The run's seed.")] = None
    json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False
    quiet: Annotated[bool, typer.Option("--quiet", help="Nothing on stderr but errors.")] = False
    strict: Annotated[bool, typer.Option("--strict", help="Warnings fail.")] = False
    force: Annotated[bool, typer.Option("--force", help="Go past a failed gate.")] = False
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False

    @property
    def workers(self) -> int:
        """--jobs, or the cores that this process may use."""
        return self.jobs or usable_cores()

    @property
    def elsewhere(self) -> str:
        """What a next command needs, after all else, to find the runs where they are."""
        return f" --runs-dir {self.runs_dir}" if self.runs_dir != Path("runs") else ""

    @property
    def overrides(self) -> list[str | tuple[str, str, object]]:
        """--set as written; --run and --seed as (place for messages, key, value)."""
        given: list[str | tuple[str, str, object]] = list(self.set_ or ())
        given += [("--run", "name", self.run)] if self.run is not None else []
        return given + ([("--seed", "seed", self.seed)] if self.seed is not None else [])


def command(function: Callable[..., None]) -> Callable[..., None]:
    """Gives a command the common options, as its first argument, and the handling of errors."""
    hints = get_type_hints(function, include_extras=True)
    own = list(inspect.signature(function).parameters.values())[1:]
    types = get_type_hints(Options, include_extras=True)
    common = [
        inspect.Parameter(
            f.name, inspect.Parameter.KEYWORD_ONLY, default=f.default, annotation=types[f.name]
        )
        for f in fields(Options)
    ]
    own = [p.replace(kind=p.KEYWORD_ONLY, annotation=hints[p.name]) for p in own]

    @wraps(function)
    def run(**given: Any) -> None:
        prepare()  # here, where NumPy is about to be imported, and not for --help
        options = Options(**{f.name: given.pop(f.name) for f in fields(Options)})
        guarded(lambda: function(options, **given), debug=options.debug)

    run.__signature__ = inspect.Signature(own + common)  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in own + common}
    return run


def open_standard_files() -> None:
    """Where one of the three is closed, or a run's file or socket would come to lie there."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


def guarded(work: Callable[[], None], *, debug: bool) -> None:
    """Turns what is raised into a message and an exit code; a traceback only for --debug."""
    unvouched.clear()
    try:
        work()
    except (typer.Exit, typer.Abort):
        raise
    except HpsearchError as error:
        if debug:
            _print_trace()
        fail(str(error), error.exit_code)
    except (KeyboardInterrupt, Terminated) as stopped:
        code = 143 if isinstance(stopped, Terminated) else 130
        fail("stopped; every finished trial is kept", code)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(0) from None
    except MemoryError:
        fail("not enough memory: a smaller model.hidden or train.batch_size, or fewer --jobs", 3)
    except OSError as error:
        fail(f"{error}; make room, or look at the permissions", 3)
    except Exception as error:
        if debug:
            _print_trace()
        if unvouched and isinstance(error, UNREADABLE):
            fail(_senseless(error), HostError.exit_code)
        fail(f"a bug in hpsearch: {error!r}; the traceback is in {_crash_log()}", BUG)


def _senseless(error: Exception) -> str:
    """What is said of records that may say anything, since nothing vouches for them."""
    return (
        f"{', '.join(unvouched)}: what stands in one of the records without a checksum cannot be"
        f" ({error!r}; the traceback is in {_crash_log()}); put back what was changed, or delete"
        " it and run the stage again"
    )


def fail(message: str, code: int) -> None:
    """The message in red on stderr, without control characters, and the exit."""
    lines = ["".join(c if c.isprintable() else "?" for c in line) for line in message.split("\n")]
    if sys.stderr:  # None where it was closed
        with suppress(OSError):  # the code says it too
            typer.secho("\n".join(lines), err=True, fg="red" if sys.stderr.isatty() else None)
    raise typer.Exit(code)


def _print_trace() -> None:
    typer.echo(inert(traceback.format_exc()), err=True)


def _crash_log() -> Path:
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
    folder = Path(tempfile.mkdtemp(prefix="hpsearch-"))
    path = folder / f"crash-{stamp}.log"
    path.write_text(traceback.format_exc(), "utf-8", "backslashreplace")
    return path
