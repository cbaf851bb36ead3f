"""How a run comes to its rest: at a cap that is raised meanwhile, without a key, with calls that nobody waits for."""

import threading

import pytest

from components.errors import CredentialError, RunPaused
from components.llms import OpenAILLM
from components.pipeline import Pipeline
from components.pipeline.engine import engine as engine_module
from components.pipeline.ledger import ledger as ledger_module
from components.states import RunState
from components.steps.step import Step
from tests.components.pipeline.engine.test_halting import Priced
from tests.fakes import Ask, EchoLLM, Numbers
from tests.servers.openai_server import OpenAIServer


def at_the_cap(bench, raised):
    """A run of rows of a dollar each that may spend one; `raised` is done while its first answer is read."""

    class Watching(Ask):
        def format_output(self, output, input=None):
            raised(engine)
            return super().format_output(output, input)

    graph = bench.graph(Numbers(name="rows", count=3), Watching(name="ask", llm=Priced()))
    run_id = bench.create(graph, cap=1.0, concurrency=1)
    engine = bench.engine(graph, run_id)
    return run_id, engine.work()


@pytest.mark.parametrize("cap", [10.0, None])
def test_a_cap_that_another_process_raised_counts_at_once(bench, cap):
    run_id, state = at_the_cap(bench, lambda engine: bench.ledger.update_run(engine.run_id, cap=cap))
    assert state is RunState.DONE
    assert bench.ledger.run(run_id).spent == 3.0


def test_a_cap_that_was_raised_too_little_is_a_cap(bench):
    run_id, state = at_the_cap(bench, lambda engine: bench.ledger.update_run(engine.run_id, cap=2.0))
    assert state is RunState.CAPPED
    assert bench.ledger.run(run_id).spent == 2.0


def raised_late(bench, cap, then=lambda engine: None):
    """A run that has been refused money already when its cap is raised."""

    class Late(Numbers):
        def unload(self):
            if bench.ledger.run(run_id).cap == 1.0:
                bench.ledger.update_run(run_id, cap=cap)
                engine.set_cap(cap)
                then(engine)

    llm = Priced()
    graph = bench.graph(Late(name="rows", count=3), Ask(name="ask", llm=llm))
    run_id = bench.create(graph, cap=1.0, concurrency=1)
    engine = bench.engine(graph, run_id)
    return run_id, engine.work(), llm


def test_a_cap_raised_while_the_run_comes_to_rest_at_the_old_one_counts(bench):
    run_id, state, llm = raised_late(bench, 10.0)
    assert state is RunState.DONE
    assert (bench.ledger.run(run_id).spent, sum(llm.calls.values())) == (3.0, 3)
    assert [event.kind for event in bench.ledger.events(run_id)] == ["created", "running", "running", "done"]


def test_a_lower_cap_does_not_wake_the_run(bench):
    _, state, llm = raised_late(bench, 0.5)
    assert (state, sum(llm.calls.values())) == (RunState.CAPPED, 1)


def test_a_process_that_ends_does_not_go_on_with_a_raised_cap(bench):
    ready = threading.Event()

    def park(engine):
        engine.park("The end.")
        engine._halt.loop.call_soon_threadsafe(ready.set)
        assert ready.wait(20)

    _, state, llm = raised_late(bench, 10.0, then=park)
    assert (state, sum(llm.calls.values())) == (RunState.CAPPED, 1)


def test_a_beat_brings_a_new_cap_from_the_ledger(bench, monkeypatch):
    monkeypatch.setattr(engine_module, "BEAT_SECONDS", 0.01)
    has_heard = threading.Event()

    class Waits(Step):
        def process(self, inputs):
            bench.ledger.update_run(run_id, cap=10.0)
            while engine.gate.budget.cap != 10.0 and not has_heard.wait(0.01):
                pass
            yield inputs

    graph = bench.graph(Numbers(name="rows", count=3), Waits(name="waits"), Ask(name="ask", llm=Priced()))
    run_id = bench.create(graph, cap=1.0)
    engine = bench.engine(graph, run_id)
    assert engine.work() is RunState.DONE
    assert [event.kind for event in bench.ledger.events(run_id)] == ["created", "running", "done"]


