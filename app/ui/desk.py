"""The parts of the Build page that change when a pipeline is edited, and how they change."""

import functools
import html
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import gradio as gr

from app.studio import Studio
from app.ui.chips import cost_chip
from app.ui.run_offer import preview_words
from app.ui.step_cards import cards
from app.ui.workbench import Chosen, Workbench
from components.errors import StillroomError

Handler = Callable[..., Any]
Updates = dict[Any, Any]
DRAWINGS = itertools.count(1)

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
    drawing: gr.State
    """Counts the times that the inspector is drawn; only then do fields that somebody types in go away."""
    cards: Any
    saved: gr.HTML
    cost: gr.HTML
    preview: gr.Button
    revision: gr.State
    """The draft's; a change of it has prices reckoned anew."""

    @property
    def parts(self) -> list[Any]:
        """What an edit may change."""
        return [self.chosen, self.drawing, self.cards, self.saved, self.revision]

    @property
    def prices(self) -> list[Any]:
        """What says what the pipeline will cost."""
        return [self.cost, self.preview]

    def after_edit(self, bench: Workbench, chosen: Chosen) -> Updates:
        """Everything that shows the pipeline, as it stands now."""
        problems = bench.problems()
        return {
            self.cards: gr.update(value=cards(self.studio, bench, chosen.step, problems)),
            self.saved: gr.update(value=saved_html(bench.id)),
            self.revision: bench.revision,
            self.chosen: chosen,
        }

    def redrawn(self, bench: Workbench, chosen: Chosen) -> Updates:
        """The same, with the inspector drawn anew."""
        return self.after_edit(bench, chosen) | {self.drawing: next(DRAWINGS)}

    def edits(self, event: Any, handler: Handler, inputs: Sequence[Any] = (), outputs: Sequence[Any] = ()) -> None:
        """Have an event edit the pipeline: `handler(bench, chosen, *inputs)` gives updates."""
        event(told(handler), [self.bench, self.chosen, *inputs], [*self.parts, *outputs], **EDIT)

    def follow_prices(self) -> None:
        """Keep the prices current; not by `then` after an edit, as the form that it came from may be gone by then."""
        self.revision.change(told(self.price), self.bench, self.prices, **ASK)

    def price(self, bench: Workbench | None) -> Any:
        """The cost chip, and on its button what a preview costs; both take a look into the data, so they come last."""
        if bench is None:
            return gr.skip()
        estimate = self.studio.estimates.estimate(bench.spec)
        words = preview_words(estimate)
        return {self.cost: gr.update(value=cost_chip(estimate.sentence)), self.preview: gr.update(value=words)}


def saved_html(pipeline_id: str = "") -> str:
    """The quiet line beside the name: that everything is saved, and the way to it as a file."""
    if not pipeline_id:
        return ""
    address = html.escape(f"api/pipelines/{pipeline_id}/pipeline.yaml")
    link = f'<a href="{address}" download title="Save the pipeline as a YAML file">YAML</a>'
    return f'<p class="sr-subtitle"><span role="status">Saved</span> · {link}</p>'


def told(handler: Handler) -> Handler:
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


def mention(sentence: str) -> None:
    """The same for what is no trouble."""
    gr.Info(html.escape(sentence, quote=False), title="")
