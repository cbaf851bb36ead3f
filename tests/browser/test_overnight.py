"""Runs that are done overnight, from the dialog to the last row, in a real browser."""

import json
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.request import urlopen

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from app.settings import Settings
from app.studio import Studio
from components.pipeline.ledger import Ledger
from tests.app.batches import a_batch_server, overnight
from tests.app.command import process
from tests.app.pipelines import asking
from tests.browser.conftest import DESK, watch
from tests.browser.night import choose_overnight, counts_add_up, open_run_dialog, submit, until, watch_counts
from tests.browser.person import is_no_wider_than_the_screen, ready
from tests.servers.batch.openai_batch_server import OpenAIBatchServer
from tests.servers.llama_server import llama_server
from tests.servers.process import ServerProcess

NIGHT = 120
RECORD_NOTIFICATIONS = """
window.notified = [];
const Real = window.Notification;
window.Notification = class extends Real {
  constructor(title, options) { super(title, options); window.notified.push([title, options.body]); }
};
"""


class Hook(HTTPServer):
    """A server that keeps what it is told."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Told)
        self.told: list[dict] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/hook"


class Told(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, Hook)
        self.server.told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Not on the screen of the tests."""


@pytest.fixture
def hook() -> Iterator[Hook]:
    with Hook() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield server
        server.shutdown()


@pytest.fixture
def provider() -> Iterator[OpenAIBatchServer]:
    with a_batch_server() as server:
        yield server


def free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])


