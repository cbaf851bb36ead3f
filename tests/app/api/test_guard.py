import pytest
from fastapi.testclient import TestClient

from app.api.guard import COOKIE
from app.server import create_app
from app.settings import Settings
from app.studio import Studio
from tests.app.api.conftest import HERE
from tests.app.pipelines import asking

ORIGIN = HERE


def ask(client, method="GET", path="/api/runs", **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.request(method, path, headers=named).status_code


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:7860", 200),
        ("localhost:7860", 200),
        ("LOCALHOST", 200),
        ("[::1]:7860", 200),
        ("someone-stillroom.hf.space", 200),
        ("evil.example", 403),
        ("evil.example:7860", 403),
        ("localhost.evil.example", 403),
        ("hf.space.evil.example", 403),
        ("192.168.1.9:7860", 403),
        ("", 403),
        ("127.0.0.1:7860@evil.example", 403),
    ],
)
def test_the_app_answers_to_its_own_names_alone(client, host, status):
    assert ask(client, host=host) == status


def test_more_names_and_addresses_can_be_let_in(tmp_path):
    settings = Settings(home=tmp_path, host="0.0.0.0", allowed_hosts=("stillroom.example.org",))
    studio = Studio(settings)
    client = TestClient(create_app(studio=studio, pages=False), base_url=HERE)
    assert ask(client, host="stillroom.example.org") == 200
    assert ask(client, host="192.168.1.9:7860") == 200
    assert ask(client, host="evil.example") == 403
    studio.ledger.close()


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    ("origin", "is_let_in"),
    [
        (ORIGIN, True),
        ("http://evil.example", False),
        ("null", False),
        ("http://127.0.0.1:3000", False),
        ("https://evil.hf.space", False),
        ("http://127.0.0.1:7860.evil.example", False),
        ("http://[broken", False),
        ("file://", False),
    ],
)
def test_another_origin_is_refused(client, studio, method, origin, is_let_in):
    run_id = studio.runs.start(asking(["a"]))
    path = "/api/runs" if method == "GET" else f"/api/runs/{run_id}/pause"
    assert ask(client, method, path, origin=origin) == (200 if is_let_in else 403)
    assert studio.runs.get(run_id).state == ("paused" if is_let_in and method == "POST" else "queued")


@pytest.mark.parametrize(
    ("site", "mode", "destination", "method", "path", "status"),
    [
        ("same-origin", "cors", "empty", "POST", "/api/runs/x/stop", 404),
        ("none", "navigate", "document", "GET", "/healthz", 200),
        ("cross-site", "no-cors", "image", "GET", "/api/runs", 403),
        ("cross-site", "cors", "empty", "GET", "/api/runs", 403),
        ("same-site", "no-cors", "script", "GET", "/api/runs", 403),
        ("cross-site", "navigate", "document", "GET", "/healthz", 200),
        ("cross-site", "navigate", "document", "GET", "/api/runs", 403),
        ("cross-site", "navigate", "document", "POST", "/api/runs/x/stop", 403),
        ("cross-site", "navigate", "object", "GET", "/healthz", 403),
        ("cross-site", "no-cors", "font", "GET", "/assets/nothing", 404),
        ("cross-site", "no-cors", "empty", "POST", "/assets/nothing", 403),
    ],
)
def test_what_another_site_may_ask(client, site, mode, destination, method, path, status):
    headers = {"sec_fetch_site": site, "sec_fetch_mode": mode, "sec_fetch_dest": destination}
    assert ask(client, method, path, **headers) == status


def test_every_answer_tells_the_browser_to_be_careful(client):
    for path in ("/healthz", "/api/runs", "/api/nothing", "/nothing"):
        headers = client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"
        policy = headers["content-security-policy"]
        assert "img-src 'self' data: blob:" in policy and "frame-ancestors 'self'" in policy
        assert "default-src 'self'" in policy and "object-src 'none'" in policy
    refused = client.get("/api/runs", headers={"host": "evil.example"})
    assert refused.headers["content-security-policy"]


def test_a_space_may_be_shown_by_its_hub(studio, monkeypatch):
    monkeypatch.setenv("SPACE_ID", "someone/stillroom")
    client = TestClient(create_app(studio=studio, pages=False), base_url=HERE)
    headers = client.get("/healthz").headers
    assert "frame-ancestors 'self' https://huggingface.co" in headers["content-security-policy"]
    assert "x-frame-options" not in headers


def test_a_body_that_is_too_large_is_refused_by_what_it_says(client):
    response = client.post("/api/runs/x/retry", content=b"x" * 1_000_001)
    assert response.status_code == 413 and response.json()["ok"] is False


def test_a_body_that_hides_its_length_is_cut_off(client, studio):
    run_id = studio.runs.start(asking(["a"]))

    def endless():
        for _ in range(40):
            yield b" " * 100_000

    response = client.post(f"/api/runs/{run_id}/retry", content=endless(), headers={"content-type": "application/json"})
    assert response.status_code >= 400
    assert client.get("/healthz").status_code == 200


TOKEN = "a long word that nobody guesses"


@pytest.fixture
def closed(tmp_path):
    """A client of a Stillroom that has a token."""
    studio = Studio(Settings(home=tmp_path / "closed", token=TOKEN))
    yield TestClient(create_app(studio=studio, pages=False), base_url=HERE, follow_redirects=False)
    studio.ledger.close()


def test_without_the_token_nobody_gets_in(closed):
    assert ask(closed) == 401
    assert ask(closed, authorization="Bearer wrong") == 401
    assert ask(closed, authorization=f"Basic {TOKEN}") == 401
    assert ask(closed, cookie=f"{COOKIE}={TOKEN}") == 401
    assert ask(closed, "POST", "/api/runs/x/stop") == 401
    assert ask(closed, path="/healthz") == 200


def test_a_program_gives_the_token_with_each_request(closed):
    assert ask(closed, authorization=f"Bearer {TOKEN}") == 200


def test_a_person_is_led_to_the_door_and_let_in_once(closed):
    led = closed.get("/", headers={"accept": "text/html"})
    assert (led.status_code, led.headers["location"]) == (303, "/enter")
    assert 'type="password"' in closed.get("/enter").text
    wrong = closed.post("/enter", data={"token": "<script>"})
    assert wrong.status_code == 401 and "<script>" not in wrong.text.partition("<main>")[2]
    right = closed.post("/enter", data={"token": TOKEN})
    assert (right.status_code, right.headers["location"]) == (303, "/")
    cookie = right.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=lax" in cookie and TOKEN not in cookie
    assert closed.get("/api/runs").status_code == 200


def test_a_stillroom_without_a_token_has_no_door(client):
    assert client.get("/enter").status_code == 404
