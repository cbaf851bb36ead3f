import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import pytest
import uvicorn
from fastapi.testclient import TestClient

from app.server import create_app, serve
from app.settings import Settings
from app.studio import Studio
from tests.app.api.conftest import HERE
from tests.app.conftest import until
from tests.app.pipelines import asking, model

ROOT = Path(__file__).parents[2]


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def test_the_worker_lives_as_long_as_the_server(studio):
    with TestClient(create_app(studio=studio, pages=False), base_url=HERE) as client:
        assert client.get("/healthz").json() == {"ok": True}
        run_id = studio.runs.start(asking(["a", "b"]))
        until(lambda: client.get(f"/api/runs/{run_id}").json()["state"] == "done")
    names = [thread.name for thread in threading.enumerate()]
    assert "stillroom-worker" not in names
    waiting = studio.runs.start(asking(["c"]))
    assert studio.runs.get(waiting).state == "queued"


def test_a_run_goes_on_when_the_server_starts_again(settings, server):
    held, go = threading.Event(), threading.Event()

    def reply(body):
        held.set()
        go.wait(20)
        return "an answer"

    server.behavior.reply = reply
    studio = Studio(settings)
    app = create_app(studio=studio, pages=False)
    with TestClient(app, base_url=HERE):
        spec = asking([f"row-{n}" for n in range(8)], llm=model(server))
        run_id = studio.runs.start(spec, concurrency=1)
        assert held.wait(20)
        go.set()
    answered = len(server.requests)
    with TestClient(create_app(studio=studio, pages=False), base_url=HERE) as client:
        until(lambda: client.get(f"/api/runs/{run_id}").json()["state"] == "done")
    assert answered <= len(server.requests) == 8
    studio.ledger.close()


def test_a_real_server_answers_and_goes_down_cleanly(studio):
    config = uvicorn.Config(
        create_app(studio=studio, pages=False), host="127.0.0.1", port=free_port(), log_level="warning"
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    until(lambda: server.started)
    base = f"http://127.0.0.1:{config.port}"
    assert httpx.get(f"{base}/healthz").json() == {"ok": True}
    assert httpx.get(f"{base}/api/runs", headers={"host": "evil.example"}).status_code == 403
    server.should_exit = True
    thread.join(30)
    assert not thread.is_alive()


def test_everything_but_the_server_comes_without_gradio():
    code = "import sys, app.studio, app.worker, app.api, app.server; sys.exit('gradio' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_whoever_opens_the_app_to_others_without_a_token_is_warned(monkeypatch, tmp_path, caplog):
    monkeypatch.setattr(uvicorn, "run", lambda app, **options: None)
    monkeypatch.setattr("app.server._with_pages", lambda app, studio: app)
    serve(Settings(home=tmp_path / "open", host="0.0.0.0"))
    assert "STILLROOM_TOKEN" in caplog.text
    caplog.clear()
    serve(Settings(home=tmp_path / "closed", host="0.0.0.0", token="word"))
    assert "STILLROOM_TOKEN" not in caplog.text


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """The whole app with its pages."""
    settings = Settings(home=tmp_path_factory.mktemp("pages"))
    studio = Studio(settings)
    left = settings.home / "uploads" / "left.csv"
    left.parent.mkdir()
    left.write_text("left behind")
    yield TestClient(create_app(studio=studio), base_url=HERE)
    studio.ledger.close()


@pytest.mark.parametrize("path", ["/", "/build", "/runs", "/run", "/datasets", "/models"])
def test_every_page_is_there_and_guarded(pages, path):
    response = pages.get(path)
    assert response.status_code == 200 and "text/html" in response.headers["content-type"]
    assert "object-src 'none'" in response.headers["content-security-policy"]
    assert pages.get(path, headers={"host": "evil.example"}).status_code == 403


def test_own_routes_stand_before_the_pages(pages):
    assert pages.get("/healthz").json() == {"ok": True}
    assert pages.get("/api/runs").json() == {"runs": []}
    assert pages.get("/api/nothing").status_code == 404
    assert pages.get("/assets/css/app.css").status_code == 200


def test_an_address_without_a_page_is_a_page_to_people_and_json_to_programs(pages):
    shown = pages.get("/no/such", headers={"accept": "text/html"})
    assert shown.status_code == 404 and "There is no such page" in shown.text
    assert 'href="/assets/css/plain.css"' in shown.text
    assert "object-src 'none'" in shown.headers["content-security-policy"]
    assert pages.get("/api/no/such", headers={"accept": "text/html"}).json()["ok"] is False
    assert pages.get("/no/such").json()


def test_nothing_of_gradio_tells_or_keeps_more_than_it_must(pages):
    config = pages.get("/config").json()
    assert config["footer_links"] == []
    assert config["run_history"] is False
    named = pages.get("/gradio_api/info").json()["named_endpoints"]
    assert named == {}
    assert os.environ["GRADIO_ANALYTICS_ENABLED"] == "False"


@pytest.mark.parametrize("path", ["/etc/passwd", "stillroom.db", "secret.key"])
def test_no_file_of_the_machine_is_served(pages, path):
    home = pages.app.state.studio.settings.home
    name = path if path.startswith("/") else str(home / path)
    assert pages.get(f"/gradio_api/file={name}").status_code in (403, 404)


def test_what_was_uploaded_for_a_closed_window_is_removed(pages):
    uploads = pages.app.state.studio.settings.home / "uploads"
    assert not (uploads / "left.csv").exists()
    assert Path(os.environ["GRADIO_TEMP_DIR"]) == uploads


def test_another_site_cannot_start_an_event(pages):
    body = {"data": [], "fn_index": 0, "session_hash": "x"}
    refused = pages.post("/gradio_api/queue/join", json=body, headers={"origin": "http://evil.example"})
    assert refused.status_code == 403
    crossed = pages.post("/gradio_api/queue/join", json=body, headers={"sec-fetch-site": "cross-site"})
    assert crossed.status_code == 403
