"""A step that needs all rows and asks a model in its own way: what it paid for is kept as it comes."""

import threading

import pytest

from components.errors import CredentialError
from components.llms.llm import LLM
from components.pipeline.engine import engine as engine_module
from components.states import RunState
from components.steps.step import GlobalStep
from components.steps.tasks.task import GlobalTask
from tests.components.pipeline.engine.test_halting import Priced
from tests.fakes import Ask, EchoLLM, Numbers, Review


class AskAll(Ask, GlobalTask):
    """Asks about all rows at once."""


class OneByOne(AskAll):
    """Asks about each row when the last is answered, and twice the same of the first."""

    def process(self, inputs):
        rows = [inputs[0], *inputs]
        texts = [self.llm.generate([self.format_input(row)])[0]["generations"][0] for row in rows]
        yield [row | {"generation": text} for row, text in zip(inputs, texts[1:], strict=True)]


@pytest.mark.parametrize("kind", [AskAll, OneByOne])
def test_a_step_that_was_broken_off_pays_for_no_answer_twice(bench, kind):
    llm = Priced().troubled_by(lambda text, nth: ValueError("cut") if (text, nth) == ("q3", 1) else None)
    steps = [Numbers(name="rows", count=5), kind(name="all", llm=llm), Review(name="review", llm=EchoLLM())]
    graph = bench.graph(*steps)
    run_id = bench.create(graph, concurrency=1)
    with pytest.raises(ValueError, match="cut"):
        bench.engine(graph, run_id).work()
    asked = sum(llm.calls.values())
    spent = bench.ledger.run(run_id).spent
    assert spent == asked - 1 > 0
    assert bench.engine(graph, run_id).work() is RunState.DONE
    assert llm.calls == {f"q{n}": 1 + (n == 3) + (n == 0 and kind is OneByOne) for n in range(5)}
    assert [result.values["verdict"] for result in bench.results(run_id)] == [f"echo: echo: q{n}" for n in range(5)]
    record = next(record for record in bench.ledger.steps(run_id) if record.step == "all")
    many = 6 if kind is OneByOne else 5
    assert (record.cost, record.ok, bench.ledger.run(run_id).spent) == (many, 5, many)
    assert record.attempts == many + 1


def test_answers_go_when_the_rows_are_there(bench):
    run_id, _ = bench.run(Numbers(name="rows", count=3), AskAll(name="all", llm=EchoLLM()))
    assert bench.ledger.count(run_id, "all/answers") == 0
    assert bench.counts(run_id)["all"] == (3, 0, 0, 0)


@pytest.mark.parametrize("how", ["pause", "killed"])
def test_calls_of_such_a_step_come_home_when_the_run_rests(bench, monkeypatch, how):
    if how == "killed":
        monkeypatch.setattr(engine_module, "GRACE_SECONDS", 0.0)
    engines = []

    def halt(text):
        if text == "q2":
            getattr(engines[0], "pause" if how == "pause" else "stop")()
        return 0.1 if text == "q2" else 0.0

    llm = EchoLLM().delayed_by(halt)
    graph = bench.graph(Numbers(name="rows", count=6), OneByOne(name="all", llm=llm))
    run_id = bench.create(graph)
    engines.append(bench.engine(graph, run_id))
    assert engines[0].work() in (RunState.PAUSED, RunState.STOPPED)
    llm.delayed_by(lambda _text: 0.0)
    assert bench.engine(graph, run_id).work() is RunState.DONE
    assert llm.calls == {f"q{n}": 1 + (n == 0) + (n == 2 and how == "killed") for n in range(6)}


def test_such_a_step_rests_at_the_cap_and_goes_on_from_there(bench):
    llm = Priced()
    graph = bench.graph(Numbers(name="rows", count=5), AskAll(name="all", llm=llm))
    run_id = bench.create(graph, cap=2.5, concurrency=1)
    assert bench.engine(graph, run_id).work() is RunState.CAPPED
    assert bench.ledger.run(run_id).spent == 2.0
    bench.ledger.update_run(run_id, cap=10.0)
    assert bench.engine(graph, run_id).work() is RunState.DONE
    assert sum(llm.calls.values()) == 5
    assert bench.ledger.run(run_id).spent == 5.0


def test_such_a_step_is_paused_by_a_bad_key_and_keeps_what_came_before(bench):
    llm = EchoLLM().troubled_by(lambda text, nth: CredentialError("No.") if text == "q3" and nth < 4 else None)
    graph = bench.graph(Numbers(name="rows", count=5), OneByOne(name="all", llm=llm))
    run_id = bench.create(graph)
    assert bench.engine(graph, run_id).work() is RunState.PAUSED
    assert bench.engine(graph, run_id).work() is RunState.DONE
    assert {text: count for text, count in llm.calls.items() if text != "q3"} == {"q0": 2, "q1": 1, "q2": 1, "q4": 1}


def test_an_answer_that_no_file_could_hold_is_handed_on_all_the_same(bench):
    class Strange(LLM):
        @property
        def model_name(self):
            return "strange"

        def generate(self, inputs, num_generations=1):
            return [{"generations": ["x"], "odd": threading.Lock()} for _ in inputs]

    run_id, state = bench.run(Numbers(name="rows", count=2), AskAll(name="all", llm=Strange()))
    assert state is RunState.DONE
    assert [result.values["generation"] for result in bench.results(run_id)] == ["x", "x"]


def test_a_step_that_asks_nobody_keeps_nothing(bench):
    class Same(GlobalStep):
        def process(self, inputs):
            yield inputs

    run_id, state = bench.run(Numbers(name="rows", count=2), Same(name="same"))
    assert (state, bench.ledger.count(run_id, "same/answers")) == (RunState.DONE, 0)
