"""Whether and why a run is to come to a rest."""

import asyncio
import threading
from contextlib import suppress

from components.states import RunState


class Halt:
    """Asked for from any thread, decided on the loop of the run. The first wish counts, but a stop beats a pause."""

    loop: asyncio.AbstractEventLoop
    changed: asyncio.Event

    def __init__(self) -> None:
        self.decided: tuple[RunState, str] | None = None
        self.is_hurried = False
        """Whether the calls that are out get a few seconds only."""
        self._lock = threading.Lock()

    def attend(self, loop: asyncio.AbstractEventLoop) -> None:
        """Hear wishes on this loop from now on; those from before count."""
        with self._lock:
            self.loop = loop
            self.changed = asyncio.Event()
            if self.decided is not None:
                self.changed.set()

    def ask(self, state: RunState, reason: str, *, is_parked: bool = False) -> None:
        """Ask for a rest; `is_parked` where the process ends, so that a pause stays a pause."""
        with self._lock:
            if not hasattr(self, "loop"):
                self._note(state, reason, is_parked)
                return
            # The loop is closed once the run has come to a rest by itself.
            with suppress(RuntimeError):
                self.loop.call_soon_threadsafe(self.set, state, reason, is_parked)

    def set(self, state: RunState, reason: str, is_parked: bool = False) -> None:
        """Ask for a rest, on the loop itself."""
        self._note(state, reason, is_parked)
        self.changed.set()

    def forget(self) -> None:
        """Go on after all."""
        self.decided = None
        self.changed.clear()

    def _note(self, state: RunState, reason: str, is_parked: bool) -> None:
        is_stop = state is RunState.STOPPED
        if self.decided is None or (is_stop and not is_parked and self.decided[0] is not RunState.STOPPED):
            self.decided = (state, reason)
        self.is_hurried = self.is_hurried or is_stop
