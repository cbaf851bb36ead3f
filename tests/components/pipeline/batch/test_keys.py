"""A job is collected with a key of the account that made it."""

import json

import pytest

from components.errors import CredentialError
from components.pipeline.batch.machine import Machine
from components.pipeline.batch.poller import Poller
from components.pipeline.batch.states import JobState
from components.vault import ScriptVault
from tests.components.pipeline.batch.conftest import KEY, rows, text


def submitted(bench):
    batches, handed = bench.hand_in(rows(3))
    batches.advance(handed.sets)
    return handed


def collected(bench, handed, key=KEY):
    batches = bench.batches(key)
    bench.until_over(batches, handed)
    return [text(one) for one in bench.found(batches, handed, rows(3)).values()]


def test_another_key_is_explained_and_asked_about_no_more_than_once(bench):
    handed = submitted(bench)
    other = bench.batches("sk-other")
    for _ in range(5):
        other.advance(handed.sets)
        bench.clock.pass_seconds(400)
    job = bench.jobs()[0]
    assert job.state == JobState.BLOCKED
    assert "made with another key" in job.message and "Enter that key" in job.message
    assert [call.status for call in bench.server.calls("GET", "/v1/batches/")] == [404]


def test_collecting_works_once_the_key_is_back(bench):
    handed = submitted(bench)
    bench.batches("sk-other").advance(handed.sets)
    assert collected(bench, handed) == [f"echo: {name}" for name in rows(3)]


def test_a_new_key_of_the_same_account_collects_what_the_old_one_made(bench):
    bench.server.batch.change(accounts={KEY: "we", "sk-new": "we"})
    handed = submitted(bench)
    assert collected(bench, handed, "sk-new") == [f"echo: {name}" for name in rows(3)]


def test_a_job_that_was_not_sent_yet_goes_with_the_key_that_is_there(bench):
    bench.server.batch.change(on_create=["401"])
    handed = submitted(bench)
    assert bench.jobs()[0].state == JobState.BLOCKED
    assert collected(bench, handed, "sk-new") == [f"echo: {name}" for name in rows(3)]
    uploads = bench.server.calls("POST", "/v1/files")
    assert [call.key for call in uploads] == [KEY, "sk-new"]


def test_a_job_at_another_address_is_not_looked_for_here(bench, ledger):
    handed = submitted(bench)
    bench.batches(base_url="http://127.0.0.1:1/v1").advance(handed.sets)
    assert "made at http://127.0.0.1" in bench.jobs()[0].message
    assert collected(bench, handed) == [f"echo: {name}" for name in rows(3)]


def test_a_key_that_the_provider_no_longer_takes_blocks_and_is_said(bench):
    handed = submitted(bench)
    bench.server.behavior.keys = {"sk-good"}
    bench.batches().advance(handed.sets)
    job = bench.jobs()[0]
    assert job.state == JobState.BLOCKED and "key" in job.message
    bench.server.behavior.keys = None
    assert collected(bench, handed) == [f"echo: {name}" for name in rows(3)]


def test_a_missing_key_blocks_the_job_until_it_is_there(bench):
    handed = submitted(bench)

    def no_key(_batch):
        raise CredentialError("OpenAI needs a key.")

    job = bench.jobs()[0]
    Machine(bench.store, no_key).advance(job.key)
    assert bench.store.job(job.key).message == "OpenAI needs a key. Its results wait at the provider meanwhile."
    assert collected(bench, handed) == [f"echo: {name}" for name in rows(3)]


def test_a_model_that_only_a_script_has_does_not_block_its_jobs(bench):
    handed = submitted(bench)
    batch = bench.store.set(handed.sets[0])
    with bench.ledger.database.exclusively() as connection:
        connection.exec_driver_sql("UPDATE batch_set SET llm = ?", (json.dumps({"use": "MyOwnLLM"}),))
    bench.clock.pass_seconds(60)
    poller = Poller(bench.store, ScriptVault, clock=bench.clock)
    poller.tick()
    job = bench.jobs()[0]
    assert job.state == JobState.SUBMITTED and "MyOwnLLM" in job.message
    assert batch is not None
    assert collected(bench, handed) == [f"echo: {name}" for name in rows(3)]


def test_no_key_is_written_down_anywhere(bench, tmp_path):
    handed = submitted(bench)
    bench.batches("sk-other-canary").advance(handed.sets)
    collected(bench, handed)
    bench.ledger.close()
    for file in (tmp_path / "home").rglob("*"):
        if file.is_file():
            content = file.read_bytes()
            assert KEY.encode() not in content and b"sk-other-canary" not in content, file


@pytest.mark.parametrize("trouble", ["401", "403"])
def test_a_key_refused_while_looking_for_a_job_makes_no_second_one(bench, trouble):
    bench.server.batch.change(on_create=["land_500"], on_list=[None, trouble])
    batches, handed = bench.hand_in(rows(3))
    batches.advance(handed.sets)
    batches.advance(handed.sets)
    assert bench.jobs()[0].state == JobState.BLOCKED
    assert collected(bench, handed) == [f"echo: {name}" for name in rows(3)]
    assert len(bench.server.batches) == 1


def test_another_key_for_what_was_not_sent_wakes_no_job_that_is_over(bench):
    bench.max_requests = 2
    bench.server.batch.change(on_create=["400", "401"])
    batches, handed = bench.hand_in(rows(4))
    batches.advance(handed.sets)
    assert [job.state for job in bench.jobs()] == ["rejected", "blocked"]
    batches = bench.batches("sk-new")
    bench.until_over(batches, handed)
    assert sorted(job.state for job in bench.jobs()) == ["closed", "rejected"]
    assert [batch.total for batch in bench.server.batches] == [2]
    found = bench.found(batches, handed, rows(4))
    assert [text(one) for one in found.values()].count(None) == 2
