"""The report in a real browser: it draws, it asks for nothing, and no text acts."""

import re

import pytest
from test_report_samples import hostile_run
from typer.testing import CliRunner

from hpsearch.cli import app
from hpsearch.report.page import page

SMALL = (
    "search.coarse={trials: 12, epochs: 2}", "search.refine={trials: 8, epochs: 3, rounds: 1}",
    "final={top: 2, seeds: 2}", "overfit.epochs=50",
)  # fmt: skip
ACTS = "window.acted = 1"
PAYLOADS = (
    f"<script>{ACTS}</script>", f"</script><script>{ACTS}</script>",
    f"</SCRIPT ><img src=x onerror='{ACTS}'>", f"<img src=x onerror={ACTS}>",
    f'"><img src=x onerror="{ACTS}">', f"'><svg onload='{ACTS}'>", f"<svg/onload={ACTS}>",
    f"<iframe srcdoc='<script>parent.{ACTS}</script>'>", f"<a href='javascript:{ACTS}'>x</a>",
    f"javascript:{ACTS}", f"<body onload={ACTS}>", f"<details open ontoggle={ACTS}>",
    "<style>*{display:none}</style>", "<link rel=stylesheet href=http://127.0.0.1:9/x.css>",
    "<img src=http://127.0.0.1:9/x.png>", "<b>bold</b><br><i>it</i>",
    '<a href="http://127.0.0.1:9/">link</a>', "&lt;script&gt;",
    f"&#60;img src=x onerror={ACTS}&#62;", f"\\u003cimg src=x onerror={ACTS}\\u003e",
    "]]><!--", "<!--<script>", "--><script>", f"${{{ACTS}}}", f"{{{{{ACTS}}}}}",
    "%{customdata}", "%{x}<extra>y</extra>", f"<math><mtext></p><img src=x onerror={ACTS}>",
    f"<noscript><p title='</noscript><img src=x onerror={ACTS}>'>", "\u202egnp.exe",
    "\u2028\u2029", "`'\"<>&", f"x' onmouseover='{ACTS}", "$\\href{javascript:x}{y}$",
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The recipe on digits, small."""
    root = tmp_path_factory.mktemp("runs")
    given = [word for item in SMALL for word in ("--set", item)]
    found = CliRunner().invoke(app, ["run", "digits", "--runs-dir", str(root), *given, "--json"])
    assert found.exit_code == 0, found.output
    return root / "digits"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1400, 400])
def test_every_plot_is_drawn_and_nothing_goes_wrong(folder, look, width, scheme):
    with look(folder / "report.html", width=width, scheme=scheme) as watched:
        drawn = watched.page.evaluate(
            "[...document.querySelectorAll('.canvas')].map(c => [c.dataset.plot, c.dataset.drawn,"
            " (c.data || []).length, c.querySelectorAll('svg, canvas').length > 0])"
        )
        wide = watched.page.evaluate("document.documentElement.scrollWidth")
        assert len(drawn) >= 10
        assert all(done == "yes" and traces and there for _, done, traces, there in drawn), drawn
        assert wide <= width, "the page itself scrolls sideways"
        assert watched.faults == []


def test_every_view_and_every_switch_draws(folder, look):
    with look(folder / "report.html") as watched:
        page = watched.page
        for select in page.query_selector_all("select[data-plot]"):
            for option in select.query_selector_all("option"):
                select.select_option(option.get_attribute("value"))
        for button in page.query_selector_all("button[data-switch]"):
            for pressed in ("true", "false"):
                button.press("Enter")
                assert button.get_attribute("aria-pressed") == pressed
        page.wait_for_timeout(500)
        assert watched.faults == []


def test_the_theme_can_be_chosen(folder, look):
    ink = "getComputedStyle(document.querySelector('.canvas .main-svg')).backgroundColor"
    with look(folder / "report.html") as watched:
        page, seen = watched.page, []
        for _ in range(3):
            page.focus("#theme")
            page.keyboard.press("Enter")
            page.wait_for_timeout(700)
            seen.append((page.inner_text("#theme"), page.evaluate(ink)))
        assert [word for word, _ in seen] == ["Theme: light", "Theme: dark", "Theme: system"]
        assert seen[0][1] == seen[2][1] != seen[1][1]
        assert watched.faults == []


def test_it_is_read_and_worked_by_keyboard(folder, look):
    """Tab comes by every link, button, list, summary and scrolling table, and shows where."""
    with look(folder / "report.html") as watched:
        page, reached = watched.page, set()
        for _ in range(400):
            page.keyboard.press("Tab")
            at = page.evaluate(
                "(() => { const e = document.activeElement;"
                " return [e.tagName, e.className, getComputedStyle(e).outlineStyle]; })()"
            )
            if at[0] == "BODY":
                break
            assert at[2] != "none", at
            reached.add(at[0])
        assert reached >= {"A", "BUTTON", "SELECT", "SUMMARY", "PRE"}


def kept(page):
    return page.evaluate("document.querySelectorAll('.parallel polyline:not(.out)').length")


def test_lines_are_kept_by_mouse_by_keyboard_and_by_button(folder, look):
    with look(folder / "report.html") as watched:
        page = watched.page
        every = kept(page)
        button = page.query_selector("#parallel-coordinates button[data-switch]")
        button.press("Enter")
        assert kept(page) == 10 < every
        button.press("Enter")
        assert kept(page) == every
        axes = page.query_selector_all(".parallel .axis")
        axes[-1].focus()
        page.keyboard.press("ArrowDown")
        top = kept(page)
        assert 0 < top < every
        assert f"{top} of {every} trials kept" in axes[-1].get_attribute("aria-valuetext")
        page.keyboard.press("Escape")
        assert kept(page) == every
        box = axes[-1].query_selector(".hit").bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + 8
        page.mouse.move(x, y)
        page.mouse.down()
        page.mouse.move(x, y + box["height"] / 4)
        page.mouse.up()
        assert 0 < kept(page) < every
        assert watched.faults == []


def test_every_image_says_what_it_is(folder, look):
    with look(folder / "report.html") as watched:
        nameless = watched.page.evaluate(
            "[...document.querySelectorAll('img:not([alt]), img[alt=\"\"],"
            " [role=img]:not([aria-label]), button:empty')].length"
        )
        assert nameless == 0


def test_no_button_sends_the_data_anywhere(folder, look):
    with look(folder / "report.html") as watched:
        page = watched.page
        words = page.evaluate(
            "[...document.querySelectorAll('.modebar-btn')].map("
            "b => b.getAttribute('data-title') || b.title || b.getAttribute('aria-label') || '')"
        )
        assert words and not [w for w in words if re.search("share|cloud|edit", w, re.I)], words


def test_it_prints(folder, look, tmp_path):
    with look(folder / "report.html", scheme="dark") as watched:
        pdf = watched.page.pdf(format="A4")
        assert pdf.startswith(b"%PDF") and watched.faults == []


def test_it_prints_black_on_white_from_a_theme_that_was_chosen(folder, look):
    colour = "getComputedStyle(document.body).color"
    with look(folder / "report.html") as watched:
        page = watched.page
        page.click("#theme")
        page.click("#theme")
        dark = page.evaluate(colour)
        page.emulate_media(media="print")
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert page.evaluate(colour) == "rgb(0, 0, 0)" != dark
        page.emulate_media(media="screen")
        page.evaluate("dispatchEvent(new Event('afterprint'))")
        assert page.evaluate(colour) == dark
        assert watched.faults == []


def test_the_policy_holds(folder, look):
    """A script that got in would not run, and could fetch nothing."""
    with look(folder / "report.html") as watched:
        acted = watched.page.evaluate(
            "(() => { const s = document.createElement('script');"
            " s.textContent = 'window.acted = 1'; document.body.append(s);"
            " return window.acted; })()"
        )
        assert acted is None
        assert any("Content Security Policy" in fault for fault in watched.faults)


@pytest.mark.parametrize("payload", PAYLOADS)
def test_no_text_acts(tmp_path, look, payload):
    store = hostile_run(tmp_path, payload)
    store.write_report(page(store))
    with look(store.report) as watched:
        found = watched.page.evaluate(
            "[window.acted, document.querySelectorAll('iframe, object, embed, link, base, form,"
            " main script, main style, svg a, [onerror], [onload], [onmouseover]').length,"
            " [...document.images].filter(i => !i.src.startsWith('data:')).length,"
            " getComputedStyle(document.body).display]"
        )
        assert found == [None, 0, 0, "block"]
        assert watched.faults == []
