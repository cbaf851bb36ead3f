import pytest

from components.errors import LedgerError
from tests.app.pipelines import add_tickets, asking, labeling, model
from tests.servers.faults import Fault, Faults


@pytest.fixture
def done(studio, work, server):
    """Three answered rows, of which the first failed."""
    server.behavior.faults = Faults(rows={"row-0": [Fault.CONTENT_POLICY]})
    run_id = studio.runs.start(asking(["row-0", "row-1", "row-2"], llm=model(server)))
    work(run_id)
    return run_id


def refusal(response, status):
    assert response.status_code == status
    body = response.json()
    assert body["ok"] is False and body["error"].endswith((".", "?"))
    return body["error"]


def test_the_runs_and_one_run(client, done):
    runs = client.get("/api/runs").json()["runs"]
    assert [(run["id"], run["state"]) for run in runs] == [(done, "done_with_failures")]
    run = client.get(f"/api/runs/{done}").json()
    assert run["id"] == done and run["rows_total"] == 3 and run["steps"][1]["failed"] == 1
    assert run["errors"][0]["reason"] == "refused"
    kinds = [event["kind"] for event in client.get(f"/api/runs/{done}/events").json()["events"]]
    assert kinds[0] == "created"


def test_who_has_it_already_gets_nothing_anew(client, done):
    first = client.get(f"/api/runs/{done}")
    again = client.get(f"/api/runs/{done}", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    other = client.get(f"/api/runs/{done}", headers={"If-None-Match": '"something-else"'})
    assert other.status_code == 200


def test_a_run_is_halted_and_goes_on(client, studio):
    run_id = studio.runs.start(asking(["a"]))
    assert client.post(f"/api/runs/{run_id}/pause", json={}).json() == {"ok": True}
    assert studio.runs.get(run_id).state == "paused"
    assert "needs no pause" in refusal(client.post(f"/api/runs/{run_id}/pause"), 409)
    assert client.post(f"/api/runs/{run_id}/continue", json={"concurrency": 3}).json() == {"ok": True}
    assert (studio.runs.get(run_id).state, studio.runs.get(run_id).concurrency) == ("queued", 3)
    assert client.post(f"/api/runs/{run_id}/stop").json() == {"ok": True}
    assert studio.runs.get(run_id).state == "stopped"


def test_failed_rows_are_retried(client, studio, work, done):
    assert "no reason 'x'" in refusal(client.post(f"/api/runs/{done}/retry", json={"reason": "x"}), 422)
    answer = client.post(f"/api/runs/{done}/retry", json={"reason": "refused"}).json()
    assert answer == {"ok": True, "count": 1}
    work(done)
    assert client.get(f"/api/runs/{done}").json()["state"] == "done"
    assert "nothing to retry" in refusal(client.post(f"/api/runs/{done}/retry", json={}), 409)


@pytest.mark.parametrize("body", [{"cap": -1}, {"cap": "much"}, {"cap": 1e999}, {"concurrency": 0}, {"speed": 1}])
def test_wrong_wishes_are_told_with_their_field(client, done, body):
    field = next(iter(body))
    content = '{"cap": Infinity}' if body.get("cap") == 1e999 else None
    if content:
        response = client.post(
            f"/api/runs/{done}/continue", content=content, headers={"content-type": "application/json"}
        )
    else:
        response = client.post(f"/api/runs/{done}/continue", json=body)
    assert f"'{field}'" in refusal(response, 422) or "JSON" in response.text


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""),
        ("GET", "/events"),
        ("GET", "/rows"),
        ("GET", "/rows/00000000"),
        ("GET", "/export.csv"),
        ("POST", "/pause"),
        ("POST", "/stop"),
        ("POST", "/continue"),
        ("POST", "/retry"),
    ],
)
def test_a_run_that_is_not_there_is_told_everywhere(client, method, path):
    assert "no run 'r_none'" in refusal(client.request(method, f"/api/runs/r_none{path}"), 404)


def test_an_unknown_address_is_told_as_json(client):
    assert "/api/nothing" in refusal(client.get("/api/nothing"), 404)
    assert refusal(client.get("/api/runs/x/y/z"), 404)


def test_a_surprise_is_one_sentence_and_no_trace(client, studio, monkeypatch, caplog):
    def broken(_run_id):
        raise ZeroDivisionError("sk-canary in /some/path")

    monkeypatch.setattr(studio.runs, "progress", broken)
    said = refusal(client.get("/api/runs/x"), 500)
    assert "canary" not in said and "Traceback" not in said
    assert "ZeroDivisionError" in caplog.text


def test_trouble_with_the_database_is_told_as_such(client, studio, monkeypatch):
    def broken(_run_id):
        raise LedgerError("Cannot read the database.")

    monkeypatch.setattr(studio.runs, "progress", broken)
    assert refusal(client.get("/api/runs/x"), 503) == "Cannot read the database."


def test_a_file_that_is_not_there_any_more_stops_nothing_else(client, studio):
    dataset = add_tickets(studio)
    run_id = studio.runs.start(labeling(dataset))
    dataset.path.unlink()
    assert client.get(f"/api/runs/{run_id}").status_code == 200
    assert client.get(f"/api/runs/{run_id}/rows").status_code == 200
