"""The commands of the stages that check: data, sanity, overfit, sweep."""

from typing import TYPE_CHECKING

from hpsearch.commands.options import ConfigArgument, Options, command
from hpsearch.commands.showing import emit, finish, passed

if TYPE_CHECKING:
    from hpsearch.verdict import CheckDocument


@command
def data(options: Options, config: ConfigArgument = None) -> None:
    """Audit the data, before any network sees it."""
    _check(options, config, "data", then="sanity")


@command
def sanity(options: Options, config: ConfigArgument = None) -> None:
    """Check the initial loss, the gradient and the activations."""
    _check(options, config, "sanity", then="overfit")


@command
def overfit(options: Options, config: ConfigArgument = None) -> None:
    """Learn a few examples by heart, or say why not."""
    _check(options, config, "overfit", then="sweep")


@command
def sweep(options: Options, config: ConfigArgument = None) -> None:
    """Try learning rates, all at once; propose a range."""
    _check(options, config, "sweep", then="search --stage coarse")


def _check(options: Options, config: str | None, stage: str, *, then: str) -> None:
    from hpsearch.commands.session import Session
    from hpsearch.report.terminal import check_view

    session = Session.of(options, config)
    with session.runner() as runner:
        document: CheckDocument = runner.check(stage)
    emit(options, document.to_json(), check_view(document))
    finish(session, document.verdict, then if passed(options, document.verdict) else stage)
