"""A create of which nobody knows whether it landed: found again, adopted once, never paid for twice."""

from dataclasses import replace

import pytest

from components.llms import AnthropicLLM, OpenRouterLLM, TogetherLLM
from components.llms.batch.protocol import Reconcile
from components.pipeline.batch import actions
from components.pipeline.batch.machine import Machine
from components.pipeline.batch.states import JobState, Unsure
from tests.components.pipeline.batch.conftest import KEY, Bench, rows, text
from tests.servers.batch.anthropic_batch_server import AnthropicBatchServer
from tests.servers.batch.openai_batch_server import OpenAIBatchServer


def all_answered(bench, batches, handed, names):
    found = bench.found(batches, handed, names)
    assert {name: text(found[name]) for name in names} == {name: f"echo: {name}" for name in names}
    assert [bench.server.paid(name) for name in names] == [1] * len(names)


@pytest.mark.parametrize("trouble", ["land_hang", "land_500", "land_drop"])
def test_a_create_that_landed_without_a_reply_is_adopted(bench, trouble):
    bench.server.batch.change(on_create=[trouble])
    batches, handed = bench.hand_in(rows(4), bench.batches(timeout=0.3))
    batches.advance(handed.sets)
    assert bench.jobs()[0].state == JobState.CREATING
    assert "not made twice" in bench.jobs()[0].message
    bench.until_over(batches, handed)
    assert len(bench.server.batches) == 1
    all_answered(bench, batches, handed, rows(4))


@pytest.mark.parametrize("trouble", ["hang", "drop", "500", "html_503"])
def test_a_create_that_never_landed_is_made_anew_after_two_empty_lists(bench, trouble):
    bench.server.batch.change(on_create=[trouble])
    batches, handed = bench.hand_in(rows(4), bench.batches(timeout=0.3))
    batches.advance(handed.sets)
    for _ in range(8):
        # However often a script asks, a minute must pass between the lists that count.
        bench.clock.pass_seconds(6)
        batches.advance(handed.sets)
    assert bench.server.batches == []
    bench.clock.pass_seconds(60)
    batches.advance(handed.sets)
    assert len(bench.server.batches) == 1
    bench.until_over(batches, handed)
    all_answered(bench, batches, handed, rows(4))


def test_a_list_that_lags_behind_hides_a_job_for_a_while_only(bench):
    bench.server.batch.change(on_create=["land_500"], list_lag_calls=1)
    batches, handed = bench.hand_in(rows(4))
    bench.until_over(batches, handed, seconds=61)
    assert len(bench.server.batches) == 1
    all_answered(bench, batches, handed, rows(4))


def test_of_several_copies_the_oldest_counts_and_the_others_are_canceled(bench):
    bench.server.batch.change(on_create=["land_500"], polls_until_done=6)
    batches, handed = bench.hand_in(rows(4))
    batches.advance(handed.sets)
    job = bench.jobs()[0]
    # As a client that repeats its requests would have it.
    for _ in range(2):
        batches.provider.create(
            job.input_ref, file=None, tag=job.key, model="gpt-4o-mini", path=job.path, n=4, window="24h"
        )
    bench.until_over(batches, handed)
    assert [batch.state.value for batch in bench.server.batches] == ["completed", "cancelling", "cancelling"]
    all_answered(bench, batches, handed, rows(4))


def test_a_job_is_found_by_its_file_where_there_is_no_tag(ledger, clock):
    with OpenAIBatchServer(dialect="together", on_create=["land_500"]) as server:
        bench = Bench(ledger, server, clock, TogetherLLM, {"model": "llama"})
        batches, handed = bench.hand_in(rows(4))
        bench.until_over(batches, handed)
        assert len(server.batches) == 1
        all_answered(bench, batches, handed, rows(4))


def test_a_cancel_while_the_outcome_is_unknown_cancels_what_is_found(bench):
    bench.server.batch.change(on_create=["land_500"], polls_until_done=50)
    batches, handed = bench.hand_in(rows(4))
    batches.advance(handed.sets)
    actions.cancel(bench.store, bench.jobs()[0], batches.provider)
    bench.until_over(batches, handed)
    assert [batch.state.value for batch in bench.server.batches] == ["cancelled"]


