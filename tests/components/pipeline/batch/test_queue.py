"""A provider takes only so many tokens into its queue."""

import pytest

from components.pipeline.batch.planning import Limits
from components.pipeline.batch.states import JobState
from tests.components.pipeline.batch.conftest import rows, text

FULL = "Enqueued token limit reached for gpt-4o-mini. Limit: {:,} enqueued tokens."


class Queue:
    """Has the provider refuse a batch when those that are out would pass a limit."""

    def __init__(self, server, bench, limit, tells=True):
        self.server, self.bench, self.limit, self.tells = server, bench, limit, tells
        self.refused = 0
        self._validate = server.provider.works.validate
        server.provider.works.validate = self.validate

    async def validate(self, batch):
        from tests.servers.batch.store import Flaw, State

        others = [one for one in self.server.store.batches.values() if not one.ended and one.id != batch.id]
        queued = sum(self.size(one) for one in others if "validated" in one.at)
        if queued + self.size(batch) > self.limit:
            self.refused += 1
            said = FULL.format(self.limit) if self.tells else "Enqueued token limit reached."
            batch.flaws = [Flaw("token_limit_exceeded", said)]
            batch.reach(State.FAILED)
            return
        await self._validate(batch)

    def size(self, batch):
        job = self.bench.store.find_job(batch.metadata["stillroom_job"])
        return job.tokens


@pytest.fixture
def queued(bench):
    def make(limit, **options):
        return Queue(bench.server, bench, limit, **options)

    return make


def tokens_of(bench, names):
    batches = bench.batches()
    return sum(batches.llm.most_tokens(want.prompt(), 1, {})[0] for want in bench.wants(names))


def test_a_full_queue_holds_the_job_and_it_is_tried_again_by_itself(bench):
    bench.server.batch.change(failures=["token_limit_exceeded"])
    batches, handed = bench.hand_in(rows(4))
    for _ in range(3):
        batches.advance(handed.sets)
    job = bench.jobs()[0]
    assert job.state == JobState.HELD and "tried again by itself" in job.message
    assert len(bench.server.batches) == 1
    bench.clock.pass_seconds(70)
    bench.until_over(batches, handed)
    assert all(text(one) for one in bench.found(batches, handed, rows(4)).values())
    assert len(bench.server.calls("POST", "/v1/files")) == 1


@pytest.mark.parametrize("trouble", ["queue_full", "429"])
def test_a_create_that_is_refused_for_the_queue_is_held(bench, trouble):
    bench.server.batch.change(on_create=[trouble])
    batches, handed = bench.hand_in(rows(4))
    batches.advance(handed.sets)
    assert bench.jobs()[0].state == JobState.HELD
    bench.until_over(batches, handed)
    assert all(text(one) for one in bench.found(batches, handed, rows(4)).values())
    assert len(bench.server.batches) == 1


def test_no_credit_waits_for_a_person(bench, clock):
    bench.server.batch.change(on_create=["no_credit"])
    batches, handed = bench.hand_in(rows(4))
    batches.advance(handed.sets)
    job = bench.jobs()[0]
    assert job.state == JobState.BLOCKED and "quota" in job.message
    clock.pass_seconds(4000)
    batches.advance(handed.sets)
    assert bench.jobs()[0].state == JobState.BLOCKED and bench.server.batches == []
    batches, handed = bench.hand_in(rows(4))
    bench.until_over(batches, handed)
    assert all(text(one) for one in bench.found(batches, handed, rows(4)).values())


def test_a_later_job_waits_until_an_earlier_one_ends(bench, queued):
    names = rows(12)
    queue = queued(int(tokens_of(bench, names[:4]) * 1.5))
    bench.max_requests = 4
    bench.server.batch.change(polls_until_done=6)
    batches, handed = bench.hand_in(names)
    batches.advance(handed.sets)
    batches.advance(handed.sets)
    states = [job.state for job in bench.jobs()]
    assert sorted(states) == ["held", "held", "running"]
    bench.until_over(batches, handed, seconds=100)
    found = bench.found(batches, handed, names)
    assert {name: text(found[name]) for name in names} == {name: f"echo: {name}" for name in names}
    # Once the limit is known, no further job is made in vain.
    assert queue.refused <= 2
    assert [bench.server.paid(name) for name in names] == [1] * 12


