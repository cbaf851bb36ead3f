"""Takes pictures of every page: `python scripts/screenshots.py [FOLDER]`, by default assets/screenshots.

The README shows build.png. No model and no key are needed: the pipeline is rehearsed on the sample tickets.
"""

import argparse
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from playwright.sync_api import Browser, Page, sync_playwright

from app.settings import Settings
from app.studio import Studio
from app.ui.home import HomePage

ASSETS = Path(__file__).resolve().parents[1] / "assets"
PAGES = {
    "home": ("./", ".sr-home"),
    "build": ("build", ".sr-preview"),
    "runs": ("runs", ".sr-runs"),
    "run": ("run?id={run}", ".sr-grid"),
    "datasets": ("datasets", ".sr-datasets"),
    "models": ("models", ".sr-models"),
}
SIZES = {"desk": {"width": 1440, "height": 900}, "phone": {"width": 390, "height": 844}}


@contextmanager
def served(studio: Studio) -> Iterator[str]:
    """The app on a free port, as long as the block lasts."""
    from app.server import create_app

    server = uvicorn.Server(uvicorn.Config(create_app(studio=studio), port=0, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    waiting = threading.Event()
    while not server.started:
        if not thread.is_alive():
            raise SystemExit("The app did not start; the reason stands above.")
        waiting.wait(0.05)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join(20)


def something_to_see(studio: Studio) -> str:
    """A labeled sample with its preview, and a finished run; gives the id of the run."""
    made = HomePage(studio).try_sample({})
    pipeline_id = made["to"].partition("=")[2]
    draft = studio.pipelines.get(pipeline_id)
    waiting = threading.Event()
    preview = studio.previews.start(draft.spec, pipeline_id=pipeline_id)
    while not studio.previews.result(preview)["is_done"]:
        waiting.wait(0.1)
    run = studio.runs.start(pipeline_id=pipeline_id)
    while studio.runs.get(run).state in ("queued", "running"):
        waiting.wait(0.1)
    return run


def take(browser: Browser, url: str, folder: Path, run: str, *, every: bool) -> None:
    """One picture of each page; with `every`, also on a phone and in the dark."""
    looks = [(size, scheme) for size in SIZES for scheme in ("light", "dark")] if every else [("desk", "light")]
    for size, scheme in looks:
        context = browser.new_context(viewport=SIZES[size], color_scheme=scheme, reduced_motion="reduce")
        page = context.new_page()
        for name, (path, part) in PAGES.items():
            page.goto(f"{url}/{path.format(run=run)}")
            page.locator(f"{part}[data-ready]:not([data-ready=''])").first.wait_for()
            if name == "build":
                choose_the_task(page)
            ending = "" if (size, scheme) == ("desk", "light") else f"-{size}-{scheme}"
            page.screenshot(path=folder / f"{name}{ending}.png")
        context.close()


def choose_the_task(page: Page) -> None:
    """Open the form that a newcomer works in most."""
    page.locator("[data-key='step-label']").click()
    page.locator("#f-available_labels").wait_for()
    page.locator(".sr-cost", has_text="rows").wait_for()
    page.mouse.move(0, 0)


def main(arguments: Sequence[str] | None = None) -> None:
    """Take the pictures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", nargs="?", type=Path, default=ASSETS / "screenshots")
    parser.add_argument("--every", action="store_true", help="also on a phone and in the dark")
    options = parser.parse_args(arguments)
    options.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as home, sync_playwright() as playwright:
        studio = Studio(Settings(home=Path(home)))
        path = os.environ.get("STILLROOM_CHROMIUM") or shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        with served(studio) as url:
            take(browser, url, options.folder, something_to_see(studio), every=options.every)
        browser.close()
        studio.ledger.close()


if __name__ == "__main__":
    main()
