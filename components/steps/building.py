"""The pipeline being built by a `with Pipeline(...)` block, one for each thread and task."""

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from components.steps.step import AnyStep


class Builder(Protocol):
    """What a step asks of the pipeline it is made in."""

    def add_step(self, step: "AnyStep") -> None: ...

    def unused_name(self, stem: str) -> str: ...

    def connect(self, upstream: "AnyStep", downstream: list["AnyStep"], routing: Any = None) -> None: ...


pipeline_being_built: ContextVar[Builder | None] = ContextVar("pipeline_being_built", default=None)
