"""Stopping, going on, retrying, and taking over what was done before."""

import asyncio
import threading

import pytest

from components.errors import ConfigError, CredentialError, RequestRefused, RunConflict
from components.states import RunState
from tests.components.pipeline.engine.test_rows import Backwards, Join, Twice
from tests.fakes import Ask, EchoLLM, Numbers, Review


class CutLLM(EchoLLM):
    """Comes to its token limit each time."""

    async def agenerate(self, input, num_generations=1, temperature=1.0):
        return await super().agenerate(input, num_generations) | {"finish_reasons": ["length"]}


class Stopper:
    """Stops or pauses its engine when the model is asked for the nth time."""

    def __init__(self, nth: int, how: str = "stop") -> None:
        self.nth, self.how, self.seen, self.engine = nth, how, 0, None

    def __call__(self, _text: str, _nth: int):
        self.seen += 1
        if self.seen == self.nth:
            getattr(self.engine, self.how)()


@pytest.mark.parametrize("how", ["stop", "pause"])
@pytest.mark.parametrize("nth", [1, 7, 40, 99, 100])
def test_a_run_that_was_halted_anywhere_goes_on_without_paying_twice(bench, how, nth):
    stopper = Stopper(nth, how)
    llm = EchoLLM().troubled_by(stopper).delayed_by(lambda _text: 0.001)
    graph = bench.graph(Numbers(name="rows", count=50), Ask(name="ask", llm=llm), Review(name="review", llm=llm))
    run_id = bench.create(graph, concurrency=4)
    stopper.engine = bench.engine(graph, run_id)
    state = stopper.engine.work()
    if nth < 100:
        assert state is (RunState.STOPPED if how == "stop" else RunState.PAUSED)
    if state is not RunState.DONE:
        assert bench.engine(graph, run_id).work() is RunState.DONE
    assert set(llm.calls.values()) == {1}
    assert [r.values["verdict"] for r in bench.results(run_id)] == [f"echo: echo: q{n}" for n in range(50)]


def test_a_halted_run_with_fan_out_fan_in_and_a_global_step_goes_on(bench):
    for nth in (3, 25, 60, 95):
        stopper = Stopper(nth)
        llm = EchoLLM().troubled_by(stopper).delayed_by(lambda _text: 0.0005)
        graph = bench.graph(
            Numbers(name="rows", count=20), Ask(name="a", llm=llm), Ask(name="b", llm=EchoLLM(model="other")),
            Join(name="join"), Twice(name="twice"), Backwards(name="back"), Review(name="review", llm=llm),
            edges=[("rows", "a"), ("rows", "b"), ("a", "join"), ("b", "join"), ("join", "twice"), ("twice", "back"),
                   ("back", "review")],
        )  # fmt: skip
        graph.steps["review"].__class__ = ReviewJoined
        run_id = bench.create(graph, concurrency=3)
        stopper.engine = bench.engine(graph, run_id)
        stopper.engine.work()
        assert bench.engine(graph, run_id).work() is RunState.DONE
        results = bench.results(run_id)
        assert len(results) == 40
        assert [r.values["n"] for r in results] == [n for n in reversed(range(20)) for _ in range(2)]
        assert all(r.values["verdict"] == f"echo: echo: q{r.values['n']}" for r in results)


class ReviewJoined(Review):
    reads = "generation_echo"


def test_failed_rows_are_retried_on_request_and_later_steps_with_them(bench):
    llm = EchoLLM().troubled_by(lambda t, n: RequestRefused("No.") if t in ("q2", "q5") and n == 1 else None)
    steps = [Numbers(name="rows", count=8), Ask(name="ask", llm=llm), Review(name="review", llm=EchoLLM())]
    run_id, state = bench.run(*steps)
    assert state is RunState.DONE_WITH_FAILURES
    assert bench.counts(run_id) == {"rows": (8, 0, 0, 0), "ask": (6, 2, 0, 0), "review": (6, 0, 0, 2)}
    assert bench.ledger.reopen(run_id) == 2
    assert bench.again(run_id, *steps) is RunState.DONE
    assert bench.counts(run_id) == {"rows": (8, 0, 0, 0), "ask": (8, 0, 0, 0), "review": (8, 0, 0, 0)}
    assert llm.calls == {f"q{n}": 2 if n in (2, 5) else 1 for n in range(8)}
    assert {r.row: r.attempts for r in bench.results(run_id, step="ask")}["00000002"] == 2


def test_only_the_failures_of_one_cause_are_retried(bench):
    def trouble(text, nth):
        if nth > 1:
            return None
        return {"q1": RequestRefused("No."), "q2": ValueError("odd")}.get(text)

    llm = EchoLLM().troubled_by(trouble)
    steps = [Numbers(name="rows", count=4), Ask(name="ask", llm=llm)]
    run_id, _ = bench.run(*steps)
    assert bench.ledger.reopen(run_id, rows=["00000001"]) == 1
    assert bench.again(run_id, *steps) is RunState.DONE_WITH_FAILURES
    assert llm.calls["q1"] == 2 and llm.calls["q2"] == 1


