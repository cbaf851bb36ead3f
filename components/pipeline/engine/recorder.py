"""Commits cells in groups; whoever records one waits until it is on disk."""

import asyncio
from concurrent.futures import Future
from typing import Any

from components.pipeline.ledger import Ledger

GROUP = 16
"""Cells handed to the writer together. Large groups come back as one, and a busy loop then sends nothing meanwhile;
the writer itself puts groups into one commit when it falls behind."""
AT_ONCE = 2
"""Groups on their way: one is written while the next is ready, so that the writer never waits for a busy loop."""

Waiting = list[tuple[dict[str, Any], asyncio.Future[None]]]


class Recorder:
    """Gathers the cells of one run's loop, so that one commit carries all that are waiting."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._waiting: Waiting = []
        self._out = 0
        self._settling: list[asyncio.Future[None]] = []

    async def record(self, cell: dict[str, Any]) -> None:
        """Returns once the cell is committed; it is committed even when the caller is canceled meanwhile."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        self._waiting.append((cell, done))
        if self._out < AT_ONCE:
            self._send(loop)
        await done

    async def settle(self) -> None:
        """Returns once everything recorded so far is committed."""
        if self._out:
            settled: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._settling.append(settled)
            await settled

    def _send(self, loop: asyncio.AbstractEventLoop) -> None:
        group, self._waiting = self._waiting[:GROUP], self._waiting[GROUP:]
        self._out += 1
        try:
            committed = self._ledger.submit_cells([cell for cell, _ in group])
        except Exception as error:
            self._tell(loop, group, error)
            return
        # Straight from the writer to those who wait: on a busy loop every further hop takes milliseconds.
        committed.add_done_callback(lambda future: loop.call_soon_threadsafe(self._committed, loop, group, future))

    def _committed(self, loop: asyncio.AbstractEventLoop, group: Waiting, committed: "Future[None]") -> None:
        self._tell(loop, group, committed.exception())

    def _tell(self, loop: asyncio.AbstractEventLoop, group: Waiting, error: BaseException | None) -> None:
        self._out -= 1
        if self._waiting:
            self._send(loop)
        for _, done in group:
            if done.done():
                continue
            if error is None:
                done.set_result(None)
            else:
                done.set_exception(error)
        if not self._out:
            settling, self._settling = self._settling, []
            for settled in settling:
                if not settled.done():
                    settled.set_result(None)
