"""A step at work that needs all rows before it can begin."""

import asyncio

from components.errors import CapReached, ProviderError
from components.llms.journal import keeping
from components.llms.meter import metered
from components.pipeline.engine.answers import Answers
from components.pipeline.engine.identity import cell_key
from components.pipeline.engine.node import CHUNK, Node
from components.pipeline.engine.outcome import Outcome, as_cell
from components.pipeline.ledger.names import beside, row_name
from components.steps.step import GlobalStep
from components.steps.typing import Row


class TableNode(Node):
    """A step that needs all rows before it can begin."""

    step: GlobalStep

    async def work(self) -> None:
        engine = self.engine
        while await self.inbox.take() is not None:
            # Its rows are read from the ledger once all are there, so the inbox is only emptied.
            await engine.checkpoint()
        if self.inbox.is_parked:
            await self.finish()
            return
        inputs = [await engine.backend.in_thread(self._rows_of, name) for name in self.predecessors]
        key = cell_key(self.signature, [row for rows in inputs for row in rows])
        record = engine.step_runs[self.name]
        if record.is_complete and record.signature == key:
            await self.replay()
        else:
            made = await self._apply(inputs)
            await self._keep(key, made)
        await self.finish()

    async def _apply(self, inputs: list[list[Row]]) -> list[Row]:
        answers = Answers(self.engine, self.name)
        while True:
            with metered() as meter, keeping(answers):
                try:
                    await answers.look_up()
                    return await self.engine.backend.in_thread(lambda: self.step.apply(*inputs))
                except (CapReached, ProviderError) as error:
                    await self.rest_for(error)
                finally:
                    self.book(meter)

    async def _keep(self, key: str, made: list[Row]) -> None:
        books, run_id, in_thread = self.engine.books, self.engine.run_id, self.engine.backend.in_thread
        books.update_step(run_id, self.name, signature=key, is_complete=False)
        if await in_thread(books.count, run_id, self.name):
            await in_thread(books.forget_from, run_id, [self.name], "")
            # A later step sees by itself which of its rows have changed; only those that nobody makes any more go.
            await self.engine.descendants.forget_from(self.name, row_name(len(made)))
        outcomes = [(row_name(index), Outcome(rows=[row])) for index, row in enumerate(made)]
        for start in range(0, len(outcomes), CHUNK):
            part = outcomes[start : start + CHUNK]
            cells = [as_cell(run_id, self.name, row, "", outcome) for row, outcome in part]
            await asyncio.wrap_future(books.submit_cells(cells))
        await asyncio.wrap_future(books.finish_source(run_id, self.name, [], len(made)))
        await in_thread(books.forget_from, run_id, [beside(self.name)], "")
        for row, outcome in outcomes:
            await self.send(row, outcome.rows)

    def _rows_of(self, step: str) -> list[Row]:
        routes = self.routes_before.get(step)
        return [
            row
            for name, _, rows in self.engine.ledger.all_outputs(self.engine.run_id, step)
            if rows and (routes is None or self.name in (routes.known(name) or ()))
            for row in rows
        ]
