import pytest

from components import catalog
from components.errors import ConfigError, CredentialError
from components.llms.providers import PRESETS

KEY = "sk-canary-0123456789abcdef"


def card(studio, provider):
    return next(one for one in studio.providers.cards() if one.id == provider)


def test_every_provider_has_a_card_that_says_whether_its_key_is_there(studio, monkeypatch):
    assert {one.id for one in studio.providers.cards()} == set(PRESETS)
    assert card(studio, "openai").state == "key_missing"
    assert card(studio, "ollama").state == "not_running"
    monkeypatch.setenv("GROQ_API_KEY", KEY)
    studio.connections.add("openai", KEY)
    assert card(studio, "openai").state == "key_set"
    assert card(studio, "groq").state == "from_environment"
    assert KEY not in repr(studio.providers.cards())


def test_providers_that_are_ready_come_first(studio):
    studio.connections.add("xai", KEY)
    assert studio.providers.cards()[0].id == "xai"


def test_the_models_of_a_connection_are_those_of_its_server(studio, server):
    server.behavior.keys = [KEY]
    server.behavior.models = ["b-model", "a-model"]
    studio.connections.add("custom", KEY, name="mine", base_url=server.base_url)
    assert studio.providers.models(connection="mine") == ["a-model", "b-model"]
    assert server.requests[-1].key == KEY


def test_a_wrong_key_is_told_without_the_key(studio, server):
    server.behavior.keys = ["sk-the-right-one"]
    studio.connections.add("custom", KEY, name="mine", base_url=server.base_url)
    with pytest.raises(CredentialError) as error:
        studio.providers.models(connection="mine")
    assert KEY not in str(error.value)


def test_a_test_call_says_what_came_back(studio, server):
    studio.connections.add("custom", KEY, name="mine", base_url=server.base_url)
    found = studio.providers.test("gpt-4o-mini", connection="mine")
    assert found.ok and found.message.startswith("It answers: ")
    server.behavior.models = ["another"]
    assert not studio.providers.test("gpt-4o-mini", connection="mine").ok


def test_a_test_call_without_a_key_says_what_to_do(studio):
    found = studio.providers.test("gpt-4o-mini", provider="openai")
    assert not found.ok and "OPENAI_API_KEY" in found.message


@pytest.mark.parametrize(
    ("provider", "expected"),
    [
        ("openai", {"use": "OpenAILLM", "model": "m"}),
        ("groq", {"use": "GroqLLM", "model": "m"}),
        ("ollama", {"use": "OpenAILLM", "model": "m", "base_url": "http://localhost:11434/v1"}),
        ("deepseek", {"use": "OpenAILLM", "model": "m", "base_url": "https://api.deepseek.com"}),
        ("rehearsal", {"use": "RehearsalLLM"}),
    ],
)
def test_a_model_is_said_as_a_step_says_it(studio, provider, expected):
    assert studio.providers.llm("m", provider=provider) == expected


def test_a_model_of_a_connection_names_it(studio):
    studio.connections.add("groq", KEY, name="work account")
    assert studio.providers.llm("m", connection="work account") == {
        "use": "GroqLLM",
        "model": "m",
        "connection": "work account",
    }


@pytest.mark.parametrize("provider", [*PRESETS, "rehearsal"])
def test_the_model_of_every_provider_can_be_built(studio, provider):
    catalog.build(studio.providers.llm("some-model", provider=provider))


def test_unknown_providers_and_connections_are_named(studio):
    with pytest.raises(ConfigError, match="nobody"):
        studio.providers.models("nobody")
    with pytest.raises(ConfigError, match="no connection named 'x'"):
        studio.providers.llm("m", connection="x")
    with pytest.raises(ConfigError, match="Name a model"):
        studio.providers.llm(" ", provider="openai")


def test_servers_on_this_machine_are_found(studio, server, monkeypatch):
    from dataclasses import replace

    import app.studio.providers as providers
    from components.llms.discovery import detect_local_servers

    here = replace(PRESETS["ollama"], base_url=server.base_url, port=server.port)
    monkeypatch.setattr(providers, "detect_local_servers", lambda: detect_local_servers(presets=[here]))
    found = studio.providers.detect()
    assert [one.provider for one in found] == ["ollama"]
    assert "gpt-4o-mini" in found[0].models
    assert card(studio, "ollama").state == "server_found"
    assert card(studio, "ollama").models == found[0].models
