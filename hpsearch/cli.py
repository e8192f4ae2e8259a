"""The command line: each command parses, calls one function, and shows what came back."""

import sys
from enum import StrEnum
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from hpsearch import __version__, afterwards
from hpsearch.errors import UsageError
from hpsearch.options import ConfigArgument, Options, command, guarded, open_standard_files
from hpsearch.showing import emit, finish, follow, next_words, passed, show, teller, write_page

if TYPE_CHECKING:
    from hpsearch.verdict import CheckDocument


class _Commands(TyperGroup):
    """Tells --version of --json, whichever comes first: to wait for it would import pydantic."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        ctx.meta["json"] = "--json" in args
        return super().parse_args(ctx, args)


app = typer.Typer(
    name="hpsearch", cls=_Commands, no_args_is_help=True, pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help starts in half the time
    context_settings={"help_option_names": ["-h", "--help"]},
    help="The practitioner's recipe for tuning a neural network, as one command.",
)  # fmt: skip


class SearchStage(StrEnum):
    coarse = "coarse"
    refine = "refine"


def _show_version(context: typer.Context, wanted: bool) -> None:
    if not wanted:
        return
    if context.meta["json"]:
        from hpsearch.environment import about
        from hpsearch.strictjson import dumps

        guarded(lambda: typer.echo(dumps(about())), debug=False)
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


@app.command("init")
@command
def init(
    options: Options,
    directory: Annotated[Path, typer.Argument(metavar="DIR")] = Path(),
    data: Annotated[Path | None, typer.Option(metavar="FILE", help="A CSV file.")] = None,
    target: Annotated[str | None, typer.Option(metavar="COLUMN", help="Its target.")] = None,
) -> None:
    """Write a commented hpsearch.yaml to start from."""
    from hpsearch.starting import write_template

    for name, value in (("--set", options.set_), ("--run", options.run), ("--seed", options.seed)):
        if value is not None:
            raise UsageError(f"init: takes no {name}: write it into the file instead")
    path = write_template(directory, data=data, target=target, force=options.force)
    emit(options, {"written": str(path)}, f"wrote {path}")
    follow(options, "hpsearch data" if directory == Path() else f"hpsearch data {path}")


@app.command("data")
@command
def data(options: Options, config: ConfigArgument = None) -> None:
    """Audit the data, before any network sees it."""
    _check(options, config, "data", then="sanity")


@app.command("sanity")
@command
def sanity(options: Options, config: ConfigArgument = None) -> None:
    """Check the initial loss, the gradient and the activations."""
    _check(options, config, "sanity", then="overfit")


@app.command("overfit")
@command
def overfit(options: Options, config: ConfigArgument = None) -> None:
    """Learn a few examples by heart, or say why not."""
    _check(options, config, "overfit", then="sweep")


@app.command("sweep")
@command
def sweep(options: Options, config: ConfigArgument = None) -> None:
    """Try learning rates, all at once; propose a range."""
    _check(options, config, "sweep", then="search --stage coarse")


@app.command("search")
@command
def search(
    options: Options,
    config: ConfigArgument = None,
    stage: Annotated[SearchStage | None, typer.Option(help="Default: the one due next.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the trials and the time.")
    ] = False,
) -> None:
    """Run one search stage: coarse, or the next round of refine."""
    from hpsearch.rehearsal import rehearse
    from hpsearch.report.terminal import document_view
    from hpsearch.session import Session
    from hpsearch.stages.rounds import without_coarse

    session = Session.of(options, config)
    with session.runner(writing=not dry_run) as runner:
        name, why = ("coarse", "") if stage is SearchStage.coarse else runner.due()
        if stage is SearchStage.refine and name == "coarse":
            name = without_coarse(session.store.search_document("coarse"))
        if not dry_run:
            runner.verify()
        if name is None:
            emit(options, {"stage": None, "message": why}, f"no search is due: {why}")
            last = runner.context("refine").rounds[-1].document
            finish(session, last.verdict, next_words(session))
            return
        if dry_run:
            rehearsal = rehearse(runner, name)
            emit(options, rehearsal.to_json(), rehearsal.view())
            follow(options, session.next(f"search --stage {name.split('-')[0]}"))
            return
        document = runner.search(name)
    emit(options, document.to_json(), document_view(document, session.store))
    finish(session, document.verdict, document.next_command.removeprefix("hpsearch "))


@app.command("run")
@command
def run(options: Options, config: ConfigArgument = None) -> None:
    """The whole recipe: every stage in order, gated."""
    from rich.console import Group

    from hpsearch.report.terminal import check_view, run_view
    from hpsearch.session import Session
    from hpsearch.stages.gates import outcome
    from hpsearch.verdict import CheckDocument

    session, documents = Session.of(options, config), []
    with session.runner() as runner:
        for document in runner.run():
            documents.append(document)
            if isinstance(document, CheckDocument) and document.stage in runner.judged:
                show(Group(check_view(document), ""), quiet=options.json)
        stopped = runner.closed(documents[-1]) and not options.force
        warned = "failed" if documents[-1].verdict == "fail" else "warned, and --strict is on"
        verdict = outcome(runner.context("refine"), documents)
    write_page(session)
    if options.json:
        emit(options, {"stages": [d.to_json() for d in documents]}, "")
    else:
        show(run_view(session.store))
        if stopped:
            typer.echo(f"stopped: {documents[-1].stage} {warned}")
    last = None if options.json else f"report: {session.store.report}"
    finish(session, verdict, next_words(session), last=last)


app.command("final")(afterwards.final)


@app.command("train")
@command
def train(
    options: Options,
    config: ConfigArgument = None,
    trial: Annotated[
        str | None, typer.Option(metavar="STAGE/ID", help="A finished trial, say coarse/41.")
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Instead of the configured number.")
    ] = None,
) -> None:
    """Train one model, watched closely; save its weights."""
    from hpsearch.closeup import train_one
    from hpsearch.session import Session
    from hpsearch.verdict import Verdict

    session = Session.of(options, config)
    with session.runner() as runner:
        closeup = train_one(runner, trial=trial, epochs=epochs, say=teller(options))
    emit(options, closeup.to_json(), closeup.view())
    verdict = Verdict.FAIL if closeup.diverged else Verdict.PASS
    following = "report" if session.store.config.exists() else "data"
    finish(session, verdict, "train" if closeup.diverged else following)


app.command("predict")(afterwards.predict)


@app.command("report")
@command
def report(options: Options, config: ConfigArgument = None) -> None:
    """Show verdicts, ranking, edges, curves; write report.html."""
    from hpsearch.report.terminal import run_json, run_view
    from hpsearch.session import Session

    session = Session.of(options, config)
    store = session.existing()
    if options.json:
        emit(options, run_json(store), "")
    else:
        show(run_view(store))
    write_page(session)
    if not options.json:
        typer.echo(f"report: {store.report}")
    follow(options, session.next(next_words(session)))


@app.command("status")
@command
def status(options: Options, config: ConfigArgument = None) -> None:
    """The gates of one run."""
    from hpsearch.report.terminal import status_json, status_view
    from hpsearch.session import Session

    session = Session.of(options, config)
    store = session.existing()
    emit(options, status_json(store), status_view(store))
    follow(options, session.next(next_words(session)))


@app.command("ls")
@command
def ls(options: Options) -> None:
    """All runs."""
    from hpsearch.report.terminal import runs_json, runs_view
    from hpsearch.store import runs

    found = runs(options.runs_dir)
    emit(options, runs_json(found), runs_view(found))
    where = f" --runs-dir {options.runs_dir}" if options.runs_dir != Path("runs") else ""
    follow(options, (f"hpsearch report {found[-1].name}" if found else "hpsearch run") + where)


app.command("diff")(afterwards.diff)
app.command("replay")(afterwards.replay)


@app.command("schema")
@command
def schema(options: Options) -> None:
    """The JSON Schema of the config, for editors."""
    from hpsearch.config.template import json_schema
    from hpsearch.strictjson import dumps

    typer.echo(dumps(json_schema()))


def _check(options: Options, config: str | None, stage: str, *, then: str) -> None:
    from hpsearch.report.terminal import check_view
    from hpsearch.session import Session

    session = Session.of(options, config)
    with session.runner() as runner:
        document: CheckDocument = runner.check(stage)
    emit(options, document.to_json(), check_view(document))
    finish(session, document.verdict, then if passed(options, document.verdict) else stage)


def main() -> None:
    """The console script."""
    open_standard_files()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without the signs shows ? instead
    guarded(lambda: app(prog_name="hpsearch"), debug="--debug" in sys.argv)
