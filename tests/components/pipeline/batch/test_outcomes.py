"""Every way in which a batch may come back: each row gets its own answer, or its own reason."""

import pytest

from components.errors import ProviderDown
from components.llms import XAILLM, GroqLLM, MistralLLM, OpenAILLM, OpenRouterLLM, TogetherLLM
from components.llms.pricing import Price
from components.pipeline.batch import actions
from components.pipeline.batch.ingest import ANY_NAME
from components.pipeline.batch.poller import Poller
from components.pipeline.batch.states import JobState, RequestState
from components.states import Reason
from components.vault import ScriptVault
from tests.components.pipeline.batch.conftest import KEY, Bench, rows, text
from tests.servers.batch.openai_batch_server import OpenAIBatchServer
from tests.servers.batch.provider import Checked
from tests.servers.batch.store import Flaw


def states(bench):
    return [job.state for job in bench.jobs()]


def answers(found):
    return {name: text(one) for name, one in found.items()}


def echoes(*names):
    return {name: f"echo: {name}" for name in names}


def test_a_shuffled_result_lands_on_its_own_rows(bench):
    found = bench.run(rows(40))
    assert answers(found) == echoes(*rows(40))
    assert states(bench) == ["closed"]


def test_a_row_in_the_error_file_moves_no_other_row(bench):
    bench.server.batch.change(rows={"row-1": "400"})
    found = bench.run(rows(4))
    assert answers(found) == echoes(*rows(4)) | {"row-1": None}
    assert found["row-1"].state is RequestState.FAILED
    assert "temperature" in found["row-1"].message


@pytest.mark.parametrize("fate", ["429", "409", "500", "503", "0"])
def test_a_row_refused_for_want_of_room_is_sent_again_by_itself(bench, fate):
    bench.server.batch.change(rows={"row-1": [fate, fate]})
    found = bench.run(rows(4))
    assert answers(found) == echoes(*rows(4))
    assert found["row-1"].attempts == 3 and found["row-2"].attempts == 1
    assert [batch.total for batch in bench.server.batches] == [4, 1, 1]
    assert [bench.server.paid(name) for name in rows(4)] == [1, 1, 1, 1]


def test_a_row_is_sent_again_at_most_twice(bench):
    bench.server.batch.change(rows={"row-1": "429"})
    found = bench.run(rows(4))
    assert (found["row-1"].state, found["row-1"].reason) == (RequestState.FAILED, Reason.RATE_LIMIT)
    assert found["row-1"].attempts == 3
    assert len(bench.server.batches) == 3


def test_a_row_that_may_be_sent_again_is_not_given_up_before_its_job_is_over(bench):
    bench.server.batch.change(polls_until_done=1, rows={"row-1": ["429"]})
    batches, handed = bench.hand_in(rows(3))
    seen = []

    class Curious(bench.machine_class):
        def reached(self, point):
            if point == "ingested":
                seen.append(set(bench.found(batches, handed, rows(3))))

    batches.machine = Curious(bench.store, lambda _set: (batches.provider, batches.llm), clock=bench.clock)
    bench.until_over(batches, handed)
    assert seen[0] == {"row-0", "row-2"}


def test_when_all_rows_failed_each_says_why_and_none_is_sent_again(bench):
    bench.server.batch.change(rows={"*": "429"})
    found = bench.run(rows(12))
    assert all(one.state is RequestState.FAILED and "Rate limit" in one.message for one in found.values())
    assert len(found) == 12 and len(bench.server.batches) == 1
    assert "12 of 12 rows failed for the same reason" in bench.jobs()[0].message


def test_what_an_expired_batch_did_is_kept_and_the_rest_is_expired(bench):
    bench.server.batch.change(final="expired", done_when_stopped=2)
    found = bench.run(rows(5))
    good = [name for name in rows(5) if text(found[name])]
    assert len(good) == 2 and all(text(found[name]) == f"echo: {name}" for name in good)
    rest = [found[name] for name in rows(5) if name not in good]
    assert {(one.state, one.reason) for one in rest} == {(RequestState.EXPIRED, Reason.EXPIRED)}
    assert bench.store.counts() == {"inflight": 0, "ok": 2, "failed": 0, "expired": 3, "missing": 0}


def test_expired_rows_that_no_file_names_are_expired_too(bench):
    bench.server.batch.change(final="expired", done_when_stopped=0, rows={"*": "missing"})
    found = bench.run(rows(3))
    assert {one.state for one in found.values()} == {RequestState.EXPIRED}


