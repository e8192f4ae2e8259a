"""`status --watch`: a run looked at again and again, until nobody writes it any more."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import typer
from rich.console import Console
from rich.live import Live

from hpsearch.commands.options import Options
from hpsearch.commands.showing import require_there
from hpsearch.report.status import Look
from hpsearch.report.terminal import status_view
from hpsearch.store import RunStore
from hpsearch.strictjson import dumps

Tell = Callable[[Look], None]


def watch(options: Options, store: RunStore, *, interval: float) -> None:
    """Shows the run as it is, every `interval` seconds, until its writer is gone: on a terminal
    in place; elsewhere a line for each stage that got on, with --json a document per line
    whenever it is another. SIGINT ends it with 130, SIGTERM with 143. HostError where the run
    is moved or deleted meanwhile.
    """
    console = Console(highlight=False, markup=False)
    in_place = console.is_terminal and not console.is_dumb_terminal and not options.json
    with _ended_by_signals(), _shown(store, console) if in_place else _told(options) as tell:
        while True:
            now = Look.at(store)
            require_there(store)
            tell(now)
            if now.live is None:
                return
            time.sleep(interval)


@contextmanager
def _shown(store: RunStore, console: Console) -> Iterator[Tell]:
    """In place, the cursor hidden meanwhile; the last look stays."""
    with Live(console=console, auto_refresh=False, vertical_overflow="crop") as picture:
        yield lambda now: picture.update(status_view(store, now), refresh=True)


@contextmanager
def _told(options: Options) -> Iterator[Tell]:
    """Line by line, each as soon as there is something to tell."""
    told: set[object] = set()

    def tell(now: Look) -> None:
        nonlocal told
        news: dict[Any, str] = _document(now) if options.json else dict(now.lines())
        for what, line in news.items():
            if what not in told:
                typer.echo(line)
        told = set(news)

    yield tell


def _document(now: Look) -> dict[str, str]:
    text = dumps(now.to_json(), None)
    return {text: text}


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """SIGINT and SIGTERM end what is done here, after the terminal is as it was."""

    def end(number: int, frame: FrameType | None) -> None:
        raise typer.Exit(128 + number)

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
