import itertools

import pytest

from components.llms.gate import RetryPolicy
from components.pipeline.engine import Engine
from components.pipeline.graph import Graph
from components.pipeline.ledger import Ledger
from components.pipeline.ledger.results import Results
from components.states import RunState
from components.steps.step import AnyStep, GeneratorStep, GlobalStep

QUICK = RetryPolicy(transient_base=0.001, transient_ceiling=0.002, rate_base=0.001, rate_ceiling=0.002)


class Workbench:
    """Makes runs of small graphs over one ledger, and goes on with them."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger

    def graph(self, *steps: AnyStep, edges: list[tuple[str, str]] | None = None) -> Graph:
        graph = Graph()
        for step in steps:
            graph.add(step)
        names = [step.name for step in steps]
        for before, after in edges or list(itertools.pairwise(names)):
            graph.connect(before, after)
        return graph

    def create(self, graph: Graph, **run) -> str:
        leaves = set(graph.leaves())
        steps = [
            {
                "step": name,
                "component": type(graph.steps[name]).__name__,
                "is_leaf": name in leaves,
                "kind": "source"
                if isinstance(graph.steps[name], GeneratorStep)
                else "global"
                if isinstance(graph.steps[name], GlobalStep)
                else "step",
            }
            for name in graph.order()
        ]
        return self.ledger.create_run({"name": "test", "state": "queued", "spec": "{}", **run}, steps)

    def engine(self, graph: Graph, run_id: str, **options) -> Engine:
        return Engine(graph, self.ledger, run_id, policy=QUICK, **options)

    def run(self, *steps: AnyStep, edges=None, **run) -> tuple[str, RunState]:
        graph = self.graph(*steps, edges=edges)
        run_id = self.create(graph, **run)
        return run_id, self.engine(graph, run_id).work()

    def again(self, run_id: str, *steps: AnyStep, edges=None) -> RunState:
        return self.engine(self.graph(*steps, edges=edges), run_id).work()

    def results(self, run_id: str, graph: Graph | None = None, step: str = "", edges=()) -> list:
        name = step or next(record.step for record in self.ledger.steps(run_id) if record.is_leaf)
        return list(Results(self.ledger, run_id, name, graph.edges if graph else edges).all())

    def counts(self, run_id: str) -> dict[str, tuple[int, int, int, int]]:
        return {s.step: (s.ok, s.failed, s.needs_review, s.skipped) for s in self.ledger.steps(run_id)}


@pytest.fixture
def bench(tmp_path):
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    yield Workbench(ledger)
    ledger.close()
