"""Who may write: an engine whose run was taken over may not, and one that came to its end is in nobody's way."""

import threading

import pytest
from sqlalchemy.exc import OperationalError

from components.errors import LedgerError, RunConflict
from components.pipeline.engine import engine as engine_module
from components.pipeline.ledger.cells import CELL
from components.states import RunState
from components.steps.step import GeneratorStep, GlobalStep, Step
from tests.fakes import Ask, EchoLLM, Numbers

ELSEWHERE = "another-machine:1:1:abc"


def taken_over(bench, run_id, by=ELSEWHERE):
    """The lease runs out while its owner sleeps, and somebody else takes the run."""
    bench.ledger.update_run(run_id, lease_beat=0.0)
    bench.ledger.claim(run_id, by)


def cells(bench, run_id):
    with bench.ledger.database.read() as connection:
        return {(cell.step, cell.row) for cell in connection.execute(CELL.select().where(CELL.c.run_id == run_id))}


@pytest.fixture
def asleep(monkeypatch):
    """Engines whose heart does not beat, as in a process that was stopped."""
    monkeypatch.setattr(engine_module, "BEAT_SECONDS", 3600.0)


def test_an_engine_that_wakes_after_its_lease_was_taken_writes_nothing_more(bench, asleep):
    graph = bench.graph(Numbers(name="rows", count=3), Ask(name="ask", llm=EchoLLM()))
    graph.steps["ask"].llm.troubled_by(lambda _text, _nth: taken_over(bench, run_id))
    run_id = bench.create(graph, concurrency=1)
    with pytest.raises(RunConflict, match="Another process has taken this run over"):
        bench.engine(graph, run_id).work()
    assert {step for step, _row in cells(bench, run_id)} == {"rows"}
    run = bench.ledger.run(run_id)
    assert (run.state, run.lease_owner, run.spent) == (RunState.RUNNING, ELSEWHERE, 0.0)


@pytest.mark.parametrize("base", [GeneratorStep, Step, GlobalStep])
def test_no_kind_of_step_writes_for_a_run_that_was_taken_over(bench, asleep, base):
    class Sleeps(base):
        def process(self, *inputs, offset=0):
            taken_over(bench, run_id)
            rows = [{"n": 1}]
            yield (rows, True) if base is GeneratorStep else rows

    steps = [Sleeps(name="sleeps")] if base is GeneratorStep else [Numbers(name="rows", count=1), Sleeps(name="sleeps")]
    graph = bench.graph(*steps)
    run_id = bench.create(graph)
    with pytest.raises(RunConflict, match="taken this run over"):
        bench.engine(graph, run_id).work()
    assert not [row for step, row in cells(bench, run_id) if step == "sleeps"]
    assert not {record.step: record.is_complete for record in bench.ledger.steps(run_id)}["sleeps"]


def test_a_run_that_was_taken_over_is_not_put_to_rest_by_its_old_owner(bench, asleep):
    class Last(Numbers):
        def unload(self):
            taken_over(bench, run_id)

    graph = bench.graph(Last(name="rows", count=1))
    run_id = bench.create(graph)
    with pytest.raises(RunConflict, match="taken this run over"):
        bench.engine(graph, run_id).work()
    assert bench.ledger.run(run_id).state == RunState.RUNNING


def test_the_new_owner_finishes_while_the_old_one_still_holds_an_answer(bench, asleep):
    may_answer, is_out = threading.Event(), threading.Event()

    class Held(Ask):
        def format_output(self, output, input=None):
            is_out.set()
            may_answer.wait(20)
            return super().format_output(output, input)

    old = bench.graph(Numbers(name="rows", count=20), Held(name="ask", llm=EchoLLM()))
    run_id = bench.create(old, concurrency=4)
    errors = []

    def sleep_through():
        try:
            bench.engine(old, run_id).work()
        except RunConflict as error:
            errors.append(error)

    thread = threading.Thread(target=sleep_through)
    thread.start()
    assert is_out.wait(20)
    bench.ledger.update_run(run_id, lease_beat=0.0)
    new = bench.graph(Numbers(name="rows", count=20), Ask(name="ask", llm=EchoLLM()))
    assert bench.engine(new, run_id).work() is RunState.DONE
    may_answer.set()
    thread.join(20)
    assert len(errors) == 1
    assert bench.ledger.run(run_id).state == RunState.DONE
    assert bench.counts(run_id)["ask"] == (20, 0, 0, 0)


def test_what_was_spent_is_looked_up_once_the_run_is_ones_own(bench):
    graph = bench.graph(Numbers(name="rows", count=1), Ask(name="ask", llm=EchoLLM()))
    run_id = bench.create(graph)
    engine = bench.engine(graph, run_id)
    bench.ledger.update_run(run_id, spent=7.0)
    engine.work()
    assert engine.gate.budget.spent == 7.0


class Full:
    """A disk that is full once it is told to be."""

    def __init__(self, bench, monkeypatch):
        self.is_full = False
        behind = bench.ledger.database.submit

        def submit(write):
            def written(connection):
                if self.is_full:
                    raise OperationalError("INSERT", {}, Exception("database or disk is full"))
                return write(connection)

            return behind(written)

        monkeypatch.setattr(bench.ledger.database, "submit", submit)


def test_the_same_process_goes_on_at_once_after_a_rest_that_could_not_be_written(bench, monkeypatch):
    full = Full(bench, monkeypatch)

    def fill(text, nth):
        full.is_full = (text, nth) == ("q0", 1)

    graph = bench.graph(Numbers(name="rows", count=3), Ask(name="ask", llm=EchoLLM().troubled_by(fill)))
    run_id = bench.create(graph, concurrency=1)
    with pytest.raises(LedgerError, match="disk is full"):
        bench.engine(graph, run_id).work()
    run = bench.ledger.run(run_id)
    assert run.state == RunState.RUNNING and run.lease_owner
    full.is_full = False
    assert bench.engine(graph, run_id).work() is RunState.DONE
    assert bench.counts(run_id)["ask"] == (3, 0, 0, 0)


def test_an_engine_of_this_process_that_still_works_keeps_its_run(bench):
    graph = bench.graph(Numbers(name="rows", count=1), Ask(name="ask", llm=EchoLLM()))
    run_id = bench.create(graph)
    seen = []

    def start_another(_text, _nth):
        with pytest.raises(RunConflict, match="is working on this run"):
            bench.ledger.claim(run_id, "another:1:1:engine")
        seen.append(True)

    graph.steps["ask"].llm.troubled_by(start_another)
    assert bench.engine(graph, run_id).work() is RunState.DONE
    assert seen
