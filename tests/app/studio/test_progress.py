import threading

import pytest

from app.studio import progress as progress_module
from tests.app.pipelines import add_tickets, asking, chain, labeling, model
from tests.servers.faults import Fault, Faults

SHAPE = {
    "id", "name", "state", "state_reason", "created_at", "rows_total", "spent", "cap", "cost_known",
    "rate_per_minute", "seconds_left", "in_flight", "rehearsal", "steps", "errors",
}  # fmt: skip
STEP_SHAPE = {
    "name", "component", "state", "total", "ok", "failed", "needs_review", "skipped", "pending", "in_flight",
    "tokens_in", "tokens_out", "cost",
}  # fmt: skip


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test moves."""
    now = [1000.0]
    monkeypatch.setattr(progress_module.time, "monotonic", lambda: now[0])
    return now


def test_the_progress_has_everything_the_page_shows(studio, work):
    run_id = studio.runs.start(labeling(add_tickets(studio, 5)))
    queued = studio.runs.progress(run_id)
    assert queued.keys() >= SHAPE and all(step.keys() >= STEP_SHAPE for step in queued["steps"])
    assert queued["state"] == "queued" and queued["created_at"].endswith("+00:00")
    work(run_id)
    done = studio.runs.progress(run_id)
    assert (done["state"], done["rows_total"], done["rehearsal"], done["errors"]) == ("done", 5, True, [])
    assert [(step["name"], step["state"], step["ok"]) for step in done["steps"]] == [
        ("load", "done", 5),
        ("label", "done", 5),
    ]
    assert done["rate_per_minute"] is None and done["seconds_left"] is None


def test_rows_that_failed_upstream_are_accounted_for_downstream(studio, work, server):
    server.behavior.faults = Faults(rows={"row-1": Fault.CONTENT_POLICY})
    spec = chain(
        "two",
        {"use": "LoadDataFromDicts", "name": "seeds", "data": [{"instruction": f"row-{n}"} for n in range(4)]},
        {"use": "TextGeneration", "name": "one", "llm": model(server)},
        {
            "use": "TextGeneration",
            "name": "two",
            "llm": {"use": "RehearsalLLM"},
            "template": "{{ generation }}",
            "output_mappings": {"generation": "second"},
        },
    )
    run_id = studio.runs.start(spec)
    work(run_id)
    one, two = studio.runs.progress(run_id)["steps"][1:]
    assert (one["total"], one["ok"], one["failed"]) == (4, 3, 1)
    assert (two["total"], two["ok"], two["skipped"], two["pending"]) == (4, 3, 1, 0)


def test_a_step_that_makes_several_rows_of_one_raises_the_total_of_the_next(studio, work):
    spec = chain(
        "fan",
        {"use": "LoadDataFromDicts", "name": "seeds", "data": [{"instruction": f"row-{n}"} for n in range(3)]},
        {"use": "TextGeneration", "name": "one", "llm": {"use": "RehearsalLLM"}, "num_generations": 4},
        {"use": "KeepColumns", "name": "keep", "columns": ["generation"]},
    )
    run_id = studio.runs.start(spec)
    work(run_id)
    progress = studio.runs.progress(run_id)
    assert [step["total"] for step in progress["steps"]] == [3, 3, 12]
    assert progress["rows_total"] == 12
    assert studio.results.page(run_id)["total"] == 12


def test_the_rate_and_the_time_left_come_from_what_was_seen(studio, work, server, clock):
    held = threading.Semaphore(0)
    arrived = threading.Semaphore(0)

    def reply(body):
        arrived.release()
        assert held.acquire(timeout=30)
        return "an answer"

    server.behavior.reply = reply
    run_id = studio.runs.start(asking([f"row-{n}" for n in range(10)], llm=model(server)), concurrency=1)
    worker = threading.Thread(target=work, args=(run_id,))
    worker.start()
    assert arrived.acquire(timeout=30)
    assert studio.runs.progress(run_id)["rate_per_minute"] is None
    for _ in range(4):
        held.release()
        assert arrived.acquire(timeout=30)
    clock[0] += 8.0
    progress = studio.runs.progress(run_id)
    assert progress["rate_per_minute"] == pytest.approx(30.0)
    assert progress["seconds_left"] == pytest.approx(12.0)
    for _ in range(6):
        held.release()
    worker.join(30)
    assert studio.runs.progress(run_id)["seconds_left"] is None


@pytest.fixture
def held_run(studio, work, server):
    """A run of 300 rows whose first answer has not come yet, and whose source has not come to its end."""
    let_go, arrived = threading.Event(), threading.Event()

    def reply(body):
        arrived.set()
        assert let_go.wait(60)
        return "an answer"

    server.behavior.reply = reply
    run_id = studio.runs.start(asking([f"row-{n}" for n in range(300)], llm=model(server)), concurrency=1)
    worker = threading.Thread(target=work, args=(run_id,))
    worker.start()
    assert arrived.wait(30)
    yield run_id
    let_go.set()
    worker.join(60)
    done = studio.runs.progress(run_id)
    assert (done["rows_total"], [step["total"] for step in done["steps"]]) == (300, [300, 300])


def test_no_total_is_told_while_rows_are_still_being_loaded(studio, held_run):
    progress = studio.runs.progress(held_run)
    source, task = progress["steps"]
    assert progress["rows_total"] is None and progress["seconds_left"] is None
    assert (source["total"], task["total"]) == (None, None)
    assert 0 < source["ok"] < 300 and 0 < task["pending"] + task["in_flight"] < 300
    assert (source["state"], task["state"]) != ("done", "done")
    (line,) = studio.runs.recent()
    assert line["rows_total"] is None and line["rows_done"] == 0


def test_no_total_is_told_before_anything_was_loaded(studio):
    run_id = studio.runs.start(asking(["a", "b"]))
    queued = studio.runs.progress(run_id)
    assert queued["rows_total"] is None and {step["total"] for step in queued["steps"]} == {None}
    assert studio.runs.recent()[0]["rows_total"] is None


def test_the_total_after_a_step_that_makes_several_rows_is_told_when_it_is_through(studio, work, server):
    let_go, arrived = threading.Event(), threading.Event()

    def reply(body):
        if "row-1" in str(body["messages"]):
            arrived.set()
            assert let_go.wait(60)
        return "an answer"

    server.behavior.reply = reply
    spec = chain(
        "fan",
        {"use": "LoadDataFromDicts", "name": "seeds", "data": [{"instruction": f"row-{n}"} for n in range(2)]},
        {"use": "TextGeneration", "name": "one", "llm": model(server), "num_generations": 2},
        {"use": "KeepColumns", "name": "keep", "columns": ["generation"]},
    )
    run_id = studio.runs.start(spec)
    worker = threading.Thread(target=work, args=(run_id,))
    worker.start()
    assert arrived.wait(30)
    held = studio.runs.progress(run_id)
    let_go.set()
    worker.join(60)
    assert [step["total"] for step in held["steps"]] == [2, 2, None]
    assert held["rows_total"] is None
    assert studio.runs.progress(run_id)["rows_total"] == studio.runs.recent()[0]["rows_total"] == 4


def test_failures_are_grouped_by_cause_and_step(studio, work, server):
    server.behavior.faults = Faults(rows={f"row-{n}": Fault.CONTENT_POLICY for n in range(3)})
    server.behavior.reply = lambda body: '{"labels": "weather"}'
    run_id = studio.runs.start(labeling(add_tickets(studio, 5), llm=model(server)))
    work(run_id)
    groups = studio.runs.progress(run_id)["errors"]
    assert [(group["reason"], group["count"], group["step"]) for group in groups] == [
        ("refused", 3, "label"),
        ("not_in_labels", 2, "label"),
    ]
    assert all(group["sentence"].endswith(".") and group["button"] for group in groups)


def test_the_list_has_a_line_for_each_run(studio, work):
    first = studio.runs.start(asking(["a", "b"]))
    second = studio.runs.start(asking(["c"]))
    work(first)
    lines = {run["id"]: run for run in studio.runs.recent()}
    assert (lines[first]["rows_done"], lines[first]["rows_total"], lines[first]["state"]) == (2, 2, "done")
    assert (lines[second]["rows_done"], lines[second]["state"]) == (0, "queued")
    assert len(studio.runs.recent(limit=1)) == 1
