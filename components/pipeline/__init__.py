"""Pipelines: steps, how rows flow between them, and what a run makes."""

from typing import TYPE_CHECKING, Any

from components.pipeline.pipeline import Pipeline
from components.pipeline.routing import RoutingBatchFunction, routing_batch_function, sample_n_steps

if TYPE_CHECKING:
    from components.pipeline.distiset import Distiset

__all__ = ["Distiset", "Pipeline", "RoutingBatchFunction", "routing_batch_function", "sample_n_steps"]


def __getattr__(name: str) -> Any:
    # It brings the database with it, which is not needed to make a pipeline.
    if name == "Distiset":
        from components.pipeline.distiset import Distiset

        return Distiset
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
