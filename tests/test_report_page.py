import re
from html.parser import HTMLParser

import pytest
from test_report_samples import CHECKS, NAMES, full_run, hostile_run

from hpsearch.report.page import page
from hpsearch.report.text import plain
from hpsearch.store import RunStore

VOID = {"meta"}
TAGS = {
    "html", "head", "meta", "title", "style", "body", "header", "h1", "nav", "a", "main",
    "section", "h2", "pre", "span",
}  # fmt: skip
ATTRIBUTES = {
    "lang", "charset", "http-equiv", "content", "name", "href", "id", "tabindex", "class",
}  # fmt: skip


class Elements(HTMLParser):
    """What a browser would make of a page: its elements, their attributes, and its text."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.attributes, self.open, self.text = [], set(), [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}
        self.open += [] if tag in VOID else [tag]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def test_the_page_is_whole_and_well_formed(tmp_path):
    html = page(full_run(tmp_path))
    seen = Elements(html)
    assert html.startswith("<!doctype html>")
    assert seen.open == []
    assert seen.tags.count("section") == len(CHECKS) + 3
    assert "<title>r · hpsearch</title>" in html
    text = "".join(seen.text)
    for words in ("class-balance", "usable, the best", "trial 4, epoch 3", "├", "coarse/best.npz"):
        assert words in text


def test_the_page_needs_no_network_and_runs_nothing(tmp_path):
    html = page(full_run(tmp_path))
    assert "http:" not in html and "https:" not in html
    assert "url(" not in html and "@import" not in html
    assert "default-src 'none'; style-src 'unsafe-inline'" in html
    assert set(re.findall(r'href="(.)', html)) == {"#"}


def test_the_page_names_no_folder_of_this_machine(tmp_path):
    assert str(tmp_path) not in page(full_run(tmp_path))


def test_every_link_of_the_page_leads_somewhere(tmp_path):
    html = page(full_run(tmp_path))
    links = re.findall(r'href="#([^"]+)"', html)
    assert links == re.findall(r'id="([^"]+)"', html)
    assert links == ["run", *CHECKS, "coarse", "files"]


def test_every_colour_has_a_rule(tmp_path):
    html = page(full_run(tmp_path))
    used = {name for names in re.findall(r'class="([^"]+)"', html) for name in names.split()}
    assert {"green", "yellow", "red", "dim", "bold"} <= used
    assert all(f".{name} {{" in html for name in used)


@pytest.mark.parametrize("name", NAMES)
def test_hostile_names_are_text_on_the_page(tmp_path, name):
    store = hostile_run(tmp_path, name)
    seen = Elements(page(store))
    assert set(seen.tags) <= TAGS
    assert seen.attributes <= ATTRIBUTES
    text = "".join(seen.text)
    assert "\x1b" not in text and "\u202e" not in text and "\x07" not in text
    if len(name) < 40 and name.isprintable():
        assert plain(name) in text


def test_the_page_of_a_hostile_run_name_and_of_an_empty_run(tmp_path):
    html = page(RunStore(tmp_path, "<b>&"))
    assert "<h1>&lt;b&gt;&amp;</h1>" in html
    assert html.count("not run") == 7


def luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("theme", [0, 1])
@pytest.mark.parametrize("ground", ["paper", "panel"])
@pytest.mark.parametrize("ink", ["ink", "dim", "green", "yellow", "red", "cyan"])
def test_every_colour_can_be_read(tmp_path, theme, ground, ink):
    html = page(RunStore(tmp_path, "r"))
    colours = dict(re.findall(r"--(\w+): (#\w{6})", html.split(":root")[1 + theme]))
    light, dark = sorted((luminance(colours[ground]), luminance(colours[ink])), reverse=True)
    assert (light + 0.05) / (dark + 0.05) >= 4.5
