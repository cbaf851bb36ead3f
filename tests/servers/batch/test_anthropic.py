import json

import pytest

from tests.servers.batch.anthropic_batch_server import AnthropicBatchServer
from tests.servers.batch.clients import http_client
from tests.servers.batch.sample_input import rows_of

MODEL = "claude-haiku-4-5"


@pytest.fixture
def server():
    with AnthropicBatchServer() as running:
        yield running


@pytest.fixture
def client(server):
    with http_client(server, x_api_key="k", anthropic_version="2023-06-01") as opened:
        yield opened


def params(number, **fields):
    return {
        "model": MODEL,
        "max_tokens": 64,
        "messages": [{"role": "user", "content": f"row-{number} hello"}],
        **fields,
    }


def requests(count, job="job1"):
    return [{"custom_id": f"{job}-{n}", "params": params(n)} for n in range(count)]


def submit(client, rows):
    return client.post("/messages/batches", json={"requests": rows})


def end(client, batch):
    while batch["processing_status"] != "ended":
        batch = client.get(f"/messages/batches/{batch['id']}").json()
    return batch


def results(client, batch):
    return {name: row["result"] for name, row in rows_of(client.get(batch["results_url"]).text).items()}


def test_a_message_is_answered_online(client):
    answer = client.post("/messages", json=params(1)).json()
    assert answer["content"] == [{"type": "text", "text": "echo: row-1 hello"}]
    assert (answer["type"], answer["role"], answer["stop_reason"]) == ("message", "assistant", "end_turn")
    assert answer["usage"]["input_tokens"] > 0 < answer["usage"]["output_tokens"]
    assert client.post("/messages", json=params(1, max_tokens=2)).json()["stop_reason"] == "max_tokens"
    assert client.get("/models").json()["data"][0]["type"] == "model"


def test_structured_answers_come_as_text_or_as_the_tool_asked_for(server, client):
    schema = {"type": "object", "properties": {"label": {"enum": ["good"]}}, "required": ["label"]}
    as_text = client.post(
        "/messages", json=params(1, output_config={"format": {"type": "json_schema", "schema": schema}})
    ).json()
    assert json.loads(as_text["content"][0]["text"]) == {"label": "good"}
    tool = {"tools": [{"name": "answer", "input_schema": schema}], "tool_choice": {"type": "tool", "name": "answer"}}
    online = client.post("/messages", json=params(1, **tool)).json()
    done = end(client, submit(client, [{"custom_id": "a-1", "params": params(1, **tool)}]).json())
    for message in (online, results(client, done)["a-1"]["message"]):
        assert message["stop_reason"] == "tool_use"
        assert [(part["name"], part["input"]) for part in message["content"]] == [("answer", {"label": "good"})]


@pytest.mark.parametrize(
    ("fields", "status", "kind"),
    [
        ({"max_tokens": None}, 400, "invalid_request_error"),
        ({"temperature": 1.5}, 400, "invalid_request_error"),
        ({"messages": [{"role": "system", "content": "x"}]}, 400, "invalid_request_error"),
        ({"model": "nope"}, 404, "not_found_error"),
    ],
)
def test_bad_params_are_refused_online_and_errored_rows_in_a_batch(server, client, fields, status, kind):
    server.behavior.models = [MODEL]
    refused = client.post("/messages", json=params(1, **fields))
    assert (refused.status_code, refused.json()["type"], refused.json()["error"]["type"]) == (status, "error", kind)
    done = end(client, submit(client, [{"custom_id": "a-1", "params": params(1, **fields)}]).json())
    result = results(client, done)["a-1"]
    assert (result["type"], result["error"]["error"]["type"]) == ("errored", kind)
    assert done["request_counts"]["errored"] == 1 and server.paid("row-1") == 0