def test_a_cancel_while_the_outcome_is_unknown_makes_nothing_anew(bench):
    bench.server.batch.change(on_create=["500"])
    batches, handed = bench.hand_in(rows(4))
    batches.advance(handed.sets)
    actions.cancel(bench.store, bench.jobs()[0], batches.provider)
    bench.until_over(batches, handed)
    assert bench.server.batches == []
    assert bench.jobs()[0].state == JobState.CLOSED


def test_a_job_that_failed_for_a_full_queue_is_not_taken_for_its_next_try(bench):
    bench.server.batch.change(failures=["token_limit_exceeded"], on_create=[None, "land_500"])
    batches, handed = bench.hand_in(rows(4))
    batches.advance(handed.sets)
    batches.advance(handed.sets)
    assert bench.jobs()[0].state == JobState.HELD
    bench.until_over(batches, handed, seconds=70)
    assert [batch.state.value for batch in bench.server.batches] == ["failed", "completed"]
    all_answered(bench, batches, handed, rows(4))


def openrouter(ledger, clock, server):
    return Bench(ledger, server, clock, OpenRouterLLM, {"model": "some/model"})


@pytest.fixture
def tagless():
    with OpenAIBatchServer(dialect="openrouter", on_create=["land_500"]) as running:
        yield running


def test_without_a_tag_the_only_batch_of_the_right_size_and_time_is_taken(ledger, clock, tagless):
    bench = openrouter(ledger, clock, tagless)
    batches, handed = bench.hand_in(rows(4))
    bench.until_over(batches, handed)
    assert len(tagless.batches) == 1
    all_answered(bench, batches, handed, rows(4))


def another_batch(bench, names):
    """Somebody else's batch of the same size at the same account, made at the same moment."""
    other = bench.batches(KEY)
    folder = bench.store.folder / "other"
    folder.mkdir()
    file = folder / "in.jsonl"
    file.write_bytes(
        b"".join(
            other.provider.line(f"mine-{at}", "/chat/completions", {"messages": [{"role": "user", "content": name}]})
            for at, name in enumerate(names)
        )
    )
    return other.provider.create(
        "", file=file, tag="", model="some/model", path="/chat/completions", n=len(names), window="24h"
    ).id


def test_of_two_that_may_be_it_none_is_guessed_and_a_person_decides(ledger, clock, tagless):
    bench = openrouter(ledger, clock, tagless)
    batches, handed = bench.hand_in(rows(4))
    batches.advance(handed.sets)
    another_batch(bench, ["row-a", "row-b", "row-c", "row-d"])
    bench.clock.pass_seconds(10)
    batches.advance(handed.sets)
    job = bench.jobs()[0]
    assert job.state == JobState.BLOCKED and "re-attach the job by its id" in job.message
    bench.clock.pass_seconds(10_000)
    batches.advance(handed.sets)
    assert len(tagless.batches) == 2
    actions.adopt(bench.store, bench.store.job(job.key), batches.provider, tagless.batches[0].id)
    bench.until_over(batches, handed)
    all_answered(bench, batches, handed, rows(4))


def test_a_batch_that_turns_out_to_be_anothers_is_let_go(ledger, clock):
    with OpenAIBatchServer(dialect="openrouter", on_create=["500"]) as server:
        bench = openrouter(ledger, clock, server)
        batches, handed = bench.hand_in(rows(4))
        batches.advance(handed.sets)
        other = another_batch(bench, ["row-a", "row-b", "row-c", "row-d"])
        batches.advance(handed.sets)
        assert [event.message for event in bench.store.events(bench.jobs()[0].key, "let_go")] == [other]
        bench.until_over(batches, handed)
        assert len(server.batches) == 2
        all_answered(bench, batches, handed, rows(4))


def test_attaching_the_wrong_batch_is_noticed_by_its_results(ledger, clock, tagless):
    bench = openrouter(ledger, clock, tagless)
    batches, handed = bench.hand_in(rows(4))
    batches.advance(handed.sets)
    wrong = another_batch(bench, ["row-a", "row-b", "row-c", "row-d"])
    actions.adopt(bench.store, bench.jobs()[0], batches.provider, wrong)
    while bench.jobs()[0].state != JobState.BLOCKED:
        clock.pass_seconds(400)
        batches.advance(handed.sets)
    batches, handed = bench.hand_in(rows(4))
    bench.until_over(batches, handed)
    said = [event.message for event in bench.store.events(bench.jobs()[0].key, "blocked")]
    assert len(said) == 1 and f"The results of {wrong} are of other requests" in said[0]
    all_answered(bench, batches, handed, rows(4))


