"""The commands that read what there is, and the one that begins."""

from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from hpsearch.commands.completing import complete_columns, complete_keys
from hpsearch.commands.options import ConfigArgument, Options, command
from hpsearch.commands.showing import emit, follow, next_words, show, tell, write_page, written_to
from hpsearch.errors import UsageError

NONE = "none of the {} runs is so"


class Format(StrEnum):
    table = "table"
    csv = "csv"
    json = "json"
    markdown = "markdown"


@command
def init(
    options: Options,
    directory: Annotated[Path, typer.Argument(metavar="DIR")] = Path(),
    data: Annotated[Path | None, typer.Option(metavar="FILE", help="A CSV file.")] = None,
    target: Annotated[str | None, typer.Option(metavar="COLUMN", help="Its target.")] = None,
) -> None:
    """Write a commented hpsearch.yaml to start from."""
    from hpsearch.commands.starting import write_template

    for name, value in (("--set", options.set_), ("--run", options.run), ("--seed", options.seed)):
        if value is not None:
            raise UsageError(f"init: takes no {name}: write it into the file instead")
    path = write_template(directory, data=data, target=target, force=options.force)
    emit(options, {"written": str(path)}, f"wrote {path}")
    follow(options, "hpsearch data" if directory == Path() else f"hpsearch data {path}")


@command
def report(options: Options, config: ConfigArgument = None) -> None:
    """Show verdicts, ranking, edges, curves; write report.html."""
    from hpsearch.commands.session import Session
    from hpsearch.report.terminal import run_json, run_view

    session = Session.of(options, config)
    store = session.existing()
    if options.json:
        emit(options, run_json(store), "")
    else:
        show(run_view(store))
    write_page(session)
    if not options.json:
        tell(f"report: {store.report}")
    follow(options, session.next(next_words(session)))


@command
def status(
    options: Options,
    config: ConfigArgument = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Go on showing it until nobody writes the run.")
    ] = False,
    interval: Annotated[
        float, typer.Option(metavar="SECONDS", min=0.1, help="Between two looks of --watch.")
    ] = 1.0,
) -> None:
    """The gates of one run, and what is in training; live: --watch."""
    from hpsearch.commands.session import Session
    from hpsearch.live import live
    from hpsearch.report.terminal import status_json, status_view
    from hpsearch.verdict import CHECKING

    session = Session.of(options, config)
    store = session.existing()
    if watch:
        from hpsearch.commands.watching import watch as look_on

        look_on(options, store, interval=interval)
    else:
        emit(options, status_json(store), status_view(store))
    then = "status --watch" if live(store.folder) else next_words(session)
    begun = then in CHECKING or then.startswith("search")
    rest = f"   (all that is left: {session.next('run')})" if begun else ""
    follow(options, session.next(then) + rest)


Sort = Annotated[
    str,
    typer.Option(
        metavar="KEY", autocompletion=complete_keys,
        help="Smallest first; -KEY begins with the largest.",
    ),
]  # fmt: skip
Where = Annotated[
    list[str] | None,
    typer.Option(
        metavar="EXPR", autocompletion=complete_keys,
        help="In quotes: 'best>0.5'; also = != < <= >= ~ (contains); repeatable.",
    ),
]  # fmt: skip
Columns = Annotated[
    str | None,
    typer.Option(
        metavar="KEY,...", autocompletion=complete_columns,
        help="What to show; config keys too: name,best,model.activation.",
    ),
]  # fmt: skip


@command
def ls(
    options: Options,
    sort: Sort = "name",
    reverse: Annotated[bool, typer.Option("--reverse", help="The other way round.")] = False,
    where: Where = None,
    columns: Columns = None,
    format_: Annotated[
        Format | None, typer.Option("--format", help="How to write it; --json is json.")
    ] = None,
) -> None:
    """All runs, or those --where something holds."""
    from hpsearch.report import listing
    from hpsearch.report.terminal import entries_view
    from hpsearch.store import runs

    if options.json and format_ not in (None, Format.json):
        raise UsageError(f"--json and --format {format_.value}: one or the other")
    shown = listing.columns_of(columns) if columns is not None else None
    stores = runs(options.runs_dir)
    found = listing.chosen(stores, where or (), sort, reverse=reverse)
    if format_ in (Format.csv, Format.markdown):
        write = listing.as_csv if format_ is Format.csv else listing.as_markdown
        with written_to("stdout"):
            typer.echo(write(found, shown), nl=False)
    else:
        chosen = replace(options, json=options.json or format_ is Format.json)
        view = entries_view(found, shown) if found or not stores else NONE.format(len(stores))
        emit(chosen, listing.as_json(found, shown), view)
    latest = max(found, key=lambda entry: entry.cell("changed") or "", default=None)
    following = f"report {latest.store.name}" if latest else "run"
    follow(options, f"hpsearch {following}{options.elsewhere}")


@command
def schema(options: Options) -> None:
    """The JSON Schema of the config, for editors."""
    from hpsearch.config.template import json_schema
    from hpsearch.strictjson import dumps

    tell(dumps(json_schema()))
