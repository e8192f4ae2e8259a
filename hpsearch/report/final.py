"""The view of `final`: the winners trained again, what is saved, and the test set's word."""

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from hpsearch.report.charts import BEST
from hpsearch.report.console import verdict_text
from hpsearch.report.grid import Column, Grid, cells, figures
from hpsearch.report.text import accuracy, metric, number, plain, settings
from hpsearch.verdict import FinalDocument


def final_view(document: FinalDocument) -> RenderableType:
    """What `final` shows."""
    return Group(
        _heading(document), *_messages(document), Text(), _candidates(document),
        *_predictors(document), Text(), *_test(document),
    )  # fmt: skip


def _heading(document: FinalDocument) -> Text:
    state = verdict_text(document.verdict) if document.verdict else Text("unfinished", "cyan")
    said = f"{len(document.candidates)} winners x {document.seeds} fresh seeds"
    return Text.assemble(("final", "bold"), "  ", state, "  ", (said, "dim"))


def _messages(document: FinalDocument) -> Iterator[Padding]:
    if document.message:
        yield _said(plain(document.message))
    if document.reason:
        yield _said(plain(document.reason))
    if document.optimism is not None:
        yield _said(f"optimism of the search: {_optimism(document)}", style="dim")


def _said(text: str, style: str = "") -> Padding:
    return Padding(Text(text, style=style), (0, 0, 0, 2), expand=False)


def _optimism(document: FinalDocument) -> str:
    """The best value of the search beside what the same trial reaches when trained again."""
    first = document.candidates[0]
    then, now = (metric(document.metric, first[name]) for name in ("value", "mean"))
    name = f"{first['stage']}/{first['trial']}"
    return f"{name} had {then}, trained again {now}: {document.optimism:+.4f}"


def _candidates(document: FinalDocument) -> Grid:
    rows = document.candidates
    names = [Text(plain(f"{c['stage']}/{c['trial']}")) for c in rows]
    if document.winner is not None:
        names[document.winner].stylize(BEST)
        names[document.winner].append(" ✓")
    return Grid(
        [
            Column("trial", names),
            figures("search", [metric(document.metric, c["value"]) for c in rows]),
            figures("mean", [metric(document.metric, c.get("mean")) for c in rows]),
            figures("sd", [number(c.get("sd"), 2) for c in rows]),
            figures("params", [number(c["params"]) for c in rows], rank=1),
            figures("epochs", [number(c["epochs"]) for c in rows], rank=2),
            Column("", cells([settings(c["hparams"]) for c in rows], "dim"), wraps=True),
        ]
    )


def _predictors(document: FinalDocument) -> Iterator[RenderableType]:
    rows = document.predictors
    if not rows:
        return
    yield Text()
    yield Grid(
        [
            Column("on the validation rows", [_named(document, row) for row in rows]),
            figures("accuracy", [accuracy(row["accuracy"]) for row in rows]),
            figures("loss", [number(row["loss"]) for row in rows]),
        ]
    )


def _named(document: FinalDocument, row: Mapping[str, Any]) -> Text:
    chosen = row["name"] == document.chosen
    return Text(plain(row["name"]) + (" ✓" if chosen else ""), BEST if chosen else "")


def _flipped(test: Mapping[str, Any]) -> str:
    with_flips = test.get("one_net_flipped")
    return "" if with_flips is None else f", {accuracy(with_flips)} with flips"


def _test(document: FinalDocument) -> Iterator[Text]:
    if document.winner is None:
        return
    test = document.test
    if test is None:
        yield Text("  no test set: the validation rows chose, and promise too much")
    else:
        low, high = test["interval"]
        yield Text.assemble(
            "  test accuracy ", (accuracy(test["accuracy"]), "bold"),
            f" on {test['rows']} rows, 95 % {accuracy(low)} to {accuracy(high)}",
            (f"; one net {accuracy(test['one_net'])}", "dim"),
            (_flipped(test), "dim"),
        )  # fmt: skip
    if document.earlier:
        times = len(document.earlier) + 1
        yield Text(f"  the test set has been read {times} times, by --force", style="yellow")
    yield Text(f"  model: {plain(document.model)}", style="dim")
