"""The tests of the page's scripts: each gets its own site and a page that must stay clean."""

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Page

from tests.assets.fake_run import FakeRun, Site

GRID = '<div class="sr-grid" data-run="r1"></div>'
MOUNT_GRID = 'const {mount} = await import("./assets/js/grid.js"); mount(document.querySelector(".sr-grid"));'


@pytest.fixture
def run() -> FakeRun:
    return FakeRun()


@pytest.fixture
def serve(run: FakeRun) -> Iterator[Callable[..., Site]]:
    sites: list[Site] = []

    def start(body: str = GRID, script: str = MOUNT_GRID, below: str = "") -> Site:
        site = Site(run, below)
        site.page(body, script)
        sites.append(site)
        return site

    yield start
    for site in sites:
        site.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    opened = context.new_page()
    wrong: list[str] = []
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on("dialog", lambda dialog: wrong.append(f"dialog: {dialog.message}"))
    opened.on("request", lambda request: wrong.append(request.url) if is_outside(request.url) else None)
    yield opened
    context.close()
    assert wrong == []


def is_outside(url: str) -> bool:
    return not url.startswith(("http://127.0.0.1:", "data:", "blob:"))