def test_a_new_run_takes_over_what_did_not_change_and_pays_only_for_what_did(bench):
    llm = EchoLLM()
    bench.run(Numbers(name="rows", count=10), Ask(name="ask", llm=llm))
    run_id, _ = bench.run(Numbers(name="rows", count=12), Ask(name="again", llm=llm))
    assert llm.calls == {f"q{n}": 1 for n in range(12)}
    assert [r.is_reused for r in bench.results(run_id)] == [True] * 10 + [False] * 2
    assert [r.values["generation"] for r in bench.results(run_id)] == [f"echo: q{n}" for n in range(12)]
    bench.run(Numbers(name="rows", count=12), Ask(name="ask", llm=llm, num_generations=2))
    assert llm.calls == {f"q{n}": 2 for n in range(12)}


def test_a_cut_answer_is_to_be_looked_at_and_not_paid_for_again(bench):
    llm = CutLLM()
    for _ in range(2):
        run_id, state = bench.run(Numbers(name="rows", count=2), Ask(name="ask", llm=llm))
        assert state is RunState.DONE
        found = [(r.state, r.reason, r.values["generation"]) for r in bench.results(run_id)]
        assert found == [("needs_review", "cut_off", f"echo: q{n}") for n in range(2)]
    assert set(llm.calls.values()) == {1}


def test_nothing_is_taken_over_when_asked_not_to(bench):
    llm = EchoLLM()
    for _ in range(2):
        bench.run(Numbers(name="rows", count=3), Ask(name="ask", llm=llm), use_cache=False)
    bench.run(Numbers(name="rows", count=3), Ask(name="ask", llm=llm, use_cache=False))
    assert set(llm.calls.values()) == {3}


def test_a_changed_source_is_not_mixed_into_a_run_that_began_with_other_data(bench):
    class Cut(Numbers):
        def process(self, offset=0):
            yield [{"instruction": f"q{n}", "n": n} for n in range(60)][offset:], False
            raise OSError("unplugged")

    graph = bench.graph(Cut(name="rows"), Ask(name="ask", llm=EchoLLM()))
    run_id = bench.create(graph)
    with pytest.raises(OSError, match="unplugged"):
        bench.engine(graph, run_id).work()
    with pytest.raises(ConfigError, match="The data of 'rows' changed since this run began"):
        bench.again(run_id, Numbers(name="rows", count=80), Ask(name="ask", llm=EchoLLM()))


def test_two_engines_never_work_on_one_run(bench):
    graph = bench.graph(Numbers(name="rows", count=3), Ask(name="ask", llm=EchoLLM()))
    run_id = bench.create(graph)
    first = bench.engine(graph, run_id)
    bench.ledger.claim(run_id, first.owner)
    with pytest.raises(RunConflict, match="Another process is working on this run"):
        bench.engine(graph, run_id).work()
    assert first.work() is RunState.DONE


def test_a_run_left_by_a_process_that_died_is_taken_over_at_once(bench):
    graph = bench.graph(Numbers(name="rows", count=3), Ask(name="ask", llm=EchoLLM()))
    run_id = bench.create(graph)
    host = bench.engine(graph, run_id).owner.split(":")[0]
    bench.ledger.claim(run_id, f"{host}:999999999:1:abc")
    assert bench.engine(graph, run_id).work() is RunState.DONE


def test_another_process_can_pause_a_run_through_the_ledger(bench):
    llm = EchoLLM().delayed_by(lambda _text: 0.05)
    graph = bench.graph(Numbers(name="rows", count=10_000), Ask(name="ask", llm=llm))
    run_id = bench.create(graph, concurrency=2)
    engine = bench.engine(graph, run_id, on_start=lambda _engine: bench.ledger.update_run(run_id, command="pause"))
    assert engine.work() is RunState.PAUSED
    assert bench.ledger.run(run_id).command == ""


def test_a_run_may_be_started_inside_a_running_loop_and_in_any_thread(bench):
    async def inside():
        return bench.run(Numbers(name="rows", count=5), Ask(name="ask", llm=EchoLLM()))[1]

    assert asyncio.run(inside()) is RunState.DONE
    states = []
    threads = [
        threading.Thread(
            target=lambda k=k: states.append(
                bench.run(Numbers(name="rows", count=200), Ask(name="ask", llm=EchoLLM(model=f"m{k}")))
            )
        )
        for k in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [state for _, state in states] == [RunState.DONE] * 3
    for run_id, _ in states:
        assert [r.values["generation"] for r in bench.results(run_id)] == [f"echo: q{n}" for n in range(200)]


def test_as_many_calls_are_in_flight_as_allowed_and_no_more(bench):
    llm = EchoLLM().delayed_by(lambda _text: 0.005)
    bench.run(Numbers(name="rows", count=400), Ask(name="ask", llm=llm), concurrency=20)
    assert 8 < llm.most_in_flight <= 20


def test_a_run_paused_by_a_bad_key_says_so_on_its_timeline(bench):
    llm = EchoLLM().troubled_by(lambda _t, _n: CredentialError("The provider did not accept the key."))
    run_id, _ = bench.run(Numbers(name="rows", count=3), Ask(name="ask", llm=llm))
    assert [event.kind for event in bench.ledger.events(run_id)] == ["created", "running", "paused"]
