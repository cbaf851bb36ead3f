"""A studio of its own for each test, with a real ledger, and what tests do with it."""

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from app.settings import Settings
from app.studio import Studio
from components.llms.gate import RetryPolicy
from components.pipeline.running import engine_for
from components.states import RunState
from tests.servers.openai_server import OpenAIServer

FAST = RetryPolicy(attempts=2, transient_base=0.001, rate_base=0.001, rate_patience=0.01)


@pytest.fixture(autouse=True)
def no_keys_of_this_machine(monkeypatch, tmp_path):
    """Keys and addresses of whoever runs the tests must play no part in them."""
    from components.llms.providers import PRESETS

    for preset in PRESETS.values():
        for name in (preset.env_key, preset.env_base_url):
            if name:
                monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_TOKEN_PATH", str(tmp_path / "no-token"))
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "no-token"))


@pytest.fixture
def settings(tmp_path) -> Settings:
    return Settings(home=tmp_path / "home")


@pytest.fixture
def studio(settings) -> Iterator[Studio]:
    made = Studio(settings)
    yield made
    made.ledger.close()


@pytest.fixture
def work(studio) -> Callable[[str], RunState]:
    """Works on a queued run to its rest, in this thread."""

    def work(run_id: str) -> RunState:
        run = studio.runs.get(run_id)
        engine = engine_for(studio.ledger, run, vault=studio.connections.vault(), policy=FAST)
        with studio.dispatch.at_work(engine):
            return engine.work()

    return work


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    with OpenAIServer() as running:
        yield running


def until(is_so: Callable[[], bool], seconds: float = 30.0) -> None:
    """Returns once something is so; fails when it takes too long."""
    deadline, tick = time.monotonic() + seconds, threading.Event()
    while not is_so():
        assert time.monotonic() < deadline, "It took too long."
        tick.wait(0.01)
