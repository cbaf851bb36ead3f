"""The page of one run: `?id=` in its address says which, on any browser that may open the app."""

from typing import Any

from app.studio import Studio
from app.ui.calls import Answer, answering, text
from app.ui.module import module
from app.ui.shell import page_shell


def run_page(studio: Studio) -> None:
    """Lay out the page."""

    def push_run(argument: Answer) -> Answer:
        is_private = argument.get("private") is not False
        return {
            "url": studio.publishing.push(text(argument, "run"), text(argument, "repo_id").strip(), private=is_private)
        }

    def delete_run(argument: Answer) -> None:
        studio.runs.delete(text(argument, "run"))

    calls: list[Any] = [answering(push_run), answering(delete_run)]
    with page_shell("runs", "Run"):
        module("run_page", calls=calls)
