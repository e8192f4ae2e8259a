"""The view of a search stage: its best trials, where they lie in the space, what comes next."""

import math
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from hpsearch.curves import ACTIONS, fault, tally
from hpsearch.errors import HostError
from hpsearch.report.charts import sparkline
from hpsearch.report.console import verdict_text
from hpsearch.report.grid import Column, Grid, cells, figures
from hpsearch.report.isolation import isolated_view
from hpsearch.report.ranges import EDGE_STYLES, Ranges
from hpsearch.report.tables.importance import tells
from hpsearch.report.tables.stages import (
    error_of,
    finished,
    ranked,
    so_far,
    space_rows,
    tied,
    trial_rows,
    varying,
)
from hpsearch.report.text import (
    accuracy,
    counted,
    metric,
    number,
    numbers,
    plain,
    settings,
)
from hpsearch.trial import METRICS, Status, TrialResult, ranking
from hpsearch.verdict import Edge, SearchDocument

RANKED = 10
CURVE, HISTORY = 12, 24
FEWEST = 5  # trials of which a history is shown
LOST = 5  # trials shown where none was completed
Row = Mapping[str, Any]


def search_view(
    document: SearchDocument, results: Sequence[TrialResult], *, rows: int | None = None
) -> RenderableType:
    """What `search` shows. `rows` are the validation rows, for the standard error."""
    if document.metric not in METRICS:
        raise HostError(f"{document.stage}/stage.json: damaged: no metric {document.metric!r}")
    if document.verdict is None:
        document = so_far(document, results)
    best = ranking(results)
    parts = [_heading(document), *_messages(document, best, rows), *_history(results), Text()]
    parts += [_ranking(document, results)] if best else _lost(results)
    ranges = space_rows(document, results)
    if best and ranges:
        parts += [Text(), Ranges(ranges, document.importance if tells(document) else {})]
        parts += isolated_view(document)
        parts += [*_edges(document.edges), *_following(document, ranges)]
    decided = [Text(), Text(f"the search {plain(document.decision)}")] if document.decision else []
    return Group(*parts, *decided)


def _heading(document: SearchDocument) -> Text:
    stage = (plain(document.stage), "bold")
    return Text.assemble(stage, "  ", _state(document), "  ", (_counts(document), "dim"))


def _state(document: SearchDocument) -> Text:
    if document.verdict:
        return verdict_text(document.verdict)
    return Text(f"unfinished {finished(document)}/{document.trials}", style="cyan")


def best_text(best: Mapping[str, Any], rows: int | None) -> Text:
    """The best value, with its standard error where that is known."""
    name, value = str(best["metric"]), best["value"]
    error = error_of(name, value, rows)
    around = f" ± {accuracy(error)}" if error is not None else ""
    return Text.assemble(f"best {plain(name)} ", (metric(name, value), "bold"), around)


def named_best(best: Mapping[str, Any], rows: int | None) -> Text:
    """The best value and the trial that reached it: `refine-1/7` where its stage is given too."""
    stage = f"{best['stage']}/" if "stage" in best else ""
    where = plain(f", trial {stage}{best['trial']}, epoch {best['epoch']}")
    return best_text(best, rows).append(where)


def _counts(document: SearchDocument) -> str:
    parts = [counted(document.trials, "trial"), f"{document.diverged} diverged"]
    parts += [f"{document.pruned} pruned"] if document.pruned else []
    parts += [f"{document.failed} failed"] if document.failed else []
    return ", ".join(parts)


def _messages(
    document: SearchDocument, best: Sequence[TrialResult], rows: int | None
) -> list[RenderableType]:
    """What the stage concludes, and how far its ranking can be trusted."""
    lines: list[RenderableType] = []
    if document.best:
        lines.append(_indented(named_best(document.best, rows)))
    if document.message:
        lines.append(_indented(Text(plain(document.message))))
    lines += [_indented(Text(line)) for line in curves_say(document.verdicts, best)]
    if (count := tied(best, rows)) > 1:
        text = f"the best {count} trials lie within one standard error: their order is noise"
        lines.append(_indented(Text(text, style="dim")))
    if said := document.best_of_n.get("meter"):
        lines.append(_indented(Text(plain(said), style="dim")))
    return lines


def curves_say(verdicts: Mapping[str, int], best: Sequence[TrialResult]) -> list[str]:
    """How many curves show what; and what to do where half of the best show the same fault."""
    if not verdicts:
        return []
    counts = ", ".join(f"{n} {plain(word.replace('-', ' '))}" for word, n in verdicts.items())
    top = best[:RANKED]
    if not (word := fault(top)):
        return [f"curves: {counts}"]
    said = f"{tally(top)[word]} of the best {len(top)}" if len(top) > 1 else "the best"
    return [f"curves: {counts}", f"{said}: {word.replace('-', ' ')}; {ACTIONS[word]}"]


def _indented(text: Text, by: int = 2) -> Padding:
    return Padding(text, (0, 0, 0, by), expand=False)


def _history(results: Sequence[TrialResult]) -> list[RenderableType]:
    """The best value after each trial, in their order: it shows whether more are worth while."""
    there = sorted((r for r in ranked(results) if r.best_epoch is not None), key=lambda r: r.id)
    if len(there) < FEWEST:
        return []
    best: list[TrialResult] = list(accumulate(there, _better))
    line = sparkline([result.value for result in best], HISTORY)
    ends = " to ".join(metric(r.metric, r.value) for r in (best[0], best[-1]))
    said = f"the best so far, over {len(there):,} trials  "
    words = Text.assemble((said, "dim"), (line, "cyan"), f"  {ends}")
    return [_indented(words)]


