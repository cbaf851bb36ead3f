import os
import socket
import threading
import time

import psutil
import pytest
from sqlalchemy import update

from app import worker as worker_module
from app.settings import Settings
from app.studio import Studio
from app.worker import PARKED, Worker
from components.errors import LedgerError
from components.pipeline.engine import Engine
from components.pipeline.ledger import Ledger
from components.pipeline.ledger.cells import RUN
from components.pipeline.running import RunOptions, create_run
from components.states import RunState
from tests.app.batches import a_batch_server, collected, overnight
from tests.app.conftest import FAST, until
from tests.app.pipelines import add_tickets, asking, labeling, model
from tests.servers.openai_server import OpenAIServer

OF_ANOTHER_LIFE = f"{socket.gethostname()}:{os.getpid()}:1:abc"


@pytest.fixture
def worker(studio):
    made = Worker(studio, policy=FAST)
    yield made
    made.stop()


def is_in(studio, run_id, *states):
    return lambda: studio.runs.get(run_id).state in states


class Gate:
    """A model that answers only when it is let; the server takes one call at a time meanwhile."""

    def __init__(self, server):
        self.arrived, self.free = threading.Semaphore(0), threading.Event()
        server.behavior.reply = self.reply

    def reply(self, body):
        self.arrived.release()
        self.free.wait(30)
        return "an answer"

    def wait(self):
        assert self.arrived.acquire(timeout=30)


def test_a_queued_run_is_taken_at_once(studio, worker, monkeypatch):
    monkeypatch.setattr(worker_module, "LOOK_SECONDS", 600.0)
    worker.start()
    until(lambda: worker._thread.is_alive())
    run_id = studio.runs.start(labeling(add_tickets(studio)))
    until(is_in(studio, run_id, "done"))


def test_a_run_that_another_process_queued_is_found_by_looking(studio, worker, monkeypatch):
    monkeypatch.setattr(worker_module, "LOOK_SECONDS", 0.02)
    worker.start()
    spec = asking(["a"])
    run_id = create_run(studio.ledger, spec.build(), spec, RunOptions(origin="app"))
    until(is_in(studio, run_id, "done"))


def test_a_run_that_a_command_line_has_just_begun_is_left_to_it_for_a_moment(studio, worker):
    spec = asking(["a"])
    run_id = create_run(studio.ledger, spec.build(), spec, RunOptions(origin="cli"))
    assert worker._waiting() == []
    studio.ledger.update_run(run_id, created_at=time.time() - 60)
    assert [waiting.id for waiting in worker._waiting()] == [run_id]


def test_a_script_keeps_its_runs(studio, worker):
    spec = asking(["a"])
    run_id = create_run(studio.ledger, spec.build(), spec, RunOptions(origin="script"))
    studio.ledger.update_run(run_id, created_at=time.time() - 60)
    assert worker._waiting() == []


@pytest.mark.parametrize("origin", ["app", "cli"])
def test_a_run_whose_process_died_goes_on_without_being_asked(studio, worker, server, origin):
    spec = asking([f"row-{n}" for n in range(20)], llm=model(server))
    run_id = create_run(studio.ledger, spec.build(), spec, RunOptions(origin=origin, concurrency=1))
    engine = Engine(spec.build(), studio.ledger, run_id)
    gate = Gate(server)
    thread = threading.Thread(target=engine.work)
    thread.start()
    gate.wait()
    engine.stop()
    gate.free.set()
    thread.join(30)
    answered = len(server.requests)
    assert 0 < answered < 20
    query = update(RUN).where(RUN.c.id == run_id)
    dead = {"state": "running", "lease_owner": OF_ANOTHER_LIFE, "lease_beat": time.time(), "created_at": 0.0}
    studio.ledger.database.write(lambda connection: connection.execute(query.values(**dead)))
    worker.start()
    until(is_in(studio, run_id, "done"))
    assert len(server.requests) == 20


