"""The engine: works on rows, not batches, and commits each before the next is begun."""

from components.pipeline.engine.engine import Engine

__all__ = ["Engine"]
