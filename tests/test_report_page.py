import base64
import hashlib
import json
import re
from html.parser import HTMLParser

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_report_samples import CHECKS, NAMES, full_run, hostile_run

from hpsearch.report import page as pages
from hpsearch.report.markup import Html, raw, table, tag
from hpsearch.report.page import asset, own, page, plotly
from hpsearch.report.plots.plot import (
    NEUTRAL,
    SERIES,
    Gallery,
    Listing,
    Picture,
    Plot,
    Switch,
)
from hpsearch.report.sections import _commanded
from hpsearch.report.text import plain
from hpsearch.store import RunStore

VOID = {"meta", "img"}
ATTRIBUTES = {
    "lang", "charset", "http-equiv", "content", "name", "href", "id", "tabindex", "class", "type",
    "role", "scope", "open", "style", "alt", "src", "value",
}  # fmt: skip


class Elements(HTMLParser):
    """What a browser would make of a page: its elements, their attributes, text and scripts."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.attributes, self.open, self.text = [], set(), [], []
        self.scripts = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}
        self.open += [] if tag in VOID else [tag]
        self.scripts += [""] if tag == "script" else []

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] == ["script"]:
            self.scripts[-1] += data
        else:
            self.text.append(data)


def frame(**columns):
    return pd.DataFrame(columns or {"a": [1.0]})


def plot_of(text="p", **more):
    drawing = {"data": [{"type": "scatter", "x": [1], "y": [2], "text": [text]}], "layout": {}}
    return Plot(**{
        "name": "p", "title": text, "caption": text, "alt": text, "table": frame(a=[text]),
        "views": {text: drawing, f"{text} 2": drawing}, "notes": {text: f"note {text}"},
        "switches": [Switch(text, ({}, {}), ({}, {}))], **more,
    })  # fmt: skip


def shows(monkeypatch, *shown):
    parts = (("part", "Part", tuple(lambda material, each=each: each for each in shown)),)
    monkeypatch.setattr(pages, "PARTS", parts)


def test_the_page_is_whole_and_well_formed(tmp_path):
    html = page(full_run(tmp_path))
    seen = Elements(html)
    assert html.startswith("<!doctype html>")
    assert seen.open == []
    assert "<title>r · hpsearch</title>" in html
    text = "".join(seen.text)
    for words in ("class-balance", "proposes", "Is the range right?", "To do it again"):
        assert words in text


def test_only_the_two_scripts_named_by_their_hashes_may_run(tmp_path, monkeypatch):
    shows(monkeypatch, plot_of())
    html = page(full_run(tmp_path))
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', html)[1]
    seen = Elements(html)
    hashes = [hashlib.sha256(script.encode()).digest() for script in seen.scripts]
    digests = [base64.b64encode(each).decode() for each in hashes]
    assert policy.startswith("default-src &#x27;none&#x27;;")
    assert re.findall(r"sha256-([^&]+)&", policy) == digests[1:]
    assert seen.scripts[1:] == [plotly(), own()]
    assert "eval" not in policy and "http" not in policy


def test_the_page_asks_for_nothing(tmp_path, monkeypatch):
    shows(monkeypatch, plot_of())
    html = page(full_run(tmp_path)).replace(plotly(), "")
    html = html.replace("http://www.w3.org/2000/svg", "")  # a name, which nobody fetches
    assert not re.findall(r"https?:", html)
    assert "url(" not in html and "@import" not in html
    assert set(re.findall(r'href="(.)', html)) == {"#"}
    assert not re.findall(r' src="(?!data:image/png;base64,)', html)


def test_a_page_without_plots_does_not_hold_the_library(tmp_path, monkeypatch):
    shows(monkeypatch)
    assert len(page(RunStore(tmp_path, "r"))) < 100_000


def test_the_page_names_no_folder_of_this_machine(tmp_path):
    assert str(tmp_path) not in page(full_run(tmp_path))


def test_every_link_of_the_page_leads_somewhere(tmp_path, monkeypatch):
    shows(monkeypatch, plot_of())
    html = page(full_run(tmp_path))
    links = re.findall(r'href="#([^"]+)"', html)
    assert set(links) <= set(re.findall(r' id="([^"]+)"', html))
    assert links == ["main", "verdict", "stages", "part", "again"]


def test_no_id_is_given_twice_and_every_label_is_there(tmp_path):
    html = page(full_run(tmp_path))
    ids = re.findall(r' id="([^"]+)"', html)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'aria-labelledby="([^"]+)"', html)) <= set(ids)


def test_every_class_has_a_rule():
    used = set()
    for module in ("page.py", "sections.py", "markup.py"):
        source = (pages.files("hpsearch.report") / module).read_text("utf-8")
        used |= set(re.findall(r'class_="([a-z]+)"', source))
    assert used >= {"canvas", "controls", "number", "pictures"}
    assert all(re.search(rf"\.{name}\b", asset("page.css")) for name in used)


@pytest.mark.parametrize("name", NAMES)
def test_hostile_names_are_text_on_the_page(tmp_path, monkeypatch, name):
    gallery = Gallery("g", name, name, name, [Picture(b"png", name, name)], thinned=name)
    listing = Listing("l", name, name, frame(**{"a": [name]}))
    harmless, shown = hostile_run(tmp_path / "a", "x"), hostile_run(tmp_path / "b", name)
    shows(monkeypatch, plot_of("x"), *(Gallery("g", *3 * ["x"], [Picture(b"png", "x", "x")]),
                                       Listing("l", "x", "x", frame(a=["x"]))))  # fmt: skip
    before = Elements(page(harmless))
    shows(monkeypatch, plot_of(name), gallery, listing)
    seen = Elements(page(shown))
    assert set(seen.tags) == set(before.tags) | {"small"}, "a name became an element"
    assert seen.tags.count("script") == 3
    assert {a for a in seen.attributes if not a.startswith(("aria-", "data-"))} <= ATTRIBUTES
    text = "".join(seen.text)
    assert "\x1b" not in text and "\u202e" not in text and "\x07" not in text
    data = json.loads(seen.scripts[0])
    assert data["p"]["views"][0]["data"][0]["text"] == [name]
    assert not set("<>&\u2028\u2029") & set(seen.scripts[0])
    if len(name) < 40 and name.isprintable():
        assert plain(name) in text


def test_the_page_of_a_hostile_run_name_and_of_an_empty_run(tmp_path):
    html = page(RunStore(tmp_path, "<b>&"))
    assert "<h1>&lt;b&gt;&amp;</h1>" in html
    assert html.count("not run") == len(CHECKS) + 3
    assert "Nothing has been run yet." in html


@given(st.text())
def test_a_tag_lets_no_text_act(said):
    seen = Elements(tag("p", said, title=said))
    assert seen.tags == ["p"] and seen.open == []
    assert tag("p", Html("<b>x</b>")) == "<p><b>x</b></p>"


def test_attributes_that_stand_alone_or_not_at_all():
    assert tag("details", open=True, hidden=False, id=None) == "<details open></details>"
    assert tag("a", "x", aria_label="y", class_="z") == '<a aria-label="y" class="z">x</a>'


@pytest.mark.parametrize("content", ["</script>", "x</SCRIPT >"])
def test_a_script_that_ends_itself_is_refused(content):
    with pytest.raises(ValueError):
        raw("script", content)


def test_commands_in_a_sentence_are_code():
    said = "Again: hpsearch run r --set 'a={b: [0.1, 1]}'. It ends. Or: hpsearch predict r DATA"
    first, second = (part for n, part in enumerate(_commanded(said)) if n % 2)
    assert first == tag("code", "hpsearch run r --set 'a={b: [0.1, 1]}'")
    assert second == tag("code", "hpsearch predict r DATA")
    assert _commanded("nothing") == ["nothing"]


def test_a_table_has_numbers_to_the_right_and_says_how_many_rows_it_leaves_out():
    html = table(frame(n=range(60), word=["<b>"] * 60, gone=[None] * 60), "rows")
    assert html.count("<tr>") == 51 and "the first 50 of 60 rows" in html
    assert '<td class="number">3</td><td>&lt;b&gt;</td><td>–</td>' in html


def luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def themes():
    """The colours of the page's three sets of rules: light, dark chosen, dark of the system."""
    blocks = re.findall(r":root[^{]*\{([^}]*--paper[^}]*)\}", asset("page.css"))
    return [dict(re.findall(r"--(\w+): (#\w{6})", block)) for block in blocks]


def test_there_is_one_dark_theme_and_paper_is_white_in_print():
    light, chosen, system, printed = themes()
    assert chosen == system != light
    assert printed["paper"] == "#ffffff"


@pytest.mark.parametrize("theme", [0, 1])
@pytest.mark.parametrize("ground", ["paper", "panel"])
@pytest.mark.parametrize("ink", ["ink", "dim", "green", "yellow", "red", "cyan"])
def test_every_colour_can_be_read(theme, ground, ink):
    colours = themes()[theme]
    light, dark = sorted((luminance(colours[ground]), luminance(colours[ink])), reverse=True)
    assert (light + 0.05) / (dark + 0.05) >= 4.5


@pytest.mark.parametrize("colour", [*SERIES, NEUTRAL])
def test_every_mark_is_seen_on_the_light_and_on_the_dark_page(colour):
    panels = set(re.findall(r"--panel: (#\w{6})", asset("page.css")))
    assert len(panels) == 2
    for panel in panels:
        dark, light = sorted((luminance(colour), luminance(panel)))
        assert (light + 0.05) / (dark + 0.05) >= 3