def test_expired_rows_are_sent_again_when_a_person_asks(bench):
    bench.server.batch.change(final="expired", done_when_stopped=2)
    batches, handed = bench.hand_in(rows(5))
    bench.until_over(batches, handed)
    bench.server.batch.change(final="completed")
    assert actions.retry(bench.store, batches.provider, handed.sets[0]) == 3
    bench.until_over(batches, handed)
    assert answers(bench.found(batches, handed, rows(5))) == echoes(*rows(5))
    assert [bench.server.paid(name) for name in rows(5)] == [1] * 5


def test_a_cancelled_batch_gives_what_it_did_by_then(bench):
    bench.server.batch.change(polls_until_done=50, done_when_stopped=2)
    batches, handed = bench.hand_in(rows(12))
    batches.advance(handed.sets)
    actions.cancel(bench.store, bench.jobs()[0], batches.provider)
    bench.until_over(batches, handed)
    found = bench.found(batches, handed, rows(12))
    assert sum(text(one) is not None for one in found.values()) == 2
    assert sum(one.message == "The batch was canceled before this row was done." for one in found.values()) == 10
    counts = bench.store.counts()
    assert (counts["ok"], counts["missing"], counts["failed"]) == (2, 10, 0)
    assert bench.jobs()[0].message == ""
    assert bench.jobs()[0].outcome == "cancelled"


def test_a_batch_that_somebody_else_cancelled_before_it_began_has_no_files(bench):
    bench.server.batch.change(final="cancelled", done_when_stopped=0, rows={"*": "missing"})
    found = bench.run(rows(3))
    assert {one.state for one in found.values()} == {RequestState.MISSING}
    assert {one.message for one in found.values()} == {"The batch was canceled before this row was done."}


def test_cancelling_a_job_that_was_not_sent_yet_makes_none(bench):
    batches, handed = bench.hand_in(rows(3))
    actions.cancel(bench.store, bench.jobs()[0], batches.provider)
    bench.until_over(batches, handed, rounds=1)
    found = bench.found(batches, handed, rows(3))
    assert {one.message for one in found.values()} == {"The batch was canceled before it was sent."}
    assert bench.server.batches == []


