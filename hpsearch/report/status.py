"""What is going on in a run at this moment: its gates, and what is in training."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console, ConsoleOptions, RenderResult
from rich.padding import Padding
from rich.text import Text

from hpsearch.live import Live, Running, live
from hpsearch.report.charts import bar
from hpsearch.report.grid import Column, Grid, cells, figures
from hpsearch.report.progress import Gate, gates, summary
from hpsearch.report.tables.stages import documents, says
from hpsearch.report.text import SIGNS, duration, is_real, number, numbers, plain, share
from hpsearch.store import RunStore
from hpsearch.verdict import Document

RUNNING = "running"
SHOWN = 10  # trials in training that are listed, at most; of a low terminal what it has room for
ABOVE = 20  # rows of a terminal that the gates and the best trial take
BAR = 12


@dataclass(frozen=True)
class Look:
    """A run at one moment; `live` is what its writer is at, None where there is none."""

    name: str
    documents: Sequence[Document]
    live: Live | None

    @classmethod
    def at(cls, store: RunStore) -> "Look":
        """What there is now; the documents of a run without a writer are its last."""
        now = live(store.folder)
        return cls(store.name, documents(store), now)

    @property
    def gates(self) -> list[Gate]:
        return gates(self.documents)

    def state(self, gate: Gate) -> str:
        """A gate's state; of the stage that is being run, how far it is."""
        if self.live is None or self.live.stage != gate.stage:
            return gate.state
        if gate.state.startswith("unfinished "):
            return gate.state.replace("unfinished", RUNNING)
        return f"{RUNNING} {self.live.finished}/{self.live.trials}"

    def to_json(self) -> dict[str, Any]:
        """What `status --json` prints: the gates, the best trial, and what is in training."""
        return {**summary(self.name, self.documents),
                "live": self.live.to_json() if self.live else None}  # fmt: skip

    def lines(self) -> dict[tuple[str, str, str], str]:
        """A line for every stage begun, by what makes it worth telling again: a loss that moves
        on does not.
        """
        begun = [gate for gate in self.gates if self.state(gate) != "not run"]
        return {(g.stage, self.state(g), _says(g)): self._line(g) for g in begun}

    def _line(self, gate: Gate) -> str:
        state = self.state(gate)
        sign = "" if state.startswith(RUNNING) or not gate.verdict else f"{SIGNS[gate.verdict]} "
        here = self.live if self.live and self.live.stage == gate.stage else None
        words = [f"{gate.stage}  {sign}{state}", _says(gate)]
        return "  ".join(plain(word) for word in [*words, said(here) if here else ""] if word)


def status_json(store: RunStore) -> dict[str, Any]:
    """What `status --json` prints."""
    return Look.at(store).to_json()


def _says(gate: Gate) -> str:
    return says(gate.document) if gate.document else ""


def said(now: Live) -> str:
    """What is in training, in one line: `32 in training at loss 0.031 to 2.31, 4 s left`."""
    losses = [each.loss for each in now.running if is_real(each.loss)]
    parts = []
    if now.running:
        ends = dict.fromkeys((number(min(losses), 3), number(max(losses), 3))) if losses else {}
        at = f" at loss {' to '.join(ends)}" if ends else ""
        parts.append(f"{len(now.running)} in training{at}")
    if now.left is not None:
        parts.append(f"{duration(now.left)} left")
    return ", ".join(parts)


@dataclass(frozen=True)
class InTraining:
    """The trials in training, those with the lowest loss first, as many as the terminal shows."""

    live: Live

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        now = self.live
        at_work = plain(now.stage) or "nothing is in training yet"
        yield Padding(Text.assemble(
            ("being run: ", "dim"), (at_work, "cyan"), "  ", said(now),
        ), (0, 0, 0, 2), expand=False)  # fmt: skip
        ranked = sorted(now.running, key=_by_loss)
        room = max(2, console.height - ABOVE) if console.is_terminal else SHOWN
        shown = ranked[: min(SHOWN, room)]
        if shown:
            yield Text()
            yield Grid(list(_columns(shown)))
        if len(ranked) > len(shown):
            yield Padding(
                Text(f"and {len(ranked) - len(shown):,} more, at a higher loss", style="dim"),
                (0, 0, 0, 2), expand=False,
            )  # fmt: skip


def _by_loss(each: Running) -> tuple[float, int]:
    return (each.loss if math.isfinite(each.loss) else math.inf), each.trial


def _columns(shown: Sequence[Running]) -> Iterator[Column]:
    yield figures("trial", [str(each.trial) for each in shown])
    yield figures("loss now", numbers([each.loss for each in shown]))
    yield Column("trained", cells([bar(each.share, BAR) for each in shown], "cyan"))
    yield figures("", [share(each.share) for each in shown])
    yield figures("step", [f"{each.step:,}/{each.steps:,}" for each in shown], rank=1)
