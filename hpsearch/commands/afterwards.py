"""The commands that come after the searches: what they found is settled, used and looked into."""

from pathlib import Path
from typing import Annotated

import typer

from hpsearch.commands.completing import complete_runs
from hpsearch.commands.options import ConfigArgument, Options, command
from hpsearch.commands.showing import emit, finish, follow, next_words, tell, teller


@command
def final(options: Options, config: ConfigArgument = None) -> None:
    """Retrain the winners, choose, read the test set once."""
    from hpsearch.commands.session import Session
    from hpsearch.report.final import final_view

    session = Session.of(options, config)
    with session.runner() as runner:
        document = runner.final()
        refused = runner.refused
    emit(options, document.to_json(), final_view(document))
    finish(session, document.verdict, next_words(session))
    if refused:
        raise typer.Exit(1)


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
    from hpsearch.commands.closeup import train_one
    from hpsearch.commands.session import Session
    from hpsearch.verdict import Verdict

    session = Session.of(options, config)
    with session.runner() as runner:
        closeup = train_one(runner, trial=trial, epochs=epochs, say=teller(options))
    emit(options, closeup.to_json(), closeup.view())
    verdict = Verdict.FAIL if closeup.diverged else Verdict.PASS
    following = "report" if session.store.config.exists() else "data"
    finish(session, verdict, "train" if closeup.diverged else following)


@command
def predict(
    options: Options,
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="models/best.npz of a run, or the run's name.")
    ],
    data: Annotated[
        str, typer.Argument(metavar="DATA", help="A CSV, .npz or .npy file, or images.")
    ],
) -> None:
    """Classes and probabilities for new rows or images, as CSV."""
    from hpsearch.commands.predicting import predict as answer
    from hpsearch.strictjson import dumps

    found = answer(model, data, runs_dir=options.runs_dir)
    tell(dumps(found.to_json()) if options.json else found.to_csv().removesuffix("\n"))
    following = "ls" if Path(model).is_file() else f"report {model}"
    follow(options, f"hpsearch {following}{options.elsewhere}")


@command
def replay(
    options: Options,
    name: Annotated[
        str,
        typer.Argument(metavar="RUN", autocompletion=complete_runs, help="The run's name."),
    ],
    trial: Annotated[str, typer.Argument(metavar="TRIAL", help="A trial, say coarse/41.")],
) -> None:
    """Train a trial again; verify every number stored of it."""
    from hpsearch.commands.replaying import replay as train_again
    from hpsearch.commands.session import Session

    session = Session.of(options, name)
    session.existing()
    with session.runner(writing=False) as runner:
        found = train_again(runner, trial)
    emit(options, found.to_json(), found.view())
    follow(options, session.next("report"))
    if not found.match:
        raise typer.Exit(1)


@command
def diff(
    options: Options,
    a: Annotated[str, typer.Argument(metavar="A", help="A run, or a trial: RUN:coarse/41.")],
    b: Annotated[str, typer.Argument(metavar="B", help="Another.")],
) -> None:
    """Two runs or two trials side by side: only what differs."""
    from hpsearch.commands.comparing import compare

    found = compare(a, b, runs_dir=options.runs_dir)
    emit(options, found.to_json(), found.view())
    follow(options, f"hpsearch report {a.partition(':')[0]}{options.elsewhere}")
