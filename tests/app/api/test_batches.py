"""The routes of batch jobs."""

import json

import pytest

from tests.app.batches import a_batch_server, collected, overnight, submitted


@pytest.fixture(autouse=True)
def home(monkeypatch, settings):
    monkeypatch.setenv("STILLROOM_HOME", str(settings.home))


@pytest.fixture
def provider():
    with a_batch_server() as server:
        yield server


@pytest.fixture
def job(studio, work, provider):
    """Run and key of a job that is out."""
    return submitted(studio, work, overnight(provider))


def test_jobs_are_listed_and_an_unchanged_list_is_not_sent_twice(client, job):
    run_id, key = job
    answer = client.get("/api/jobs")
    assert [one["key"] for one in answer.json()["jobs"]] == [key]
    assert client.get("/api/jobs", headers={"If-None-Match": answer.headers["etag"]}).status_code == 304
    assert client.get("/api/jobs", params={"run": "r_nothing"}).json()["jobs"] == []
    assert client.get("/api/jobs", params={"run": run_id}).json()["jobs"][0]["run_id"] == run_id


def test_a_job_is_told_with_its_timeline_and_limits(client, job):
    found = client.get(f"/api/jobs/{job[1]}").json()
    assert [event["kind"] for event in found["events"]][:2] == ["planned", "uploaded"]
    assert found["limits"]["max_requests"] == 50_000
    assert client.get("/api/jobs/nothing").status_code == 404


def test_refresh_and_collect_bring_results_in(client, job):
    _, key = job
    assert client.post(f"/api/jobs/{key}/refresh").json()["ok"]
    for _ in range(4):
        found = client.post(f"/api/jobs/{key}/collect").json()
        if found["job"]["state"] == "closed":
            break
    assert found["job"]["counts"]["ok"] == 10
    assert client.post(f"/api/jobs/{key}/refresh").status_code == 409


def test_cancel_retry_and_errors(client, studio, provider, job):
    run_id, key = job
    provider.batch.change(polls_until_done=50, done_when_stopped=7)
    assert client.post(f"/api/jobs/{key}/cancel").json()["job"]["cancel_requested_at"]
    collected(studio, run_id)
    lines = client.get(f"/api/jobs/{key}/errors")
    assert lines.headers["content-type"] == "text/plain; charset=utf-8"
    assert lines.headers["x-content-type-options"] == "nosniff"
    assert len([json.loads(line) for line in lines.text.splitlines()]) == 3
    assert client.post(f"/api/jobs/{key}/retry").json()["count"] == 3
    assert client.post(f"/api/jobs/{key}/retry").status_code == 409


def test_finish_online_queues_the_run(client, studio, work, provider, job):
    run_id, key = job
    provider.batch.change(rows={"row-3": "400"})
    assert client.post(f"/api/jobs/{key}/finish_online").status_code == 409
    collected(studio, run_id)
    studio.batches.wake_runs()
    work(run_id)
    assert client.post(f"/api/jobs/{key}/finish_online").json()["count"] == 1
    assert studio.runs.get(run_id).state == "queued"


def test_adopt_and_resubmit_are_refused_for_a_job_that_has_its_id(client, provider, job):
    _, key = job
    assert client.post(f"/api/jobs/{key}/adopt", json={"id": provider.batches[0].id}).status_code == 409
    assert client.post(f"/api/jobs/{key}/resubmit").status_code == 409
    assert client.post(f"/api/jobs/{key}/adopt", json={"id": "x", "more": 1}).status_code == 422
    assert client.post(f"/api/jobs/{key}/adopt").status_code == 422
    assert client.post("/api/jobs/recover").json() == {"ok": True, "jobs": 0, "already_there": 1, "without_input": 0}


def test_the_receipt_of_a_run(client, job):
    run_id, key = job
    receipt = client.get(f"/api/runs/{run_id}/receipt")
    assert receipt.json()["is_submitted"] and receipt.json()["jobs"][0]["key"] == key
    assert (
        client.get(f"/api/runs/{run_id}/receipt", headers={"If-None-Match": receipt.headers["etag"]}).status_code == 304
    )
    saved = client.get(f"/api/runs/{run_id}/receipt", params={"save": True})
    assert saved.headers["content-disposition"] == f'attachment; filename="receipt-{run_id[:10]}.json"'
    assert saved.json()["written_at"]
    assert client.get("/api/runs/r_nothing/receipt").status_code == 404


def test_a_run_is_looked_after_at_once(client, job):
    run_id, _ = job
    assert client.post(f"/api/runs/{run_id}/collect").json() == {"ok": True, "count": 1}
    assert client.post("/api/runs/r_nothing/collect").status_code == 404


def test_a_webhook_shows_its_host_alone(client, job):
    run_id, _ = job
    told = client.post(f"/api/runs/{run_id}/webhook", json={"url": "https://hooks.example.org/s3cret"})
    assert told.json()["webhook"] == {"host": "hooks.example.org", "told": "", "message": ""}
    assert "s3cret" not in client.get(f"/api/runs/{run_id}/receipt").text
    assert client.post(f"/api/runs/{run_id}/webhook", json={"url": "http://127.0.0.1/hook"}).status_code == 422


def test_another_site_may_not_act(client, job):
    _, key = job
    foreign = {"Origin": "https://evil.example.org", "Sec-Fetch-Site": "cross-site"}
    assert client.post(f"/api/jobs/{key}/cancel", headers=foreign).status_code == 403
