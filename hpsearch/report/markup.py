"""HTML that is safe by construction: whatever is not made by `tag` is escaped."""

import math
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from hpsearch.report.text import is_real, number, plain

if TYPE_CHECKING:
    import pandas as pd

VOID = {"meta", "img", "br", "input", "hr", "link"}
MOST = 50  # rows of a table that are shown


class Html(str):
    """Markup, to be taken as it is."""

    __slots__ = ()


def tag(name: str, /, *inside: Any, **attributes: Any) -> Html:
    """One element: `tag("p", "1 < 2", id="x", class_="note")`. Of the attributes True stands
    without a value, False and None are left out; `_` is written `-`.
    """
    written = "".join(_attribute(key.rstrip("_"), value) for key, value in attributes.items())
    if name in VOID:
        return Html(f"<{name}{written}>")
    return Html(f"<{name}{written}>{''.join(map(text, inside))}</{name}>")


def text(value: Any) -> str:
    """A value as the text of an element; several as their texts in a row."""
    if isinstance(value, Html):
        return value
    if isinstance(value, list | tuple):
        return "".join(map(text, value))
    return escape("\n".join(map(plain, str(value).split("\n"))))


def raw(name: str, content: str, /, **attributes: Any) -> Html:
    """A script or a style sheet of ours, which no browser unescapes."""
    if f"</{name}" in content.lower():
        raise ValueError(f"a {name} cannot hold its own end")
    written = "".join(_attribute(key.rstrip("_"), value) for key, value in attributes.items())
    return Html(f"<{name}{written}>{content}</{name}>")


def _attribute(name: str, value: Any) -> str:
    if value is None or value is False:
        return ""
    if value is True:
        return f" {name.replace('_', '-')}"
    return f' {name.replace("_", "-")}="{escape(plain(value))}"'


def table(frame: "pd.DataFrame", caption: str) -> Html:
    """A DataFrame's first rows, numbers to the right; it scrolls in itself where it is wide."""
    shown = list(frame.head(MOST).itertuples(index=False))
    numeric = [_numeric(column) for column in zip(*shown, strict=True)]
    head = tag("tr", [tag("th", _worded(name), scope="col") for name in frame.columns])
    body = [
        tag("tr", [_cell(value, right) for value, right in zip(row, numeric, strict=True)])
        for row in shown
    ]
    more = f"{caption}: the first {MOST} of {len(frame):,} rows"
    said = more if len(frame) > MOST else caption
    parts = (tag("caption", said), tag("thead", head), tag("tbody", body))
    return scrolls(tag("table", *parts), said)


def scrolls(inside: Html, named: str) -> Html:
    """Room that scrolls sideways, by keyboard too."""
    return tag("div", inside, class_="scrolls", tabindex="0", role="region", aria_label=named)


def _worded(name: Any) -> str:
    return str(name).replace("_", " ")


def _numeric(values: Sequence[Any]) -> bool:
    there = [v for v in values if not _missing(v)]
    return bool(there) and all(is_real(v) for v in there)


def _cell(value: Any, right: bool) -> Html:
    return tag("td", "–" if _missing(value) else number(value), class_="number" if right else None)


def _missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))