def test_a_run_without_a_key_is_paused_and_goes_on_once_it_is_there(bench, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    closed = []

    class Closes(Numbers):
        def unload(self):
            closed.append(self.name)

    def graph(**fields):
        return bench.graph(Closes(name="rows", count=2), Ask(name="ask", llm=OpenAILLM(model="m", **fields)))

    run_id = bench.create(graph())
    assert bench.engine(graph(), run_id).work() is RunState.PAUSED
    run = bench.ledger.run(run_id)
    assert "needs a key" in run.state_reason and run.state_reason.endswith("The run is paused; nothing more was spent.")
    assert (run.lease_owner, closed) == ("", ["rows"])
    with OpenAIServer() as server:
        assert bench.engine(graph(base_url=server.base_url), run_id).work() is RunState.DONE


def broken_off(bench, llm, monkeypatch):
    monkeypatch.setattr(engine_module, "GRACE_SECONDS", 0.0)
    engines = []

    def stop(_text):
        engines[0].stop()
        return 30.0

    graph = bench.graph(Numbers(name="rows", count=1), Ask(name="ask", llm=llm.delayed_by(stop)))
    run_id = bench.create(graph, concurrency=1)
    engines.append(bench.engine(graph, run_id))
    assert engines[0].work() is RunState.STOPPED
    run = bench.ledger.run(run_id)
    return run.cost_known, [event.message for event in bench.ledger.events(run_id) if event.kind == "broken_off"]


def test_a_call_that_a_stop_broke_off_may_have_cost_something(bench, monkeypatch):
    sentence = "1 call was broken off before an answer came. The provider may charge for it all the same."
    assert broken_off(bench, Priced(), monkeypatch) == (False, [sentence])


def test_a_call_that_costs_nothing_is_broken_off_without_a_word(bench, monkeypatch):
    assert broken_off(bench, EchoLLM(input_price=0, output_price=0), monkeypatch) == (True, [])


@pytest.mark.parametrize(("llm", "is_known"), [(Priced(), False), (EchoLLM(input_price=0, output_price=0), True)])
def test_calls_that_were_out_when_a_process_died_may_have_cost_something(bench, llm, is_known):
    graph = bench.graph(Numbers(name="rows", count=1), Ask(name="ask", llm=llm))
    run_id = bench.create(graph)
    host = bench.engine(graph, run_id).owner.split(":")[0]
    dead = f"{host}:999999999:1:abc"
    bench.ledger.claim(run_id, dead)
    bench.ledger.beat(run_id, dead, 7)
    assert bench.engine(graph, run_id).work() is RunState.DONE
    said = [event.message[:22] for event in bench.ledger.events(run_id) if event.kind == "broken_off"]
    assert said == ([] if is_known else ["7 calls were broken of"])
    assert bench.ledger.run(run_id).cost_known is is_known


def test_a_run_that_ended_well_leaves_no_call_behind(bench):
    run_id, _ = bench.run(Numbers(name="rows", count=3), Ask(name="ask", llm=Priced()))
    bench.again(run_id, Numbers(name="rows", count=3), Ask(name="ask", llm=Priced()))
    assert bench.ledger.run(run_id).cost_known
    assert "broken_off" not in [event.kind for event in bench.ledger.events(run_id)]


class Leaky(EchoLLM):
    """Repeats its key in what it raises, as some providers' own packages do."""

    def leaks(self, key, kind=RuntimeError):
        def trouble(text, _nth):
            try:
                raise OSError(f"Authorization: Bearer {key}")
            except OSError as error:
                raise kind(f"401 for {key}, asked {text}") from error

        return self.troubled_by(trouble)


@pytest.mark.parametrize("kind", [RuntimeError, CredentialError])
def test_a_key_of_the_environment_in_an_error_is_told_to_nobody(bench, monkeypatch, caplog, tmp_path, kind):
    key = "canary_of_an_odd_shape"
    monkeypatch.setenv("SOME_PROVIDER_API_KEY", key)
    run_id, _ = bench.run(Numbers(name="rows", count=4), Ask(name="ask", llm=Leaky().leaks(key, kind)), concurrency=1)
    run = bench.ledger.run(run_id)
    told = [run.state_reason, *(result.message for result in bench.results(run_id, step="ask"))]
    assert any("401 for [key], asked q" in words for words in told)
    bench.ledger.close()
    assert key not in caplog.text
    assert not any(key.encode() in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


def test_a_script_without_a_key_is_told_that_its_run_waits_for_one(monkeypatch, tmp_path):
    monkeypatch.setenv("STILLROOM_HOME", str(tmp_path))
    monkeypatch.setattr(ledger_module, "_opened", {})
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with Pipeline(name="keyless") as pipeline:
        Numbers(name="rows", count=2) >> Ask(name="ask", llm=OpenAILLM(model="m"))
    with pytest.raises(RunPaused, match="needs a key.*goes on from here when you run it again") as caught:
        pipeline.run()
    ledger = ledger_module.shared_ledger()
    assert ledger.run(caught.value.run_id).state == RunState.PAUSED
    ledger.close()
