"""Which hparams decided: their shares of the importance, by stage."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hpsearch.report.plots.marks import layout, titled
from hpsearch.report.plots.plot import BLUE, GREY, Drawing, Plot, label
from hpsearch.report.tables.importance import shares
from hpsearch.report.tables.material import Material
from hpsearch.report.text import plain, share

if TYPE_CHECKING:
    import pandas as pd

IDLE = 0.05  # a share below it is nothing
MEANING = (
    "A share tells how unlike all trials the best tenth are in that hparam (PED-ANOVA), within the"
    " range searched: once that is narrowed, what mattered looks idle."
)
TALL, BAR = 110, 34  # pixels of the plot without bars, and of one


def importance(material: Material) -> Plot | None:
    """A bar per hparam, the most important on top; a view per stage, the last one first."""
    table = shares(material)
    if table.empty:
        return None
    stages = list(dict.fromkeys(table["stage"]))
    parts = {stage: table[table["stage"] == stage] for stage in stages}
    last, notes = parts[stages[0]], {plain(s): _says(s, part) for s, part in parts.items()}
    found = [f"{plain(name)} {share(value)}" for name, value in _pairs(last)]
    return Plot(
        "importance", "What mattered", f"{_says(stages[0], last)} {MEANING}",
        f"Shares of the importance in {plain(stages[0])}: {', '.join(found)}.",
        {plain(stage): _drawing(part) for stage, part in parts.items()}, table,
        notes=notes if len(notes) > 1 else {},
        height=TALL + BAR * max(map(len, parts.values())),
    )  # fmt: skip


def _pairs(part: "pd.DataFrame") -> list[tuple[str, float]]:
    return [*zip(part["hparam"], part["share"], strict=True)]


def _says(stage: str, part: "pd.DataFrame") -> str:
    """The finding of one stage."""
    (first, most), *_ = _pairs(part)
    idle = [plain(name) for name, value in _pairs(part) if value < IDLE]
    text = f"In {plain(stage)} {plain(first)} decides most: {share(most)} of the importance."
    if idle:
        text += f" {_listed(idle)} {'does' if len(idle) == 1 else 'do'} not matter there."
    return text


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else names[0]


def _drawing(part: "pd.DataFrame") -> Drawing:
    pairs = _pairs(part)
    idle = [value < IDLE for _, value in pairs]
    bars = {
        "type": "bar", "orientation": "h",
        "x": [100 * value for _, value in pairs], "y": [label(name) for name, _ in pairs],
        "text": [share(v) + ("  does not matter here" if i else "")
                 for (_, v), i in zip(pairs, idle, strict=True)],
        "textposition": "outside", "cliponaxis": False, "hoverinfo": "skip",
        "marker": {"color": [GREY if i else BLUE for i in idle],
                   "pattern": {"shape": ["/" if i else "" for i in idle]}},
    }  # fmt: skip
    most = 100 * max(value for _, value in pairs)
    axes = {
        "xaxis": titled("share of the importance, %", range=[0, 1.3 * most]),
        "yaxis": titled("", autorange="reversed", type="category"),
    }
    return {"data": [bars], "layout": layout(bargap=0.35, showlegend=False, **axes)}
