"""Which hparams decided: their shares of the importance, by stage."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from hpsearch.report.plots.marks import layout, titled
from hpsearch.report.plots.plot import BLUE, GREY, Drawing, Plot, label
from hpsearch.report.tables.importance import IDLE, ordered, shares, widest
from hpsearch.report.tables.material import Material
from hpsearch.report.text import plain
from hpsearch.verdict import SearchDocument, Verdict

if TYPE_CHECKING:
    import pandas as pd

EQUAL = 0.1  # shares less far apart are about equal
INSIDE = 0.7  # of the axis: from so long a bar on its share is written inside
MEANING = (
    "An hparam's share says how well it alone tells the best tenth of the trials from all others."
)
NOTHING = "Nothing was learnt in {}, so that nothing mattered"
MARGIN = {"l": 8, "r": 24, "t": 8, "b": 8}  # with room for half of the tick 100
TALL, BAR = 90, 34  # pixels of the plot without bars, and of one

Shares = Sequence[tuple[str, float]]


def importance(material: Material) -> Plot | None:
    """A bar per hparam, the most important on top; a view per stage, that with the widest ranges
    first.
    """
    table = shares(material)
    if table.empty:
        return None
    known = {document.stage: document for document in material.searches}
    stages = list(dict.fromkeys(table["stage"]))
    if (wide := widest(material.searches)) and wide.stage in stages:
        stages = [wide.stage, *(stage for stage in stages if stage != wide.stage)]
    parts = {stage: table[table["stage"] == stage] for stage in stages}
    notes = {plain(stage): _says(known[stage]) for stage in stages}
    found = [f"{plain(name)} {percent(value)}" for name, value in _pairs(parts[stages[0]])]
    return Plot(
        "importance", "What mattered", f"{_caption(known, stages)} {MEANING}",
        f"Shares of the importance in {plain(stages[0])}: {', '.join(found)}.",
        {plain(stage): _drawing(part) for stage, part in parts.items()}, table,
        notes=notes if len(notes) > 1 else {},
        height=TALL + BAR * max(map(len, parts.values())),
    )  # fmt: skip


def percent(part: float) -> str:
    """A share without decimals, which it does not have."""
    return f"{100 * part:.0f} %"


def close(pairs: Shares) -> bool:
    """Whether nobody can tell which of the first two matters more."""
    return len(pairs) > 1 and pairs[0][1] - pairs[1][1] < EQUAL


def _pairs(part: "pd.DataFrame") -> list[tuple[str, float]]:
    return [*zip(part["hparam"], part["share"], strict=True)]


def _caption(known: Mapping[str, SearchDocument], stages: Sequence[str]) -> str:
    """What decided over the widest ranges, and what in the last round."""
    first, last = known[stages[0]], known[next(s for s in [*known][::-1] if s in stages)]
    if first.verdict is Verdict.FAIL:
        return f"{NOTHING.format(plain(first.stage))}."
    pairs = ordered(first.importance)
    where = f"Over the widest range searched ({plain(first.stage)})"
    where = where if len(known) > 1 else f"In {plain(first.stage)}"
    text = f"{where} {_decides(pairs)}.{'' if len(stages) > 1 else _idle(pairs)}"
    return text if last is first else f"{text} {_then(last, pairs)}."


def _then(last: SearchDocument, before: Shares) -> str:
    """The last round, which may say something else within its own ranges."""
    pairs, where = ordered(last.importance), f"of the last round ({plain(last.stage)})"
    if last.verdict is Verdict.FAIL:
        return NOTHING.format(f"the last round ({plain(last.stage)})")
    if close(pairs):
        return f"Within the ranges {where} nothing is certain: {_against(pairs)}"
    if pairs[0][0] == before[0][0] and not close(before):
        return f"So it does within those {where}: {percent(pairs[0][1])}"
    return f"Within the ranges {where} {_decides(pairs)}"


def _decides(pairs: Shares) -> str:
    (first, most), (second, _) = pairs[:2]
    if close(pairs):
        return f"{plain(first)} and {plain(second)} matter about equally: {_against(pairs)}"
    return f"{plain(first)} decides{'' if most >= 0.5 else ' most'}: {percent(most)}"


def _against(pairs: Shares) -> str:
    return f"{100 * pairs[0][1]:.0f} against {percent(pairs[1][1])}"


def _idle(pairs: Shares) -> str:
    idle = [plain(name) for name, value in pairs if value < IDLE]
    return f" {_listed(idle)} {'does' if len(idle) == 1 else 'do'} not matter." if idle else ""


def _says(document: SearchDocument) -> str:
    """The finding of one stage."""
    stage, pairs = plain(document.stage), ordered(document.importance)
    if document.verdict is Verdict.FAIL:
        return f"{NOTHING.format(stage)}."
    return f"{stage}: {_decides(pairs)}.{_idle(pairs)}"


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else names[0]


def _drawing(part: "pd.DataFrame") -> Drawing:
    pairs = _pairs(part)
    idle = [value < IDLE for _, value in pairs]
    end = min(1.0, 1.3 * max(value for _, value in pairs))
    bars = {
        "type": "bar", "orientation": "h",
        "x": [100 * value for _, value in pairs], "y": [label(name) for name, _ in pairs],
        "text": [percent(v) + ("  does not matter here" if i else "")
                 for (_, v), i in zip(pairs, idle, strict=True)],
        "textposition": ["inside" if v > INSIDE * end else "outside" for _, v in pairs],
        "cliponaxis": False, "hoverinfo": "skip",
        "marker": {"color": [GREY if i else BLUE for i in idle],
                   "pattern": {"shape": ["/" if i else "" for i in idle]}},
    }  # fmt: skip
    axes = {
        "xaxis": titled("share of the importance, %", range=[0, 100 * end]),
        "yaxis": titled("", autorange="reversed", type="category"),
    }
    return {"data": [bars], "layout": layout(
        bargap=0.35, showlegend=False, margin=MARGIN, **axes
    )}  # fmt: skip
