"""Batches as a step of a pipeline: that step waits, everything else goes on."""

import threading
import time

import pytest

from components.llms import OpenAILLM
from components.pipeline import Pipeline
from components.pipeline.batch import actions, refused_files
from components.pipeline.batch.poller import Poller
from components.pipeline.batch.store import BatchStore
from components.pipeline.ledger import Ledger, shared_ledger
from components.pipeline.running import engine_for
from components.states import RunState
from components.steps import GroupColumns, LoadDataFromDicts, step
from components.steps.tasks import TextGeneration
from components.vault import ScriptVault
from tests.fakes import Ask, Review


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1")


@pytest.fixture
def server(server):
    server.batch.change(polls_until_done=1)
    return server


def model(server, offline=True, **settings):
    return OpenAILLM(model="gpt-4o-mini", base_url=server.base_url, use_offline_batch_generation=offline, **settings)


def data(count, start=0):
    return [{"instruction": f"row-{number}"} for number in range(start, start + count)]


def one_step(server, rows, name="one", task=None, **settings):
    with Pipeline(name=name) as pipeline:
        load = LoadDataFromDicts(name="load", data=rows)
        load >> TextGeneration(name="generate", llm=model(server, **settings), **(task or {}))
    return pipeline


def answers(distiset, column="generation"):
    return [row.get(column) for row in distiset["default"]["train"]]


def collect(ledger, server):
    """What a worker does: watch the jobs until none is out."""
    poller = Poller(BatchStore(ledger), ScriptVault)
    store = poller.store
    for _ in range(20):
        for job in store.jobs():
            if job.state not in ("closed", "lost", "rejected"):
                poller.advance(job.key)
        if all(job.state in ("closed", "lost", "rejected") for job in store.jobs()):
            return
    raise AssertionError("still out")


def collect_what_comes(ledger):
    """What a worker does: watch the jobs until none comes back by itself."""
    poller = Poller(BatchStore(ledger), ScriptVault)
    for _ in range(20):
        for job in poller.store.jobs():
            if job.state not in ("closed", "lost", "rejected", "blocked"):
                poller.advance(job.key)


def test_the_run_waits_and_says_for_what_and_how_to_go_on(server, caplog):
    pipeline = one_step(server, data(3))
    first = pipeline.run()
    assert first.state == "waiting_batch" and len(first["default"]["train"]) == 0
    batch = server.batches[0].id
    assert f"Step 'generate' waits for 1 batch job with 3 rows: {batch}. Done by 20" in first.state_reason
    assert "stillroom batches watch" in caplog.text and batch in caplog.text
    second = pipeline.run()
    assert (second.state, second.run_id) == ("done", first.run_id)
    assert answers(second) == ["echo: row-0", "echo: row-1", "echo: row-2"]
    assert answers(pipeline.run()) == answers(second)
    assert len(server.batches) == 1


def test_blocking_runs_to_the_end_in_one_call(server):
    distiset = one_step(server, data(3), task={"num_generations": 2}, offline_batch_generation_block_until_done=1).run()
    assert distiset.state == "done"
    assert answers(distiset) == [f"echo: row-{n}{extra}" for n in range(3) for extra in ("", " (2)")]


def test_a_failed_row_keeps_its_place_and_its_reason(server):
    server.batch.change(rows={"row-1": "400"})
    pipeline = one_step(server, data(4), offline_batch_generation_block_until_done=1)
    distiset = pipeline.run()
    rows = distiset["default"]["train"].to_list()
    assert [(row["instruction"], row["generation"]) for row in rows] == [
        ("row-0", "echo: row-0"), ("row-1", None), ("row-2", "echo: row-2"), ("row-3", "echo: row-3"),
    ]  # fmt: skip
    assert distiset.state == "done_with_failures"
    assert [(failure.row, failure.state) for failure in distiset.failures] == [("00000001", "failed")]
    assert "temperature" in distiset.failures[0].message


def test_expired_rows_are_expired_and_the_paid_ones_are_kept(server):
    server.batch.change(final="expired", done_when_stopped=2)
    distiset = one_step(server, data(5), offline_batch_generation_block_until_done=1).run()
    assert sum(answer is not None for answer in answers(distiset)) == 2
    assert {(failure.state, failure.reason) for failure in distiset.failures} == {("expired", "expired")}
    assert len(distiset.failures) == 3


