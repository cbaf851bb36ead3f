"""What later steps made of the rows of a step, and what of it has to go when that step makes other rows."""

from typing import TYPE_CHECKING

from components.pipeline.engine.row_node import RowNode
from components.steps.step import GlobalStep

if TYPE_CHECKING:
    from components.pipeline.engine.engine import Engine


class Descendants:
    """The cells after a step whose rows are named after its own."""

    def __init__(self, engine: "Engine") -> None:
        self._engine = engine

    async def forget(self, step: str, row: str, count: int) -> None:
        """Remove what later steps made of a row that hands on another number of rows than before.

        Where the number stays, each later step sees by itself which of its rows have changed.
        """
        later = self._named_alike(step)
        if later:
            engine = self._engine
            forget = engine.books.forget_after
            for name, gone in await engine.backend.in_thread(forget, engine.run_id, step, row, count, later):
                self._node(name).forget(gone)

    async def forget_from(self, step: str, row: str) -> None:
        """Remove what later steps made of the rows of a step from a row on."""
        later = self._named_alike(step)
        if later:
            engine = self._engine
            await engine.backend.in_thread(engine.books.forget_from, engine.run_id, later, row)
            for name in later:
                self._node(name).forget_from(row)

    def _named_alike(self, step: str) -> list[str]:
        """The later steps whose rows are named after this step's; one that needs all rows names its own anew."""
        graph = self._engine.graph
        found: list[str] = []
        waiting = graph.successors(step)
        while waiting:
            name = waiting.pop()
            if name not in found and not isinstance(graph.steps[name], GlobalStep):
                found.append(name)
                waiting += graph.successors(name)
        return found

    def _node(self, name: str) -> RowNode:
        node = self._engine.nodes[name]
        assert isinstance(node, RowNode)
        return node
