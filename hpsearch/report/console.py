"""The terminal as views see it: what they show is styled, and text in it does nothing else."""

from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions
from rich.segment import Segment
from rich.text import Text

from hpsearch.inert import inert
from hpsearch.report.text import SIGNS
from hpsearch.verdict import Verdict

STYLES = {Verdict.PASS: "green", Verdict.WARN: "yellow", Verdict.FAIL: "red"}


class Terminal(Console):
    """A console to which markup and control characters are text like any other. Views make names
    plain themselves, so that columns are as wide as they are; this holds where one forgets.
    """

    def __init__(self, **given: Any) -> None:
        super().__init__(highlight=False, markup=False, emoji=False, **given)

    def on_broken_pipe(self) -> None:
        """Who reads no more is told of like any other failure, not by an exit from here."""
        raise BrokenPipeError

    def render(
        self, renderable: Any, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            text = segment.text
            if segment.control or text.isprintable():
                yield segment
            else:
                yield Segment(inert(text), segment.style)


def verdict_text(verdict: Verdict) -> Text:
    """The sign and the word, in the verdict's colour."""
    return Text(f"{SIGNS[verdict]} {verdict}", style=STYLES[verdict])
