import json

import openai
import pytest

from tests.servers.batch.clients import ended, openai_client, submit
from tests.servers.batch.openai_batch_server import OpenAIBatchServer
from tests.servers.batch.sample_input import jsonl, openai_lines


@pytest.fixture
def server():
    with OpenAIBatchServer(models=["gpt-4o-mini", "gpt-4o"]) as running:
        yield running


def changed(number, **fields):
    """Five good lines, one of them with other fields; `body_…` goes into its body."""
    lines = list(openai_lines(5))
    for name, value in fields.items():
        if name.startswith("body_"):
            lines[number]["body"][name.removeprefix("body_")] = value
        else:
            lines[number][name] = value
    return jsonl(lines)


@pytest.mark.parametrize(
    ("content", "code", "param", "line"),
    [
        (changed(0).replace(b"}\n", b"\n", 1), "invalid_json_line", None, 1),
        (changed(2)[:-20], "invalid_json_line", None, 5),
        (b"\xef\xbb\xbf" + changed(0), "invalid_json_line", None, 1),
        (changed(3, custom_id="job1-0"), "duplicate_custom_id", "custom_id", 4),
        (changed(1, custom_id=None), "missing_required_parameter", "custom_id", 2),
        (changed(1, body_model="gpt-4o"), "mismatched_model", "body.model", 2),
        (changed(0, body_model="nope"), "model_not_found", "body.model", 1),
        (changed(2, body_model=None), "invalid_request", "body.model", 3),
        (changed(1, url="/v1/embeddings"), "invalid_url", "url", 2),
        (changed(1, method="GET"), "invalid_method", "method", 2),
        (changed(4, body_stream=True), "streaming_unsupported", "body.stream", 5),
        (b"\n", "empty_file", None, None),
    ],
)
def test_validation_stops_at_the_first_bad_line(server, content, code, param, line):
    client = openai_client(server)
    done = ended(
        client, submit(client, content + b"also not JSON\n" if line != 5 and code != "empty_file" else content)
    )
    assert (done.status, done.output_file_id, done.error_file_id) == ("failed", None, None)
    assert [(one.code, one.param, one.line) for one in done.errors.data] == [(code, param, line)]
    assert done.request_counts.total == 0
    assert server.calls("BATCH") == [] and server.on_the_bill() == {}


def test_limits_of_requests_bytes_and_embedding_inputs_are_kept(server):
    client = openai_client(server)
    small = jsonl(openai_lines(1)).replace(b" ", b"").replace(b"row-0hello", b"")
    many = b"".join(small.replace(b"job1-0", b"%d" % number) for number in range(50_001))
    assert ended(client, submit(client, many)).errors.data[0].code == "too_many_tasks"
    server.batch.change(max_requests=4)
    assert ended(client, submit(client, openai_lines(5))).errors.data[0].code == "too_many_tasks"
    server.batch.change(max_bytes=100)
    with pytest.raises(openai.BadRequestError, match="File is too large"):
        submit(client, openai_lines(5))
    server.batch.change(max_bytes=None, max_requests=None)
    assert server.provider.byte_limit == 200_000_000
    body = {"model": "gpt-4o", "input": ["x"] * 50_001}
    line = {"custom_id": "e-1", "method": "POST", "url": "/v1/embeddings", "body": body}
    assert "embedding inputs" in ended(client, submit(client, [line], endpoint="/v1/embeddings")).errors.data[0].message


def test_a_good_file_may_fail_once(server):
    server.batch.change(failures=["cannot_find_file", None, "token_limit_exceeded"])
    client = openai_client(server)
    ends = [ended(client, submit(client, openai_lines(1))) for _ in range(3)]
    assert [batch.status for batch in ends] == ["failed", "completed", "failed"]
    lost, _, full = (batch.errors and batch.errors.data[0] for batch in ends)
    assert (lost.code, lost.param, lost.line) == ("invalid_request", "file_id", None)
    assert lost.message.startswith("Cannot find file file-")
    assert full.code == "token_limit_exceeded" and "Enqueued token limit reached for" in full.message
    server.batch.change(final="failed")
    assert ended(client, submit(client, openai_lines(1))).errors.data[0].code == "server_error"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"endpoint": "/v1/images"}, "endpoint"),
        ({"completion_window": "48h"}, "completion_window"),
        ({"metadata": {str(number): "" for number in range(17)}}, "metadata"),
        ({"metadata": {"a": "x" * 513}}, "metadata"),
        ({"input_file_id": None}, "input_file_id"),
    ],
)
def test_a_create_that_is_not_right_makes_no_batch(server, fields, param):
    client = openai_client(server)
    good = {"input_file_id": "file-1", "endpoint": "/v1/chat/completions", "completion_window": "24h"}
    with pytest.raises(openai.BadRequestError) as refused:
        client.post("/batches", body=good | fields, cast_to=object)
    assert refused.value.param == param
    assert server.batches == []


def test_rows_that_the_online_server_would_refuse_are_refused_rows(server):
    client = openai_client(server)
    lines = list(openai_lines(2))
    lines[1]["body"]["messages"] = "not a list"
    done = ended(client, submit(client, lines))
    error = json.loads(client.files.content(done.error_file_id).text)
    assert (error["custom_id"], error["response"]["status_code"]) == ("job1-1", 400)
