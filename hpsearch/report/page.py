"""`report.html`: one file that needs no network, readable at any moment of a run.

It only arranges: what is read comes from `sections`, what is looked at from `plots`, and both
from tables. Nothing may be fetched, and no script runs but plotly's and ours, by their hashes.
"""

import base64
import hashlib
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from importlib.resources import files

from hpsearch.report.markup import Html, raw, scrolls, table, tag
from hpsearch.report.plots.activations import activations
from hpsearch.report.plots.axes import axes
from hpsearch.report.plots.closeup import trial_curves
from hpsearch.report.plots.final import final_intervals
from hpsearch.report.plots.grids import random_or_grid
from hpsearch.report.plots.importance import importance
from hpsearch.report.plots.isolation import isolation
from hpsearch.report.plots.learning import curves
from hpsearch.report.plots.overfit import overfit_curve
from hpsearch.report.plots.parallel import parallel
from hpsearch.report.plots.plot import Gallery, Gap, Listing, Plot
from hpsearch.report.plots.progress import best_of_n, history
from hpsearch.report.plots.scatter import scatter
from hpsearch.report.plots.sweep import range_test, sweep_curves
from hpsearch.report.plots.winner import confusion, mistakes, weights
from hpsearch.report.sections import again, section, stages, verdict_of
from hpsearch.report.tables.material import Material
from hpsearch.report.text import plain
from hpsearch.store import RunStore
from hpsearch.strictjson import dumps

Shown = Plot | Gallery | Listing | Gap
DAMAGED = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError)
UNREAD = (
    "This cannot be drawn: what the run recorded for it cannot be read. Run the stage again with"
    " --force"
)
Maker = Callable[[Material], Shown | None]
PARTS: tuple[tuple[str, str, tuple[Maker, ...]], ...] = (
    ("search", "The search", (parallel, importance, scatter, axes, isolation, history)),
    ("learning", "How the trials learnt", (curves, trial_curves)),
    ("before", "Before the search", (overfit_curve, sweep_curves, range_test, activations)),
    ("luck", "How much is luck", (best_of_n, random_or_grid)),
    ("winner", "The winner", (weights, confusion, mistakes, final_intervals)),
)


def page(store: RunStore) -> str:
    """The whole report of a run as one HTML document."""
    material = Material.of(store)
    made = [(name, title, _made(makers, material)) for name, title, makers in PARTS]
    parts = [part for part in made if part[2]]
    shown = [each for _, _, there in parts for each, _ in there]
    body = [
        _header(store, [(name, title) for name, title, _ in parts]),
        tag(
            "main", verdict_of(material), stages(material),
            *(section(name, title, *(html for _, html in there)) for name, title, there in parts),
            again(material), id="main",
        ),
        *_scripts([each for each in shown if isinstance(each, Plot)]),
    ]  # fmt: skip
    head = tag("head", *_head(store))
    whole = tag("html", head, tag("body", *body), lang="en")
    return f"<!doctype html>\n{whole}\n"


def _made(makers: Sequence[Maker], material: Material) -> list[tuple[Shown, Html]]:
    made = (_drawn(make, material) for make in makers)
    return [(shown, html) for shown, html in made if shown]


def _drawn(make: Maker, material: Material) -> tuple[Shown | None, Html]:
    """What a maker shows, written; of records that somebody changed only this part is lost."""
    try:
        shown = make(material)
        return shown, _figure(shown) if shown else tag("figure")
    except DAMAGED as error:
        name = make.__name__.replace("_", "-")
        gap = Gap(name, name.replace("-", " ").capitalize(), f"{UNREAD} ({error!r:.200}).")
        return gap, _figure(gap)


def _head(store: RunStore) -> Iterator[Html]:
    yield tag("meta", charset="utf-8")
    yield tag("meta", http_equiv="Content-Security-Policy", content=policy())
    yield tag("meta", name="viewport", content="width=device-width, initial-scale=1")
    yield tag("meta", name="color-scheme", content="light dark")
    yield tag("title", f"{plain(store.name)} · hpsearch")
    yield raw("style", asset("page.css"))


def policy() -> str:
    """What the page may do: run these two scripts, style itself, show the images within it."""
    scripts = " ".join(f"'sha256-{_digest(script)}'" for script in (plotly(), own()))
    return (
        f"default-src 'none'; script-src {scripts}; style-src 'unsafe-inline';"
        " img-src data: blob:; base-uri 'none'; form-action 'none'"
    )


def plotly() -> str:
    """The library that draws, as a script."""
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs())


def own() -> str:
    """Our script."""
    return asset("parallel.js") + asset("page.js")