def _better(one: TrialResult, other: TrialResult) -> TrialResult:
    return other if other.score > one.score else one


def _ranking(document: SearchDocument, results: Sequence[TrialResult]) -> RenderableType:
    """The best trials: what they reached, with which hparams, and how they got there. Where fewer
    were completed, those that halving gave up follow.
    """
    best = ranked(results)[:RANKED]
    shown = [row for result in best for row in trial_rows([result])]
    pruned = [str(r.status) if r.status is Status.PRUNED else "" for r in best]
    columns = [
        figures("trial", [str(row["trial"]) for row in shown]),
        *([Column("", cells(pruned, "dim"))] if any(pruned) else []),
        *_metrics(document.metric, shown),
        figures("epoch", [f"{row['best_epoch']}/{row['epochs']}" for row in shown], rank=40),
        *_hparams(varying(results), shown),
        Column("curve", _curves(document.metric, best), rank=50),
    ]  # fmt: skip
    return Group(Grid(columns), *_left_out(document, results), *_constant(results))


def _left_out(document: SearchDocument, results: Sequence[TrialResult]) -> list[RenderableType]:
    """That there are more, where there are."""
    there, done = len(ranked(results)), len(ranking(results))
    if there <= RANKED:
        return []
    pruned = f" and {there - done:,} pruned" if there > done else ""
    where = f"the best {RANKED} of {done:,} completed{pruned}; all: {document.stage}/trials.csv"
    return [_indented(Text(plain(where), style="dim"))]


def _metrics(searched: str, shown: Sequence[Row]) -> list[Column]:
    """The searched metric, then those that put it into proportion."""
    columns = [_metric(searched, shown, rank=0)]
    others = (("val_accuracy", 60), ("train_accuracy", 70), ("val_loss", 80))
    return columns + [_metric(name, shown, rank) for name, rank in others if name != searched]


def _metric(name: str, shown: Sequence[Row], rank: int) -> Column:
    values = [row[name] for row in shown]
    written = numbers(values) if name.endswith("loss") else [accuracy(v) for v in values]
    return figures(name, written, "" if rank else "bold", rank)


def _hparams(names: Sequence[str], shown: Sequence[Row]) -> list[Column]:
    """The hparams that vary; where not all fit, the first stay, and metrics give way first."""
    return [
        figures(plain(name, 24), numbers([row.get(name) for row in shown]), rank=_rank(place))
        for place, name in enumerate(names)
    ]


def _rank(place: int) -> int:
    return max(0, place - 1)


def _curves(name: str, best: Sequence[TrialResult]) -> list[Text]:
    """All on one scale."""
    curves = [getattr(result.curves, name) for result in best]
    finite = [value for curve in curves for value in curve if math.isfinite(value)]
    low, high = min(finite, default=0.0), max(finite, default=0.0)
    return cells([sparkline(curve, CURVE, low=low, high=high) for curve in curves], "cyan")


def _constant(results: Sequence[TrialResult]) -> list[RenderableType]:
    differ = varying(results)
    same = {k: v for k, v in results[0].hparams.items() if k not in differ}
    return [_indented(Text(f"the same in all: {settings(same)}", style="dim"))] if same else []


def _lost(results: Sequence[TrialResult]) -> list[RenderableType]:
    """Where nothing was completed: what the first trials came to."""
    if not results:
        return [_indented(Text("no trial has finished yet", style="dim"))]
    shown, first = trial_rows(results)[:LOST], {result.id: result for result in results}
    columns = [
        figures("trial", [str(row["trial"]) for row in shown]),
        Column("status", cells([row["status"] for row in shown], "red")),
        *_hparams(varying(results), shown),
        Column("reason", cells([plain(first[row["trial"]].reason) for row in shown]), wraps=True),
    ]
    return [Grid(columns)]


def _edges(edges: Sequence[Edge]) -> list[RenderableType]:
    """What lies on an edge, and what that means."""
    if not edges:
        return []
    styles = [EDGE_STYLES.get(edge.strength, "dim") for edge in edges]
    words = [
        Text(f"{plain(edge.strength)} edge", style=style)
        for edge, style in zip(edges, styles, strict=True)
    ]
    messages = cells([plain(edge.message) for edge in edges])
    return [Text(), Grid([Column("", words), Column("", messages, wraps=True)], bare=True)]


def _following(document: SearchDocument, rows: Sequence[Row]) -> list[RenderableType]:
    """The next range of every hparam, and why."""
    rows = [row for row in rows if row["reason"] or row["next_low"] is not None]
    if not rows:
        return []
    columns = [
        Column("next range", cells([plain(row["hparam"], 24) for row in rows])),
        Column("", cells([_range(row) for row in rows], "bold")),
        Column("because", cells([plain(row["reason"]) for row in rows], "dim"), wraps=True),
    ]
    return [Text(), Grid(columns)]


def _range(row: Row) -> str:
    if row["next_low"] is None:
        return "as it is"
    return f"{number(row['next_low'])} to {number(row['next_high'])}"
