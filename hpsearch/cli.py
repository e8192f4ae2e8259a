"""The command line: each command parses, calls one function, and shows what came back."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hpsearch import __version__
from hpsearch.blas import one_thread
from hpsearch.options import Options, command, guarded

if TYPE_CHECKING:
    from rich.console import RenderableType

    from hpsearch.session import Session
    from hpsearch.verdict import CheckDocument, Verdict

app = typer.Typer(
    name="hpsearch", no_args_is_help=True, pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="The practitioner's recipe for tuning a neural network, as one command.",
)  # fmt: skip


def _complete(incomplete: str) -> list[str]:
    """Runs and bundled configs, for the shell's completion."""
    from hpsearch.config.find import bundled, runs

    names = sorted({*runs(Path("runs")), *bundled()})
    return [name for name in names if name.startswith(incomplete)]


ConfigArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="[CONFIG]", autocompletion=_complete,
        help="A YAML file, a run, or a bundled config (digits, spiral, ...).",
    ),
]  # fmt: skip


class SearchStage(StrEnum):
    coarse = "coarse"
    refine = "refine"


@app.callback()
def _main(
    version: Annotated[bool, typer.Option("--version", is_eager=True, help="Show it.")] = False,
) -> None:
    if version:
        typer.echo(f"hpsearch {__version__}")
        raise typer.Exit


@app.command("init")
@command
def init(
    options: Options,
    directory: Annotated[Path, typer.Argument(metavar="[DIR]")] = Path(),
    data: Annotated[Path | None, typer.Option(metavar="FILE", help="A CSV file.")] = None,
    target: Annotated[str | None, typer.Option(metavar="COLUMN", help="Its target.")] = None,
) -> None:
    """Write a commented hpsearch.yaml to start from."""
    from hpsearch.starting import write_template

    path = write_template(directory, data=data, target=target, force=options.force)
    _emit(options, {"written": str(path)}, f"wrote {path}")
    _follow(options, "hpsearch data" if directory == Path() else f"hpsearch data {path}")


@app.command("data")
@command
def data(options: Options, config: ConfigArgument = None) -> None:
    """Audit the data: shapes, classes, splits, rows as the network sees them."""
    _check(options, config, "data", then="sanity")


@app.command("sanity")
@command
def sanity(options: Options, config: ConfigArgument = None) -> None:
    """Check the initial loss and its companions, the gradient, the activations."""
    _check(options, config, "sanity", then="overfit")


@app.command("overfit")
@command
def overfit(options: Options, config: ConfigArgument = None) -> None:
    """Learn a handful of examples by heart, or say why that cannot be done."""
    _check(options, config, "overfit", then="sweep")


@app.command("sweep")
@command
def sweep(options: Options, config: ConfigArgument = None) -> None:
    """Try learning rates for a hundred iterations; propose the coarse range."""
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
    from hpsearch.session import Session

    session = Session.of(options, config)
    with session.runner() as runner:
        name, why = ("coarse", "") if stage is SearchStage.coarse else runner.due()
        if stage is SearchStage.refine and name == "coarse":
            name = "refine-1"
        if name is None:
            _emit(options, {"stage": None, "message": why}, f"the search is done: {why}")
            _follow(options, session.next("report"))
            return
        if dry_run:
            from hpsearch.rehearsal import rehearse

            rehearsal = rehearse(runner, name)
            _emit(options, rehearsal.to_json(), rehearsal.view())
            _follow(options, session.next(f"search --stage {name.split('-')[0]}"))
            return
        document = runner.search(name)
        following = runner.due()[0]
    from hpsearch.report.terminal import search_view

    results = session.store.results(document.stage)
    _emit(options, document.to_json(), search_view(document, results))
    then = f"search --stage {following.split('-')[0]}" if following else "report"
    _finish(session, document.verdict, then)


@app.command("run")
@command
def run(options: Options, config: ConfigArgument = None) -> None:
    """The whole recipe: every stage in order, gated, refined until nothing is on an edge."""
    from hpsearch.report.terminal import check_view, run_view
    from hpsearch.session import Session
    from hpsearch.verdict import CheckDocument, worst

    session, documents = Session.of(options, config), []
    with session.runner() as runner:
        for document in runner.run():
            documents.append(document)
            if isinstance(document, CheckDocument) and not options.json:
                _print(check_view(document))
        why = runner.due()[1] if runner.store.search_stages() else ""
    _write_page(session)
    verdict = worst([d.verdict for d in documents if d.verdict])
    if options.json:
        _emit(options, {"stages": [d.to_json() for d in documents]}, "")
    else:
        _print(run_view(session.store))
        if why and documents[-1].verdict != "fail":
            typer.echo(f"refine ended: {why}")
    _finish(session, verdict, "report" if _passed(options, verdict) else "status")
    if not options.json:
        typer.echo(f"report: {session.store.report}")


