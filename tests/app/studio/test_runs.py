import threading

import pytest

from app.studio import NotFound
from components.errors import ConfigError, RunConflict
from components.pipeline.engine import Engine
from components.pipeline.graph import Graph
from components.pipeline.running import RunOptions, create_run
from components.states import RunState
from tests.app.pipelines import add_tickets, asking, labeling, model
from tests.fakes import Ask, EchoLLM, Numbers
from tests.servers.faults import Fault, Faults


def state(studio, run_id):
    return studio.runs.get(run_id).state


def test_a_run_is_queued_then_worked_on_to_its_end(studio, work):
    draft = studio.pipelines.add(labeling(add_tickets(studio)))
    run_id = studio.runs.start(pipeline_id=draft.id)
    assert len(run_id) == 2 + 32
    assert state(studio, run_id) == "queued"
    assert work(run_id) is RunState.DONE
    assert [(run["id"], run["state"], run["rows_done"]) for run in studio.runs.recent()] == [(run_id, "done", 3)]
    kinds = [event["kind"] for event in studio.runs.events(run_id)]
    assert (kinds[0], kinds[-1]) == ("created", "done")


def test_a_run_of_the_first_rows(studio, work):
    run_id = studio.runs.start(labeling(add_tickets(studio, 20)), row_limit=4)
    work(run_id)
    assert studio.results.page(run_id)["total"] == 4


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"cap": -1.0}, "amount"),
        ({"concurrency": 0}, "at least one call"),
        ({"row_limit": 0}, "at least one row"),
    ],
)
def test_wrong_options_are_refused_before_anything_starts(studio, options, words):
    with pytest.raises(ConfigError, match=words):
        studio.runs.start(asking(["a"]), **options)
    assert list(studio.runs.recent()) == []


def test_a_cap_that_cannot_be_kept_is_refused(studio):
    llm = {"use": "OpenAILLM", "model": "nobody-knows-this-model"}
    with pytest.raises(ConfigError, match="price of nobody-knows-this-model is unknown"):
        studio.runs.start(asking(["a"], llm=llm), cap=1.0)


def test_an_unknown_run_or_pipeline_is_told(studio):
    for act in (studio.runs.get, studio.runs.pause, studio.runs.stop, studio.runs.go_on, studio.runs.retry):
        with pytest.raises(NotFound):
            act("r_nothing")
    with pytest.raises(NotFound):
        studio.runs.start(pipeline_id="p_nothing")
    with pytest.raises(ConfigError):
        studio.runs.start()


def test_a_waiting_run_is_paused_and_goes_on(studio, work):
    run_id = studio.runs.start(asking(["a"]))
    studio.runs.pause(run_id)
    assert state(studio, run_id) == "paused"
    with pytest.raises(RunConflict, match="needs no pause"):
        studio.runs.pause(run_id)
    studio.runs.go_on(run_id)
    assert state(studio, run_id) == "queued"
    with pytest.raises(RunConflict, match="done"):
        work(run_id)
        studio.runs.go_on(run_id)


def test_a_run_at_work_is_paused_with_its_answers_kept(studio, work, server):
    held, go = threading.Event(), threading.Event()

    def reply(body):
        held.set()
        go.wait(20)
        return "an answer"

    server.behavior.reply = reply
    run_id = studio.runs.start(asking([f"row-{n}" for n in range(30)], llm=model(server)), concurrency=2)
    worker = threading.Thread(target=work, args=(run_id,))
    worker.start()
    assert held.wait(20)
    with pytest.raises(RunConflict, match="under way"):
        studio.runs.go_on(run_id)
    with pytest.raises(RunConflict, match="under way"):
        studio.runs.retry(run_id)
    with pytest.raises(RunConflict, match="Stop it first"):
        studio.runs.delete(run_id)
    studio.runs.pause(run_id)
    go.set()
    worker.join(30)
    assert state(studio, run_id) == "paused"
    answered = studio.results.page(run_id)["counts"].get("ok", 0)
    assert answered == len(server.requests) < 30
    studio.runs.go_on(run_id)
    assert work(run_id) is RunState.DONE
    assert len(server.requests) == 30


