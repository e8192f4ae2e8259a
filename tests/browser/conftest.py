"""A real browser that watches what a page does. Skipped where there is none."""

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))  # the builders of made-up runs

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync",
         "--disable-component-update", "--no-first-run", "--disable-quic")  # fmt: skip


def pytest_collection_modifyitems(items):
    for item in items:
        item.add_marker("browser")


@pytest.fixture(scope="session")
def chromium():
    """A headless Chromium: HPSEARCH_CHROMIUM, else the one that is installed."""
    sync_api = pytest.importorskip("playwright.sync_api")
    installed = next(filter(None, map(shutil.which, NAMES)), None)
    found = os.environ.get("HPSEARCH_CHROMIUM") or installed
    if found is None:
        pytest.skip("no Chromium here")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=FLAGS)
        yield browser
        browser.close()


class Watched:
    """An open page, and all that it did which a report must not do."""

    def __init__(self, page, path):
        self.page, self.faults, own = page, [], path.as_uri()
        page.on("dialog", lambda dialog: (self.faults.append(dialog.message), dialog.dismiss()))
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("console", lambda said: self._console(said.type, said.text))
        page.on("request", lambda request: self._request(request.url, own))
        page.goto(own)
        page.wait_for_selector("html[data-drawn=all]", state="attached", timeout=60_000)

    def _console(self, kind, text):
        if kind in ("error", "warning") and "GPU stall" not in text:
            self.faults.append(text)

    def _request(self, url, own):
        if url.split("#")[0] != own and not url.startswith(("data:", "blob:")):
            self.faults.append(url)


@pytest.fixture
def look(chromium):
    """Opens a file: `with look(path, width=400, scheme="dark") as watched`."""

    @contextmanager
    def looking(path: Path, *, width: int = 1400, scheme: str = "light") -> Iterator[Watched]:
        context = chromium.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme
        )
        try:
            yield Watched(context.new_page(), path)
        finally:
            context.close()

    return looking
