import json
import threading
from concurrent.futures import ThreadPoolExecutor

import openai
import pytest

from tests.servers.batch import works
from tests.servers.batch.clients import CHAT, ended, openai_client, submit, text_of
from tests.servers.batch.openai_batch_server import OpenAIBatchServer
from tests.servers.batch.sample_input import chat_body, openai_lines, rows_of


@pytest.fixture
def server():
    with OpenAIBatchServer() as running:
        yield running


def test_a_batch_goes_through_its_states_and_every_row_is_answered(server):
    client = openai_client(server)
    server.batch.polls_until_done = 4
    batch = submit(client, openai_lines(20), metadata={"job": "abc"})
    assert (batch.status, batch.output_file_id, batch.errors, batch.metadata) == (
        "validating",
        None,
        None,
        {"job": "abc"},
    )
    assert batch.expires_at - batch.created_at == 86_400
    polls = [client.batches.retrieve(batch.id) for _ in range(4)]
    assert [poll.status for poll in polls] == ["in_progress", "in_progress", "finalizing", "completed"]
    assert polls[0].request_counts.total == 20 > polls[0].request_counts.completed
    done = polls[-1]
    assert (done.request_counts.completed, done.request_counts.failed, done.error_file_id) == (20, 0, None)
    rows = rows_of(text_of(client, done.output_file_id))
    assert list(rows) != [f"job1-{n}" for n in range(20)]  # in no order
    for number in range(20):
        answer = rows[f"job1-{number}"]["response"]["body"]["choices"][0]["message"]["content"]
        assert answer == f"echo: row-{number} hello"
        assert server.paid(f"row-{number}") == 1
    assert rows["job1-0"]["error"] is None and rows["job1-0"]["response"]["status_code"] == 200
    used = sum(row["response"]["body"]["usage"]["total_tokens"] for row in rows.values())
    assert done.usage.total_tokens == used
    assert [(one.tag, one.billed) for one in server.batches] == [("job1", 20)]
    assert [one.body["custom_id"] for one in server.calls("BATCH")] == list(rows)


def test_answers_are_those_of_the_online_server(server):
    schema = {
        "type": "object",
        "properties": {"label": {"enum": ["good", "bad"]}},
        "required": ["label"],
        "additionalProperties": False,
    }
    wanted = {"type": "json_schema", "json_schema": {"name": "a", "schema": schema, "strict": True}}
    client = openai_client(server)
    online = client.chat.completions.create(**chat_body(3, response_format=wanted)).choices[0].message.content
    done = ended(client, submit(client, openai_lines(4, response_format=wanted)))
    in_batch = rows_of(text_of(client, done.output_file_id))["job1-3"]
    assert in_batch["response"]["body"]["choices"][0]["message"]["content"] == online
    server.behavior.reply = lambda body: body["messages"][0]["content"].upper()
    done = ended(client, submit(client, openai_lines(1)))
    assert "ROW-0 HELLO" in text_of(client, done.output_file_id)


def test_failed_rows_stand_in_the_error_file_with_a_null_error(server):
    fates = ("400", "409", "429", "500", "503", "0")
    server.batch.change(rows={f"row-{n}": fate for n, fate in enumerate(fates)})
    client = openai_client(server)
    done = ended(client, submit(client, openai_lines(8)))
    assert (done.status, done.request_counts.completed, done.request_counts.failed) == ("completed", 2, 6)
    errors = rows_of(text_of(client, done.error_file_id))
    assert [errors[f"job1-{n}"]["response"]["status_code"] for n in range(6)] == [400, 409, 429, 500, 503, 0]
    assert all(row["error"] is None for row in errors.values())
    assert errors["job1-2"]["response"]["body"]["error"]["code"] == "rate_limit_exceeded"
    assert set(rows_of(text_of(client, done.output_file_id))) == {"job1-6", "job1-7"}
    assert server.paid("row-2") == 0


