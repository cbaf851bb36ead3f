"""The steps of a run at work: sources, row steps and steps that need all rows."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import nullcontext, suppress
from typing import TYPE_CHECKING, Any

from components.errors import CapReached, ConfigError, ProviderError
from components.llms.gate import Halted
from components.llms.meter import Meter, metered
from components.pipeline.engine.backend import Interrupted, failure
from components.pipeline.engine.identity import cell_key, step_signature
from components.pipeline.engine.inbox import Inbox, Item
from components.pipeline.engine.outcome import Outcome, as_cell
from components.pipeline.engine.routes import Routes
from components.pipeline.engine.standing import Standing
from components.pipeline.ledger.names import children, row_name
from components.states import CellState
from components.steps.step import AnyStep, GeneratorStep, GlobalStep, Step
from components.steps.tasks.task import GeneratorTask, Task
from components.steps.typing import Row

if TYPE_CHECKING:
    from components.pipeline.engine.engine import Engine

SOURCE_CHUNK = 1000
TOGETHER = 50


class Node(ABC):
    """One step of a run."""

    def __init__(self, engine: "Engine", step: AnyStep) -> None:
        self.engine = engine
        self.step = step
        self.name = step.name
        self.predecessors = engine.graph.predecessors(step.name)
        self.successors: list[Node] = []
        self.inbox = Inbox(self.predecessors, capacity=2 * engine.concurrency)
        self.routes: Routes | None = None
        self.routes_before: dict[str, Routes] = {}
        """The choices made after the steps before it."""
        self.signature = ""
        self.waits_for_batch = False
        self.parked_because = ""

    @property
    def is_parked(self) -> bool:
        """Whether it, or a step before it, waits for a batch."""
        return self.waits_for_batch or self.inbox.is_parked

    async def prepare(self) -> None:
        """Look up what is done already."""
        self.signature = await self.engine.backend.in_thread(step_signature, self.step)

    @abstractmethod
    async def work(self) -> None:
        """Work until nothing is left to do."""

    async def send(self, row: str, rows: Sequence[Row], why_not: str = "") -> None:
        """Hand rows on to the steps after this one."""
        if not self.successors:
            return
        items = (
            [Item(row, why_not=why_not)]
            if why_not
            else [Item(name, rows=(made,)) for name, made in zip(children(row, len(rows)), rows, strict=True)]
        )
        for item in items:
            targets = await self.routes.targets(item.row) if self.routes else None
            for successor in self.successors:
                if targets is None or successor.name in targets:
                    await successor.inbox.offer(self.name, item)

    async def replay(self) -> int:
        """Hand on every row that is in the ledger already; returns how many there are."""
        count, after = 0, ""
        while page := await self.engine.backend.in_thread(self._page, after):
            for row, _, rows in page:
                await self.engine.checkpoint()
                await self.send(row, rows)
            count, after = count + len(page), page[-1][0]
        return count

    def _page(self, after: str) -> list[tuple[str, str, list[Row]]]:
        return self.engine.ledger.outputs(self.engine.run_id, self.name, after=after)

    async def rest_for(self, error: BaseException) -> None:
        """Bring the run to a rest where the error asks for it. Raises: Halted, or the error if it is another."""
        if isinstance(error, CapReached):
            await self.engine.reached_cap(error)
        elif isinstance(error, ProviderError) and error.pauses_run:
            await self.engine.had_fatal(error)
        else:
            raise error

    def book(self, meter: Meter) -> None:
        """Put what the step used beside its rows on the books."""
        if meter.attempts:
            self.engine.ledger.book(self.engine.run_id, self.name, meter.used)
        meter.release()

    async def finish(self) -> None:
        """Say that no more rows will come."""
        for successor in self.successors:
            await successor.inbox.close(self.name, is_parked=self.is_parked)


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
            ledger.update_step(run_id, self.name, signature=self.signature)
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
        cells: list[dict[str, Any]] = []
        async for batch, is_last in self._chunks(position, limit):
            cells = [
                as_cell(self.engine.run_id, self.name, row_name(position + index), "", Outcome(rows=[row]))
                for index, row in enumerate(batch)
            ]
            self.book(self.meter)
            self.meter = Meter()
            if is_last:
                submit = self.engine.ledger.finish_source(self.engine.run_id, self.name, cells, position + len(batch))
            else:
                submit = self.engine.ledger.submit_cells(cells)
            await asyncio.wrap_future(submit)
            await self.engine.checkpoint()
            for index, row in enumerate(batch):
                await self.send(row_name(position + index), [row])
            position += len(batch)
            self.position = position

    async def _chunks(self, position: int, limit: int | None) -> AsyncIterator[tuple[list[Row], bool]]:
        """Rows in growing chunks, so that the first are quick and the many are cheap, and whether they are the last."""
        batches = self.step.batches(position)
        chunk: list[Row] = []
        # What a model made is paid for, and kept at once.
        wanted = 1 if self.is_model else TOGETHER
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
                chunk, wanted = [], 1 if self.is_model else min(wanted * 2, SOURCE_CHUNK)


class RowNode(Node):
    """A step that works on each row by itself."""

    step: Step

    async def prepare(self) -> None:
        await super().prepare()
        ledger, run_id = self.engine.ledger, self.engine.run_id
        self.standing = await self.engine.backend.in_thread(Standing, ledger, run_id, self.name)
        ledger.update_step(run_id, self.name, signature=self.signature)
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
            cell = await self.engine.reused(self.earlier[key])
            if cell is not None:
                if state:
                    await self.engine.forget_descendants(self.name, item.row, cell["n_out"])
                await self.engine.recorder.record(
                    cell | {"run_id": self.engine.run_id, "step": self.name, "row": item.row, "replaces": bool(state)}
                )
                await self.send(item.row, self.engine.rows_of(cell))
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
            await self.engine.forget_descendants(self.name, item.row, count)
        await self.engine.recorder.record(cell)
        return outcome

    async def _pass_on(self, item: Item, outcome: Outcome) -> None:
        if outcome.flows_on:
            await self.send(item.row, outcome.rows)
        else:
            await self.send(item.row, [], self._because(outcome.state))

    def _because(self, state: str) -> str:
        return f"Step '{self.name}' has no result for this row: it {'was skipped' if state == 'skipped' else state}."


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
        while True:
            with metered() as meter:
                try:
                    return await self.engine.backend.in_thread(lambda: self.step.apply(*inputs))
                except (CapReached, ProviderError) as error:
                    await self.rest_for(error)
                finally:
                    self.book(meter)

    async def _keep(self, key: str, made: list[Row]) -> None:
        ledger, run_id = self.engine.ledger, self.engine.run_id
        ledger.update_step(run_id, self.name, signature=key, is_complete=False)
        if await self.engine.backend.in_thread(ledger.count, run_id, self.name):
            await self.engine.backend.in_thread(ledger.forget_from, run_id, [self.name], "")
            # A later step sees by itself which of its rows have changed; only those that nobody makes any more go.
            await self.engine.forget_from(self.name, row_name(len(made)))
        for start in range(0, len(made), SOURCE_CHUNK):
            cells = [
                as_cell(run_id, self.name, row_name(start + index), "", Outcome(rows=[row]))
                for index, row in enumerate(made[start : start + SOURCE_CHUNK])
            ]
            await asyncio.wrap_future(ledger.submit_cells(cells))
        await asyncio.wrap_future(ledger.finish_source(run_id, self.name, [], len(made)))
        for index, row in enumerate(made):
            await self.send(row_name(index), [row])

    def _rows_of(self, step: str) -> list[Row]:
        routes = self.routes_before.get(step)
        return [
            row
            for name, _, rows in self.engine.ledger.all_outputs(self.engine.run_id, step)
            if rows and (routes is None or self.name in (routes.known(name) or ()))
            for row in rows
        ]


def _next(batches: Iterator[list[Row]]) -> list[Row] | None:
    return next(batches, None)
