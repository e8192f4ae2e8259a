"""The view of a checking stage: its verdict, its checks, and what it measured."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from hpsearch.report.charts import RampChart, sparkline
from hpsearch.report.console import STYLES, verdict_text
from hpsearch.report.grid import Column, Grid, cells, figures
from hpsearch.report.text import MISSING, number, numbers, plain, share
from hpsearch.trial import Status
from hpsearch.verdict import Check, CheckDocument, Verdict

Facts = Mapping[str, Any]
SHOWN = 8  # inputs of a previewed row
NAMED = 10  # classes listed
CURVE = 40
DIVERGED = "red"
CHOSEN = "bold green"
FLAT = 0.99  # of the first loss


def check_view(document: CheckDocument) -> RenderableType:
    """What `data`, `sanity`, `overfit` and `sweep` show."""
    heading = Text.assemble((plain(document.stage), "bold"), "  ", verdict_text(document.verdict))
    return Group(heading, Text(), _checks(document.checks), *_facts(document))


def _checks(checks: Sequence[Check]) -> Grid:
    names = [Text(plain(c.name), style=STYLES[c.verdict] if _open(c) else "") for c in checks]
    return Grid(
        [
            Column("", [verdict_text(check.verdict) for check in checks]),
            Column("check", names),
            Column("", [_message(check) for check in checks], wraps=True),
        ],
        bare=True,
    )


def _open(check: Check) -> bool:
    return check.verdict is not Verdict.PASS


def _message(check: Check) -> Text:
    """The message; below it the fix, of a check that did not pass."""
    text = Text(plain(check.message))
    if _open(check) and check.fix:
        text.append(f"\nfix: {plain(check.fix)}", style="dim")
    return text


def _facts(document: CheckDocument) -> list[RenderableType]:
    """What the stage measured; a file that was tampered with loses only this part."""
    view = FACTS.get(document.stage)
    if view is None or not document.facts:
        return []
    try:
        return [Text(), *view(document.facts)]
    except (KeyError, TypeError, ValueError, AttributeError, IndexError):
        return [Text(), _note("what it measured cannot be read: run the stage again with --force")]


def _note(text: str, style: str = "dim") -> Padding:
    return Padding(Text(text, style=style), (0, 0, 0, 2), expand=False)


def _data(facts: Facts) -> list[RenderableType]:
    rows = ", ".join(f"{plain(name)} {count:,}" for name, count in facts["rows"].items())
    shape = facts.get("image_shape")
    image = f" (images of {' x '.join(map(str, shape))})" if shape else ""
    classes = ", ".join(plain(name, 20) for name in facts["classes"][:NAMED])
    more = ", …" if facts["n_classes"] > NAMED else ""
    said = {
        "rows": rows,
        "inputs": f"{facts['inputs']:,}{image}",
        "classes": f"{facts['n_classes']:,}: {classes}{more}",
    }
    names, values = cells(list(said), "dim"), cells(list(said.values()))
    lines = Grid([Column("", names), Column("", values, wraps=True)], bare=True)
    return [lines, Text(), *_preview(facts)]


def _preview(facts: Facts) -> list[RenderableType]:
    """The first rows as the network sees them, as many inputs as fit."""
    rows, names = facts["preview"]["rows"], facts["features"]
    count = min(SHOWN, *map(len, rows)) if rows else 0
    first = Column("class", cells([plain(name, 20) for name in facts["preview"]["classes"]]))
    inputs = [
        figures(plain(names[i], 16), [number(row[i], 3) for row in rows], rank=i)
        for i in range(count)
    ]
    part = "" if count == facts["inputs"] else f", {count} of {facts['inputs']:,} inputs"
    return [_note(f"{len(rows)} rows as the network sees them{part}"), Grid([first, *inputs])]


def _shares(values: Sequence[Any]) -> list[str]:
    return [share(value) for value in values]


LAYER = {
    "layer": numbers, "units": numbers, "mean": numbers, "std": numbers,
    "zero": _shares, "saturated": _shares, "dead": _shares,
}  # fmt: skip


def _sanity(facts: Facts) -> list[RenderableType]:
    layers = facts["layers"]
    parameters = _note(f"{facts['n_params']:,} parameters; the hidden layers at initialisation:")
    if not layers:
        return [_note(f"{facts['n_params']:,} parameters, no hidden layer")]
    table = {name: [row[name] for row in layers] for name in LAYER}
    columns = [figures(name, write(table[name])) for name, write in LAYER.items()]
    return [parameters, Grid(columns)]


def _overfit(facts: Facts) -> list[RenderableType]:
    rates, best = facts["rates"], facts.get("learning_rate")
    columns = [
        figures("learning_rate", [number(row["learning_rate"]) for row in rates]),
        figures("loss", numbers([row["first_loss"] for row in rates])),
        Column("", cells(["->"] * len(rates), "dim")),
        figures("after", [number(row["loss"], 3) for row in rates]),
        figures("accuracy", [_percent(row["accuracy"]) for row in rates]),
        Column("", [_learnt(row, facts) for row in rates]),
    ]
    return [Grid(columns), *_curve(facts.get("curve") or [], best)]


def _percent(value: Any) -> str:
    return MISSING if value is None else f"{value:.0%}"


def _learnt(row: Mapping[str, Any], facts: Facts) -> Text:
    """What became of a rate; the best one may have been given more epochs than the others."""
    if row["status"] != Status.DONE:
        return Text(plain(row["status"]), style=DIVERGED)
    longer = row.get("epochs") != facts["rates"][0].get("epochs") and row.get("epochs")
    words = [f"{longer} epochs"] * bool(longer and row is facts["rates"][-1])
    best = all(row.get(key) == facts.get(key) for key in ("learning_rate", "epochs"))
    return Text(", ".join([*words, *["the best"] * best]), style=CHOSEN if best else "")


def _curve(curve: Sequence[float | None], rate: float | None) -> list[RenderableType]:
    """The loss of the best rate over the epochs, on a log scale: it falls through decades."""
    logs = [math.log10(loss) if loss and loss > 0 else None for loss in curve]
    if not logs:
        return []
    text = Text.assemble(
        ("  loss at ", "dim"), number(rate), (f" over {len(curve)} epochs, log scale  ", "dim"),
        f"{number(curve[0], 3)} ", (sparkline(logs, CURVE), "cyan"), f" {number(curve[-1], 3)}",
    )  # fmt: skip
    return [Text(), text]


def _sweep(facts: Facts) -> list[RenderableType]:
    rates, best = facts["rates"], facts.get("learning_rate")
    columns = [
        figures("learning_rate", [number(row["rate"]) for row in rates]),
        figures("loss", numbers([row["first"] for row in rates])),
        Column("", cells(["->"] * len(rates), "dim")),
        figures("after", [number(row["score"]) for row in rates]),
        figures("±", [number(row.get("error"), 2) for row in rates], "dim", rank=2),
        figures("accuracy", _shares([row.get("accuracy") for row in rates]), rank=1),
        Column("", [_judged(row, best) for row in rates]),
    ]
    return [Grid(columns), Text(), *_ramp(facts.get("ramp")), *_proposal(facts)]


def _judged(row: Mapping[str, Any], best: float | None) -> Text:
    """What became of a rate, in words."""
    if row["diverged"]:
        return Text(f"diverged at step {row['step']}", style=DIVERGED)
    if row["usable"]:
        if row["rate"] == best:
            return Text("usable, the best", style=CHOSEN)
        return Text("usable", style="green")
    slow = row["score"] is not None and row["score"] < FLAT * row["first"]
    return Text("falls too little" if slow else "flat", style="yellow")


def _ramp(ramp: Mapping[str, Any] | None) -> list[RenderableType]:
    """The loss over the rising rate, and below it where it falls."""
    if not ramp or len(ramp["rates"]) < 2:
        return []
    ends = number(ramp["rates"][0], 3), number(ramp["rates"][-1], 3)
    heading = _note(f"the loss while the rate rises from {ends[0]} to {ends[1]}:")
    return [heading, RampChart(ramp), Text()]


def _proposal(facts: Facts) -> list[RenderableType]:
    baseline = _note(f"the best answer that ignores the input costs {number(facts['baseline'])}")
    if not facts.get("range"):
        return [baseline]
    low, high = map(number, facts["range"])
    proposed = Text.assemble(("proposed range  ", "dim"), (f"{low} to {high}", "bold"))
    return [baseline, Padding(proposed, (0, 0, 0, 2), expand=False)]


FACTS: dict[str, Callable[[Facts], list[RenderableType]]] = {
    "data": _data,
    "sanity": _sanity,
    "overfit": _overfit,
    "sweep": _sweep,
}
