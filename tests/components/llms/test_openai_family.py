import asyncio

import pytest
from aiohttp import web

from components.errors import ConfigError
from components.llms import (
    XAILLM,
    AzureOpenAILLM,
    GroqLLM,
    MistralLLM,
    OpenAILLM,
    OpenRouterLLM,
    TogetherLLM,
)
from tests.components.llms.conftest import KEY, ask
from tests.servers.loopback import Loopback

FAMILY = (AzureOpenAILLM, GroqLLM, MistralLLM, OpenRouterLLM, TogetherLLM, XAILLM)


class AnyPath(Loopback):
    """Answers a chat completion wherever it is asked."""

    def __init__(self):
        super().__init__()
        self.asked = []

    def application(self):
        app = web.Application()
        app.router.add_post("/{path:.*}", self.answer)
        return app

    async def answer(self, request):
        self.asked.append((request.path_qs, dict(request.headers), await request.json()))
        return web.json_response({"choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}]})


@pytest.fixture
def anywhere():
    with AnyPath() as running:
        yield running


@pytest.mark.parametrize("kind", FAMILY)
def test_each_has_its_own_key_and_address(kind, monkeypatch):
    preset = kind(model="m", base_url="https://x.example.org").preset
    monkeypatch.setenv(preset.env_key, KEY)
    if preset.env_base_url:
        monkeypatch.setenv(preset.env_base_url, preset.base_url or "https://x.openai.azure.com")
    endpoint = kind(model="m").endpoint
    assert KEY in endpoint.headers[preset.auth_header]
    assert endpoint.site.title == preset.title


@pytest.mark.parametrize("kind", [GroqLLM, OpenRouterLLM])
def test_a_provider_that_gives_one_answer_a_call_is_asked_one_by_one(kind):
    assert not kind(model="m", api_key=KEY).gives_many


@pytest.mark.parametrize("kind", [OpenAILLM, MistralLLM, TogetherLLM])
def test_a_provider_that_gives_many_is_asked_once(kind):
    assert kind(model="m", api_key=KEY).gives_many


def test_mistral_calls_the_seed_by_another_name(anywhere):
    MistralLLM(model="m", base_url=anywhere.origin).generate_outputs([ask()], seed=3)
    assert anywhere.asked[0][2]["random_seed"] == 3
    assert "seed" not in anywhere.asked[0][2]


@pytest.mark.parametrize(
    ("ending", "version", "path"),
    [
        ("", None, "/openai/v1/chat/completions"),
        ("/openai", None, "/openai/v1/chat/completions"),
        ("/openai/v1", None, "/openai/v1/chat/completions"),
        ("", "2024-10-21", "/openai/deployments/my-gpt/chat/completions?api-version=2024-10-21"),
        ("/openai", "2024-10-21", "/openai/deployments/my-gpt/chat/completions?api-version=2024-10-21"),
    ],
)
def test_azure_is_called_by_its_new_api_and_by_the_dated_one(anywhere, ending, version, path):
    llm = AzureOpenAILLM(model="my-gpt", base_url=anywhere.origin + ending, api_key=KEY, api_version=version)
    assert llm.generate_outputs([ask()])[0]["generations"] == ["hi"]
    asked, headers, _ = anywhere.asked[0]
    assert asked == path
    assert headers["api-key"] == KEY
    assert "Authorization" not in headers


def test_the_version_of_azures_api_may_stand_in_the_environment(anywhere, monkeypatch):
    monkeypatch.setenv("OPENAI_API_VERSION", "2024-10-21")
    AzureOpenAILLM(model="m", base_url=anywhere.origin, api_key=KEY).generate_outputs([ask()])
    assert "api-version=2024-10-21" in anywhere.asked[0][0]


def test_a_reply_without_a_count_of_tokens_claims_none(anywhere):
    assert asyncio.run(OpenAILLM(model="m", base_url=anywhere.origin).agenerate(ask()))["statistics"] == {}


def test_a_field_that_is_not_there_names_the_closest():
    with pytest.raises(ConfigError, match="Did you mean 'model'"):
        GroqLLM(modle="m")
