"""Commits cells in groups; whoever records one waits until it is on disk."""

import asyncio
from typing import Any

from components.pipeline.ledger import Ledger
from components.pipeline.ledger.database import GROUP


class Recorder:
    """Gathers the cells of one run's loop, so that one commit carries all that are waiting."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._waiting: list[tuple[dict[str, Any], asyncio.Future[None]]] = []
        self._flushing: asyncio.Task[None] | None = None

    async def record(self, cell: dict[str, Any]) -> None:
        """Returns once the cell is committed."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((cell, done))
        if self._flushing is None or self._flushing.done():
            self._flushing = asyncio.create_task(self._flush())
        # A cell that was paid for is committed even when the row's worker is canceled meanwhile.
        await asyncio.shield(done)

    async def settle(self) -> None:
        """Returns once everything recorded so far is committed."""
        if self._flushing is not None:
            await asyncio.wait([self._flushing])

    async def _flush(self) -> None:
        while self._waiting:
            group, self._waiting = self._waiting[:GROUP], self._waiting[GROUP:]
            try:
                await asyncio.wrap_future(self._ledger.submit_cells([cell for cell, _ in group]))
            except Exception as error:
                for _, done in group:
                    if not done.done():
                        done.set_exception(error)
            else:
                for _, done in group:
                    if not done.done():
                        done.set_result(None)
