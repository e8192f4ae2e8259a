"""One plot of the page: what plotly draws, and the words and the table that say the same."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any

from hpsearch.report.text import plain

if TYPE_CHECKING:
    import pandas as pd

# Colours that people with any colour vision tell apart: Okabe and Ito, "Color Universal Design"
# (2008), moved until each has a contrast of 3 to the light and the dark page (WCAG 2.2, 1.4.11).
# Marks differ in shape as well.
BLUE, ORANGE, GREEN, VERMILION = "#1a7cc0", "#c98500", "#009e73", "#d55e00"
PURPLE, SKY = "#cc79a7", "#3a9bd1"
SERIES = (BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILION)
NEUTRAL = "#808080"  # of lines that are no data: levels, ends, ranges
GREY = "rgba(128,128,128,.45)"  # what is there for comparison
SCALE = "Cividis"  # of a metric, from low to high
LONGEST = 60  # characters of a name that a plot shows

Drawing = Mapping[str, Any]  # {"data": [traces], "layout": {...}}, as plotly writes them


@dataclass(frozen=True)
class Switch:
    """A button below a plot. `on` and `off` are what `Plotly.update` takes: what to change of the
    traces, of the layout, and of which traces (all, if it is None).
    """

    label: str
    on: tuple[Mapping[str, Any], Mapping[str, Any]]
    off: tuple[Mapping[str, Any], Mapping[str, Any]]
    traces: Sequence[int] | None = None


@dataclass(frozen=True)
class Plot:
    """One plot. `name` is kebab-case and unique on the page; `caption` says in a sentence or two
    what is seen and what it means, with the numbers; `alt` what somebody would be told who cannot
    see it. Of several `views` a list lets the reader choose, by their labels; `notes` is what is
    said while a view is chosen, by its label. `table` holds the numbers drawn; `thinned` says
    what was left out, where something was. Drawings set no colour of paper, text and grid: the
    page has a light and a dark template for these. `width` is the least that they need, in pixels.
    """

    name: str
    title: str
    caption: str
    alt: str
    views: Mapping[str, Drawing]
    table: "pd.DataFrame"
    switches: Sequence[Switch] = ()
    thinned: str = ""
    notes: Mapping[str, str] = field(default_factory=dict)
    height: int = 420  # pixels
    width: int = 0


@dataclass(frozen=True)
class Picture:
    """A small image of a gallery: PNG, what stands below it, and what it shows."""

    png: bytes
    label: str
    alt: str


@dataclass(frozen=True)
class Gallery:
    """Small images side by side; the fields are a plot's."""

    name: str
    title: str
    caption: str
    alt: str
    pictures: Sequence[Picture]
    thinned: str = ""


@dataclass(frozen=True)
class Listing:
    """A table that stands for itself; the fields are a plot's."""

    name: str
    title: str
    caption: str
    table: "pd.DataFrame"


@dataclass(frozen=True)
class Gap:
    """What stands where a plot would: the words why there is none."""

    name: str
    title: str
    caption: str


def label(value: Any) -> str:
    """A text of the user's for a plot: plotly would obey the tags and entities in it. It knows no
    entity for quotation marks, which do nothing there.
    """
    return escape(plain(value, LONGEST), quote=False)


def joined(lines: Sequence[str]) -> str:
    """What hovering shows, of lines that `label` has made."""
    return "<br>".join(lines)
