"""What waits in front of a step: rows of one step before it, or of several put side by side."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from components.steps.typing import Row


@dataclass(slots=True)
class Item:
    """One row for a step to work on; without rows, one it must pass over, and why."""

    row: str
    rows: tuple[Row, ...] = ()
    why_not: str = ""


class Inbox:
    """Hands a step its items as soon as each is whole, and holds back those who bring more than it can take."""

    def __init__(self, predecessors: Sequence[str], capacity: int) -> None:
        self._predecessors = list(predecessors)
        self._open = set(predecessors)
        self.is_parked = False
        """Whether a step before waits for a batch, so that more rows will come in a later sitting."""
        self._queue: asyncio.Queue[Item | None] = asyncio.Queue(capacity)
        self._partial: dict[str, dict[str, Item]] = {}
        self.expects: Callable[[str], Sequence[str]] = lambda _row: self._predecessors
        """Which steps bring something for a row; fewer than all where rows are routed."""

    async def offer(self, predecessor: str, item: Item) -> None:
        """Bring an item; waits while the step is busy."""
        expected = [name for name in self._predecessors if name in self.expects(item.row)]
        if len(expected) == 1:
            await self._queue.put(item)
            return
        parts = self._partial.setdefault(item.row, {})
        parts[predecessor] = item
        if len(parts) == len(expected):
            del self._partial[item.row]
            await self._queue.put(_joined(item.row, [parts[name] for name in expected]))

    async def close(self, predecessor: str, *, is_parked: bool = False) -> None:
        """Say that a step before will bring no more, or no more for now."""
        self.is_parked = self.is_parked or is_parked
        self._open.discard(predecessor)
        if self._open:
            return
        for row in sorted(self._partial) if not self.is_parked else ():
            parts = self._partial[row]
            absent = [name for name in self.expects(row) if name not in parts]
            names = ", ".join(f"'{name}'" for name in absent)
            await self._queue.put(Item(row, why_not=f"Step {names} made no row that belongs to this one."))
        self._partial.clear()
        await self._queue.put(None)

    async def take(self) -> Item | None:
        """The next item; None when there are no more."""
        item = await self._queue.get()
        if item is None:
            self._queue.put_nowait(None)
        return item

    def take_waiting(self, most: int) -> list[Item]:
        """Up to `most` items that are there already."""
        items: list[Item] = []
        while len(items) < most and not self._queue.empty():
            item = self._queue.get_nowait()
            if item is None:
                self._queue.put_nowait(None)
                break
            items.append(item)
        return items


def _joined(row: str, parts: Sequence[Item]) -> Item:
    for part in parts:
        if part.why_not:
            return Item(row, why_not=part.why_not)
    return Item(row, rows=tuple(part.rows[0] for part in parts))