def asset(name: str) -> str:
    """A file of ours that the page holds."""
    return files("hpsearch.report").joinpath("assets", name).read_text("utf-8")


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _header(store: RunStore, parts: Sequence[tuple[str, str]]) -> Html:
    places = [("verdict", "Verdict"), ("stages", "Stages"), *parts, ("again", "To do it again")]
    links = [tag("a", title, href=f"#{name}") for name, title in places]
    theme = tag("button", "Theme: system", type="button", id="theme")
    now = datetime.now().astimezone().strftime("%Y-%m-%d %H:%M")
    return tag(
        "header",
        tag("a", "Skip to the verdict", href="#main", class_="skip"),
        tag("div", tag("h1", store.name), tag("span", f"hpsearch report, {now}"), theme,
            class_="title"),
        tag("nav", links, aria_label="parts of the page"),
    )  # fmt: skip


def _figure(shown: Shown) -> Html:
    """One plot, gallery or listing with its words."""
    if isinstance(shown, Plot):
        inside = [*_controls(shown), _canvas(shown), *_note(shown)]
    elif isinstance(shown, Gallery):
        inside = [_pictures(shown)]
    elif isinstance(shown, Gap):
        inside = []
    else:
        inside = [table(shown.table, shown.title)]
    said = tag("figcaption", shown.caption, *_thinned(shown))
    title = tag("h3", shown.title, id=f"{shown.name}-title")
    return tag("figure", title, said, *inside, *_numbers(shown), id=shown.name,
               class_=f"shown {type(shown).__name__.lower()}",
               aria_labelledby=f"{shown.name}-title")  # fmt: skip


def _thinned(shown: Shown) -> list[Html]:
    said = "" if isinstance(shown, Listing | Gap) else shown.thinned
    return [tag("small", f" {said}")] if said else []


def _numbers(shown: Shown) -> list[Html]:
    if not isinstance(shown, Plot):
        return []
    summary = tag("summary", "the numbers")
    return [tag("details", summary, table(shown.table, shown.title), class_="numbers")]


def _controls(plot: Plot) -> list[Html]:
    """A list of the views, and a button for each switch."""
    options = [tag("option", view, value=str(n)) for n, view in enumerate(plot.views)]
    chosen = tag("label", "Show ", tag("select", options, data_plot=plot.name))
    buttons = [
        tag("button", switch.label, type="button", aria_pressed="false",
            data_plot=plot.name, data_switch=str(n))
        for n, switch in enumerate(plot.switches)
    ]  # fmt: skip
    shown = [*([chosen] if len(options) > 1 else []), *buttons]
    return [tag("div", *shown, class_="controls")] if shown else []


def _canvas(plot: Plot) -> Html:
    wide = f"; min-width: {plot.width}px" if plot.width else ""
    canvas = tag("div", class_="canvas", role="img", aria_label=plot.alt, data_plot=plot.name,
                 style=f"height: {plot.height}px{wide}")  # fmt: skip
    return scrolls(canvas, plot.title) if plot.width else canvas


def _note(plot: Plot) -> list[Html]:
    first = next(iter(plot.views), "")
    said = plot.notes.get(first, "")
    return [tag("p", said, class_="note", aria_live="polite")] if plot.notes else []


def _pictures(gallery: Gallery) -> Html:
    items = []
    for picture in gallery.pictures:
        source = "data:image/png;base64," + base64.b64encode(picture.png).decode()
        image = tag("img", src=source, alt=picture.alt)
        items.append(tag("li", image, tag("span", picture.label)))
    return tag("ul", items, class_="pictures", aria_label=gallery.alt)


def _scripts(plots: Sequence[Plot]) -> list[Html]:
    """The drawings as data, and the two scripts that draw them."""
    drawn = {plot.name: _drawing(plot) for plot in plots}
    data = dumps(drawn, indent=None)
    for character in "<>&\u2028\u2029":
        data = data.replace(character, f"\\u{ord(character):04x}")
    data_ = raw("script", data, type="application/json", id="plots")
    silent = tag("noscript", tag("p", "The plots need JavaScript; their numbers are here."))
    if not plots:
        return [silent, data_, raw("script", own())]
    return [silent, data_, raw("script", plotly()), raw("script", own())]


def _drawing(plot: Plot) -> dict[str, object]:
    return {
        "views": list(plot.views.values()),
        "notes": [plot.notes.get(view, "") for view in plot.views],
        "switches": [{"on": s.on, "off": s.off, "traces": s.traces} for s in plot.switches],
        "height": plot.height,
    }
