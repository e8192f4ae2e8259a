"""The commands that come after the searches: what they found is settled, used and looked into."""

from pathlib import Path
from typing import Annotated

import typer

from hpsearch.options import ConfigArgument, Options, command
from hpsearch.showing import emit, finish, follow, next_words


@command
def final(options: Options, config: ConfigArgument = None) -> None:
    """Retrain the winners, choose, read the test set once."""
    from hpsearch.report.final import final_view
    from hpsearch.session import Session

    session = Session.of(options, config)
    with session.runner() as runner:
        document = runner.final()
        refused = runner.refused
    emit(options, document.to_json(), final_view(document))
    finish(session, document.verdict, next_words(session))
    if refused:
        raise typer.Exit(1)


@command
def predict(
    options: Options,
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="models/best.npz of a run, or the run's name.")
    ],
    data: Annotated[
        Path, typer.Argument(metavar="DATA", help="A CSV, .npz or .npy file, or images.")
    ],
) -> None:
    """Classes and probabilities for new rows or images, as CSV."""
    from hpsearch.predicting import predict as answer
    from hpsearch.strictjson import dumps

    found = answer(model, data, runs_dir=options.runs_dir)
    typer.echo(dumps(found.to_json()) if options.json else found.to_csv(), nl=options.json)
    follow(options, "hpsearch ls")
