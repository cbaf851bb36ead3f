import json
import sqlite3
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from app.settings import Settings
from app.studio import NotFound, Studio
from app.studio import webhooks as webhooks_module
from components.errors import ConfigError
from tests.app.pipelines import asking


@pytest.fixture
def settings(tmp_path):
    return Settings(home=tmp_path / "home", allow_private_webhooks=True)


@pytest.fixture
def hook():
    """A server that keeps what it is told; `hook.status` is its answer."""

    class Told(BaseHTTPRequestHandler):
        def do_POST(self):
            server.told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            server.paths.append(self.path)
            self.send_response(server.status)
            self.end_headers()

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Told) as server:
        server.told, server.paths, server.status = [], [], 200
        server.url = f"http://127.0.0.1:{server.server_port}/hook/s3cret"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield server
        server.shutdown()


def test_the_end_of_a_run_is_told_once_without_rows(studio, work, hook):
    run_id = studio.runs.start(asking(["a very private row", "b"]))
    studio.webhooks.set(run_id, hook.url)
    assert studio.webhooks.tell() == 0
    work(run_id)
    assert studio.webhooks.tell() == 1
    assert studio.webhooks.tell() == 0
    (told,) = hook.told
    assert (told["event"], told["run"], told["state"], told["ok"], told["failed"]) == (
        "run.ended",
        run_id,
        "done",
        2,
        0,
    )
    assert "private row" not in json.dumps(told)
    assert hook.paths == ["/hook/s3cret"]
    assert studio.webhooks.get(run_id) == {"host": "127.0.0.1", "told": "done", "message": ""}


def test_each_end_is_told(studio, work, hook):
    run_id = studio.runs.start(asking(["a"]))
    studio.webhooks.set(run_id, hook.url)
    studio.runs.stop(run_id)
    studio.webhooks.tell()
    studio.runs.go_on(run_id)
    work(run_id)
    studio.webhooks.tell()
    assert [told["state"] for told in hook.told] == ["stopped", "done"]


def test_it_is_tried_three_times_and_then_given_up(studio, work, hook, monkeypatch):
    monkeypatch.setattr(webhooks_module, "PAUSES", (0.0, 0.0))
    hook.status = 500
    run_id = studio.runs.start(asking(["a"]))
    studio.webhooks.set(run_id, hook.url)
    work(run_id)
    assert [studio.webhooks.tell() for _ in range(5)] == [1, 1, 1, 0, 0]
    assert len(hook.told) == 3
    assert studio.webhooks.get(run_id)["message"] == "127.0.0.1 answered with status 500."


def test_another_try_waits_for_its_time(studio, work, hook):
    hook.status = 500
    run_id = studio.runs.start(asking(["a"]))
    studio.webhooks.set(run_id, hook.url)
    work(run_id)
    assert [studio.webhooks.tell() for _ in range(2)] == [1, 0]


def test_the_address_is_nowhere_in_clear(studio, settings, hook):
    run_id = studio.runs.start(asking(["a"]))
    studio.webhooks.set(run_id, hook.url)
    database = sqlite3.connect(settings.home / "stillroom.db")
    (row,) = database.execute("SELECT * FROM webhook").fetchall()
    assert not any("s3cret" in str(value) for value in row)
    assert "s3cret" not in repr(studio.webhooks.get(run_id))


def test_with_keys_in_memory_the_address_is_kept_there_too(tmp_path, hook):
    studio = Studio(Settings(home=tmp_path / "home", keys="memory", allow_private_webhooks=True))
    run_id = studio.runs.start(asking(["a"]))
    studio.webhooks.set(run_id, hook.url)
    studio.runs.stop(run_id)
    assert not (tmp_path / "home" / "secret.key").exists()
    again = webhooks_module.Webhooks(studio.settings, studio.ledger, studio.runs)
    again.tell()
    assert hook.told == []
    assert "kept in memory only" in again.get(run_id)["message"]
    studio.ledger.close()


def test_it_can_be_taken_back(studio, work, hook):
    run_id = studio.runs.start(asking(["a"]))
    studio.webhooks.set(run_id, hook.url)
    studio.webhooks.set(run_id, "")
    work(run_id)
    assert studio.webhooks.tell() == 0
    assert studio.webhooks.get(run_id) is None


def test_private_networks_are_refused_unless_the_setting_allows_them(tmp_path):
    studio = Studio(Settings(home=tmp_path / "home"))
    run_id = studio.runs.start(asking(["a"]))
    with pytest.raises(ConfigError, match="private network"):
        studio.webhooks.set(run_id, "http://192.168.0.1/hook")
    with pytest.raises(NotFound):
        studio.webhooks.set("r_nothing", "https://hooks.example.org/")
    studio.ledger.close()
