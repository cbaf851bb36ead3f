"""Embedding models against loopback servers, with a home of their own."""

import pytest

from components.llms.batch import either
from components.llms.providers import PRESETS
from tests.servers.openai_server import OpenAIServer


@pytest.fixture(autouse=True)
def clean_slate(monkeypatch, tmp_path):
    for preset in PRESETS.values():
        for name in (preset.env_key, preset.env_base_url):
            monkeypatch.delenv(name, raising=False) if name else None
    monkeypatch.setenv("STILLROOM_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("STILLROOM_DATABASE", raising=False)
    either.forget()
    yield
    from components.pipeline.ledger.ledger import _opened

    for ledger in list(_opened.values()):
        ledger.close()


@pytest.fixture
def server():
    with OpenAIServer() as running:
        yield running