def test_other_branches_go_on_while_one_waits(server, ledger):
    with Pipeline(name="branches") as pipeline:
        load = LoadDataFromDicts(name="load", data=data(4))
        slow = TextGeneration(name="overnight", llm=model(server))
        quick = TextGeneration(name="now", llm=model(server, offline=False))
        after = Review(name="review", llm=model(server, offline=False))
        load >> [slow, quick]
        quick >> after
    first = pipeline.run()
    assert first.state == "waiting_batch"
    assert len(first["overnight"]["train"]) == 0
    assert first["review"]["train"]["verdict"] == [f"echo: echo: row-{n}" for n in range(4)]
    second = pipeline.run()
    assert second.state == "done" and second["overnight"]["train"]["generation"] == [f"echo: row-{n}" for n in range(4)]
    assert sum(call.method == "POST" and "chat" in call.path for call in server.requests) == 8


def test_a_step_after_a_batch_gets_the_rows_of_each_shard_that_is_back(server, ledger, monkeypatch):
    from dataclasses import replace

    from components.llms.batch.either import EitherBatch

    plain = EitherBatch.__init__

    def small(self, *arguments):
        plain(self, *arguments)
        self.caps = replace(self.caps, max_requests=2)

    monkeypatch.setattr(EitherBatch, "__init__", small)
    with Pipeline(name="shards") as pipeline:
        load = LoadDataFromDicts(name="load", data=data(6))
        load >> TextGeneration(name="overnight", llm=model(server)) >> Review(
            name="review", llm=model(server, offline=False)
        )  # fmt: skip
    assert pipeline.run().state == "waiting_batch"
    assert len(server.batches) == 3
    server.batch.change(polls_until_done=50)
    Poller(BatchStore(ledger), ScriptVault)
    with ledger.database.read() as connection:
        first = connection.exec_driver_sql("SELECT key FROM batch_job WHERE n = 2 ORDER BY created_at").scalar()
    server.batch.change(polls_until_done=1)
    assert Poller(BatchStore(ledger), ScriptVault).advance(first)
    server.batch.change(polls_until_done=50)
    second = pipeline.run()
    assert second.state == "waiting_batch"
    assert [verdict for verdict in answers(second, "verdict") if verdict] == ["echo: echo: row-0", "echo: echo: row-1"]
    server.batch.change(polls_until_done=1)
    assert pipeline.run().state == "done"


def test_a_batch_after_a_batch(server):
    with Pipeline(name="two") as pipeline:
        load = LoadDataFromDicts(name="load", data=data(3))
        load >> TextGeneration(name="first", llm=model(server)) >> Review(name="second", llm=model(server))
    states = [pipeline.run().state for _ in range(3)]
    assert states == ["waiting_batch", "waiting_batch", "done"]
    assert answers(pipeline.run(), "verdict") == [f"echo: echo: row-{n}" for n in range(3)]
    assert len(server.batches) == 2


def test_a_step_that_needs_all_rows_waits_for_the_batch(server):
    seen = []

    @step(inputs=["generation"], outputs=["count"], step_type="global")
    def Count(inputs):
        seen.append(len(list(inputs)))
        yield [{"count": seen[-1]}]

    with Pipeline(name="global") as pipeline:
        load = LoadDataFromDicts(name="load", data=data(3))
        load >> TextGeneration(name="overnight", llm=model(server)) >> Count(name="count")
    assert pipeline.run().state == "waiting_batch" and seen == []
    assert pipeline.run().state == "done" and seen == [3]


def test_two_branches_meet_again_when_the_batch_is_back(server):
    with Pipeline(name="meet") as pipeline:
        load = LoadDataFromDicts(name="load", data=data(3))
        slow = TextGeneration(name="overnight", llm=model(server))
        quick = TextGeneration(name="now", llm=model(server, offline=False))
        load >> [slow, quick] >> GroupColumns(name="pair", columns=["generation"], output_columns=["generations"])
    assert pipeline.run().state == "waiting_batch"
    distiset = pipeline.run()
    assert distiset.state == "done"
    assert answers(distiset, "generations") == [[f"echo: row-{n}"] * 2 for n in range(3)]


def test_changed_data_sends_only_the_changed_rows_while_the_others_are_still_out(server):
    server.batch.change(polls_until_done=50)
    assert one_step(server, data(4)).run().state == "waiting_batch"
    changed = [*data(3), {"instruction": "row-x"}, {"instruction": "row-y"}]
    assert one_step(server, changed).run().state == "waiting_batch"
    server.batch.change(polls_until_done=1)
    distiset = one_step(server, changed).run()
    assert answers(distiset) == ["echo: row-0", "echo: row-1", "echo: row-2", "echo: row-x", "echo: row-y"]
    assert [batch.total for batch in server.batches] == [4, 2]


