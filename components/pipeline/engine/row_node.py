"""A step at work on rows, each by itself: its cells are committed before its rows go on."""

import asyncio
from contextlib import suppress

import orjson

from components.errors import CapReached, ConfigError, ProviderError
from components.llms.gate import Halted
from components.pipeline.engine.backend import Interrupted, failure
from components.pipeline.engine.identity import cell_key
from components.pipeline.engine.inbox import Item
from components.pipeline.engine.node import Node
from components.pipeline.engine.outcome import Outcome, as_cell
from components.pipeline.engine.standing import Standing
from components.states import CellState
from components.steps.step import Step
from components.steps.tasks.task import Task

TOGETHER = 50
"""Rows that a step which asks no model works on at a time."""


class RowNode(Node):
    """A step that works on each row by itself."""

    step: Step

    async def prepare(self) -> None:
        await super().prepare()
        ledger, run_id = self.engine.ledger, self.engine.run_id
        self.standing = await self.engine.backend.in_thread(Standing, ledger, run_id, self.name)
        self.engine.books.update_step(run_id, self.name, signature=self.signature)
        self.is_model = isinstance(self.step, Task) and type(self.step).process is Task.process
        # What is paid for is committed row by row.
        self.together = 1 if isinstance(self.step, Task) else TOGETHER
        self.needed = [name for name, needed in self.step.get_inputs().items() if needed]
        self.earlier: dict[str, tuple[str, str, str]] = {}
        if self.engine.reuses and self.step.use_cache:
            self.earlier = await self.engine.backend.in_thread(ledger.earlier_cells, run_id, self.signature)

    async def work(self) -> None:
        workers = self.engine.concurrency if self.is_model else 1
        async with asyncio.TaskGroup() as group:
            for _ in range(workers):
                group.create_task(self._serve_until_halted())
        await self.engine.checkpoint()
        await self.finish()

    async def _serve_until_halted(self) -> None:
        # A worker that stops must not take those down that still wait for an answer which is paid for.
        with suppress(Halted):
            await self._serve()

    async def _serve(self) -> None:
        while (item := await self.inbox.take()) is not None:
            await self.engine.checkpoint()
            items = [item] if self.together == 1 else [item, *self.inbox.take_waiting(self.together - 1)]
            todo: list[tuple[Item, str]] = []
            for one in items:
                key = cell_key(self.signature, one.rows) if one.rows else ""
                if not await self._is_settled(one, key):
                    todo.append((one, key))
            if todo:
                await self._do(todo)

    async def _is_settled(self, item: Item, key: str) -> bool:
        state, old_key = self.standing.cells.get(item.row, ("", ""))
        if item.why_not:
            if state != CellState.SKIPPED:
                await self._keep(item, "", Outcome(state=CellState.SKIPPED, message=item.why_not))
            await self.send(item.row, [], item.why_not)
            return True
        if state and old_key == key:
            if state in (CellState.OK, CellState.NEEDS_REVIEW):
                await self.send(item.row, self.standing.output(item.row))
            else:
                await self.send(item.row, [], self._because(state))
            return True
        if key in self.earlier:
            cell = await self.engine.backend.in_thread(self.engine.ledger.copy_of, *self.earlier[key])
            if cell is not None:
                if state:
                    await self.engine.descendants.forget(self.name, item.row, cell["n_out"])
                await self.engine.recorder.record(
                    cell | {"run_id": self.engine.run_id, "step": self.name, "row": item.row, "replaces": bool(state)}
                )
                await self.send(item.row, orjson.loads(cell["output"]) if cell["output"] else [])
                return True
        return False

    async def _do(self, todo: list[tuple[Item, str]]) -> None:
        cause: BaseException | None = None
        with self.engine.paying():
            if self.is_model:
                assert isinstance(self.step, Task)
                outcomes = [self._nothing_to_ask(todo[0][0]) or await self._ask(self.step, todo[0][0])]
            else:
                try:
                    outcomes = await self.engine.backend.apply(self.step, [item.rows for item, _ in todo])
                except Interrupted as broken_off:
                    outcomes, cause = broken_off.outcomes, broken_off.cause
            todo, left = todo[: len(outcomes)], todo[len(outcomes) :]
            try:
                keeping = (self._keep(item, key, outcome) for (item, key), outcome in zip(todo, outcomes, strict=True))
                kept = [await next(keeping)] if len(todo) == 1 else await asyncio.gather(*keeping)
            finally:
                for outcome in outcomes:
                    outcome.meter.release()
        for (item, _), outcome in zip(todo, kept, strict=True):
            await self._pass_on(item, outcome)
        if cause is not None:
            await self.rest_for(cause)
            await self._do(left)

    def forget(self, row: str) -> None:
        """Know no more of a cell that was removed."""
        self.standing.cells.pop(row, None)

    def forget_from(self, row: str) -> None:
        """Know no more of the cells that were removed from a row on."""
        cells = self.standing.cells
        self.standing.cells = {name: cell for name, cell in cells.items() if name < row}

    def _nothing_to_ask(self, item: Item) -> Outcome | None:
        row = item.rows[0]
        missing = ", ".join(f"'{name}'" for name in self.needed if row.get(name) is None)
        if not missing:
            return None
        return Outcome(state=CellState.SKIPPED, message=f"Nothing to work on: {missing} is empty in this row.")

    async def _ask(self, step: Task, item: Item) -> Outcome:
        while True:
            try:
                return await self.engine.backend.ask(step, item.rows)
            except (CapReached, ProviderError) as error:
                await self.rest_for(error)

    async def _keep(self, item: Item, key: str, outcome: Outcome) -> Outcome:
        """Returns once the outcome is committed; one that cannot be kept becomes a failure that can."""
        replaces = item.row in self.standing.cells
        try:
            cell = as_cell(self.engine.run_id, self.name, item.row, key, outcome, replaces=replaces)
        except ConfigError as error:
            meter, outcome = outcome.meter, failure(error, self.step)
            outcome.meter = meter
            cell = as_cell(self.engine.run_id, self.name, item.row, key, outcome, replaces=replaces)
        if replaces:
            count = len(outcome.rows) if outcome.flows_on else 1
            await self.engine.descendants.forget(self.name, item.row, count)
        await self.engine.recorder.record(cell)
        return outcome

    async def _pass_on(self, item: Item, outcome: Outcome) -> None:
        if outcome.flows_on:
            await self.send(item.row, outcome.rows)
        else:
            await self.send(item.row, [], self._because(outcome.state))

    def _because(self, state: str) -> str:
        return f"Step '{self.name}' has no result for this row: it {'was skipped' if state == 'skipped' else state}."
