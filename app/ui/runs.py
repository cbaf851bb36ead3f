"""The Runs page: every run, live."""

from app.ui.module import module
from app.ui.shell import page_shell


def runs_page() -> None:
    """Lay out the page."""
    with page_shell("runs", "Runs", "Every run is kept, whoever started it"):
        module("runs")