@app.command("train")
@command
def train(
    options: Options,
    config: ConfigArgument = None,
    trial: Annotated[str | None, typer.Option(metavar="STAGE/ID", help="Say coarse/41.")] = None,
    epochs: Annotated[int | None, typer.Option(metavar="N", min=1, help="How long.")] = None,
) -> None:
    """Train one model, watched closely; save its weights."""
    from hpsearch.closeup import train_one
    from hpsearch.session import Session
    from hpsearch.verdict import Verdict

    session = Session.of(options, config)
    with session.runner() as runner:
        closeup = train_one(runner, trial=trial, epochs=epochs, say=_teller(options))
    _emit(options, closeup.to_json(), closeup.view())
    _finish(session, Verdict.FAIL if closeup.diverged else Verdict.PASS, "report")


@app.command("report")
@command
def report(options: Options, config: ConfigArgument = None) -> None:
    """Show a run: verdicts, ranking, the space, its edges, the curves; write report.html."""
    from hpsearch.report.terminal import run_json, run_view
    from hpsearch.session import Session

    session = Session.of(options, config)
    store = session.existing()
    if options.json:
        _emit(options, run_json(store), "")
    else:
        _print(run_view(store))
    _write_page(session)
    if not options.json:
        typer.echo(f"report: {store.report}")
    _follow(options, _next_of(session))


@app.command("status")
@command
def status(options: Options, config: ConfigArgument = None) -> None:
    """The gates of one run."""
    from hpsearch.report.terminal import status_json, status_view
    from hpsearch.session import Session

    session = Session.of(options, config)
    store = session.existing()
    _emit(options, status_json(store), status_view(store))
    _follow(options, _next_of(session))


@app.command("ls")
@command
def ls(options: Options) -> None:
    """All runs."""
    from hpsearch.report.terminal import runs_json, runs_view
    from hpsearch.store import runs

    found = runs(options.runs_dir)
    _emit(options, runs_json(found), runs_view(found))
    _follow(options, f"hpsearch report {found[-1].name}" if found else "hpsearch run")


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
    _emit(options, document.to_json(), check_view(document))
    passed = _passed(options, document.verdict)
    _finish(session, document.verdict, then if passed else stage)


def _passed(options: Options, verdict: "Verdict | None") -> bool:
    return verdict == "pass" or (verdict == "warn" and not options.strict)


def _finish(session: "Session", verdict: "Verdict | None", then: str) -> None:
    """The next command; exit 1 if the gate is closed."""
    passed = _passed(session.options, verdict)
    _follow(
        session.options, session.next(then) + ("" if passed else "   (after mending the above)")
    )
    if not passed:
        raise typer.Exit(1)


def _follow(options: Options, following: str) -> None:
    """The line that every command ends with, on stderr so that stdout stays the result's."""
    if not options.quiet:
        typer.echo(f"next: {following}", err=True)


def _next_of(session: "Session") -> str:
    """The first stage of the run that has no verdict."""
    from hpsearch.store import CHECKING

    done = {document.stage for document in session.store.documents()}
    missing = next((stage for stage in CHECKING if stage not in done), None)
    return session.next(missing or "search")


def _write_page(session: "Session") -> None:
    from hpsearch.report.page import page

    session.store.write_report(page(session.store))


def _emit(options: Options, document: dict[str, Any], view: "RenderableType") -> None:
    """The result on stdout: one JSON document, or what a person reads."""
    from hpsearch.strictjson import dumps

    if options.json:
        typer.echo(dumps(document))
    else:
        _print(view)


def _print(view: "RenderableType") -> None:
    from rich.console import Console

    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console = Console(highlight=False, markup=False, width=100)
    console.print(view)


def _teller(options: Options) -> Any:
    """Prints a line of a live table on stderr."""
    return (lambda line: None) if options.quiet else (lambda line: typer.echo(line, err=True))


def main() -> None:
    """The console script."""
    one_thread()
    guarded(lambda: app(prog_name="hpsearch"), debug="--debug" in sys.argv)
