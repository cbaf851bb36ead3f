import json

import pytest

from tests.servers.batch.clients import http_client
from tests.servers.batch.gemini_batch_server import GeminiBatchServer
from tests.servers.batch.sample_input import jsonl

MODEL = "models/gemini-3.8-flash"


@pytest.fixture
def server():
    with GeminiBatchServer() as running:
        yield running


@pytest.fixture
def client(server):
    with http_client(server, x_goog_api_key="k") as opened:
        yield opened


def content(number, **fields):
    return {"contents": [{"role": "user", "parts": [{"text": f"row-{number} hello"}]}], **fields}


def lines(count, job="job1"):
    return [{"key": f"{job}-{n}", "request": content(n)} for n in range(count)]


def upload(server, client, content, pieces=1):
    start = client.post(
        f"{server.origin}/upload/v1beta/files",
        headers={
            "X-Goog-Upload-Protocol": "resumable",
            "X-Goog-Upload-Command": "start",
            "X-Goog-Upload-Header-Content-Length": str(len(content)),
        },
        json={"file": {"displayName": "in.jsonl"}},
    )
    url, size = start.headers["X-Goog-Upload-URL"], -(-len(content) // pieces)
    for at in range(0, len(content), size):
        last = at + size >= len(content)
        command = "upload, finalize" if last else "upload"
        # Its own SDK calls the bytes JSON, as it does with every body.
        kind = {"Content-Type": "application/json"}
        headers = {"X-Goog-Upload-Command": command, "X-Goog-Upload-Offset": str(at), **kind}
        answer = client.post(url, content=content[at : at + size], headers=headers)
        assert answer.headers["X-Goog-Upload-Status"] == ("final" if last else "active")
    return answer.json()["file"]


def create(client, file_name, name="tag-1", model=MODEL):
    batch = {"displayName": name, "inputConfig": {"fileName": file_name}}
    return client.post(f"/{model}:batchGenerateContent", json={"batch": batch})


def poll(client, operation):
    return client.get(f"/{operation['name']}").json()


def rows(server, client, operation):
    name = operation["metadata"]["output"]["responsesFile"]
    text = client.get(f"{server.origin}/download/v1beta/{name}:download", params={"alt": "media"}).text
    return [json.loads(line) for line in text.splitlines()]


def test_content_is_generated_online(client):
    answer = client.post(f"/{MODEL}:generateContent", json=content(1)).json()
    candidate = answer["candidates"][0]
    assert candidate["content"] == {"role": "model", "parts": [{"text": "echo: row-1 hello"}]}
    assert (candidate["finishReason"], answer["modelVersion"]) == ("STOP", "gemini-3.8-flash")
    assert answer["usageMetadata"]["totalTokenCount"] > answer["usageMetadata"]["promptTokenCount"]
    schema = {"type": "object", "properties": {"label": {"enum": ["good"]}}}
    config = {"responseMimeType": "application/json", "responseJsonSchema": schema, "maxOutputTokens": 64}
    answer = client.post(f"/{MODEL}:generateContent", json=content(1, generationConfig=config)).json()
    assert json.loads(answer["candidates"][0]["content"]["parts"][0]["text"]) == {"label": "good"}
    vector = client.post(f"/{MODEL}:embedContent", json={"content": {"parts": [{"text": "a"}]}}).json()
    assert len(vector["embedding"]["values"]) == 16
    assert client.post(f"/{MODEL}:generateContent", json={}).json()["error"]["status"] == "INVALID_ARGUMENT"
    assert client.get("/models").json()["models"][0]["name"].startswith("models/")


def test_a_batch_is_an_operation_whose_responses_keep_the_order(server, client):
    server.batch.change(rows={"row-2": "429", "row-3": "cancelled"})
    file = upload(server, client, jsonl(lines(5)), pieces=3)
    assert (file["state"], int(file["sizeBytes"])) == ("ACTIVE", len(jsonl(lines(5))))
    assert file["displayName"] == "in.jsonl"
    operation = create(client, file["name"]).json()
    assert operation["name"].startswith("batches/") and "done" not in operation
    metadata = operation["metadata"]
    assert (metadata["state"], metadata["displayName"], metadata["model"]) == ("BATCH_STATE_PENDING", "tag-1", MODEL)
    assert metadata["batchStats"] == {"requestCount": "5", "pendingRequestCount": "5"}
    assert poll(client, operation)["metadata"]["state"] == "BATCH_STATE_RUNNING"
    done = poll(client, operation)
    assert done["done"] and done["metadata"]["state"] == "BATCH_STATE_SUCCEEDED"
    assert done["response"]["responsesFile"] == done["metadata"]["output"]["responsesFile"]
    assert done["metadata"]["batchStats"]["successfulRequestCount"] == "3"
    found = rows(server, client, done)
    assert [row["key"] for row in found] == [f"job1-{n}" for n in range(5)]
    assert found[0]["response"]["candidates"][0]["content"]["parts"][0]["text"] == "echo: row-0 hello"
    assert (found[2]["error"]["code"], found[3]["error"]["code"]) == (8, 1)
    sdk_way = client.get(f"/{done['response']['responsesFile']}:download", params={"alt": "media"})
    assert len(sdk_way.text.splitlines()) == 5
    assert server.on_the_bill() == {"tag-1": 1}


def test_a_malformed_row_an_unknown_model_or_file_make_no_batch(server, client):
    server.behavior.models = ["gemini-3.8-flash"]
    bad = upload(server, client, jsonl([*lines(1), {"key": "b", "request": {"contents": "x"}}]))
    good = upload(server, client, jsonl(lines(1)))
    refused = [
        create(client, bad["name"]),
        create(client, good["name"], model="models/none"),
        create(client, "files/x"),
    ]
    assert [one.json()["error"]["status"] for one in refused] == ["INVALID_ARGUMENT", "NOT_FOUND", "PERMISSION_DENIED"]
    assert server.batches == []
    server.batch.change(on_create=["429", "land_500"])
    assert create(client, good["name"]).json()["error"]["status"] == "RESOURCE_EXHAUSTED"
    assert create(client, good["name"]).status_code == 500
    assert [one["metadata"]["displayName"] for one in client.get("/batches").json()["operations"]] == ["tag-1"]


def test_a_cancelled_batch_ends_in_an_error(server, client):
    operation = create(client, upload(server, client, jsonl(lines(2)))["name"]).json()
    assert client.post(f"/{operation['name']}:cancel", json={}).json() == {}
    done = poll(client, operation)
    assert (done["metadata"]["state"], done["done"], done["error"]["code"]) == ("BATCH_STATE_CANCELLED", True, 13)
    assert "output" not in done["metadata"]
    assert client.delete(f"/{operation['name']}").json() == {}
    assert client.get(f"/{operation['name']}").status_code == 404


@pytest.mark.parametrize(("final", "state"), [("expired", "EXPIRED"), ("failed", "FAILED")])
def test_a_batch_may_expire_or_fail(server, client, final, state):
    server.batch.change(final=final, polls_until_done=1)
    done = poll(client, create(client, upload(server, client, jsonl(lines(2)))["name"]).json())
    assert (done["metadata"]["state"], done["done"], "response" in done) == (f"BATCH_STATE_{state}", True, False)


def test_the_sdk_has_more_states():
    settings = {"final": "partial", "done_when_stopped": 1, "polls_until_done": 1}
    with (
        GeminiBatchServer(states="JOB_STATE", **settings) as server,
        http_client(server, x_goog_api_key="k") as client,
    ):
        file = upload(server, client, jsonl(lines(3)))
        done = poll(client, create(client, file["name"]).json())
        assert done["metadata"]["state"] == "JOB_STATE_PARTIALLY_SUCCEEDED"
        assert [row["key"] for row in rows(server, client, done)] == ["job1-0"]
        server.batch.change(polls_until_done=9, cancel_polls=2)
        operation = create(client, file["name"]).json()
        client.post(f"/{operation['name']}:cancel", json={})
        assert poll(client, operation)["metadata"]["state"] == "JOB_STATE_CANCELLING"


def test_embeddings_are_batched_too(server, client):
    request = {"content": {"parts": [{"text": "a"}]}}
    file = upload(server, client, jsonl([{"key": "e-1", "request": request}]))
    batch = {"displayName": "e", "inputConfig": {"fileName": file["name"]}}
    operation = client.post(f"/{MODEL}:asyncBatchEmbedContent", json={"batch": batch}).json()
    poll(client, operation)
    found = rows(server, client, poll(client, operation))
    assert found[0]["response"] == client.post(f"/{MODEL}:embedContent", json=request).json()


def test_an_upload_may_be_asked_about_and_goes_on_where_it_stopped(server, client):
    start = client.post(
        f"{server.origin}/upload/v1beta/files",
        headers={"X-Goog-Upload-Protocol": "resumable", "X-Goog-Upload-Command": "start"},
    )
    url = start.headers["X-Goog-Upload-URL"]
    client.post(url, content=b"abc", headers={"X-Goog-Upload-Command": "upload", "X-Goog-Upload-Offset": "0"})
    asked = client.post(url, headers={"X-Goog-Upload-Command": "query"})
    assert asked.headers["X-Goog-Upload-Size-Received"] == "3"
    wrong = client.post(url, content=b"d", headers={"X-Goog-Upload-Command": "upload", "X-Goog-Upload-Offset": "2"})
    assert wrong.status_code == 400
    file = client.post(url, headers={"X-Goog-Upload-Command": "finalize", "X-Goog-Upload-Offset": "3"}).json()["file"]
    assert (file["sizeBytes"], client.get(f"/{file['name']}").json()["name"]) == ("3", file["name"])
    assert [one["name"] for one in client.get("/files").json()["files"]] == [file["name"]]
    assert client.delete(f"/{file['name']}").json() == {}
    assert client.delete(f"/{file['name']}").status_code == 403


def test_the_bytes_of_an_upload_need_no_key(server, client):
    server.behavior.keys = {"k"}
    headers = {"X-Goog-Upload-Protocol": "resumable", "X-Goog-Upload-Command": "start"}
    start = client.post(f"{server.origin}/upload/v1beta/files", headers=headers)
    url, command = start.headers["X-Goog-Upload-URL"], {"X-Goog-Upload-Command": "upload, finalize"}
    with http_client(server) as keyless:
        assert keyless.post(url, content=b"abc", headers=command).json()["file"]["sizeBytes"] == "3"


def test_a_wrong_key_is_a_400(server, client):
    server.behavior.keys = {"good"}
    for answer in (client.get("/batches"), client.post(f"/{MODEL}:generateContent", json=content(1))):
        assert answer.status_code == 400
        assert answer.json()["error"]["details"][0]["reason"] == "API_KEY_INVALID"