def test_a_run_at_work_elsewhere_is_left_alone(studio, worker):
    spec = asking(["a"])
    run_id = create_run(studio.ledger, spec.build(), spec, RunOptions(origin="app"))
    mine = f"{socket.gethostname()}:{os.getpid()}:{int(psutil.Process().create_time())}:another-engine"
    studio.ledger.set_state(run_id, RunState.RUNNING, lease_owner=mine, lease_beat=time.time())
    assert worker._waiting() == []


def test_a_run_whose_end_could_not_be_written_waits_for_a_person(studio, worker, monkeypatch):
    spec = asking(["a"])
    run_id = create_run(studio.ledger, spec.build(), spec, RunOptions(origin="app"))
    studio.ledger.set_state(run_id, RunState.RUNNING)
    assert [waiting.id for waiting in worker._waiting()] == [run_id]

    def is_full(*_args, **_values):
        raise LedgerError("The disk is full.")

    with monkeypatch.context() as full:
        full.setattr(studio.ledger, "set_state", is_full)
        worker._give_up(run_id, LedgerError("The disk is full."))
    assert worker._waiting() == []
    studio.runs.go_on(run_id)
    assert [waiting.id for waiting in worker._waiting()] == [run_id]


def test_a_surprise_goes_to_the_log_without_keys(studio, worker, monkeypatch, caplog):
    monkeypatch.setenv("SOME_API_KEY", "canary of an odd shape")
    spec = asking(["a"])
    run_id = create_run(studio.ledger, spec.build(), spec, RunOptions(origin="app"))
    for error in (RuntimeError("401 for canary of an odd shape"), LedgerError("No canary of an odd shape.")):
        worker._give_up(run_id, error)
        assert "canary" not in caplog.text + studio.runs.get(run_id).state_reason
        studio.ledger.set_state(run_id, RunState.QUEUED)
    assert "401 for [key]" in caplog.text


def test_several_runs_are_worked_on_at_once_and_the_others_wait(tmp_path, server):
    settings = Settings(home=tmp_path / "few", runs_at_once=2)
    studio = Studio(settings, Ledger(settings.database_url))
    worker = Worker(studio, policy=FAST)
    worker.start()
    with OpenAIServer() as other:
        gates = [Gate(server), Gate(other)]
        models = [model(server), model(other), model(server)]
        runs = [studio.runs.start(asking([f"row-{n}"], llm=llm)) for n, llm in enumerate(models)]
        for gate in gates:
            gate.wait()
        assert sorted(studio.dispatch.engines) == sorted(runs[:2])
        assert studio.runs.get(runs[2]).state == "queued"
        preview = studio.previews.start(asking(["row-9"]), rows=1)
        until(is_in(studio, preview, "done"))
        for gate in gates:
            gate.free.set()
        until(lambda: all(studio.runs.get(run_id).state == "done" for run_id in runs))
    worker.stop()
    studio.ledger.close()


def test_a_run_is_paused_and_goes_on_from_the_page(studio, worker, server):
    worker.start()
    gate = Gate(server)
    run_id = studio.runs.start(asking([f"row-{n}" for n in range(10)], llm=model(server)), concurrency=1)
    gate.wait()
    studio.runs.pause(run_id)
    gate.free.set()
    until(is_in(studio, run_id, "paused"))
    assert len(server.requests) < 10
    until(lambda: studio.dispatch.engine(run_id) is None)
    studio.runs.go_on(run_id)
    until(is_in(studio, run_id, "done"))
    assert len(server.requests) == 10


def test_a_stop_leaves_every_run_ready_for_the_next_start(studio, server, settings):
    first = Worker(studio, policy=FAST)
    first.start()
    gate = Gate(server)
    run_id = studio.runs.start(asking([f"row-{n}" for n in range(6)], llm=model(server)), concurrency=1)
    gate.wait()
    gate.free.set()
    first.stop()
    run = studio.runs.get(run_id)
    assert (run.state, run.lease_owner) in (("queued", ""), ("done", ""))
    second = Worker(studio, policy=FAST)
    second.start()
    until(is_in(studio, run_id, "done"))
    second.stop()
    assert len(server.requests) == 6