def test_the_policy_may_be_to_resubmit(ledger, clock, tagless):
    bench = openrouter(ledger, clock, tagless)
    bench.unsure = Unsure.RESUBMIT
    batches, handed = bench.hand_in(rows(4))
    batches.advance(handed.sets)
    another_batch(bench, ["row-a", "row-b", "row-c", "row-d"])
    bench.until_over(batches, handed)
    found = bench.found(batches, handed, rows(4))
    assert {name: text(found[name]) for name in rows(4)} == {name: f"echo: {name}" for name in rows(4)}
    assert len(tagless.batches) == 3


def test_the_policy_may_be_to_wait_and_then_to_ask(ledger, clock, tagless):
    bench = openrouter(ledger, clock, tagless)
    bench.unsure = Unsure.WAIT
    batches, handed = bench.hand_in(rows(4))
    batches.advance(handed.sets)
    another_batch(bench, ["row-a", "row-b", "row-c", "row-d"])
    for _ in range(5):
        bench.clock.pass_seconds(3600)
        batches.advance(handed.sets)
        assert bench.jobs()[0].state == JobState.CREATING
    bench.clock.pass_seconds(24 * 3600)
    batches.advance(handed.sets)
    assert bench.jobs()[0].state == JobState.BLOCKED
    assert len(tagless.batches) == 2


def test_a_person_may_have_it_resubmitted(ledger, clock, tagless):
    bench = openrouter(ledger, clock, tagless)
    batches, handed = bench.hand_in(rows(4))
    batches.advance(handed.sets)
    another_batch(bench, ["row-a", "row-b", "row-c", "row-d"])
    batches.advance(handed.sets)
    actions.resubmit(bench.store, bench.jobs()[0])
    bench.until_over(batches, handed)
    found = bench.found(batches, handed, rows(4))
    assert all(text(one) for one in found.values())


def test_files_of_one_set_differ_in_size_where_size_is_all_there_is_to_tell_them_apart(ledger, clock):
    with OpenAIBatchServer(dialect="openrouter", on_create=["land_500"] * 3) as server:
        bench = openrouter(ledger, clock, server)
        bench.max_requests = 5
        batches, handed = bench.hand_in(rows(12))
        bench.until_over(batches, handed)
        assert sorted(batch.total for batch in server.batches) == [3, 4, 5]
        all_answered(bench, batches, handed, rows(12))


def test_a_canceled_job_of_which_nobody_can_tell_ends_and_says_so(bench):
    bench.server.batch.change(on_create=["500"])
    batches, handed = bench.hand_in(rows(3))
    batches.provider.caps = replace(batches.provider.caps, reconcile=Reconcile.NONE)
    for _ in range(3):
        batches.advance(handed.sets)
        bench.clock.pass_seconds(60)
    assert bench.jobs()[0].state == JobState.BLOCKED
    actions.cancel(bench.store, bench.jobs()[0], batches.provider)
    batches.advance(handed.sets)
    job = bench.jobs()[0]
    assert job.state == JobState.CLOSED and "Nobody can tell whether it was made" in job.message
    assert bench.store.counts()["missing"] == 3 and bench.server.batches == []


def test_what_is_made_for_another_job_this_moment_is_not_taken_for_ones_own(ledger, clock):
    """Anthropic tells batches apart by their size alone, and two of the same size may be made at once."""
    with AnthropicBatchServer(polls_until_done=6, on_create=["500"]) as server:
        bench = Bench(ledger, server, clock, AnthropicLLM, {"model": "claude-opus-5"})
        first, waits = bench.hand_in(["a-0", "a-1"])
        first.advance(waits.sets)
        (key,) = [job.key for job in bench.jobs()]
        clock.pass_seconds(10)

        class Busy(Machine):
            """Has its batch, and has not written that down when the other looks for its own."""

            def reached(self, point):
                if point == "created":
                    first.machine.advance(key)

        second, handed = bench.hand_in(["b-0", "b-1"])
        second.machine = Busy(bench.store, lambda _set: (second.provider, second.llm), clock=clock)
        second.advance(handed.sets)
        bench.until_over(first, waits)
        bench.until_over(second, handed)
        assert len(server.batches) == 2
        assert [text(one) for one in bench.found(first, waits, ["a-0", "a-1"]).values()] == ["echo: a-0", "echo: a-1"]
        assert [text(one) for one in bench.found(second, handed, ["b-0", "b-1"]).values()] == ["echo: b-0", "echo: b-1"]
