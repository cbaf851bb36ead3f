import asyncio
import socket
from dataclasses import replace

import pytest

from components.errors import ConfigError, CredentialError, WrongAddress
from components.llms import AnthropicLLM, OpenAILLM, RehearsalLLM
from components.llms.discovery import detect_local_servers, list_models, probe
from components.llms.providers import PRESETS
from tests.components.llms.conftest import KEY
from tests.components.llms.test_http import OddServer
from tests.servers.faults import Fault, Faults


def names(*given, **settings):
    return asyncio.run(list_models(*given, **settings))


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def test_models_are_listed_by_name(server):
    server.behavior.models = ["b", "a"]
    assert names(server.base_url) == ["a", "b"]


def test_a_bare_list_is_a_list(server):
    server.behavior.models = ["b", "a"]
    server.behavior.model_list_is_bare = True
    assert names(server.base_url) == ["a", "b"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"models": [{"name": "models/gemini-2.5-flash"}]}', ["gemini-2.5-flash"]),
        ('{"data": [{"id": "a", "active": true}, {"id": "old", "active": false}]}', ["a"]),
        ('{"object": "list", "data": null}', []),
        ('{"data": []}', []),
    ],
)
def test_every_shape_of_list_is_read(text, found):
    with OddServer(text=text, content_type="application/json") as odd:
        assert names(odd.origin) == found


@pytest.mark.parametrize("text", ['{"hello": "world"}', '"x"', "3"])
def test_what_is_no_list_of_models_is_told(text):
    with OddServer(text=text, content_type="application/json") as odd, pytest.raises(WrongAddress, match="base_url"):
        names(odd.origin)


def test_a_key_is_needed_and_is_sent(server):
    server.behavior.keys = [KEY]
    assert names(server.base_url, KEY)
    with pytest.raises(CredentialError):
        names(server.base_url, "sk-another-key-1234")
    with pytest.raises(CredentialError, match="GROQ_API_KEY"):
        names(PRESETS["groq"])
    with pytest.raises(ConfigError, match="needs a base_url"):
        names(PRESETS["azure"], KEY)


def test_servers_on_this_machine_are_found_and_others_are_not_waited_for(server):
    server.behavior.models = ["tiny"]
    here = replace(PRESETS["ollama"], base_url=server.base_url)
    absent = replace(PRESETS["vllm"], base_url=f"http://127.0.0.1:{free_port()}/v1")
    with OddServer(text="<html>", content_type="text/html") as page, socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(1)
        web = replace(PRESETS["lmstudio"], base_url=page.origin)
        silent = replace(PRESETS["llamacpp"], base_url=f"http://127.0.0.1:{deaf.getsockname()[1]}/v1")
        found = asyncio.run(detect_local_servers(0.3, [absent, here, web, silent]))
    assert [(one.preset.id, one.base_url, one.models) for one in found] == [("ollama", server.base_url, ("tiny",))]


def test_a_server_on_this_machine_is_shown_no_key(server, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    asyncio.run(detect_local_servers(1.0, [replace(PRESETS["ollama"], base_url=server.base_url)]))
    assert KEY not in str(server.requests)


def test_a_probe_says_what_came_back_and_what_it_used(server):
    found = asyncio.run(probe(OpenAILLM(model="gpt-4o-mini", base_url=server.base_url)))
    assert found.ok
    assert found.text.startswith("echo: Say hello")
    assert "It answers: echo" in found.message
    assert found.input_tokens and found.output_tokens
    assert server.requests[0].body["max_tokens"] == 16


def test_a_probe_gives_a_model_that_thinks_room_to_think(server):
    assert asyncio.run(probe(OpenAILLM(model="gpt-5-mini", base_url=server.base_url))).ok
    assert server.requests[0].body["max_completion_tokens"] == 1_024


def test_a_probe_tells_what_is_wrong_and_asks_once(server):
    server.behavior.faults = Faults(script=[Fault.SERVER_ERROR])
    found = asyncio.run(probe(OpenAILLM(model="gpt-4o-mini", base_url=server.base_url)))
    assert not found.ok
    assert "had an error" in found.message
    assert len(server.requests) == 1


def test_a_probe_without_a_key_says_so():
    found = asyncio.run(probe(AnthropicLLM(model="claude")))
    assert not found.ok
    assert "ANTHROPIC_API_KEY" in found.message


def test_a_probe_names_the_parameters_that_were_refused(server):
    server.behavior.refuses = ("seed",)
    server.behavior.has_n = False
    llm = OpenAILLM(model="gpt-4o-mini", base_url=server.base_url)
    llm.generate_outputs([[{"role": "user", "content": "hi"}]], num_generations=2, seed=3)
    assert asyncio.run(probe(llm)).refused == ("seed", "n")


def test_a_rehearsal_can_be_probed():
    assert asyncio.run(probe(RehearsalLLM())).ok
