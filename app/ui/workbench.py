"""The pipeline that is open in one window: every change is saved at once, in the order in which it was made."""

import threading
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any

from app.studio import Studio
from app.ui.columns import StepColumns, columns_of
from app.ui.model_choice import model_field
from components.pipeline.problem import Problem
from components.pipeline.spec import PipelineSpec


@dataclass(frozen=True)
class Chosen:
    """What the inspector shows."""

    step: str = ""
    shows_all: bool = False
    adds_at: int | None = None
    """Where a step is to be added, while the palette is open."""


class Workbench:
    """Holds the draft and its revision, so that another window's changes are never overwritten unseen."""

    def __init__(self, studio: Studio, pipeline_id: str) -> None:
        draft = studio.pipelines.get(pipeline_id)
        self._studio = studio
        self._lock = threading.RLock()
        self.id = draft.id
        self.spec = draft.spec
        self.revision = draft.revision

    def change(self, edit: Callable[[PipelineSpec], PipelineSpec]) -> bool:
        """Make and save a change; False when it changed nothing.

        Raises: EditConflict when another window saved meanwhile; ConfigError when the edit makes no sense.
        """
        with self._lock:
            spec = edit(self.spec)
            if spec == self.spec:
                return False
            draft = self._studio.pipelines.save(self.id, spec, self.revision)
            self.spec, self.revision = draft.spec, draft.revision
            return True

    def problems(self, *, asks_sources: bool = False) -> list[Problem]:
        """Everything wrong with the pipeline as it stands; a model that cannot be asked is told before it is asked."""
        found = self._studio.checks.check(self.spec, asks_sources=asks_sources)
        names = {one.name for one in self._studio.connections.list()}
        return [*found, *_unnamed_models(self.spec), *_lost_connections(self.spec, names)]

    def columns(self) -> dict[str, StepColumns]:
        """The columns around every step."""
        return columns_of(self.spec, self._studio.datasets)


def _unnamed_models(spec: PipelineSpec) -> Iterator[Problem]:
    for name, field, held in _models(spec):
        if held.get(model_field(held)) == "":
            message = f"Step '{name}' needs a model. Choose one, or Rehearsal to try it without."
            yield Problem(name, f"{field}.{model_field(held)}", message)


def _lost_connections(spec: PipelineSpec, known: Collection[str]) -> Iterator[Problem]:
    for name, field, held in _models(spec):
        connection = held.get("connection")
        if connection and connection not in known:
            message = f"Step '{name}' asks a model by the connection '{connection}', which is not here. Choose another."
            yield Problem(name, f"{field}.{model_field(held)}", message)


def _models(spec: PipelineSpec) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for step in spec.steps:
        for field, held in step.items():
            if isinstance(held, dict) and "use" in held:
                yield str(step["name"]), field, held