def test_a_run_whose_process_ended_before_it_could_queue_it_again_goes_on_all_the_same(studio):
    run_id = studio.runs.start(asking(["a"]))
    studio.ledger.set_state(run_id, RunState.STOPPED, PARKED)
    worker = Worker(studio, policy=FAST)
    worker.start()
    until(is_in(studio, run_id, "done"))
    worker.stop()


def test_a_run_that_a_person_is_pausing_rests_when_the_process_ends(studio, server):
    first = Worker(studio, policy=FAST)
    first.start()
    gate = Gate(server)
    run_id = studio.runs.start(asking([f"row-{n}" for n in range(6)], llm=model(server)), concurrency=1)
    gate.wait()
    studio.runs.pause(run_id)
    first.stop()
    gate.free.set()
    assert studio.runs.get(run_id).state == "paused"


def test_a_run_that_a_person_stopped_stays_stopped_at_the_next_start(studio, server):
    first = Worker(studio, policy=FAST)
    first.start()
    gate = Gate(server)
    run_id = studio.runs.start(asking([f"row-{n}" for n in range(6)], llm=model(server)), concurrency=1)
    gate.wait()
    studio.runs.stop(run_id)
    gate.free.set()
    first.stop()
    assert studio.runs.get(run_id).state == "stopped"
    assert Worker(studio)._waiting() == []


def test_a_run_that_cannot_be_built_any_more_says_why(studio, worker):
    dataset = add_tickets(studio)
    spec = labeling(dataset)
    run_id = studio.runs.start(spec)
    dataset.path.unlink()
    worker.start()
    until(is_in(studio, run_id, "stopped"))
    assert "tickets.csv" in studio.runs.get(run_id).state_reason


def test_a_bad_key_pauses_the_run_with_a_sentence(studio, worker, server):
    server.behavior.keys = ["sk-the-right-one"]
    worker.start()
    studio.connections.add("custom", "sk-canary-wrong-key-00", name="mine", base_url=server.base_url)
    llm = model(server, connection="mine")
    run_id = studio.runs.start(asking([f"row-{n}" for n in range(10)], llm=llm))
    until(is_in(studio, run_id, "paused"))
    reason = studio.runs.get(run_id).state_reason
    assert "did not accept the key" in reason and "sk-canary" not in reason
    studio.connections.set_key(studio.connections.named("mine").id, "sk-the-right-one")
    until(lambda: studio.dispatch.engine(run_id) is None)
    studio.runs.go_on(run_id)
    until(is_in(studio, run_id, "done"))


def test_one_failing_look_is_not_the_last(studio, worker, monkeypatch):
    monkeypatch.setattr(worker_module, "LOOK_SECONDS", 0.01)
    real, looks = worker._waiting, []

    def trouble():
        looks.append(1)
        if len(looks) < 3:
            raise OSError("the disk is full")
        return real()

    worker._waiting = trouble
    worker.start()
    run_id = studio.runs.start(asking(["a"]))
    until(is_in(studio, run_id, "done"))


def test_a_run_that_waits_for_a_batch_is_finished_without_being_asked(studio, worker, monkeypatch, settings):
    monkeypatch.setenv("STILLROOM_HOME", str(settings.home))
    worker.start()
    llm = {"use": "RehearsalLLM", "use_offline_batch_generation": True}
    run_id = studio.runs.start(asking(["a", "b", "c"], llm=llm))
    until(is_in(studio, run_id, "done"))
    kinds = [event["kind"] for event in studio.runs.events(run_id)]
    assert kinds.index("waiting_batch") < kinds.index("batch") < kinds.index("done")
    assert [job["counts"]["ok"] for job in studio.batches.list(run_id=run_id)] == [3]


def test_what_another_process_collected_puts_the_run_to_work_here(studio, worker, work, monkeypatch, settings):
    monkeypatch.setenv("STILLROOM_HOME", str(settings.home))
    monkeypatch.setattr(worker_module, "LOOK_SECONDS", 0.02)
    with a_batch_server() as server:
        spec = overnight(server)
        run_id = create_run(studio.ledger, spec.build(), spec, RunOptions(origin="script"))
        assert work(run_id) is RunState.WAITING_BATCH
        collected(studio, run_id)
        worker.start()
        until(is_in(studio, run_id, "done"))
