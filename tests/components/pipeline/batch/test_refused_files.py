"""A file that the provider refuses as a whole."""

import json
import time

import pytest

from components.errors import UnknownModel
from components.llms import MistralLLM
from components.llms.batch.protocol import LineError
from components.pipeline.batch.offline import Batches
from components.pipeline.batch.remedies import Remedy, verdict
from components.pipeline.batch.states import JobState, RequestState
from tests.components.pipeline.batch.conftest import KEY, Bench, rows, text
from tests.fakes import EchoLLM
from tests.servers.batch.openai_batch_server import OpenAIBatchServer
from tests.servers.batch.provider import Checked
from tests.servers.batch.store import Flaw, StoredFile


@pytest.fixture
def picky(bench):
    """A provider whose check of a file stops at the first row that begins with `bad`."""
    provider = bench.server.provider
    sound = provider.check

    def check(path, batch):
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if json.loads(line)["body"]["messages"][0]["content"].startswith("bad"):
                    return Checked(0, "", Flaw("missing_required_parameter", "Say something.", "body", number))
        return sound(path, batch)

    provider.check = check
    return bench


def test_the_row_that_the_refusal_names_fails_and_the_others_are_sent(picky):
    found = picky.run(["row-0", "bad-1", "row-2", "row-3"])
    assert {name: text(one) for name, one in found.items()} == {
        "row-0": "echo: row-0", "bad-1": None, "row-2": "echo: row-2", "row-3": "echo: row-3",
    }  # fmt: skip
    assert found["bad-1"].message == "Say something."
    assert sorted(job.state for job in picky.jobs()) == ["closed", "rejected"]
    assert all(picky.server.paid(name) == 1 for name in ("row-0", "row-2", "row-3"))


def test_many_bad_rows_are_found_round_by_round_and_then_left_to_a_person(picky):
    names = [f"bad-{n}" if n % 4 == 0 else f"row-{n}" for n in range(24)]
    found = picky.run(names)
    good = [name for name in names if name.startswith("row")]
    assert len(found) == 24 and all(found[name].message == "Say something." for name in names if name not in good)
    answered = [name for name in good if text(found[name])]
    assert all(text(found[name]) == f"echo: {name}" for name in answered)
    left = [found[name] for name in good if name not in answered]
    assert len(answered) >= 12 and all(one.state is RequestState.FAILED for one in left)
    assert len(picky.server.batches) <= 16


def test_a_model_that_batches_do_not_have_fails_all_rows_at_once(bench):
    bench.server.behavior.models = ["another"]
    found = bench.run(rows(5))
    assert {one.state for one in found.values()} == {RequestState.FAILED}
    assert all("not supported" in one.message for one in found.values())
    assert len(bench.server.batches) == 1 and bench.jobs()[0].state == JobState.REJECTED


def test_a_file_that_the_provider_cannot_find_is_sent_once_more(bench):
    bench.server.batch.change(failures=["cannot_find_file"])
    found = bench.run(rows(3))
    assert [text(one) for one in found.values()] == [f"echo: {name}" for name in rows(3)]
    assert len(bench.server.calls("POST", "/v1/files")) == 2
    assert bench.jobs()[0].uploads == 2


def test_a_file_that_is_never_found_fails_its_rows(bench):
    bench.server.batch.change(failures="cannot_find_file")
    found = bench.run(rows(3))
    assert all("Cannot find file" in one.message for one in found.values())
    assert len(bench.server.calls("POST", "/v1/files")) == 2


def test_a_bad_moment_of_the_provider_is_waited_out(bench):
    bench.server.batch.change(failures=["server_error"])
    found = bench.run(rows(3))
    assert all(text(one) for one in found.values())
    assert len(bench.server.batches) == 2 and len(bench.jobs()) == 1


def test_a_batch_that_failed_with_results_all_the_same_keeps_these(bench, monkeypatch):
    provider = bench.server.provider
    told = provider.batch_object

    def failed(batch):
        data = told(batch)
        return data | {"status": "failed"} if data["status"] == "expired" else data

    monkeypatch.setattr(provider, "batch_object", failed)
    bench.server.batch.change(final="expired", done_when_stopped=2)
    found = bench.run(rows(4))
    assert sorted(str(one.state) for one in found.values()) == ["expired", "expired", "ok", "ok"]
    assert len(bench.server.batches) == 1