def test_changed_data_after_the_answers_came_sends_only_the_changed_rows(server):
    server.batch.change(polls_until_done=1)
    one_step(server, data(4), offline_batch_generation_block_until_done=1).run()
    distiset = one_step(server, data(6), offline_batch_generation_block_until_done=1).run()
    assert answers(distiset) == [f"echo: row-{n}" for n in range(6)]
    assert [batch.total for batch in server.batches] == [4, 2]


def test_other_generation_parameters_after_the_submission_are_a_new_one_and_hang_nothing(server):
    assert one_step(server, data(3)).run().state == "waiting_batch"
    hotter = one_step(server, data(3), generation_kwargs={"temperature": 0.9})
    assert hotter.run().state == "waiting_batch"
    assert hotter.run().state == "done"
    assert len(server.batches) == 2


def test_without_the_cache_everything_is_sent_anew(server):
    pipeline = one_step(server, data(3))
    pipeline.run()
    assert pipeline.run().state == "done"
    fresh = pipeline.run(use_cache=False)
    assert fresh.state == "waiting_batch" and len(server.batches) == 2
    assert pipeline.run().run_id == fresh.run_id
    assert len(server.batches) == 2
    server.batch.change(polls_until_done=1)
    distiset = one_step(server, data(3), offline_batch_generation_block_until_done=1).run(use_cache=False)
    assert distiset.state == "done" and len(server.batches) == 3


def test_the_same_row_twice_is_asked_twice_and_each_has_its_own_answer(server):
    server.batch.change(polls_until_done=1)
    pipeline = one_step(server, [*data(2), *data(2)], offline_batch_generation_block_until_done=1)
    assert answers(pipeline.run()) == ["echo: row-0", "echo: row-1", "echo: row-0", "echo: row-1"]
    assert server.paid("row-0") == 2


def test_a_worker_finishes_the_run_without_the_script(server, ledger):
    first = one_step(server, data(3)).run()
    collect(ledger, server)
    run = ledger.run(first.run_id)
    assert run.is_portable and run.state == "waiting_batch"
    assert [event.message for event in ledger.events(run.id) if event.kind == "batch"][0].endswith(": closed")
    engine = engine_for(ledger, run)
    assert engine.work() is RunState.DONE
    assert answers(one_step(server, data(3)).run()) == [f"echo: row-{n}" for n in range(3)]
    assert len(server.batches) == 1


def test_rows_that_failed_are_sent_again_when_a_person_retries_them(server, ledger):
    server.batch.change(rows={"row-1": ["400"]})
    pipeline = one_step(server, data(3), offline_batch_generation_block_until_done=1)
    first = pipeline.run()
    assert first.state == "done_with_failures"
    assert ledger.reopen(first.run_id) == 1
    engine = engine_for(ledger, ledger.run(first.run_id), graph=pipeline.graph_for({}))
    assert engine.work() is RunState.DONE
    assert [batch.total for batch in server.batches] == [3, 1]
    cell = ledger.steps(first.run_id)[1]
    assert (cell.ok, cell.failed, cell.attempts) == (3, 0, 4)


def test_retrying_a_row_again_and_again_sends_it_once_each_time(server, ledger):
    server.batch.change(polls_until_done=2, rows={"row-1": ["400", "400", "400"]})
    pipeline = one_step(server, data(2))
    run_id = pipeline.run().run_id

    def go_on():
        return engine_for(ledger, ledger.run(run_id), graph=pipeline.graph_for({})).work()

    for attempt in range(1, 4):
        # It is looked at twice before it is done, and sent but once.
        assert [go_on(), go_on()] == [RunState.WAITING_BATCH, RunState.DONE_WITH_FAILURES]
        assert len(server.batches) == attempt
        ledger.reopen(run_id)
        assert go_on() is RunState.WAITING_BATCH
    assert [go_on(), go_on()] == [RunState.WAITING_BATCH, RunState.DONE]
    assert len(server.batches) == 4 and server.paid("row-1") == 1


def test_a_retry_of_the_job_itself_is_waited_for_and_not_doubled(server, ledger):
    server.batch.change(rows={"row-1": ["400"]})
    pipeline = one_step(server, data(3))
    pipeline.run()
    run_id = pipeline.run().run_id
    store = BatchStore(ledger)
    job = store.jobs()[0]
    provider = model(server).batch_provider()
    assert actions.retry(store, provider, job.set_key) == 1
    ledger.reopen(run_id)
    engines = [engine_for(ledger, ledger.run(run_id), graph=pipeline.graph_for({})) for _ in range(2)]
    assert [engine.work() for engine in engines] == [RunState.WAITING_BATCH, RunState.DONE]
    assert [batch.total for batch in server.batches] == [3, 1]


