"""What a person does to have a pipeline run overnight, and a watch on every number that they are shown meanwhile."""

import re
import threading
import time
from collections.abc import Callable

from playwright.sync_api import BrowserContext, Locator, Page, expect

from tests.browser.person import open_build, ready

# Notes every count of rows that is ever painted, beside the number of rows that it should add up to.
WATCH = """
window.seenCounts = new Set();
function noteCounts() {
  for (const row of document.querySelectorAll("tr[data-job]")) {
    const cell = row.querySelector("[data-label='Rows']");
    if (cell) seenCounts.add(`${cell.firstElementChild.textContent}: ${cell.lastElementChild.textContent}`);
  }
  const receipt = document.querySelector(".sr-batches[aria-label='Batches']");
  if (receipt) {
    const [advice, counts] = receipt.querySelectorAll(":scope > .sr-note");
    seenCounts.add(`${receipt.querySelector("h2").textContent.split(" of ")[1]}: ${counts.textContent.split(".")[0]}`);
  }
  const drawer = document.querySelector(".sr-job-drawer[open] .sr-drawer-part > .sr-note");
  if (drawer) seenCounts.add(drawer.textContent);
}
addEventListener("DOMContentLoaded", () => {
  const changes = { subtree: true, childList: true, characterData: true };
  new MutationObserver(noteCounts).observe(document.body, changes);
});
"""


def watch_counts(context: BrowserContext) -> None:
    """Have every page of a browser note what it shows."""
    context.add_init_script(WATCH)


def counts_add_up(page: Page, rows: int | None = None) -> list[str]:
    """Everything that the page has shown of rows so far; each time they came to all of them."""
    seen: list[str] = page.evaluate("[...seenCounts]")
    assert seen, "The page has shown no counts."
    for one in seen:
        total, _, outcomes = one.partition(": ")
        parts = [int(number.replace(",", "")) for number in re.findall(r"([\d,]+) [a-z]", outcomes)]
        expected = int(re.sub(r"[^\d]", "", total))
        assert parts and sum(parts) == expected, one
        assert rows is None or expected == rows, one
    return seen


def open_run_dialog(page: Page, pipeline_id: str) -> Locator:
    """Press Run on a pipeline's page."""
    page.goto(f"/build?pipeline={pipeline_id}")
    open_build(page)
    page.locator("#run-button").click()
    dialog = page.get_by_role("dialog", name="Run this pipeline")
    expect(dialog).to_be_visible()
    return dialog


def choose_overnight(dialog: Locator, step: str = "answer") -> None:
    """Take the night for a step; returns once the dialog has the plan."""
    dialog.get_by_role("group", name=step).get_by_label("Overnight").check()
    expect(dialog.get_by_role("button", name="Submit overnight")).to_be_enabled()


def submit(page: Page, dialog: Locator) -> str:
    """Send it; returns the id of the run."""
    dialog.get_by_role("button", name="Submit overnight").click()
    page.wait_for_url("**/run?id=*")
    ready(page, "sr-run")
    return page.url.rpartition("=")[2]


def until(is_so: Callable[[], bool], seconds: float = 30.0) -> None:
    """Returns once something is so; fails when it takes too long."""
    deadline, tick = time.monotonic() + seconds, threading.Event()
    while not is_so():
        assert time.monotonic() < deadline, "It took too long."
        tick.wait(0.02)
