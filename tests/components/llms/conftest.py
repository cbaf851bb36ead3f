"""Every test begins with no keys in the environment and with nothing learned about servers."""

import os

import pytest

from components.llms.learned import forget
from components.llms.providers import PRESETS
from tests.servers.openai_server import OpenAIServer

KEY = "sk-canary-4f1e9d7c2b"


@pytest.fixture(autouse=True)
def clean_slate(monkeypatch, tmp_path):
    for name in {preset.env_key for preset in PRESETS.values()} | {preset.env_base_url for preset in PRESETS.values()}:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("OPENAI_API_VERSION", raising=False)
    monkeypatch.delenv("HUGGING_FACE_HUB_TOKEN", raising=False)
    forget()
    assert not any("API_KEY" in name for name in os.environ)


@pytest.fixture
def server():
    with OpenAIServer() as running:
        yield running


def ask(text="hello row-1"):
    """The messages of one question."""
    return [{"role": "user", "content": text}]