def test_the_rest_of_a_canceled_batch_may_be_finished_online(server, ledger):
    server.batch.change(polls_until_done=50, done_when_stopped=1)
    first = one_step(server, data(3)).run()
    store = BatchStore(ledger)
    provider = model(server).batch_provider()
    with pytest.raises(Exception, match="still out"):
        actions.finish_online(store, first.run_id, "generate")
    actions.cancel(store, store.jobs()[0], provider)
    collect(ledger, server)
    one_step(server, data(3)).run()
    assert actions.finish_online(store, first.run_id, "generate") == 2
    engine = engine_for(ledger, ledger.run(first.run_id))
    assert engine.work() is RunState.DONE
    assert len(server.batches) == 1
    assert sum("chat" in call.path and call.method == "POST" for call in server.requests) == 2


def test_a_spending_cap_holds_for_what_a_batch_may_cost(server, ledger):
    prices = {"input_price": 0.0, "output_price": 10.0, "generation_kwargs": {"max_new_tokens": 1000}}
    small = one_step(server, data(5), **prices).run(cap=0.04)
    assert small.state == "capped" and "spending cap" in small.state_reason
    assert server.batches == [] and BatchStore(ledger).jobs() == []
    enough = one_step(server, data(5), **prices)
    assert enough.run(cap=0.06).state == "waiting_batch"
    done = enough.run(cap=0.06)
    assert done.state == "done"
    assert 0 < ledger.run(done.run_id).spent <= 0.06


def test_a_provider_that_cannot_be_reached_pauses_the_run_and_loses_nothing(server):
    pipeline = one_step(server, data(3))
    port = server.port
    server.stop()
    with pytest.raises(Exception, match="Nothing answers|paused"):
        pipeline.run()
    assert port


def test_a_run_that_waits_can_be_stopped_while_it_blocks(server, ledger):
    server.batch.change(polls_until_done=10_000)
    pipeline = one_step(server, data(3), offline_batch_generation_block_until_done=30)
    results = []
    thread = threading.Thread(target=lambda: results.append(pipeline.run()))
    thread.start()
    deadline = time.monotonic() + 30
    while not server.batches and time.monotonic() < deadline:
        time.sleep(0.05)
    ledger.ask(ledger.runs()[0].id, "stop")
    thread.join(30)
    assert results[0].state == "stopped"
    server.batch.change(polls_until_done=1)
    assert one_step(server, data(3)).run().state == "done"
    assert len(server.batches) == 1


def test_a_prompt_that_breaks_fails_its_row_only(server):
    class Picky(Ask):
        def format_input(self, input):
            if input["instruction"] == "row-1":
                raise KeyError("title")
            return super().format_input(input)

    with Pipeline(name="picky") as pipeline:
        load = LoadDataFromDicts(name="load", data=data(3))
        load >> Picky(name="ask", llm=model(server, offline_batch_generation_block_until_done=1))
    distiset = pipeline.run()
    assert answers(distiset) == ["echo: row-0", None, "echo: row-2"]
    assert "KeyError: 'title'" in distiset.failures[0].message


def test_a_prompt_with_half_a_character_fails_its_row_only(server):
    class Halving(Ask):
        def format_input(self, input):
            text = "bad \ud800" if input["instruction"] == "row-1" else input["instruction"]
            return [{"role": "user", "content": text}]

    with Pipeline(name="halving") as pipeline:
        load = LoadDataFromDicts(name="load", data=data(3))
        load >> Halving(name="ask", llm=model(server, offline_batch_generation_block_until_done=1))
    distiset = pipeline.run()
    assert answers(distiset) == ["echo: row-0", None, "echo: row-2"]
    assert [failure.row for failure in distiset.failures] == ["00000001"]
    assert distiset.failures[0].message.startswith("Row 00000001: ")
    assert "half of a character" in distiset.failures[0].message
    assert [batch.total for batch in server.batches] == [2]


def test_a_blocking_run_returns_when_only_a_person_can_help(server):
    server.batch.change(on_create="401")
    pipeline = one_step(server, data(3), offline_batch_generation_block_until_done=1)
    first = pipeline.run()
    assert first.state == "waiting_batch" and "needs you" in first.state_reason and "key" in first.state_reason
    server.batch.change(on_create=None)
    assert pipeline.run().state == "done"
    assert len(server.batches) == 1