def test_a_stopped_run_keeps_what_it_has_and_can_be_exported(studio, work):
    run_id = studio.runs.start(asking(["a"]))
    studio.runs.stop(run_id)
    assert state(studio, run_id) == "stopped"
    assert b"".join(studio.exports.export(run_id).chunks)


def test_failed_rows_are_retried_by_cause_and_counted(studio, work, server):
    faults = {"row-0": Fault.CONTENT_POLICY, "row-1": [Fault.CONTEXT_TOO_LONG]}
    server.behavior.faults = Faults(rows=faults)
    run_id = studio.runs.start(asking(["row-0", "row-1", "row-2"], llm=model(server)))
    assert work(run_id) is RunState.DONE_WITH_FAILURES
    errors = {group["reason"]: group for group in studio.runs.progress(run_id)["errors"]}
    assert {reason: group["count"] for reason, group in errors.items()} == {"refused": 1, "context_too_long": 1}
    assert errors["refused"]["button"] == "See the rows"
    assert studio.runs.retry(run_id, reason="context_too_long") == 1
    assert work(run_id) is RunState.DONE_WITH_FAILURES
    assert [row["state"] for row in studio.results.page(run_id)["rows"]] == ["failed", "ok", "ok"]
    assert studio.runs.retry(run_id) == 1
    server.behavior.faults = Faults()
    assert work(run_id) is RunState.DONE
    with pytest.raises(RunConflict, match="nothing to retry"):
        studio.runs.retry(run_id)


def test_the_button_of_a_cause_retries_as_many_rows_as_it_counts(studio, work):
    class Hesitant(EchoLLM):
        async def agenerate(self, input, num_generations=1, temperature=1.0):
            return {"generations": ["unreadable", "fine"], "statistics": {}}

    graph = Graph()
    for step in (Numbers(name="rows", count=1), Ask(name="ask", llm=Hesitant(), num_generations=2)):
        graph.add(step)
    graph.connect("rows", "ask")
    run_id = create_run(studio.ledger, graph, asking(["a"]), RunOptions())
    Engine(graph, studio.ledger, run_id).work()
    group = studio.runs.progress(run_id)["errors"][0]
    assert (group["reason"], group["count"], group["button"]) == ("unparseable", 1, "Retry these rows")
    studio.ledger.update_run(run_id, is_portable=True)
    assert studio.runs.retry(run_id, reason="unparseable") == 1


def test_a_retry_names_what_it_does_not_know(studio, work):
    run_id = studio.runs.start(asking(["a"]))
    work(run_id)
    with pytest.raises(ConfigError, match="no reason 'weather'"):
        studio.runs.retry(run_id, reason="weather")
    with pytest.raises(ConfigError, match="no step 'weather'"):
        studio.runs.retry(run_id, step="weather")


def test_a_row_with_a_wrong_label_is_asked_again_when_asked_for(studio, work, server):
    answers = iter(['{"labels": "weather"}', '{"labels": "login"}'])
    server.behavior.reply = lambda body: next(answers)
    run_id = studio.runs.start(labeling(add_tickets(studio, 1), llm=model(server)))
    work(run_id)
    assert studio.results.page(run_id)["counts"] == {"all": 1, "needs_review": 1}
    assert studio.runs.retry(run_id, rows=["00000000"]) == 1
    work(run_id)
    assert studio.results.page(run_id)["rows"][0]["values"]["labels"] == "login"


