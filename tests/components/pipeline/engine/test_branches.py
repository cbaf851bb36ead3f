"""Rows that are sent this way or that, and meet again."""

import threading

from components.pipeline.routing import routing_batch_function
from components.states import RunState
from components.steps.step import GlobalStep, Step
from tests.fakes import Numbers


class Mark(Step):
    def process(self, inputs):
        yield [row | {self.name: True} for row in inputs]


class MarkAll(GlobalStep):
    def process(self, inputs):
        yield [row | {self.name: True} for row in inputs]


class Meet(Step):
    def process(self, *inputs):
        merged = {}
        for rows in inputs:
            merged |= rows[0]
        yield [merged]


def by_turns():
    turn = iter(range(1000))
    return routing_batch_function(lambda steps: [steps[next(turn) % len(steps)]])


def test_a_row_of_a_quick_branch_waits_for_the_one_that_is_routed_in_another(bench):
    quick_is_through = threading.Event()

    class Quick(Mark):
        def process(self, inputs):
            yield from super().process(inputs)
            quick_is_through.set()

    class Slow(Mark):
        def process(self, inputs):
            quick_is_through.wait(20)
            yield from super().process(inputs)

    steps = [Numbers(name="rows", count=6), Quick(name="quick"), Slow(name="slow"), Mark(name="one"),
             Mark(name="other"), Meet(name="meet")]  # fmt: skip
    for step in steps[3:5]:
        step.input_batch_size = 3
    edges = [("rows", "quick"), ("rows", "slow"), ("slow", "one"), ("slow", "other"), ("quick", "meet"),
             ("one", "meet"), ("other", "meet")]  # fmt: skip
    graph = bench.graph(*steps, edges=edges)
    graph.route("slow", by_turns())
    run_id = bench.create(graph)
    assert bench.engine(graph, run_id).work() is RunState.DONE
    rows = [result.values for result in bench.results(run_id)]
    assert [row["n"] for row in rows] == list(range(6))
    assert all(row["quick"] and row["slow"] for row in rows)
    assert [("one" in row, "other" in row) for row in rows] == [(True, False)] * 3 + [(False, True)] * 3
    assert bench.engine(graph, run_id).work() is RunState.DONE
    assert len(bench.results(run_id)) == 6


def test_a_global_step_gets_only_the_rows_that_were_sent_to_it(bench):
    steps = [Numbers(name="rows", count=6), MarkAll(name="one", input_batch_size=2), MarkAll(name="other")]
    graph = bench.graph(*steps, edges=[("rows", "one"), ("rows", "other")])
    graph.route("rows", by_turns())
    run_id = bench.create(graph)
    bench.engine(graph, run_id).work()
    found = {name: [r.values["n"] for r in bench.results(run_id, step=name)] for name in ("one", "other")}
    assert found == {"one": [0, 1, 4, 5], "other": [2, 3]}


def test_a_step_that_changes_a_list_in_place_changes_it_for_nobody_else(bench):
    class Tagged(Numbers):
        def process(self, offset=0):
            yield [{"n": 0, "tags": ["first"]}], True

    class Append(Step):
        def process(self, inputs):
            for row in inputs:
                row["tags"].append(self.name)
            yield inputs

    steps = [Tagged(name="rows"), Append(name="a"), Append(name="b")]
    run_id, _ = bench.run(*steps, edges=[("rows", "a"), ("rows", "b")])
    for name in ("a", "b"):
        assert bench.results(run_id, step=name)[0].values["tags"] == ["first", name]
