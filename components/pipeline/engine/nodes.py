"""The nodes of a run: one for each step, connected as the graph says."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from components.pipeline.engine.batch_node import BatchNode
from components.pipeline.engine.node import Node
from components.pipeline.engine.routes import Routes
from components.pipeline.engine.row_node import RowNode
from components.pipeline.engine.source_node import SourceNode
from components.pipeline.engine.table_node import TableNode
from components.pipeline.graph import Graph
from components.steps.step import AnyStep, GeneratorStep, GlobalStep
from components.steps.tasks.task import Task

if TYPE_CHECKING:
    from components.pipeline.engine.engine import Engine


def node_for(engine: "Engine", step: AnyStep) -> Node:
    """The kind of node that a step needs."""
    if isinstance(step, GeneratorStep):
        return SourceNode(engine, step)
    if isinstance(step, GlobalStep):
        return TableNode(engine, step)
    if isinstance(step, Task) and type(step).process is Task.process and step.llm.use_offline_batch_generation:
        return BatchNode(engine, step)
    return RowNode(engine, step)


def connect(engine: "Engine", nodes: dict[str, Node]) -> None:
    """Tell each node where its rows go, and which it waits for."""
    graph = engine.graph
    for name, node in nodes.items():
        node.successors = [nodes[after] for after in graph.successors(name)]
        router = graph.routers.get(name)
        if router is not None:
            names = [after.name for after in node.successors]
            size = min(getattr(after.step, "input_batch_size", None) or 50 for after in node.successors)
            node.routes = Routes(engine.books, engine.run_id, name, partial(router.route, names), size)
    for node in nodes.values():
        node.inbox.expects = _expected_at(node, nodes, graph)
        node.routes_before = {name: routes for name in node.predecessors if (routes := nodes[name].routes) is not None}


def _expected_at(node: Node, nodes: dict[str, Node], graph: Graph) -> Callable[[str], list[str]]:
    """Of several branches that a router chose among, a row comes only from the chosen."""
    routers = {
        name: routed for name, routed in nodes.items() if routed.routes is not None and len(node.predecessors) > 1
    }

    def came_through(branch: str, row: str) -> bool:
        for router in routers.values():
            entries = [
                after.name
                for after in router.successors
                if after.name == branch or branch in graph.descendants(after.name)
            ]
            known = router.routes.known(row) if router.routes is not None else None
            # Where nobody has chosen yet the row may still come, so it is waited for.
            if entries and known is not None and not set(entries) & set(known):
                return False
        return True

    if not routers:
        return lambda _row: node.predecessors
    return lambda row: [branch for branch in node.predecessors if came_through(branch, row)]
