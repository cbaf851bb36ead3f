import pytest

from tests.servers.batch.clients import http_client
from tests.servers.batch.openai_batch_server import OpenAIBatchServer
from tests.servers.batch.sample_input import bare_lines, jsonl, rows_of


@pytest.fixture
def server():
    with OpenAIBatchServer(dialect="together") as running:
        yield running


@pytest.fixture
def client(server):
    with http_client(server, authorization="Bearer k") as opened:
        yield opened


def upload(client, content):
    form = {"purpose": "batch-api", "file_name": "in.jsonl"}
    return client.post("/files/upload", data=form, files={"file": ("in.jsonl", content)})


def submit(client, content):
    body = {"input_file_id": upload(client, content).json()["id"], "endpoint": "/v1/chat/completions"}
    return client.post("/batches", json=body | {"metadata": {"job": "abc"}})


def test_what_is_created_comes_in_an_envelope_and_is_bare_ever_after(server, client):
    server.batch.change(rows={"row-1": "400"})
    created = submit(client, jsonl(bare_lines(3)))
    job = created.json()["job"]
    assert (created.status_code, job["status"]) == (201, "VALIDATING")
    assert "request_counts" not in job and "metadata" not in job and "output_file_id" not in job
    assert job["created_at"].endswith("Z") and job["job_deadline"] > job["created_at"]
    polls = [client.get(f"/batches/{job['id']}").json() for _ in range(2)]
    assert [poll["status"] for poll in polls] == ["IN_PROGRESS", "COMPLETED"]
    assert polls[1]["progress"] == 100 and polls[1]["model_id"] == "gpt-4o-mini"
    assert [one["id"] for one in client.get("/batches").json()] == [job["id"]]
    rows = rows_of(client.get(f"/files/{polls[1]['output_file_id']}/content").text)
    assert rows["job1-0"]["response"]["body"]["choices"][0]["message"]["content"] == "echo: row-0 hello"
    errors = rows_of(client.get(f"/files/{polls[1]['error_file_id']}/content").text)
    assert errors["job1-1"]["error"]["code"] == "batch_client_error"
    assert server.on_the_bill() == {"job1": 1}


def test_an_unknown_file_and_a_broken_line_fail_the_job_later(client):
    body = {"input_file_id": "file-0", "endpoint": "/v1/chat/completions"}
    lost = client.post("/batches", json=body)
    broken = submit(client, jsonl(bare_lines(1)) + b"{broken\n")
    assert (lost.status_code, broken.status_code) == (201, 201)
    for created, error in (
        (lost, "Failed to download input file"),
        (broken, "Line 2 (within chunk): Invalid JSON format"),
    ):
        job = client.get(f"/batches/{created.json()['job']['id']}").json()
        assert job["status"] == "FAILED" and error in job["error"]
        assert "output_file_id" not in job and "error_file_id" not in job


def test_a_cancel_says_canceling_and_leaves_no_rows_of_what_did_not_run(server, client):
    server.batch.change(polls_until_done=9, cancel_polls=2, done_when_stopped=1)
    job = submit(client, jsonl(bare_lines(3))).json()["job"]
    assert client.post(f"/batches/{job['id']}/cancel").json()["status"] == "CANCELING"
    polls = [client.get(f"/batches/{job['id']}").json() for _ in range(2)]
    assert [poll["status"] for poll in polls] == ["CANCELING", "CANCELLED"]
    assert len(rows_of(client.get(f"/files/{polls[1]['output_file_id']}/content").text)) == 1
    assert "error_file_id" not in polls[1]
    again = client.post(f"/batches/{job['id']}/cancel")
    assert (again.status_code, again.json()["error"]) == (
        409,
        "Cannot cancel job - already in terminal state: CANCELLED",
    )
    assert client.get("/batches/none").json()["error"] == "Job not found"
