"""Which steps a row is sent to where a routing function chooses; every choice is kept, so a resumed run repeats it."""

import asyncio
from collections.abc import Callable

from components.pipeline.ledger import Ledger


class Routes:
    """The choices made after one step, one for each batch of source rows."""

    def __init__(
        self, ledger: Ledger, run_id: str, step: str, choose: Callable[[int], list[str]], batch_size: int
    ) -> None:
        self._ledger, self._run_id, self._step = ledger, run_id, step
        self._choose = choose
        self._batch_size = max(1, batch_size)
        self._chosen = ledger.routes(run_id, step)
        self._lock = asyncio.Lock()

    async def targets(self, row: str) -> list[str]:
        """The steps that this row goes to."""
        batch = self._batch(row)
        async with self._lock:
            if batch not in self._chosen:
                chosen = self._choose(batch)
                await asyncio.wrap_future(self._ledger.route(self._run_id, self._step, batch, chosen))
                self._chosen[batch] = chosen
        return self._chosen[batch]

    def known(self, row: str) -> list[str] | None:
        """The steps that this row goes to; None while nobody has chosen."""
        return self._chosen.get(self._batch(row))

    def _batch(self, row: str) -> int:
        return int(row.partition(".")[0]) // self._batch_size
