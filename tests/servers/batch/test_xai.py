import pytest

from tests.servers.batch.clients import http_client
from tests.servers.batch.openai_batch_server import OpenAIBatchServer
from tests.servers.batch.sample_input import chat_body, jsonl, openai_lines

MODEL = "grok-4.3"


@pytest.fixture
def server():
    with OpenAIBatchServer(dialect="xai", models=[MODEL]) as running:
        yield running


@pytest.fixture
def client(server):
    with http_client(server, authorization="Bearer k") as opened:
        yield opened


def submit(client, content, name="tag-1"):
    file = client.post("/files", files={"file": ("in.jsonl", content)}).json()
    return client.post("/batches", json={"name": name, "input_file_id": file["id"]}).json()


def poll(client, batch):
    return client.get(f"/batches/{batch['batch_id']}").json()


def results(client, batch, limit):
    rows, token = [], None
    while True:
        params = {"limit": limit} | ({"pagination_token": token} if token else {})
        page = client.get(f"/batches/{batch['batch_id']}/results", params=params).json()
        rows += page["results"]
        token = page["pagination_token"]
        if not token:
            return rows


def test_counters_stand_in_for_a_status_and_results_come_in_pages(server, client):
    server.batch.change(rows={"row-3": "400"})
    batch = submit(client, jsonl(openai_lines(12, model=MODEL)))
    assert "status" not in batch and batch["name"] == "tag-1" and batch["cancel_time"] is None
    assert batch["state"] == dict.fromkeys(batch["state"], 0)
    assert len(batch["create_time"]) == 10 < len(batch["input_file_id"])
    running = poll(client, batch)["state"]
    assert running["num_requests"] == 12 and running["num_pending"] > 0
    assert poll(client, batch)["state"] == {
        "num_requests": 12,
        "num_pending": 0,
        "num_success": 11,
        "num_error": 1,
        "num_cancelled": 0,
    }
    rows = results(client, batch, 5)
    assert [row["batch_request_id"] for row in rows] == sorted(f"job1-{n}" for n in range(12))
    by_id = {row["batch_request_id"]: row["batch_result"] for row in rows}
    assert isinstance(by_id["job1-3"]["error"], str)
    answer = by_id["job1-7"]["response"]["chat_get_completion"]
    assert answer["choices"][0]["message"]["content"] == "echo: row-7 hello"
    assert answer["usage"]["cost_in_usd_ticks"] > 0
    assert server.on_the_bill() == {"tag-1": 1}
    assert [one["batch_id"] for one in client.get("/batches").json()["batches"]] == [batch["batch_id"]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (jsonl(openai_lines(1, model=MODEL)) + b"{broken\n", "line 2: invalid JSON"),
        (jsonl(openai_lines(1, model="grok-4.6")), "Model grok-4.6 is not supported for batch processing."),
    ],
)
def test_a_bad_file_is_cancelled_by_xai(client, content, message):
    batch = submit(client, content)
    failed = poll(client, batch)
    assert failed["cancel_by_xai_message"].startswith("JSONL file validation failed: ")
    assert message in failed["cancel_by_xai_message"] and failed["cancel_time"]
    assert failed["state"]["num_requests"] == 0
    assert results(client, batch, 5) == []


def test_a_cancel_may_turn_back_into_success(server, client):
    server.batch.change(polls_until_done=9, done_when_stopped=2)
    batch = submit(client, jsonl(openai_lines(5, model=MODEL)))
    poll(client, batch)
    cancelled = client.post(f"/batches/{batch['batch_id']}:cancel").json()
    assert (cancelled["state"]["num_cancelled"], cancelled["state"]["num_pending"]) == (5, 0)
    later = poll(client, batch)["state"]
    assert (later["num_success"], later["num_cancelled"], later["num_pending"]) == (2, 3, 0)
    errors = [row["batch_result"]["error"] for row in results(client, batch, 5) if "error" in row["batch_result"]]
    assert errors == ["Batch cancelled"] * 3


def test_requests_may_be_added_again_but_not_changed(client):
    batch = client.post("/batches", json={"name": "inline"}).json()
    assert "input_file_id" not in batch

    def add(number, text="hello", model=MODEL):
        body = chat_body(number, model)
        body["messages"][0]["content"] += text
        request = {"batch_request_id": f"r-{number}", "batch_request": {"chat_get_completion": body}}
        return client.post(f"/batches/{batch['batch_id']}/requests", json={"batch_requests": [request]})

    assert [add(1).status_code, add(1).status_code, add(2).status_code] == [200, 200, 200]
    assert (add(1, "other").status_code, add(3, model="grok-4.6").status_code) == (412, 400)
    poll(client, batch)
    assert poll(client, batch)["state"]["num_success"] == 2
    sealed = submit(client, jsonl(openai_lines(1, model=MODEL)))
    refused = client.post(f"/batches/{sealed['batch_id']}/requests", json={"batch_requests": []})
    assert (refused.status_code, refused.json()["error"]) == (412, "Cannot add inline requests to a file-based batch")


def test_a_bad_key_is_a_400(server, client):
    server.behavior.keys = {"good"}
    refused = client.get("/batches")
    assert refused.status_code == 400 and refused.json()["error"].startswith("Incorrect API key provided")
