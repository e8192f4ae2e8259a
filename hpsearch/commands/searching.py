"""The commands that search: one stage of it, or the whole recipe."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from hpsearch.commands.options import ConfigArgument, Options, command
from hpsearch.commands.showing import (
    emit,
    finish,
    follow,
    next_words,
    show,
    tell,
    write_page,
)

if TYPE_CHECKING:
    from hpsearch.commands.session import Session

MANY = 100_000  # trials that take ten seconds or more to draw


class SearchStage(StrEnum):
    coarse = "coarse"
    refine = "refine"


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
    from hpsearch.commands.rehearsal import rehearse
    from hpsearch.commands.session import Session
    from hpsearch.report.terminal import document_view
    from hpsearch.stages.rounds import without_coarse

    session = Session.of(options, config)
    _forewarn(session)
    with session.runner(writing=not dry_run) as runner:
        if not dry_run:
            runner.verify()
        name, why = ("coarse", "") if stage is SearchStage.coarse else runner.due()
        if stage is SearchStage.refine and name == "coarse":
            name = without_coarse(session.store.search_document("coarse"))
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
        goes_on = not runner.closed(document)
    emit(options, document.to_json(), document_view(document, session.store))
    then = document.next_command.removeprefix("hpsearch ")
    finish(session, document.verdict, then, goes_on=goes_on)


@command
def run(options: Options, config: ConfigArgument = None) -> None:
    """The whole recipe: every stage in order, gated."""
    from rich.console import Group

    from hpsearch.commands.session import Session
    from hpsearch.report.terminal import check_view, run_view
    from hpsearch.stages.gates import outcome
    from hpsearch.verdict import CheckDocument

    session, documents = Session.of(options, config), []
    _forewarn(session)
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
            tell(f"stopped: {documents[-1].stage} {warned}")
    last = None if options.json else f"report: {session.store.report}"
    finish(session, verdict, next_words(session), last=last)


def _forewarn(session: "Session") -> None:
    """Says so where drawing a stage's trials, which goes before training, takes long."""
    wanted = session.config.search
    for stage, trials in (("coarse", wanted.coarse.trials), ("refine", wanted.refine.trials)):
        if trials >= MANY and not session.options.quiet:
            said = f"search.{stage}.trials: all {trials:,} are drawn before the first is trained"
            tell(f"{said}, which takes a while", err=True)
