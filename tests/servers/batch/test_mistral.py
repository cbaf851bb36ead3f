import json

import pytest

from tests.servers.batch.clients import http_client
from tests.servers.batch.openai_batch_server import OpenAIBatchServer
from tests.servers.batch.sample_input import bare_lines, jsonl, rows_of

MODEL = "mistral-small-latest"


@pytest.fixture
def server():
    with OpenAIBatchServer(dialect="mistral") as running:
        yield running


@pytest.fixture
def client(server):
    with http_client(server, authorization="Bearer k") as opened:
        yield opened


def upload(client, content):
    return client.post("/files", data={"purpose": "batch"}, files={"file": ("in.jsonl", content)})


def submit(client, content, **fields):
    file = upload(client, content).json()
    body = {"input_files": [file["id"]], "model": MODEL, "endpoint": "/v1/chat/completions"}
    return client.post("/batch/jobs", json=body | fields).json()


def end(client, job):
    while job["status"] in ("QUEUED", "RUNNING", "CANCELLATION_REQUESTED"):
        job = client.get(f"/batch/jobs/{job['id']}").json()
    return job


def test_a_job_has_fields_and_states_of_its_own(server, client):
    server.batch.change(rows={"row-1": "400"}, polls_until_done=2)
    file = upload(
        client,
        jsonl(
            {"custom_id": line["custom_id"], "body": {"messages": line["body"]["messages"]}} for line in bare_lines(3)
        ),
    )
    assert (file.json()["num_lines"], file.json()["sample_type"]) == (3, "batch_request")
    body = {"input_files": [file.json()["id"]], "model": MODEL, "endpoint": "/v1/chat/completions"}
    job = client.post("/batch/jobs", json=body | {"metadata": {"job": "abc"}, "timeout_hours": 168}).json()
    assert (job["status"], job["total_requests"], job["object"]) == ("QUEUED", 0, "batch")
    assert client.get(f"/batch/jobs/{job['id']}").json()["status"] == "RUNNING"
    done = end(client, job)
    assert done["status"] == "SUCCESS"
    assert (done["completed_requests"], done["succeeded_requests"], done["failed_requests"]) == (3, 2, 1)
    assert done["errors"] == [{"message": "HTTP Error, status code: 400", "count": 1}]
    rows = rows_of(client.get(f"/files/{done['output_file']}/content").text)
    assert rows["job1-0"]["response"]["body"]["model"] == MODEL
    failed = rows_of(client.get(f"/files/{done['error_file']}/content").text)["job1-1"]
    assert (failed["response"]["status_code"], failed["error"]) == (400, None)
    assert json.loads(failed["response"]["body"])["raw_status_code"] == 400
    inline = client.get(f"/batch/jobs/{job['id']}?inline=true").json()["outputs"]
    assert {row["custom_id"] for row in inline} == {"job1-0", "job1-2"}


@pytest.mark.parametrize(
    "body",
    [{"temperature": 2.0}, {"max_tokens": -5}, {"messages": [{"role": "narrator", "content": "x"}]}, None],
)
def test_a_bad_row_rejects_the_upload(client, body):
    lines = list(bare_lines(2))
    content = jsonl(lines) + b"{broken\n" if body is None else jsonl([lines[0], {"body": {**lines[1]["body"], **body}}])
    refused = upload(client, content)
    assert refused.status_code == 422
    assert refused.json()["detail"][0]["msg"].startswith("Invalid file format. Line ")
    assert client.get("/files").json()["total"] == 0


def test_the_list_is_filtered_by_metadata_status_and_page(client):
    jobs = [submit(client, jsonl(bare_lines(1)), metadata={"job": f"j{n}"}) for n in range(3)]
    found = client.get("/batch/jobs", params={"job": "j1"}).json()
    assert ([one["id"] for one in found["data"]], found["total"]) == ([jobs[1]["id"]], 1)
    assert [one["id"] for one in client.get("/batch/jobs").json()["data"]] == [one["id"] for one in reversed(jobs)]
    end(client, jobs[0])
    assert client.get("/batch/jobs", params={"status": "SUCCESS"}).json()["total"] >= 1
    assert client.get("/batch/jobs", params={"created_after": "2999-01-01T00:00:00Z"}).json()["total"] == 0
    second = client.get("/batch/jobs", params={"page": 1, "page_size": 2}).json()
    assert ([one["id"] for one in second["data"]], second["total"]) == ([jobs[0]["id"]], 3)


def test_a_cancelled_job_may_still_have_its_whole_output(server, client):
    server.batch.change(polls_until_done=9, done_when_stopped=99)
    job = submit(client, jsonl(bare_lines(4)))
    client.get(f"/batch/jobs/{job['id']}")
    cancelled = client.post(f"/batch/jobs/{job['id']}/cancel").json()
    assert cancelled["status"] == "CANCELLATION_REQUESTED"
    done = end(client, cancelled)
    assert (done["status"], done["succeeded_requests"]) == ("CANCELLED", 4)
    assert len(rows_of(client.get(f"/files/{done['output_file']}/content").text)) == 4
    server.batch.change(done_when_stopped=0, cancel_polls=0)
    at_once = client.post(f"/batch/jobs/{submit(client, jsonl(bare_lines(4)))['id']}/cancel").json()
    assert (at_once["status"], at_once["output_file"]) == ("CANCELLED", None)


def test_a_job_may_time_out_with_nothing_said_of_the_rest(server, client):
    server.batch.change(final="expired", done_when_stopped=1)
    done = end(client, submit(client, jsonl(bare_lines(4))))
    assert (done["status"], done["succeeded_requests"], done["error_file"]) == ("TIMEOUT_EXCEEDED", 1, None)


def test_custom_ids_may_repeat_or_be_absent(client):
    lines = list(bare_lines(3))
    lines[1]["custom_id"] = "job1-0"
    del lines[2]["custom_id"]
    done = end(client, submit(client, jsonl(lines)))
    text = client.get(f"/files/{done['output_file']}/content").text
    assert sorted(str(json.loads(line)["custom_id"]) for line in text.splitlines()) == ["None", "job1-0", "job1-0"]


def test_requests_may_come_inside_the_create_and_bad_ones_are_refused(server, client):
    body = {"model": MODEL, "endpoint": "/v1/chat/completions", "requests": list(bare_lines(2))}
    assert end(client, client.post("/batch/jobs", json=body).json())["succeeded_requests"] == 2
    lost = client.post("/batch/jobs", json={**body, "requests": None, "input_files": ["none"]})
    odd = client.post("/batch/jobs", json={**body, "endpoint": "/v1/responses"})
    hours = client.post("/batch/jobs", json={**body, "timeout_hours": 0})
    assert [one.status_code for one in (lost, odd, hours)] == [404, 422, 422]
    server.behavior.keys = {"good"}
    assert client.get("/batch/jobs").json() == {"detail": "Invalid API Key"}