def test_a_run_rests_at_its_cap_and_goes_on_when_it_is_raised(studio, work, server):
    priced = model(server, input_price=1000.0, output_price=1000.0, generation_kwargs={"max_new_tokens": 10})
    run_id = studio.runs.start(asking([f"row-{n}" for n in range(12)], llm=priced), cap=0.1, concurrency=1)
    assert work(run_id) is RunState.CAPPED
    run = studio.runs.get(run_id)
    assert 0 < run.spent <= 0.1
    capped = next(group for group in studio.runs.progress(run_id)["errors"] if group["reason"] == "capped")
    assert capped["button"] == "Raise the cap" and 0 < capped["count"] < 12
    with pytest.raises(RunConflict, match="Raise the cap"):
        studio.runs.go_on(run_id)
    with pytest.raises(ConfigError, match="spent already"):
        studio.runs.raise_cap(run_id, 0.001)
    studio.runs.raise_cap(run_id, 5.0)
    assert work(run_id) is RunState.DONE
    assert studio.runs.get(run_id).cap == 5.0


def costly(studio, server):
    priced = model(server, input_price=1000.0, output_price=1000.0, generation_kwargs={"max_new_tokens": 10})
    return studio.runs.start(asking(["a"], llm=priced), cap=0.1)


def test_a_cap_is_raised_while_another_process_works_on_the_run(studio, server):
    run_id = costly(studio, server)
    studio.ledger.set_state(run_id, RunState.RUNNING)
    studio.ledger.claim(run_id, "another-machine:1:1:x")
    studio.runs.go_on(run_id, cap=5.0)
    run = studio.runs.get(run_id)
    assert (run.cap, run.state) == (5.0, "running")
    with pytest.raises(RunConflict, match="under way already"):
        studio.runs.go_on(run_id)


def test_a_cap_raised_the_moment_after_the_run_came_to_rest_counts(studio, server, monkeypatch):
    run_id = costly(studio, server)
    studio.ledger.set_state(run_id, RunState.RUNNING)
    raised = studio.ledger.update_run

    def rests_first(run_id, **values):
        studio.ledger.set_state(run_id, RunState.CAPPED)
        raised(run_id, **values)

    monkeypatch.setattr(studio.ledger, "update_run", rests_first)
    studio.runs.raise_cap(run_id, 5.0)
    run = studio.runs.get(run_id)
    assert (run.cap, run.state) == (5.0, "queued")


def test_a_run_of_a_script_that_nobody_else_can_build_is_left_to_it(studio):
    from components.pipeline.graph import Graph
    from components.pipeline.spec import PipelineSpec

    graph = Graph()
    graph.add(Numbers(name="numbers"))
    graph.add(Ask(name="ask", llm=EchoLLM()))
    graph.connect("numbers", "ask")
    run_id = create_run(studio.ledger, graph, PipelineSpec.of(graph, "script"), RunOptions())
    assert not studio.runs.get(run_id).is_portable
    studio.runs.stop(run_id)
    with pytest.raises(ConfigError, match="Run the script again"):
        studio.runs.go_on(run_id)
    assert studio.results.page(run_id)["total"] == 0


def test_a_run_that_a_script_left_behind_goes_on_here(studio, work):
    spec = asking(["a", "b"])
    run_id = create_run(studio.ledger, spec.build(), spec, RunOptions(origin="script"))
    studio.ledger.set_state(run_id, RunState.RUNNING, lease_owner="nowhere:1:1:x", lease_beat=0.0)
    studio.runs.go_on(run_id)
    assert studio.runs.get(run_id).origin == "app"
    assert work(run_id) is RunState.DONE


def test_a_deleted_run_takes_its_corrections_along(studio, work):
    run_id = studio.runs.start(labeling(add_tickets(studio, 1)))
    work(run_id)
    studio.results.correct(run_id, "00000000", "labels", "login")
    studio.runs.delete(run_id)
    from sqlalchemy import func, select

    from app.tables import LABEL

    with studio.ledger.database.read() as connection:
        assert connection.execute(select(func.count()).select_from(LABEL)).scalar() == 0
    with pytest.raises(NotFound):
        studio.runs.get(run_id)


def test_a_run_that_waits_for_a_batch_is_stopped_at_once(studio):
    run_id = studio.runs.start(asking(["a"]))
    studio.ledger.set_state(run_id, RunState.WAITING_BATCH, "Waiting for batch jobs.")
    studio.runs.stop(run_id)
    assert state(studio, run_id) == "stopped"
