"""What is seen on stderr while a stage runs: bars on a terminal, a line per stage elsewhere."""

import math
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Column
from rich.text import Text

from hpsearch.trial import Status, TrialResult
from hpsearch.verdict import CHECKING, Document


class Display(Protocol):
    """What is shown of a run while it works; called from one thread, `steps` from any."""

    def begin(self, stage: str, trials: int, steps: int) -> None: ...
    def steps(self, n: int) -> None: ...
    def trial(self, result: TrialResult) -> None: ...
    def end(self, document: Document) -> None: ...
    def say(self, text: str) -> None: ...


class Displays:
    """Several displays as one."""

    def __init__(self, *displays: Display) -> None:
        self._displays = displays

    def begin(self, stage: str, trials: int, steps: int) -> None:
        for display in self._displays:
            display.begin(stage, trials, steps)

    def steps(self, n: int) -> None:
        for display in self._displays:
            display.steps(n)

    def trial(self, result: TrialResult) -> None:
        for display in self._displays:
            display.trial(result)

    def end(self, document: Document) -> None:
        for display in self._displays:
            display.end(document)

    def say(self, text: str) -> None:
        for display in self._displays:
            display.say(text)


WIDE = 110  # columns from which the speed and the time so far are shown


class _Rate(ProgressColumn):
    """Trial-steps per second."""

    def render(self, task: Task) -> Text:
        return Text(
            f"{(task.finished_speed or task.speed or 0) / 1000:,.1f}k steps/s", style="dim"
        )


def _text(form: str, style: str = "none", **given: Any) -> TextColumn:
    """What is in it is no markup."""
    return TextColumn(form, style, markup=False, **given)


def _columns(width: int) -> list[ProgressColumn]:
    """What fits on one line of a terminal so wide: the note is cut before anything wraps."""
    whole, time_ = Column(no_wrap=True), Column(no_wrap=True, min_width=7)
    note = _text("{task.fields[note]}", table_column=Column(no_wrap=True, ratio=1))
    columns = [
        SpinnerColumn(), _text("{task.description}", "bold", table_column=whole),
        BarColumn(max(4, width // 8)), note,
    ]  # fmt: skip
    if width >= WIDE:
        columns += [_Rate(table_column=whole), TimeElapsedColumn(table_column=time_)]
    left = TextColumn("left", table_column=whole)
    return [*columns, left, TimeRemainingColumn(table_column=time_)]


class TerminalDisplay:
    """A display on a terminal."""

    def __init__(self, console: Console, *, quiet: bool) -> None:
        self.console, self.quiet = console, quiet
        self._live = console.is_terminal and not quiet
        self._bar: Progress | None = None
        self._task = TaskID(0)
        self._stage, self._trials = "", 0
        self._seen = Counter[Status]()
        self._best = -math.inf
        self._started = time.monotonic()

    def begin(self, stage: str, trials: int, steps: int) -> None:
        """A bar for so many trial-steps."""
        if stage != self._stage:
            self._stage, self._best = stage, -math.inf
            self._seen.clear()
            self._trials, self._started = 0, time.monotonic()
        self._trials += trials
        self._close()
        if self._live:
            columns = _columns(self.console.width)
            self._bar = Progress(*columns, console=self.console, transient=True)
            self._task = self._bar.add_task(stage, total=steps, note=self._note())
            self._bar.start()

    def steps(self, n: int) -> None:
        """So many trial-steps more are done; from any thread."""
        if self._bar:
            self._bar.advance(self._task, n)

    def trial(self, result: TrialResult) -> None:
        """A trial is finished."""
        self._seen[result.status] += 1
        if result.status is Status.DONE:
            self._best = max(self._best, result.score)
        if self._bar:
            self._bar.update(self._task, note=self._note())

    def _note(self) -> str:
        best = f", best {abs(self._best):.3f}" if math.isfinite(self._best) else ""
        lost = "".join(
            f", {n} {status}" for status, n in sorted(self._seen.items()) if status != Status.DONE
        )
        return f"{self._seen.total()}/{self._trials} trials{best}{lost}"

    def end(self, document: Document) -> None:
        """The stage has its verdict."""
        self._close()
        if self._stage == document.stage:
            seconds = time.monotonic() - self._started
            checks = document.stage in CHECKING
            said = f"{self._seen.total()} trials" if checks else self._note()
            self.say(f"{document.stage}: {document.verdict}, {said}, {seconds:.1f} s")

    def say(self, text: str) -> None:
        """One line, unless quiet."""
        if not self.quiet:
            self.console.print(Text(text, style="dim"), soft_wrap=True)

    def _close(self) -> None:
        if self._bar:
            self._bar.stop()
            self._bar = None

    def close(self) -> None:
        """Gives the terminal back, whatever happened."""
        self._close()

    @contextmanager
    def loading(self, what: str = "decoding images") -> Iterator["Loading"]:
        """A bar that appears if what is done reports progress."""
        loading = Loading(self.console if self._live else None, what)
        try:
            yield loading
        finally:
            loading.close()


class Loading:
    """The bar of images being decoded, or of other things that are counted."""

    def __init__(self, console: Console | None, what: str) -> None:
        self._console, self._what = console, what
        self._bar: Progress | None = None
        self._task = TaskID(0)

    def __call__(self, done: int, total: int) -> None:
        if self._console is None:
            return
        if self._bar is None:
            self._bar = Progress(
                SpinnerColumn(), _text("{task.description}", "bold"), BarColumn(None),
                TextColumn("{task.completed:,}/{task.total:,}"), TimeRemainingColumn(),
                console=self._console, transient=True,
            )  # fmt: skip
            self._task = self._bar.add_task(self._what, total=total)
            self._bar.start()
        self._bar.update(self._task, completed=done)

    def close(self) -> None:
        if self._bar:
            self._bar.stop()
