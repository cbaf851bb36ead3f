"""Stillroom's core: models, steps, tasks and the engine that runs them. Works from any script."""

__version__ = "0.1.0"