def test_a_row_may_fail_once_and_succeed_when_it_is_sent_again(server):
    server.batch.change(rows={"row-0": ["429", "expired"]})
    client = openai_client(server)
    first, second, third = (ended(client, submit(client, openai_lines(1, job=f"try{n}"))) for n in range(3))
    assert "rate_limit_exceeded" in text_of(client, first.error_file_id)
    assert "batch_expired" in text_of(client, second.error_file_id)
    assert (third.error_file_id, third.request_counts.completed) == (None, 1)
    assert server.paid("row-0") == 1


def test_when_all_rows_fail_there_is_no_output_file(server):
    server.batch.change(rows={"*": "400"})
    client = openai_client(server)
    done = ended(client, submit(client, openai_lines(3)))
    assert (done.status, done.output_file_id) == ("completed", None)
    assert len(rows_of(text_of(client, done.error_file_id))) == 3
    assert server.on_the_bill() == {}


@pytest.mark.parametrize(("final", "code"), [("expired", "batch_expired"), ("cancelled", "batch_cancelled")])
def test_a_batch_that_stopped_early_has_what_was_done(server, final, code):
    server.batch.change(final=final, done_when_stopped=2)
    client = openai_client(server)
    done = ended(client, submit(client, openai_lines(5)))
    assert done.status == final
    output = rows_of(text_of(client, done.output_file_id))
    errors = rows_of(text_of(client, done.error_file_id))
    assert (len(output), len(errors)) == (2, 3) and not output.keys() & errors.keys()
    assert all(row["response"] is None and row["error"]["code"] == code for row in errors.values())
    assert (server.batches[0].billed, server.on_the_bill()) == (2, {"job1": 1})


def test_a_cancelled_batch_forgets_its_counts(server):
    server.batch.change(polls_until_done=9, done_when_stopped=1)
    client = openai_client(server)
    batch = submit(client, openai_lines(5))
    client.batches.retrieve(batch.id)
    cancelling = client.batches.cancel(batch.id)
    assert (cancelling.status, cancelling.request_counts.completed) == ("cancelling", 1)
    cancelled = client.batches.retrieve(batch.id)
    assert (cancelled.status, cancelled.request_counts.completed, cancelled.request_counts.total) == ("cancelled", 0, 5)
    with pytest.raises(openai.ConflictError):
        client.batches.cancel(batch.id)


def test_a_batch_cancelled_before_it_ran_is_not_on_the_bill(server):
    client = openai_client(server)
    batch = submit(client, openai_lines(5))
    assert server.on_the_bill() == {"job1": 1}
    assert ended(client, client.batches.cancel(batch.id)).output_file_id is None
    assert server.on_the_bill() == {}


def test_result_files_may_be_full_of_nonsense(server):
    server.batch.change(
        rows={"row-0": "twice", "row-1": "missing", "row-2": "garbled", "row-3": "body_as_string"},
        foreign_rows=2,
        blank_lines=2,
        undecodable_lines=1,
    )
    client = openai_client(server)
    done = ended(client, submit(client, openai_lines(5)))
    assert (done.request_counts.completed, done.request_counts.total) == (5, 5)  # counters know nothing
    raw = client.files.content(done.output_file_id).content
    with pytest.raises(UnicodeDecodeError):
        raw.decode()
    lines = raw.decode(errors="replace").splitlines()
    rows = [json.loads(line) for line in lines if line.endswith("}")]
    ids = sorted(row["custom_id"] for row in rows)
    assert ids == ["foreign-0", "foreign-1", "job1-0", "job1-0", "job1-3", "job1-4"]
    assert lines.count("") == 2
    assert len({json.dumps(row["response"]["body"]) for row in rows if row["custom_id"] == "job1-0"}) == 2
    as_string = next(row for row in rows if row["custom_id"] == "job1-3")["response"]["body"]
    assert json.loads(as_string)["object"] == "chat.completion"
    assert (server.paid("row-0"), server.paid("row-1"), server.paid("row-2")) == (1, 0, 1)


