"""Coming to a rest: what is paid for comes home, whoever asks for the rest and why."""

import threading

import pytest

from components.errors import CredentialError
from components.pipeline.engine import engine as engine_module
from components.states import RunState
from components.steps.step import GeneratorStep, Step
from components.steps.tasks.task import GeneratorTask
from tests.fakes import Ask, EchoLLM, Numbers


class Priced(EchoLLM):
    """A dollar for each answer; ten tokens at most."""

    input_price: float | None = 0.0
    output_price: float | None = 200_000.0

    def most_tokens(self, input, num_generations, kwargs):
        return 0, 5 if len(str(input)) < 60 else 10


def test_calls_that_are_out_when_the_cap_is_reached_come_home(bench, monkeypatch):
    monkeypatch.setattr(engine_module, "GRACE_SECONDS", 0.0)

    class Long(Numbers):
        def process(self, offset=0):
            yield [{"instruction": text, "n": 0} for text in ("a", "b", "b" * 60)], True

    llm = Priced().delayed_by(lambda text: 0.3 if text == "b" else 0.05)
    run_id, state = bench.run(Long(name="rows"), Ask(name="ask", llm=llm), cap=2.5)
    assert state is RunState.CAPPED
    assert bench.counts(run_id)["ask"] == (2, 0, 0, 0)
    assert bench.ledger.run(run_id).spent == pytest.approx(2.0)


def test_calls_that_are_out_when_a_source_breaks_come_home(bench, monkeypatch):
    monkeypatch.setattr(engine_module, "GRACE_SECONDS", 0.0)
    is_out = threading.Event()

    class Breaks(GeneratorStep):
        @property
        def outputs(self):
            return ["instruction"]

        def process(self, offset=0):
            yield [{"instruction": f"q{n}"} for n in range(50)], False
            is_out.wait(20)
            raise OSError("unplugged")

    def delay(_text):
        is_out.set()
        return 0.2

    llm = EchoLLM().delayed_by(delay)
    graph = bench.graph(Breaks(name="rows"), Ask(name="ask", llm=llm))
    run_id = bench.create(graph, concurrency=4)
    with pytest.raises(OSError, match="unplugged"):
        bench.engine(graph, run_id).work()
    assert bench.ledger.run(run_id).state == RunState.STOPPED
    assert bench.counts(run_id)["ask"][0] == sum(llm.calls.values()) > 0


def at_work(bench, delay=60.0):
    """An engine in a thread of its own whose one call takes its time, and that thread."""
    is_out = threading.Event()

    def wait(_text):
        is_out.set()
        return delay

    graph = bench.graph(Numbers(name="rows", count=1), Ask(name="ask", llm=EchoLLM().delayed_by(wait)))
    run_id = bench.create(graph)
    engine = bench.engine(graph, run_id)
    thread = threading.Thread(target=engine.work, daemon=True)
    thread.start()
    assert is_out.wait(20)
    return engine, thread, run_id


@pytest.mark.parametrize(("then", "state"), [("stop", RunState.STOPPED), ("park", RunState.PAUSED)])
def test_a_run_that_is_about_to_pause_can_be_stopped_all_the_same(bench, monkeypatch, then, state):
    monkeypatch.setattr(engine_module, "GRACE_SECONDS", 0.05)
    engine, thread, run_id = at_work(bench)
    engine.pause("Paused.")
    getattr(engine, then)("Stopped.")
    thread.join(20)
    assert not thread.is_alive()
    assert bench.ledger.run(run_id).state == state


class OwnWay(Ask):
    """Asks its model in a `process` of its own."""

    def process(self, inputs):
        for row in inputs:
            output = self.llm.generate([self.format_input(row)])[0]
            yield [row | {"generation": output["generations"][0]}]


def test_a_task_with_a_process_of_its_own_rests_at_the_cap_and_keeps_its_answers(bench):
    run_id, state = bench.run(Numbers(name="rows", count=5), OwnWay(name="ask", llm=Priced()), cap=2.5)
    assert state is RunState.CAPPED
    assert bench.counts(run_id)["ask"] == (2, 0, 0, 0)
    assert bench.ledger.run(run_id).spent == pytest.approx(2.0)


def test_a_task_with_a_process_of_its_own_is_paused_by_a_bad_key(bench):
    llm = EchoLLM().troubled_by(lambda text, nth: CredentialError("No.") if text == "q3" else None)
    run_id, state = bench.run(Numbers(name="rows", count=5), OwnWay(name="ask", llm=llm))
    assert state is RunState.PAUSED
    assert bench.counts(run_id)["ask"] == (3, 0, 0, 0)


def test_a_step_that_cannot_be_unloaded_undoes_nothing(bench):
    class Clings(Step):
        def process(self, inputs):
            yield inputs

        def unload(self):
            raise OSError("held")

    run_id, state = bench.run(Numbers(name="rows", count=2), Clings(name="clings"))
    assert (state, len(bench.results(run_id))) == (RunState.DONE, 2)


def test_an_error_with_half_a_character_fails_its_row_alone(bench):
    class Odd(Step):
        def process(self, inputs):
            if inputs[0]["n"] == 1:
                raise ValueError("half: \ud83d")
            yield inputs

    run_id, state = bench.run(Numbers(name="rows", count=3), Odd(name="odd"))
    assert state is RunState.DONE_WITH_FAILURES
    assert bench.counts(run_id)["odd"] == (2, 1, 0, 0)
    assert bench.results(run_id)[1].message.endswith("half: ?")


def test_a_run_that_ends_with_half_a_character_says_so(bench):
    class Broken(GeneratorStep):
        def process(self, offset=0):
            raise ValueError("half: \ud83d")
            yield

    graph = bench.graph(Broken(name="rows"))
    run_id = bench.create(graph)
    with pytest.raises(ValueError, match="half"):
        bench.engine(graph, run_id).work()
    run = bench.ledger.run(run_id)
    assert (run.state, run.state_reason) == (RunState.STOPPED, "ValueError: half: ?")


class Asking(GeneratorTask):
    """A source that asks its model for each row."""

    count: int = 3
    """How many."""

    @property
    def outputs(self):
        return ["instruction"]

    def process(self, offset=0):
        for n in range(offset, self.count):
            output = self.llm.generate([[{"role": "user", "content": f"q{n}"}]])[0]
            yield [{"instruction": output["generations"][0]}], n == self.count - 1


def test_what_a_source_spends_is_on_the_books_and_counts_against_the_cap(bench):
    run_id, state = bench.run(Asking(name="rows", llm=Priced()))
    record = bench.ledger.steps(run_id)[0]
    assert (state, record.cost, record.attempts, bench.ledger.run(run_id).spent) == (RunState.DONE, 3.0, 3, 3.0)


def test_a_source_that_asks_a_model_rests_at_the_cap_and_goes_on_from_there(bench):
    llm = Priced()
    graph = bench.graph(Asking(name="rows", llm=llm))
    run_id = bench.create(graph, cap=2.5)
    assert bench.engine(graph, run_id).work() is RunState.CAPPED
    assert (bench.counts(run_id)["rows"][0], bench.ledger.run(run_id).spent) == (2, 2.0)
    bench.ledger.update_run(run_id, cap=10.0)
    assert bench.engine(graph, run_id).work() is RunState.DONE
    assert llm.calls == {"q0": 1, "q1": 1, "q2": 1}
    assert bench.ledger.run(run_id).spent == 3.0
