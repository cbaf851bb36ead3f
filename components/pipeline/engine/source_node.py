"""A source at work: its rows are committed in chunks before they go on."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import nullcontext

from components.errors import CapReached, ConfigError, ProviderError
from components.llms.meter import Meter, metered
from components.pipeline.engine.node import CHUNK, Node
from components.pipeline.engine.outcome import Outcome, as_cell
from components.pipeline.ledger.names import row_name
from components.steps.step import GeneratorStep
from components.steps.tasks.task import GeneratorTask
from components.steps.typing import Row

FIRST_CHUNK = 50


class SourceNode(Node):
    """A step that makes rows from nothing."""

    step: GeneratorStep

    async def work(self) -> None:
        engine, ledger, run_id = self.engine, self.engine.ledger, self.engine.run_id
        record = engine.step_runs[self.name]
        position = 0
        if record.is_complete or record.signature == self.signature:
            position = await self.replay()
        else:
            if await engine.backend.in_thread(ledger.count, run_id, self.name):
                raise ConfigError(
                    f"The data of '{self.name}' changed since this run began. Start a new run to use the new data."
                )
            engine.books.update_step(run_id, self.name, signature=self.signature)
        self.position = position
        self.is_model = isinstance(self.step, GeneratorTask)
        while not record.is_complete:
            self.meter = Meter()
            try:
                await self._make(position)
                break
            except (CapReached, ProviderError) as error:
                await self.rest_for(error)
                position = self.position
            finally:
                self.book(self.meter)
        await self.finish()

    async def _make(self, position: int) -> None:
        limit = self.engine.row_limit
        books, run_id = self.engine.books, self.engine.run_id
        async for batch, is_last in self._chunks(position, limit):
            made = [(row_name(position + index), Outcome(rows=[row])) for index, row in enumerate(batch)]
            cells = [as_cell(run_id, self.name, row, "", outcome) for row, outcome in made]
            self.book(self.meter)
            self.meter = Meter()
            if is_last:
                submit = books.finish_source(run_id, self.name, cells, position + len(batch))
            else:
                submit = books.submit_cells(cells)
            await asyncio.wrap_future(submit)
            await self.engine.checkpoint()
            for row, outcome in made:
                await self.send(row, outcome.rows)
            position += len(batch)
            self.position = position

    async def _chunks(self, position: int, limit: int | None) -> AsyncIterator[tuple[list[Row], bool]]:
        """Rows in growing chunks, so that the first are quick and the many are cheap, and whether they are the last."""
        batches = self.step.batches(position)
        chunk: list[Row] = []
        # What a model made is paid for, and kept at once.
        wanted = 1 if self.is_model else FIRST_CHUNK
        while True:
            with metered(self.meter), self.engine.paying() if self.is_model else nullcontext():
                batch = await self.engine.backend.in_thread(_next, batches)
            chunk.extend(batch or [])
            if limit is not None and position + len(chunk) >= limit:
                yield chunk[: limit - position], True
                return
            if batch is None:
                yield chunk, True
                return
            if len(chunk) >= wanted:
                yield chunk, False
                position += len(chunk)
                chunk, wanted = [], 1 if self.is_model else min(wanted * 2, CHUNK)


def _next(batches: Iterator[list[Row]]) -> list[Row] | None:
    return next(batches, None)