@pytest.mark.parametrize(("no_errors", "said"), [("null", None), ("empty_id", ""), ("empty_file", "file-")])
def test_a_batch_without_failures_says_so_in_three_ways(server, no_errors, said):
    server.batch.change(no_errors=no_errors)
    client = openai_client(server)
    done = ended(client, submit(client, openai_lines(1)))
    if said != "file-":
        assert done.error_file_id == said
    else:
        assert text_of(client, done.error_file_id) == ""
        assert client.files.retrieve(done.error_file_id).bytes == 0


def test_the_list_is_newest_first_and_late(server):
    client = openai_client(server)
    batches = [submit(client, openai_lines(1, job=f"j{n}")) for n in range(3)]
    page = client.batches.list(limit=2)
    assert [one.id for one in page.data] == [batches[2].id, batches[1].id] and page.has_more
    assert [one.id for one in client.batches.list(limit=2)] == [one.id for one in reversed(batches)]
    server.batch.change(list_lag_calls=2)
    late = submit(client, openai_lines(1, job="late"))
    seen = [late.id in [one.id for one in client.batches.list()] for _ in range(3)]
    assert seen == [False, False, True]
    server.batch.change(list_lag_calls=0, list_lag_s=3600)
    assert client.batches.list().data == []


def test_another_key_finds_nothing(server):
    client, other = openai_client(server), openai_client(server, "sk-other")
    batch = submit(client, openai_lines(1))
    for refused in (
        lambda: other.batches.retrieve(batch.id),
        lambda: other.batches.cancel(batch.id),
        lambda: other.files.content(batch.input_file_id),
    ):
        with pytest.raises(openai.NotFoundError):
            refused()
    assert other.batches.list().data == [] and other.files.list().data == []
    stolen = other.batches.create(input_file_id=batch.input_file_id, endpoint=CHAT, completion_window="24h")
    assert ended(other, stolen).errors.data[0].message.startswith("Cannot find file")
    server.batch.change(accounts={"sk-test": "team", "sk-second": "team"})
    shared = submit(client, openai_lines(1))
    assert openai_client(server, "sk-second").batches.retrieve(shared.id).id == shared.id


def test_embeddings_are_batched_too(server):
    client = openai_client(server)
    body = {"model": "text-embedding-3-small", "input": ["a", "b"]}
    line = {"custom_id": "e-1", "method": "POST", "url": "/v1/embeddings", "body": body}
    done = ended(client, submit(client, [line], endpoint="/v1/embeddings"))
    found = rows_of(text_of(client, done.output_file_id))["e-1"]["response"]["body"]
    online = client.embeddings.create(**body, encoding_format="float").data
    assert [one["embedding"] for one in found["data"]] == [one.embedding for one in online]


def test_a_batch_takes_its_polls_and_its_seconds(server):
    server.batch.change(polls_until_done=1, seconds_until_done=3600, odd_status="paused", poll_retry_after_s=7)
    client = openai_client(server)
    batch = submit(client, openai_lines(1))
    raw = client.batches.with_raw_response.retrieve(batch.id)
    assert (raw.parse().status, raw.headers["retry-after"]) == ("paused", "7")
    server.batch.change(seconds_until_done=0)
    assert client.batches.retrieve(batch.id).status == "completed"
    assert server.batches[0].polls == 2


def test_polls_at_once_run_the_rows_once(server):
    server.batch.change(polls_until_done=1)
    client = openai_client(server)
    batch = submit(client, openai_lines(200))
    with ThreadPoolExecutor(8) as pool:
        states = list(pool.map(lambda _: client.batches.retrieve(batch.id).status, range(8)))
    assert set(states) == {"completed"}
    assert (server.batches[0].billed, len(server.calls("BATCH"))) == (200, 200)


def test_a_large_batch_is_finalizing_while_its_rows_are_written(server, monkeypatch):
    monkeypatch.setattr(works, "PATIENCE_S", 0.05)
    server.batch.change(polls_until_done=1)
    go_on = threading.Event()
    server.behavior.reply = lambda body: "yes" if go_on.wait(30) else "no"
    client = openai_client(server)
    batch = submit(client, openai_lines(1))
    assert client.batches.retrieve(batch.id).status == "finalizing"
    go_on.set()
    done = ended(client, batch)
    assert (done.status, done.request_counts.completed) == ("completed", 1)