def test_a_batch_has_results_when_it_has_ended(server, client):
    server.batch.change(rows={"row-1": "503", "row-2": "no_credit", "row-3": "expired"}, polls_until_done=2)
    batch = submit(client, requests(6)).json()
    assert (batch["type"], batch["processing_status"], batch["results_url"]) == ("message_batch", "in_progress", None)
    counts = {"processing": 6, "succeeded": 0, "errored": 0, "canceled": 0, "expired": 0}
    assert batch["request_counts"] == counts
    early = client.get(f"/messages/batches/{batch['id']}/results")
    assert early.status_code == 404 and early.json()["error"]["message"].endswith("has no available results.")
    done = end(client, batch)
    assert done["request_counts"] == {**counts, "processing": 0, "succeeded": 3, "errored": 2, "expired": 1}
    found = results(client, done)
    assert list(found) != sorted(found)
    message = found["job1-0"]["message"]
    assert message["content"][0]["text"] == "echo: row-0 hello" and message["usage"]["service_tier"] == "batch"
    assert found["job1-1"]["error"]["error"]["type"] == "overloaded_error"
    assert found["job1-2"]["error"]["error"]["type"] == "invalid_request_error"
    assert "credit balance is too low" in found["job1-2"]["error"]["error"]["message"]
    assert found["job1-3"] == {"type": "expired"}
    assert server.on_the_bill() == {"job1": 1}


@pytest.mark.parametrize(
    ("custom_ids", "message"),
    [
        ([], "requests: List should have at least 1 item after validation, not 0"),
        (["a", "a"], "Duplicate custom_id found: a"),
        (["a", None], "requests.1.custom_id: Field required"),
        (["a" * 65], "requests.0.custom_id: String should have at most 64 characters"),
        (["a b"], "requests.0.custom_id: String should match pattern '^[a-zA-Z0-9_-]{1,64}$'"),
    ],
)
def test_custom_ids_are_checked_at_once(server, client, custom_ids, message):
    refused = submit(client, [{"custom_id": name, "params": {}} for name in custom_ids])
    assert refused.status_code == 400 and message in refused.json()["error"]["message"]
    assert server.batches == []


def test_a_cancel_keeps_what_was_done(server, client):
    server.batch.change(polls_until_done=9, done_when_stopped=2)
    batch = submit(client, requests(5)).json()
    refused = client.delete(f"/messages/batches/{batch['id']}")
    assert refused.status_code == 400 and "canceling the batch instead" in refused.json()["error"]["message"]
    canceling = client.post(f"/messages/batches/{batch['id']}/cancel").json()
    assert canceling["processing_status"] == "canceling" and canceling["cancel_initiated_at"]
    done = end(client, canceling)
    assert (done["request_counts"]["succeeded"], done["request_counts"]["canceled"]) == (2, 3)
    assert sum(result == {"type": "canceled"} for result in results(client, done).values()) == 3
    assert client.delete(f"/messages/batches/{batch['id']}").json()["type"] == "message_batch_deleted"
    assert client.get(f"/messages/batches/{batch['id']}").status_code == 404


def test_the_list_pages_both_ways(client):
    ids = [submit(client, requests(1, job=f"j{n}")).json()["id"] for n in range(4)][::-1]
    first = client.get("/messages/batches", params={"limit": 2}).json()
    assert ([one["id"] for one in first["data"]], first["has_more"], first["last_id"]) == (ids[:2], True, ids[1])
    second = client.get("/messages/batches", params={"limit": 2, "after_id": ids[1]}).json()
    assert ([one["id"] for one in second["data"]], second["has_more"]) == (ids[2:], False)
    before = client.get("/messages/batches", params={"limit": 2, "before_id": ids[3]}).json()
    assert ([one["id"] for one in before["data"]], before["has_more"]) == (ids[1:3], True)


def test_a_create_that_lands_without_a_reply_has_no_tag_but_its_custom_ids(server, client):
    server.batch.change(on_create=["land_500", "413"], poll_retry_after_s=10)
    assert submit(client, requests(2)).json()["error"]["type"] == "api_error"
    assert submit(client, requests(2)).json()["error"]["type"] == "request_too_large"
    found = client.get("/messages/batches")
    assert (len(found.json()["data"]), found.headers["retry-after"]) == (1, "10")
    assert server.on_the_bill() == {"job1": 1}


def test_keys_and_the_version_header_are_needed(server, client):
    with http_client(server, x_api_key="k") as unversioned:
        assert unversioned.post("/messages/batches", json={"requests": requests(1)}).status_code == 400
    server.behavior.keys = {"good"}
    for path in ("/messages", "/messages/batches"):
        refused = client.post(path, json=params(1) | {"requests": requests(1)})
        assert (refused.status_code, refused.json()["error"]["type"]) == (401, "authentication_error")