def test_the_end_of_a_job_lets_the_next_one_go_at_once(bench, queued):
    names = rows(8)
    queued(int(tokens_of(bench, names[:4]) * 1.5))
    bench.max_requests = 4
    bench.server.batch.change(polls_until_done=4)
    batches, handed = bench.hand_in(names)
    for _ in range(12):
        batches.advance(handed.sets)
    assert [job.state for job in bench.jobs()] == ["closed", "closed"]


def test_a_job_that_is_larger_than_the_queue_is_parted(bench, queued):
    names = rows(16)
    queued(int(tokens_of(bench, names) * 0.4))
    batches, handed = bench.hand_in(names)
    bench.until_over(batches, handed)
    found = bench.found(batches, handed, names)
    assert {name: text(found[name]) for name in names} == {name: f"echo: {name}" for name in names}
    assert {one.attempts for one in found.values()} == {1}
    assert [bench.server.paid(name) for name in names] == [1] * 16
    parted = next(job for job in bench.jobs() if "Parted" in job.message)
    assert parted.state == JobState.CLOSED and bench.store.counts(job_key=parted.key)["ok"] == 0


def test_a_queue_that_tells_no_number_is_found_out_by_halving(bench, queued):
    names = rows(16)
    queued(int(tokens_of(bench, names) * 0.6), tells=False)
    batches, handed = bench.hand_in(names)
    bench.until_over(batches, handed, rounds=60, seconds=2000)
    assert all(text(one) for one in bench.found(batches, handed, names).values())


def test_what_was_said_of_the_queue_is_out_of_date_after_a_day(bench):
    batches, handed = bench.hand_in(rows(2))
    job = bench.jobs()[0]
    bench.store.note(job.key, "queue_limit", "5")
    batch = bench.store.set(handed.sets[0])
    now = bench.clock.now
    assert bench.store.queue(batch, job.key, now - 3600).limit == 5
    assert bench.store.queue(batch, job.key, now + 3600).limit is None
    del batches


def test_a_shard_holds_no_more_tokens_than_it_may(bench):
    batches = bench.batches()
    batches._limits = Limits(tokens=40)
    batches.hand_in(bench.wants(rows(12)), 1, {})
    jobs = bench.jobs()
    assert len(jobs) > 2 and all(job.tokens <= 40 for job in jobs)
    assert sum(job.n for job in jobs) == 12


def test_a_job_that_was_told_how_long_to_wait_is_not_sent_sooner_when_another_ends(bench):
    bench.max_requests = 2
    bench.server.batch.change(on_create=[None, "429"], trouble_retry_after_s=900.0, polls_until_done=2)
    batches, handed = bench.hand_in(rows(4))
    for _ in range(5):
        batches.advance(handed.sets)
        bench.clock.pass_seconds(100)
    assert [job.state for job in bench.jobs()] == ["closed", "held"]
    assert len(bench.server.calls("POST", "/v1/batches")) == 2
    bench.clock.pass_seconds(500)
    bench.until_over(batches, handed)
    assert all(text(one) for one in bench.found(batches, handed, rows(4)).values())


def test_a_job_that_rests_after_a_fault_of_the_provider_is_not_made_sooner_when_another_ends(bench):
    bench.max_requests = 2
    bench.server.batch.change(failures=[None, "server_error"], polls_until_done=4)
    batches, handed = bench.hand_in(rows(4))
    for _ in range(8):
        batches.advance(handed.sets)
    assert [job.state for job in bench.jobs()] == ["closed", "held"]
    assert len(bench.server.batches) == 2
    bench.clock.pass_seconds(11)
    bench.until_over(batches, handed)
    assert len(bench.server.batches) == 3
    assert all(text(one) for one in bench.found(batches, handed, rows(4)).values())