def test_a_job_that_waits_for_a_person_is_collected_once_it_is_canceled(bench, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    bench.server.batch.change(polls_until_done=50, done_when_stopped=2)
    batches, handed = bench.hand_in(rows(4))
    batches.advance(handed.sets)
    bench.server.behavior.keys = {"sk-good"}
    batches.advance(handed.sets)
    assert states(bench) == ["blocked"]
    bench.server.behavior.keys = None
    actions.cancel(bench.store, bench.jobs()[0], batches.provider)
    # Nobody asks: whoever looks after jobs does the rest.
    poller = Poller(bench.store, ScriptVault, clock=bench.clock)
    for _ in range(5):
        poller.tick()
        bench.clock.pass_seconds(400)
    assert states(bench) == ["closed"]
    assert bench.store.counts()["ok"] == 2


def test_a_cancel_that_fails_is_tried_again(bench):
    bench.server.batch.change(polls_until_done=50, on_cancel=["500", "500"])
    batches, handed = bench.hand_in(rows(2))
    batches.advance(handed.sets)
    with pytest.raises(ProviderDown, match="server had an error"):
        actions.cancel(bench.store, bench.jobs()[0], batches.provider)
    bench.until_over(batches, handed)
    assert bench.server.batches[0].state == "cancelled"


def test_a_row_in_no_file_is_missing_and_says_so(bench):
    bench.server.batch.change(rows={"row-2": "missing", "row-3": "garbled"})
    found = bench.run(rows(5))
    assert answers(found) == echoes(*rows(5)) | {"row-2": None, "row-3": None}
    assert {found[name].state for name in ("row-2", "row-3")} == {RequestState.MISSING}
    assert "1 line of the results could not be read" in bench.jobs()[0].message


def test_duplicate_and_foreign_names_and_broken_lines_are_left_out(bench):
    bench.server.batch.change(rows={"row-1": "twice"}, foreign_rows=3, blank_lines=2, undecodable_lines=1)
    found = bench.run(rows(4))
    assert answers(found) == echoes(*rows(4))
    assert "3 lines of the results belong to no row of this job" in bench.jobs()[0].message


@pytest.mark.parametrize(("fate", "answer"), [(["429"], "echo: row-1"), ("400", None)])
def test_a_row_that_failed_inside_the_output_file_moves_no_other_row(bench, fate, answer):
    bench.server.provider.one_file = True
    bench.server.batch.change(rows={"row-1": fate})
    assert answers(bench.run(rows(4))) == echoes(*rows(4)) | {"row-1": answer}
    assert not any(batch.error_file_id for batch in bench.server.batches)


def test_of_several_jobs_one_that_fails_moves_no_row_of_the_others(bench, monkeypatch):
    bench.max_requests = 2
    sound = bench.server.provider.check

    def check(path, batch):
        if b'"row-2"' in path.read_bytes():
            return Checked(0, "", Flaw("invalid_request", "This file is not wanted."))
        return sound(path, batch)

    monkeypatch.setattr(bench.server.provider, "check", check)
    found = bench.run(rows(6))
    assert answers(found) == echoes(*rows(6)) | {"row-2": None, "row-3": None}
    assert {found[name].message for name in ("row-2", "row-3")} == {"This file is not wanted."}
    assert len(bench.server.batches) == 3


@pytest.mark.parametrize("how", ["null", "empty_id", "empty_file"])
def test_no_error_file_may_be_said_in_several_ways(bench, how):
    bench.server.batch.change(no_errors=how)
    assert answers(bench.run(rows(3))) == echoes(*rows(3))


def test_a_reply_inside_a_string_is_read(bench):
    bench.server.batch.change(rows={"row-1": "body_as_string"})
    assert answers(bench.run(rows(3))) == echoes(*rows(3))


def test_a_status_that_nobody_knows_is_no_end_and_is_pointed_out(bench):
    bench.server.batch.change(odd_status="pondering", polls_until_done=26)
    batches, handed = bench.hand_in(rows(2))
    for _ in range(24):
        batches.advance(handed.sets)
        bench.clock.pass_seconds(100)
    assert "says 'pondering'" in bench.jobs()[0].message
    bench.until_over(batches, handed)
    assert answers(bench.found(batches, handed, rows(2))) == echoes(*rows(2))
    assert bench.jobs()[0].message == ""


def test_counters_are_for_progress_only(bench):
    bench.server.batch.change(polls_until_done=4, resets_counts=True, done_when_stopped=1)
    batches, handed = bench.hand_in(rows(8))
    for _ in range(3):
        batches.advance(handed.sets)
    job = bench.jobs()[0]
    assert job.state == JobState.RUNNING and '"total": 8' in job.counts
    actions.cancel(bench.store, job, batches.provider)
    bench.until_over(batches, handed)
    assert bench.store.counts()["ok"] == 1


def test_a_download_that_breaks_off_is_done_again(bench):
    bench.server.batch.change(on_download=["cut", "500", "drop"])
    batches, handed = bench.hand_in(rows(30))
    bench.until_over(batches, handed)
    assert answers(bench.found(batches, handed, rows(30))) == echoes(*rows(30))
    assert [event.kind for event in bench.store.events(bench.jobs()[0].key)].count("ingesting") == 1


def test_results_that_are_gone_are_looked_for_a_while_and_then_said_to_be_lost(bench):
    bench.server.batch.change(on_download="404")
    batches, handed = bench.hand_in(rows(3))
    begun = bench.clock.now
    bench.until_over(batches, handed, seconds=60)
    assert bench.clock.now - begun >= 600
    job = bench.jobs()[0]
    assert job.state == JobState.LOST and "these results" in job.message
    found = bench.found(batches, handed, rows(3))
    assert {one.state for one in found.values()} == {RequestState.MISSING}


def test_what_is_in_the_file_that_is_left_is_kept_when_the_other_is_gone(bench):
    bench.server.batch.change(rows={"row-1": "400"}, on_download=["404", None] * 10)
    batches, handed = bench.hand_in(rows(3))
    bench.until_over(batches, handed)
    found = bench.found(batches, handed, rows(3))
    assert bench.jobs()[0].state == JobState.LOST
    assert "temperature" in found["row-1"].message
    assert found["row-0"].state is RequestState.MISSING


def test_a_batch_that_is_not_seen_right_after_it_was_made_is_not_lost(bench):
    bench.server.batch.change(unseen_polls=2)
    assert answers(bench.run(rows(3))) == echoes(*rows(3))


def test_a_batch_that_is_gone_is_lost_only_after_ten_minutes(bench):
    bench.server.batch.change(on_poll="404")
    batches, handed = bench.hand_in(rows(3))
    begun = bench.clock.now
    bench.until_over(batches, handed, seconds=30)
    assert 600 <= bench.clock.now - begun <= 900
    assert bench.jobs()[0].state == JobState.LOST
    assert len(bench.server.batches) == 1


def test_a_provider_that_is_down_is_asked_again_and_nothing_is_given_up(bench):
    bench.server.batch.change(on_upload=["500", "drop"], on_poll=["500", "html_503", "drop"] + ["500"] * 8)
    batches, handed = bench.hand_in(rows(3))
    bench.until_over(batches, handed)
    assert answers(bench.found(batches, handed, rows(3))) == echoes(*rows(3))
    job = bench.jobs()[0]
    assert len([event for event in bench.store.events(job.key) if "server had an error" in event.message]) <= 4


def test_several_answers_to_a_row_come_back_together(bench):
    found = bench.run(rows(4), count=3)
    assert [len(one.output["generations"]) for one in found.values()] == [3] * 4


def test_a_requeued_row_costs_and_counts_once(bench):
    batches = bench.batches(input_price=1.0, output_price=2.0)
    _, handed = bench.hand_in(rows(3), batches)
    bench.until_over(batches, handed)
    found = bench.found(batches, handed, rows(3))
    assert all(one.tokens_in > 0 and one.tokens_out > 0 and one.cost_known for one in found.values())
    assert bench.jobs()[0].cost == pytest.approx(sum(one.cost for one in found.values()))


def test_files_whose_content_is_in_the_ledger_are_removed(bench):
    bench.server.batch.change(rows={"row-1": "400"})
    bench.run(rows(3))
    names = sorted(file.name.partition(".")[2] for file in bench.store.folder.rglob("*.jsonl"))
    assert names == ["error.jsonl", "jsonl", "jsonl"]  # with the input and the journal
    bench.server.batch.change(rows={})
    bench.run(["row-7", "row-8"])
    assert len(list(bench.store.folder.glob("*.jsonl"))) == 2


@pytest.mark.parametrize(
    ("dialect", "model", "name"),
    [
        ("groq", GroqLLM, "llama"),
        ("mistral", MistralLLM, "mistral-small"),
        ("together", TogetherLLM, "llama"),
        ("xai", XAILLM, "grok-4.3"),
        ("openrouter", OpenRouterLLM, "some/model"),
    ],
)
def test_every_dialect_brings_each_row_its_own_answer(ledger, clock, dialect, model, name):
    with OpenAIBatchServer(dialect=dialect, rows={"row-1": "400"}) as server:
        found = Bench(ledger, server, clock, model, {"model": name}).run(rows(5))
    assert answers(found) == echoes(*rows(5)) | {"row-1": None}
    assert found["row-1"].state is RequestState.FAILED


def test_an_answer_that_the_model_stumbles_over_fails_its_own_row_only(ledger, server, clock):
    class Stumbling(OpenAILLM):
        def batch_usage(self, path, reply, num_generations):
            if "row-1" in str(reply):
                raise TypeError("no number")
            return super().batch_usage(path, reply, num_generations)

        def _read(self, reply, count):
            if "row-1" in str(reply):
                raise AttributeError("no part")
            return super()._read(reply, count)

    bench = Bench(ledger, server, clock, Stumbling)
    found = bench.run(rows(3))
    assert answers(found) == echoes(*rows(3)) | {"row-1": None}
    assert "could not be read" in found["row-1"].message and "no part" in found["row-1"].message
    assert states(bench) == ["closed"]


@pytest.mark.parametrize("name", ["7" * 20, "b0123456789ab-1-" + "7" * 20])
def test_a_number_that_is_no_row_of_anybodys_is_no_name(name):
    assert ANY_NAME.fullmatch(name) is None


def test_where_only_counters_tell_the_first_requests_of_a_file_are_not_taken_for_all(ledger, clock, monkeypatch):
    with OpenAIBatchServer(dialect="xai", polls_until_done=3) as xai:
        bench = Bench(ledger, xai, clock, XAILLM, {"model": "grok-4.3"})
        counted, looks = xai.provider.counts, []

        def counts(batch):
            looks.append(batch.ended)
            some = {"requests": len(looks), "pending": 0, "success": len(looks), "error": 0, "cancelled": 0}
            return counted(batch) if batch.ended else some

        monkeypatch.setattr(xai.provider, "counts", counts)
        found = bench.run(rows(5))
        assert answers(found) == echoes(*rows(5))
        assert looks.count(False) >= 2 and len(xai.batches) == 1


@pytest.mark.parametrize(
    ("dialect", "kind", "name"), [("xai", XAILLM, "grok-4.3"), ("openrouter", OpenRouterLLM, "some/model")]
)
@pytest.mark.parametrize("is_listed", [True, False])
def test_what_the_provider_charged_is_what_a_row_of_a_batch_cost(
    ledger, clock, monkeypatch, dialect, kind, name, is_listed
):
    price = Price(1e6, 1e6) if is_listed else None
    monkeypatch.setattr(kind, "price", property(lambda _self: price))
    with OpenAIBatchServer(dialect=dialect) as server:
        bench = Bench(ledger, server, clock, kind, {"model": name})
        found = bench.run(rows(3))
        assert all(one.cost_known and 0 < one.cost < 1 for one in found.values())
        assert sum(job.cost for job in bench.jobs()) == pytest.approx(sum(one.cost for one in found.values()))
