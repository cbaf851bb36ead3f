"""Rows and whole batches that are refused for the account's sake wait for a person, and are sent again just once."""

import pytest

from components.llms import AnthropicLLM
from components.pipeline.batch import actions
from components.pipeline.batch.poller import Poller
from components.pipeline.batch.states import JobState, RequestState
from components.vault import ScriptVault
from tests.components.pipeline.batch.conftest import KEY, Bench, rows, text
from tests.servers.batch.anthropic_batch_server import AnthropicBatchServer
from tests.servers.batch.provider import Checked
from tests.servers.batch.store import Flaw


@pytest.fixture(params=["openai", "anthropic"])
def purse(request, ledger, clock, bench):
    """A provider whose account runs out of credit."""
    if request.param == "openai":
        yield bench
        return
    with AnthropicBatchServer() as server:
        yield Bench(ledger, server, clock, AnthropicLLM, {"model": "claude-test"})


def until_blocked(bench, batches, handed):
    for _ in range(10):
        batches.advance(handed.sets)
        blocked = [job for job in bench.jobs() if job.state == JobState.BLOCKED]
        if blocked:
            return blocked[0]
        bench.clock.pass_seconds(400)
    raise AssertionError(f"no job waits for a person: {[(job.state, job.message) for job in bench.jobs()]}")


def test_rows_refused_for_want_of_credit_wait_for_a_person_and_are_sent_again_once(purse):
    purse.server.batch.change(rows={"row-1": "no_credit", "row-3": "no_credit"})
    batches, handed = purse.hand_in(rows(5))
    blocked = until_blocked(purse, batches, handed)
    assert blocked.n == 2 and blocked.attempt == 1
    assert "no credit left" in blocked.message and "2 rows were refused for it" in blocked.message
    found = purse.found(batches, handed, rows(5))
    assert sorted(found) == ["row-0", "row-2", "row-4"], "the refused rows are neither answered nor failed"
    for _ in range(5):
        purse.clock.pass_seconds(4000)
        batches.advance(handed.sets)
    assert len(purse.server.batches) == 1, "nothing is sent before the account is put right"
    purse.server.batch.change(rows={})
    actions.refresh(purse.store, purse.store.job(blocked.key))
    purse.until_over(batches, handed)
    found = purse.found(batches, handed, rows(5))
    assert {name: text(one) for name, one in found.items()} == {name: f"echo: {name}" for name in rows(5)}
    assert {found[name].attempts for name in rows(5)} == {1}
    assert len(purse.server.batches) == 2 and purse.server.batches[1].total == 2


def test_an_account_that_stays_empty_costs_one_batch_for_each_time_that_somebody_asks(purse):
    purse.server.batch.change(rows={"*": "no_credit"})
    for asked in range(1, 4):
        batches, handed = purse.hand_in(rows(3))
        for _ in range(5):
            batches.advance(handed.sets)
            purse.clock.pass_seconds(400)
        assert len(purse.server.batches) == asked
        open_jobs = [job for job in purse.jobs() if job.state == JobState.BLOCKED]
        assert [job.n for job in open_jobs] == [3]
        assert purse.store.counts()[RequestState.INFLIGHT] == 3


def test_a_poller_leaves_rows_without_credit_to_a_person(bench, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    bench.server.batch.change(rows={"*": "no_credit"})
    bench.hand_in(rows(3))
    poller = Poller(bench.store, ScriptVault, clock=bench.clock)
    for _ in range(12):
        poller.tick()
        bench.clock.pass_seconds(400)
    assert len(bench.server.batches) == 1
    assert sorted(job.state for job in bench.jobs()) == ["blocked", "closed"]


def test_rows_without_credit_in_a_canceled_batch_stay_failed_with_that_reason(bench):
    bench.server.batch.change(final="cancelled", done_when_stopped=3, rows={"row-0": "no_credit"})
    found = bench.run(rows(3))
    assert found["row-0"].state is RequestState.FAILED and "no credit left" in found["row-0"].message


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("billing_hard_limit_reached", "Billing hard limit has been reached."),
        ("invalid_request", "Your credit balance is too low to access the API."),
        ("invalid_api_key", "Incorrect API key provided."),
    ],
)
def test_a_whole_batch_that_fails_for_the_account_waits_for_a_person(bench, monkeypatch, code, message):
    provider = bench.server.provider
    with monkeypatch.context() as short:
        short.setattr(provider, "check", lambda _path, _batch: Checked(0, "", Flaw(code, message)))
        batches, handed = bench.hand_in(rows(3))
        blocked = until_blocked(bench, batches, handed)
    assert len(bench.server.batches) == 1 and message in blocked.message
    assert bench.store.counts()[RequestState.INFLIGHT] == 3
    actions.refresh(bench.store, blocked)
    bench.until_over(batches, handed)
    assert [text(one) for one in bench.found(batches, handed, rows(3)).values()] == [f"echo: {n}" for n in rows(3)]
