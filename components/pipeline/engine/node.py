"""One step of a run at work: what all kinds share."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

from components.errors import CapReached, ProviderError
from components.llms.meter import Meter
from components.pipeline.engine.identity import step_signature
from components.pipeline.engine.inbox import Inbox, Item
from components.pipeline.engine.routes import Routes
from components.pipeline.ledger.names import children
from components.steps.step import AnyStep
from components.steps.typing import Row

if TYPE_CHECKING:
    from components.pipeline.engine.engine import Engine

CHUNK = 1000
"""Rows of a source, or of a step that needs all rows, that are committed together."""


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
            self.engine.books.book(self.engine.run_id, self.name, meter.used)
        meter.release()

    async def finish(self) -> None:
        """Say that no more rows will come."""
        for successor in self.successors:
            await successor.inbox.close(self.name, is_parked=self.is_parked)
