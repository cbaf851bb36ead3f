"""The Jobs page: every batch job at every provider, live."""

from app.ui.module import module
from app.ui.shell import page_shell


def jobs_page() -> None:
    """Lay out the page."""
    with page_shell("jobs", "Jobs", "Rows that were sent to batch APIs, and what came back"):
        module("jobs")