def test_a_refused_file_with_an_empty_error_file_is_held_when_the_queue_is_full(bench, monkeypatch):
    """As at Azure, which names an error file for every batch."""
    provider = bench.server.provider
    draft = provider.store.draft()
    draft.write_bytes(b"")
    provider.store.keep(StoredFile("file-empty", KEY, "errors.jsonl", "batch_output", 0, time.time()), draft)
    told = provider.batch_object

    def named(batch):
        data = told(batch)
        return data | {"error_file_id": "file-empty"} if data["status"] == "failed" else data

    monkeypatch.setattr(provider, "batch_object", named)
    bench.server.batch.change(failures=["token_limit_exceeded"])
    found = bench.run(rows(3))
    assert [text(one) for one in found.values()] == [f"echo: {name}" for name in rows(3)]
    assert "held" in [event.kind for event in bench.store.events(bench.jobs()[0].key)]


def test_a_job_on_this_machine_that_fails_half_way_keeps_the_answers_it_has(ledger, clock):
    llm = EchoLLM().troubled_by(lambda text, _call: UnknownModel("no such model") if text == "row-9" else None)
    bench = Bench(ledger, None, clock)
    batches = Batches(ledger, llm, clock=clock)
    handed = batches.hand_in(bench.wants(rows(40)), 1, {})
    bench.until_over(batches, handed, seconds=60)
    found = bench.found(batches, handed, rows(40))
    assert len(found) == 40 and found["row-0"].output["generations"] == ["echo: row-0"]
    assert "no such model" in found["row-39"].message and found["row-39"].state is RequestState.FAILED
    answered = [name for name, one in found.items() if one.output]
    assert 5 <= len(answered) < 39 and sum(llm.calls.values()) <= len(answered) + 4


def test_a_provider_that_fails_every_time_is_not_asked_for_ever(bench):
    bench.server.batch.change(failures="server_error")
    found = bench.run(rows(3))
    assert all("error while processing" in one.message for one in found.values())
    assert len(bench.server.batches) == 3


@pytest.mark.parametrize(
    ("trouble", "says"), [("400", "not valid"), ("404", "model"), ("422", "could not be processed")]
)
def test_a_create_that_is_refused_fails_the_rows_with_what_was_said(bench, trouble, says):
    bench.server.batch.change(on_create=trouble)
    found = bench.run(rows(3))
    assert all(says in one.message for one in found.values())
    assert bench.jobs()[0].state == JobState.REJECTED and bench.server.batches == []


def test_a_file_that_is_too_large_for_an_upload_is_sent_in_two(bench):
    bench.server.batch.change(on_upload=["413", "413"])
    found = bench.run(rows(8))
    assert [text(one) for one in found.values()] == [f"echo: {name}" for name in rows(8)]
    assert sorted(batch.total for batch in bench.server.batches) == [2, 2, 4]
    assert [bench.server.paid(name) for name in rows(8)] == [1] * 8


def test_rows_that_are_refused_while_they_are_sent_fail_alone(ledger, clock):
    with OpenAIBatchServer(dialect="mistral") as server:
        bench = Bench(ledger, server, clock, MistralLLM, {"model": "mistral-small"})
        batches = bench.batches()
        wants = bench.wants(rows(5))
        asked = batches.llm.batch_requests

        def too_hot(prompt, count, kwargs):
            path, body = asked(prompt, count, kwargs)[0]
            is_bad = prompt[0]["content"] == "row-2"
            return [(path, body | {"temperature": 9.0} if is_bad else body)]

        batches.llm.__dict__["batch_requests"] = too_hot
        handed = batches.hand_in(wants, 1, {})
        bench.until_over(batches, handed)
        found = bench.found(batches, handed, rows(5))
    assert [name for name in rows(5) if not text(found[name])] == ["row-2"]
    assert "line 3" in found["row-2"].message.lower() or "temperature" in found["row-2"].message


@pytest.mark.parametrize(
    ("errors", "remedy"),
    [
        ([LineError("Enqueued token limit reached. Limit: 90,000 enqueued tokens.", "token_limit_exceeded")], "hold"),
        ([LineError("Cannot find file file-1.", "invalid_request")], "upload"),
        ([LineError("Bad.", "invalid_json_line", 3)], "leave_out"),
        ([LineError("No such model.", "model_not_found", 1)], "none"),
        ([LineError("The server had an error.", "server_error")], "later"),
        ([LineError("No.", "weird")], "none"),
        ([], "none"),
    ],
)
def test_each_kind_of_refusal_has_its_remedy(errors, remedy):
    assert verdict(errors).remedy is Remedy(remedy)


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("Limit: 90,000 enqueued tokens. Please try again", 90_000),
        ("limit of 2000000 tokens", 2_000_000),
        ("Enqueued token limit reached", None),
    ],
)
def test_a_refusal_may_tell_how_much_the_queue_takes(text, limit):
    assert verdict([LineError(f"Enqueued: {text}", "token_limit_exceeded")]).limit == limit
