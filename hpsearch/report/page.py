"""One self-contained HTML page of a run: no script, no network, light and dark."""

import io
from collections.abc import Iterable, Sequence
from html import escape

from rich.console import Console, RenderableType
from rich.segment import Segment
from rich.style import Style

from hpsearch.report.tables.stages import documents
from hpsearch.report.terminal import document_view, overview, places
from hpsearch.report.text import plain
from hpsearch.store import RunStore

WIDTH = 110
POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
STYLE = """
:root { color-scheme: light dark; --paper: #ffffff; --panel: #f6f7f9; --ink: #1b1f24;
  --dim: #59616b; --line: #dfe3e8; --green: #116329; --yellow: #7d4e00; --red: #b3141c;
  --cyan: #0b5c8a; }
@media (prefers-color-scheme: dark) { :root { --paper: #14171b; --panel: #1b1f25; --ink: #e4e7eb;
  --dim: #9aa4b0; --line: #2d333b; --green: #5fd07a; --yellow: #e6b84a; --red: #ff8a80;
  --cyan: #66c2ee; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; }
main, header { max-width: 62rem; margin: 0 auto; padding: 0 1rem; }
header { padding-top: 2rem; }
h1 { font-size: 1.5rem; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 1.05rem; margin: 2rem 0 .5rem; }
nav { margin: .5rem 0 0; }
nav a { color: var(--cyan); margin-right: 1rem; display: inline-block; }
main { padding-bottom: 3rem; }
pre { margin: 0; padding: 1rem; overflow-x: auto; background: var(--panel);
  border: 1px solid var(--line); border-radius: 6px;
  font: 13px/1.45 ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; }
.bold { font-weight: 700; } .dim { color: var(--dim); } .green { color: var(--green); }
.yellow { color: var(--yellow); } .red { color: var(--red); } .cyan { color: var(--cyan); }
@media print { pre { overflow: visible; white-space: pre-wrap; } nav { display: none; } }
"""


def page(store: RunStore) -> str:
    """The whole report of a run as one HTML document."""
    found = documents(store)
    sections = [("run", overview(store))]
    sections += [(document.stage, document_view(document, store)) for document in found]
    sections += [("files", places(store, named=False))]
    title = escape(plain(store.name))
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{title} · hpsearch</title>",
            f"<style>{STYLE}</style>",
            "</head>",
            "<body>",
            f"<header><h1>{title}</h1>{_links([name for name, _ in sections])}</header>",
            "<main>",
            *(_section(name, view) for name, view in sections),
            "</main>",
            "</body>",
            "</html>\n",
        ]
    )


def _links(names: Sequence[str]) -> str:
    titles = [escape(plain(name)) for name in names]
    links = "".join(f'<a href="#{title}">{title}</a>' for title in titles)
    return f"<nav>{links}</nav>"


def _section(name: str, view: RenderableType) -> str:
    title = escape(plain(name))
    heading = f'<section id="{title}"><h2>{title}</h2>'
    return f'{heading}\n<pre tabindex="0">{_html(view)}</pre></section>'


def _html(view: RenderableType) -> str:
    """A view as text, its colours as classes: the page decides what they look like."""
    console = Console(width=WIDTH, file=io.StringIO(), force_terminal=True, legacy_windows=False)
    segments = console.render(view, console.options.update(width=WIDTH))
    text = "".join(_spans(Segment.simplify(segments)))
    return "\n".join(line.rstrip() for line in text.splitlines())


def _spans(segments: Iterable[Segment]) -> Iterable[str]:
    for text, style, control in segments:
        names = _classes(style)
        if control:
            continue
        yield f'<span class="{names}">{escape(text)}</span>' if names else escape(text)


def _classes(style: Style | None) -> str:
    if style is None:
        return ""
    marks = [name for name in ("bold", "dim") if getattr(style, name)]
    return " ".join([*marks, *([style.color.name] if style.color else [])])