def test_a_blocking_run_whose_rows_are_refused_for_want_of_credit_returns_and_goes_on_when_asked(server):
    server.batch.change(rows={"row-1": "no_credit"})
    pipeline = one_step(server, data(3), offline_batch_generation_block_until_done=1)
    first = pipeline.run()
    assert first.state == "waiting_batch" and "needs you" in first.state_reason
    assert "no credit left" in first.state_reason
    assert not first.failures and len(server.batches) == 1
    server.batch.change(rows={})
    second = pipeline.run()
    assert (second.state, second.run_id) == ("done", first.run_id)
    assert answers(second) == ["echo: row-0", "echo: row-1", "echo: row-2"]
    assert [batch.total for batch in server.batches] == [3, 1]


def test_a_run_that_the_app_wakes_does_not_send_rows_without_credit_again(server, ledger):
    server.batch.change(rows={"*": "no_credit"})
    run = one_step(server, data(3)).run()
    collect_what_comes(ledger)
    ledger.update_run(run.run_id, origin="app")
    for _ in range(2):
        assert engine_for(ledger, ledger.run(run.run_id), vault=ScriptVault()).work() is RunState.WAITING_BATCH
    assert len(server.batches) == 1


def test_a_batch_that_failed_as_a_whole_gives_every_row_the_reason_and_is_made_again_twice(server, monkeypatch):
    monkeypatch.setattr(refused_files, "LATER_SECONDS", (0.0, 0.0))
    server.batch.change(final="failed")
    distiset = one_step(server, data(3), offline_batch_generation_block_until_done=1).run()
    assert distiset.state == "done_with_failures" and answers(distiset) == [None] * 3
    reason = "The server had an error while processing your batch."
    assert [failure.message for failure in distiset.failures] == [reason] * 3
    assert len(server.batches) == 3


def test_a_row_with_nothing_to_ask_about_is_skipped_and_not_sent(server):
    server.batch.change(polls_until_done=1)
    rows = [{"instruction": "row-0"}, {"instruction": None}, {"instruction": "row-2"}]
    distiset = one_step(server, rows, offline_batch_generation_block_until_done=1).run()
    assert [failure.state for failure in distiset.failures] == ["skipped"]
    assert answers(distiset) == ["echo: row-0", None, "echo: row-2"]
    assert server.batches[0].total == 2


def test_saving_the_result_of_an_offline_run_works(server, tmp_path):
    server.batch.change(polls_until_done=1)
    distiset = one_step(server, data(2), offline_batch_generation_block_until_done=1).run()
    distiset.save_to_disk(tmp_path / "out")
    assert Pipeline.from_yaml(next((tmp_path / "out").rglob("*.yaml"))).graph.steps["generate"].llm.model == (
        "gpt-4o-mini"
    )


def test_after_the_database_is_lost_a_new_run_finds_its_answers(server, ledger):
    one_step(server, data(4)).run()
    folder = BatchStore(ledger).folder
    ledger.close()
    for file in folder.parent.glob("stillroom.db*"):
        file.unlink()
    fresh = Ledger()
    store = BatchStore(fresh)
    assert actions.recover(store, store.journal.path).jobs == 1
    fresh.close()
    distiset = one_step(server, data(4)).run()
    assert distiset.state == "done" and answers(distiset) == [f"echo: row-{n}" for n in range(4)]
    assert len(server.batches) == 1


def test_a_run_that_waits_for_a_rebuilt_job_is_told_when_it_is_back(server, ledger):
    server.batch.change(polls_until_done=3)
    one_step(server, data(4)).run()
    folder = BatchStore(ledger).folder
    ledger.close()
    for file in folder.parent.glob("stillroom.db*"):
        file.unlink()
    fresh = shared_ledger()
    store = BatchStore(fresh)
    actions.recover(store, store.journal.path)
    waiting = one_step(server, data(4)).run()
    assert waiting.state == "waiting_batch" and len(server.batches) == 1
    collect(fresh, server)
    assert [event.kind for event in fresh.events(waiting.run_id)].count("batch") == 1


def test_a_run_still_at_work_is_told_of_a_job_that_it_shares_with_another(server, ledger):
    server.batch.change(polls_until_done=3)
    first = one_step(server, data(3)).run()
    second = one_step(server, data(3), name="two").run()
    assert second.state == "waiting_batch" and second.run_id != first.run_id and len(server.batches) == 1
    # Its other branches may be at work for long after it looked at the job.
    ledger.set_state(second.run_id, RunState.RUNNING)
    collect(ledger, server)
    assert [event.kind for event in ledger.events(second.run_id)].count("batch") == 1
