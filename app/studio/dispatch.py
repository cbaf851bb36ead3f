"""What the studio and the worker of one process tell each other without a round through the database."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from components.pipeline.engine import Engine


class Dispatch:
    """Wakes the worker the moment a run is queued, and knows the engines at work in this process."""

    def __init__(self) -> None:
        self._wake = threading.Event()
        self._engines: dict[str, Engine] = {}

    def wake(self) -> None:
        """There is something new to do."""
        self._wake.set()

    def wait(self, seconds: float) -> None:
        """Returns when there is something new to do, or after so many seconds."""
        self._wake.wait(seconds)
        self._wake.clear()

    def engine(self, run_id: str) -> Engine | None:
        """The engine that works on a run in this process."""
        return self._engines.get(run_id)

    @property
    def engines(self) -> dict[str, Engine]:
        """Every engine at work in this process, by run."""
        return dict(self._engines)

    @contextmanager
    def at_work(self, engine: Engine) -> Iterator[None]:
        """Marks an engine as working inside the block."""
        self._engines[engine.run_id] = engine
        try:
            yield
        finally:
            self._engines.pop(engine.run_id, None)
