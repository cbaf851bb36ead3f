"""One real server for all browser tests, one page for each; whatever goes wrong on a page fails its test."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import uvicorn
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect

from app.settings import Settings
from app.studio import Studio
from components.llms.providers import PRESETS
from tests.servers.openai_server import OpenAIServer

RESULTS = Path(__file__).parents[2] / "test-results"
PHONE = {"width": 390, "height": 844}
DESK = {"width": 1440, "height": 900}
# Gradio says so when a page is left while an answer is on its way.
SAID_ON_LEAVING = ("AbortError: signal is aborted without reason", "Unexpected error Connection errored out")


expect.set_options(timeout=20_000)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Keep a picture of every open page of a test that failed, under test-results/."""
    report = yield
    if report.when == "call" and report.failed:
        for name in ("context", "phone"):
            held = getattr(item, "funcargs", {}).get(name)
            pages = held.pages if isinstance(held, BrowserContext) else [held] if isinstance(held, Page) else []
            for number, page in enumerate(pages):
                page.screenshot(path=RESULTS / f"{item.name}-{number}.png")
    return report


class Served(threading.Thread):
    """The app on a free port, in a thread of this process."""

    def __init__(self, home: Path) -> None:
        super().__init__(name="stillroom-under-test", daemon=True)
        from app.server import create_app

        self.studio = Studio(Settings(home=home))
        config = uvicorn.Config(
            create_app(studio=self.studio), host="127.0.0.1", port=0, log_level="warning", timeout_graceful_shutdown=1
        )
        self.server = uvicorn.Server(config)
        self.has_started = threading.Event()

    def run(self) -> None:
        startup = self.server.startup

        async def and_say_so(*arguments: object, **options: object) -> None:
            await startup(*arguments, **options)
            self.has_started.set()

        self.server.startup = and_say_so
        self.server.run()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.servers[0].sockets[0].getsockname()[1]}"


@pytest.fixture(scope="session")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The running app; keys of whoever runs the tests play no part in it."""
    kept = os.environ.copy()
    for preset in PRESETS.values():
        for name in (preset.env_key, preset.env_base_url):
            os.environ.pop(name, None)
    os.environ["HF_TOKEN_PATH"] = str(tmp_path_factory.mktemp("hub") / "no-token")
    home = tmp_path_factory.mktemp("home")
    os.environ["STILLROOM_HOME"] = str(home)
    served = Served(home)
    served.start()
    assert served.has_started.wait(90), "The app did not start."
    yield served
    served.server.should_exit = True
    served.join(30)
    served.studio.ledger.close()
    os.environ.clear()
    os.environ.update(kept)


@pytest.fixture
def context(app: Served, browser: Browser, troubles: list[str]) -> Iterator[BrowserContext]:
    """A visitor's browser, wide as a desk; every page it opens is watched."""
    made = browser.new_context(base_url=app.url, viewport=DESK, accept_downloads=True, reduced_motion="reduce")
    made.set_default_timeout(20_000)
    made.on("page", lambda page: watch(page, troubles))
    yield made
    made.close()


@pytest.fixture
def phone(app: Served, browser: Browser, troubles: list[str]) -> Iterator[Page]:
    """A page as narrow as a phone."""
    made = browser.new_context(base_url=app.url, viewport=PHONE, has_touch=True, reduced_motion="reduce")
    made.set_default_timeout(20_000)
    made.on("page", lambda page: watch(page, troubles))
    yield made.new_page()
    made.close()


@pytest.fixture
def page(context: BrowserContext) -> Page:
    return context.new_page()


@pytest.fixture
def troubles() -> Iterator[list[str]]:
    """What went wrong on pages; a test may take away what it caused on purpose."""
    found: list[str] = []
    yield found
    assert not found, "\n".join(found)


@pytest.fixture
def models() -> Iterator[OpenAIServer]:
    """A provider of models on this machine."""
    with OpenAIServer() as running:
        yield running


def watch(page: Page, troubles: list[str]) -> None:
    """Note every error of a page, and every request that leaves this machine."""
    page.on("console", lambda said: troubles.append(f"console: {said.text}") if is_error(said) else None)
    page.on("pageerror", lambda error: troubles.append(f"page error: {error}"))
    page.on("request", lambda request: None if is_here(request.url) else troubles.append(f"left: {request.url}"))


def is_error(said: ConsoleMessage) -> bool:
    return said.type == "error" and not said.text.startswith(SAID_ON_LEAVING)


def is_here(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme in ("data", "blob") or parts.hostname == "127.0.0.1"
