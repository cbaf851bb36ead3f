"""Offline batches: rows go to a provider's batch API and come back whenever they are ready, to whoever is awake."""

from components.pipeline.batch.store import BatchStore

__all__ = ["BatchStore"]
