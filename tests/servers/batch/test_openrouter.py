import pytest

from tests.servers.batch.clients import http_client
from tests.servers.batch.openai_batch_server import OpenAIBatchServer
from tests.servers.batch.sample_input import bare_lines

MODEL = "gpt-4o-mini"


@pytest.fixture
def server():
    with OpenAIBatchServer(dialect="openrouter") as running:
        yield running


@pytest.fixture
def client(server):
    with http_client(server, authorization="Bearer k") as opened:
        yield opened


def submit(client, requests):
    return client.post("/batches", json={"endpoint": "/v1/chat/completions", "model": MODEL, "requests": requests})


def test_requests_come_in_the_create_and_results_in_the_poll(server, client):
    server.batch.change(rows={"row-1": "429"}, output_bytes=50_000)
    created = submit(client, list(bare_lines(3)))
    batch = created.json()
    assert (created.status_code, batch["status"], batch["results"]) == (202, "validating", None)
    assert batch["request_counts"] == {"total": 3, "completed": 0, "failed": 0} and "metadata" not in batch
    url = f"/batches/{batch['id']}"
    assert client.get(url).json()["results"] is None
    answer = client.get(url)
    done = answer.json()
    assert (done["status"], done["request_counts"]["failed"]) == ("completed", 1)
    rows = {row["custom_id"]: row for row in done["results"]}
    assert rows["job1-0"]["response"]["body"]["choices"][0]["message"]["content"].startswith("echo: row-0 hello")
    assert rows["job1-0"]["error"] is None and rows["job1-1"]["response"] is None
    assert rows["job1-1"]["error"]["code"] == 429
    assert done["usage"]["cost"] == pytest.approx(
        sum(row["response"]["body"]["usage"]["cost"] for row in rows.values() if row["response"])
    )
    assert 50_000 <= len(answer.content) < 55_000
    listed = client.get("/batches").json()["data"]
    assert (listed[0]["id"], listed[0]["results"]) == (batch["id"], None)
    assert server.on_the_bill() == {"job1": 1}


def test_requests_must_come_last(client):
    body = {"requests": list(bare_lines(1)), "endpoint": "/v1/chat/completions", "model": MODEL}
    refused = client.post("/batches", json=body)
    assert refused.status_code == 400 and "must appear before requests" in refused.json()["error"]["message"]


@pytest.mark.parametrize(
    ("requests", "status"),
    [
        ([], 400),
        ([*bare_lines(1), *bare_lines(1)], 422),
        ([{"body": {}}], 400),
        (list(bare_lines(1, model="other")), 400),
    ],
)
def test_bad_requests_are_refused_at_once(server, client, requests, status):
    assert submit(client, requests).status_code == status
    assert server.batches == []


def test_a_new_batch_is_not_found_at_first_and_cannot_be_cancelled(server, client):
    server.batch.change(unseen_polls=2, final="expired", done_when_stopped=1)
    batch = submit(client, list(bare_lines(2))).json()
    url = f"/batches/{batch['id']}"
    assert [client.get(url).status_code for _ in range(3)] == [404, 404, 200]
    assert client.post(f"{url}/cancel").status_code == 404
    done = client.get(url).json()
    assert (done["status"], done["results"]) == ("expired", None)
    assert client.delete(url).json()["deletion"] == {"openrouter": "deleted"}
    assert client.get(url).status_code == 404


def test_the_list_is_filtered_by_time(client):
    batch = submit(client, list(bare_lines(1))).json()
    at = batch["created_at"]

    def ids(**params):
        return [one["id"] for one in client.get("/batches", params=params).json()["data"]]

    assert ids(created_after=at - 5, created_before=at + 5) == [batch["id"]]
    assert ids(created_after=at + 5) == ids(created_before=at - 5) == []