class AppProcess:
    """The app as a process of its own, always on the same port, so that it can be ended at any moment."""

    def __init__(self, home: Path, log: Path) -> None:
        self.home, self.log, self.port = home, log, free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = process("serve", "--home", self.home, "--port", self.port, stdout=log, stderr=log)
        until(self._answers, 90)

    def kill(self) -> None:
        """As when the power goes."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def _answers(self) -> bool:
        assert self.process is not None and self.process.poll() is None, self.log.read_text()
        try:
            with urlopen(f"{self.url}/healthz", timeout=5) as answer:
                return answer.status == 200
        except OSError:
            return False


@pytest.fixture
def own_app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[AppProcess]:
    monkeypatch.setenv("STILLROOM_ALLOW_PRIVATE_WEBHOOKS", "1")
    made = AppProcess(tmp_path / "home", tmp_path / "app.log")
    yield made
    made.kill()


@pytest.fixture
def visitor(own_app: AppProcess, browser: Browser, troubles: list[str]) -> Iterator[BrowserContext]:
    made = browser.new_context(base_url=own_app.url, viewport=DESK, reduced_motion="reduce")
    made.set_default_timeout(20_000)
    made.on("page", lambda page: watch(page, troubles))
    watch_counts(made)
    yield made
    made.close()


def a_night_of_work(home: Path, llama: ServerProcess) -> str:
    llm = {
        "use": "OpenAILLM",
        "model": "tiny",
        "base_url": llama.base_url,
        "generation_kwargs": {"max_new_tokens": 16, "temperature": 0},
    }
    studio = Studio(Settings(home=home), Ledger(Settings(home=home).database_url))
    try:
        return studio.pipelines.add(asking([f"row-{n} please" for n in range(NIGHT)], llm)).id
    finally:
        studio.ledger.close()


def test_a_night_on_this_machine_goes_on_after_the_app_was_killed(
    own_app: AppProcess, visitor: BrowserContext, hook: Hook
) -> None:
    with llama_server(slots=1) as llama:
        pipeline = a_night_of_work(own_app.home, llama)
        own_app.start()
        page = visitor.new_page()
        dialog = open_run_dialog(page, pipeline)
        choose_overnight(dialog)
        expect(dialog).to_contain_text("this machine does the work and has to stay on")
        dialog.get_by_label("Tell a webhook").fill(hook.url)
        run_id = submit(page, dialog)
        receipt = page.get_by_role("region", name="Batches")
        expect(receipt).to_contain_text(f"Submitted {NIGHT} of {NIGHT} rows")
        expect(receipt.locator(".sr-mono")).to_contain_text("local_")
        expect(receipt).to_contain_text("127.0.0.1 is told when the run ends.")
        local_id = receipt.locator(".sr-mono").inner_text()

        results = own_app.home / "batches" / "local" / local_id / "results.jsonl"
        until(lambda: results.exists() and results.read_bytes().count(b"\n") > 10)
        os.kill(llama.pid, signal.SIGSTOP)
        page.goto("/jobs")
        expect(page.locator("tr[data-job]")).to_contain_text(f"of {NIGHT} done there")
        counts_add_up(page, NIGHT)
        page.close()
        own_app.kill()
        kept = results.read_bytes()
        assert 10 < kept.count(b"\n") < NIGHT
        os.kill(llama.pid, signal.SIGCONT)

        own_app.start()
        again = visitor.new_page()
        again.goto(f"/run?id={run_id}")
        ready(again, "sr-run")
        expect(again.locator(".sr-chip[data-state=done]")).to_be_visible(timeout=60_000)
        expect(again.locator(".sr-run-summary")).to_contain_text(f"{NIGHT} / {NIGHT}")
        expect(again.get_by_role("region", name="What came back")).to_contain_text(f"Your run finished: {NIGHT} ok")
        answers = results.read_bytes()
        assert answers.startswith(kept), "What was answered before is not asked again."
        names = [json.loads(line)["custom_id"] for line in answers.splitlines()]
        assert len(names) == len(set(names)) == NIGHT
        again.goto("/jobs")
        expect(again.locator("tr[data-job]")).to_contain_text(f"{NIGHT} ok")
        counts_add_up(again, NIGHT)
        until(lambda: bool(hook.told))
        again.goto(f"/run?id={run_id}")
        expect(again.get_by_role("region", name="What came back")).to_contain_text("127.0.0.1 was told.")
    (told,) = hook.told
    assert (told["run"], told["state"], told["ok"], told["rows"]) == (run_id, "done", NIGHT, NIGHT)
    assert "row-1" not in json.dumps(told)


def test_a_webhook_to_a_private_address_is_refused_in_plain_words(app, page: Page, provider: OpenAIBatchServer) -> None:
    pipeline = app.studio.pipelines.add(overnight(provider, 3)).id
    dialog = open_run_dialog(page, pipeline)
    dialog.get_by_label("Tell a webhook").fill("http://192.168.1.7/hook")
    dialog.get_by_role("button", name="Submit overnight").click()
    problem = dialog.get_by_role("alert")
    expect(problem).to_contain_text("192.168.1.7 is an address of this machine or of a private network")
    expect(problem).to_be_in_viewport()
    expect(dialog.get_by_label("Tell a webhook")).to_have_value("http://192.168.1.7/hook")
    assert provider.batches == []
    assert all(run["pipeline_id"] != pipeline for run in app.studio.runs.recent())
    dialog.get_by_label("Tell a webhook").fill("hooks")
    dialog.get_by_role("button", name="Submit overnight").click()
    expect(problem).to_contain_text("The webhook is an address such as https://hooks.example.org/run.")


def test_the_browser_tells_that_the_run_has_ended(
    app, context: BrowserContext, page: Page, provider: OpenAIBatchServer
) -> None:
    context.grant_permissions(["notifications"])
    context.add_init_script(RECORD_NOTIFICATIONS)
    watch_counts(context)
    pipeline = app.studio.pipelines.add(overnight(provider, 3)).id
    dialog = open_run_dialog(page, pipeline)
    submit(page, dialog)
    notify = page.get_by_role("button", name="Notify me")
    notify.click()
    expect(page.get_by_role("button", name="Will notify")).to_have_attribute("aria-pressed", "true")
    page.get_by_role("button", name="Collect now").click()
    expect(page.locator(".sr-chip[data-state=done]")).to_be_visible(timeout=60_000)
    expect(page.get_by_role("button", name="Will notify")).to_be_hidden()
    name = app.studio.pipelines.get(pipeline).name
    assert page.evaluate("notified") == [[name, "The run is done."]]
    counts_add_up(page, 3)
    assert is_no_wider_than_the_screen(page)
