"""The parts of the Build page that change when a pipeline is edited, and how they change."""

import functools
import html
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import gradio as gr

from app.studio import Studio
from app.ui.chips import cost_chip
from app.ui.step_cards import cards
from app.ui.workbench import Chosen, Workbench
from components.errors import StillroomError

Updates = dict[Any, Any]

# Edits wait in one line, so that a click on Run never overtakes what was typed just before it.
EDIT: Final[dict[str, Any]] = {
    "concurrency_id": "edits",
    "concurrency_limit": 1,
    "trigger_mode": "multiple",
    "show_progress": "hidden",
    "api_visibility": "private",
}
ASK: Final[dict[str, Any]] = {
    "concurrency_limit": None,
    "show_progress": "hidden",
    "api_visibility": "private",
}
"""For events that only read, or that take their time."""


@dataclass(frozen=True)
class Desk:
    """The shared parts of the Build page."""

    studio: Studio
    bench: gr.State
    chosen: gr.State
    cards: Any
    saved: gr.HTML
    cost: gr.HTML

    @property
    def parts(self) -> list[Any]:
        """What an edit may change."""
        return [self.chosen, self.cards, self.saved]

    def after_edit(self, bench: Workbench, chosen: Chosen) -> Updates:
        """Everything that shows the pipeline, as it stands now."""
        problems = bench.problems()
        return {
            self.cards: gr.update(value=cards(self.studio, bench, chosen.step, problems)),
            self.saved: gr.update(value=saved_html("Saved")),
        }

    def price(self, bench: Workbench | None) -> Any:
        """The cost chip; it takes a look into the data, so it comes after the edit itself."""
        if bench is None:
            return gr.skip()
        return gr.update(value=cost_chip(self.studio.estimates.estimate(bench.spec).sentence))


def saved_html(words: str) -> str:
    """The quiet line beside the name."""
    return f'<p class="sr-subtitle" role="status">{html.escape(words)}</p>'


def told(handler: Callable[..., Any]) -> Callable[..., Any]:
    """What goes wrong in an event is said in one sentence; everything on the page stays as it is."""

    @functools.wraps(handler)
    def wrapped(*values: Any, **others: Any) -> Any:
        try:
            return handler(*values, **others)
        except StillroomError as error:
            say(error.message)
            return gr.skip()

    return wrapped


def say(sentence: str) -> None:
    """A short message at the foot of the page; its text may hold anything."""
    gr.Warning(html.escape(sentence, quote=False), title="")
