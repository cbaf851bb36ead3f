import asyncio
import json

import pytest
from huggingface_hub import AsyncInferenceClient, InferenceClient, get_inference_endpoint
from huggingface_hub.errors import HfHubHTTPError, InferenceTimeoutError

from tests.servers.faults import Fault, Faults
from tests.servers.hub_environment import point_clients_at
from tests.servers.hub_server import HubServer

QUESTION = [{"role": "user", "content": "row-5 hello"}]
SCHEMA = {"type": "object", "properties": {"label": {"enum": ["bug"]}}, "required": ["label"]}
JSON_SCHEMA = {"type": "json_schema", "json_schema": {"name": "a", "schema": SCHEMA}}


@pytest.fixture
def hub(monkeypatch, tmp_path):
    with HubServer() as running:
        point_clients_at(monkeypatch, running, tmp_path)
        yield running


def calls(hub):
    return [(request.method, request.path.split("?")[0]) for request in hub.requests]


def test_auto_is_one_call_to_the_router(hub):
    client = InferenceClient("org/big:fastest", bill_to="team")
    assert client.chat_completion(QUESTION).choices[0].message.content == "echo: row-5 hello"
    assert calls(hub) == [("POST", "/v1/chat/completions")]
    sent = hub.requests[0]
    assert (sent.body["model"], sent.headers["x-hf-bill-to"], sent.key) == ("org/big:fastest", "team", "hf_tester")
    with pytest.raises(ValueError, match="non-Hugging Face API key"):
        InferenceClient("org/big", api_key="sk-other").chat_completion(QUESTION)


def test_a_named_provider_asks_the_hub_for_its_name_of_the_model(hub):
    hub.add("org/big", providers={"together": "org/Big-Turbo", "groq": "big-8b"})
    answer = InferenceClient("org/big", provider="together").chat_completion(QUESTION, response_format=JSON_SCHEMA)
    assert json.loads(answer.choices[0].message.content) == {"label": "bug"}
    InferenceClient("org/big", provider="groq").chat_completion(QUESTION)
    assert calls(hub) == [
        ("GET", "/api/models/org/big"),
        ("POST", "/together/v1/chat/completions"),
        ("POST", "/groq/openai/v1/chat/completions"),
    ]
    assert hub.requests[1].body["model"] == "org/Big-Turbo"
    assert hub.requests[1].body["response_format"] == {"type": "json_schema", "schema": SCHEMA}
    with pytest.raises(ValueError, match="not supported by provider cohere"):
        InferenceClient("org/big", provider="cohere").chat_completion(QUESTION)


def test_a_url_is_called_as_it_is(hub):
    answer = InferenceClient(base_url=hub.router_url, bill_to="team").chat_completion(
        QUESTION, response_format=JSON_SCHEMA
    )
    assert json.loads(answer.choices[0].message.content) == {"label": "bug"}
    assert calls(hub) == [("POST", "/v1/chat/completions")]
    assert hub.requests[0].body["model"] == "dummy"
    assert hub.requests[0].body["response_format"] == {"type": "json_object", "value": SCHEMA}


def test_a_dedicated_endpoint_is_found_by_name(hub):
    hub.inference.add_endpoint("team", "judge")
    hub.inference.add_endpoint("team", "asleep", state="paused")
    endpoint = get_inference_endpoint("judge", namespace="team")
    assert endpoint.client.chat_completion(QUESTION).choices[0].message.content == "echo: row-5 hello"
    assert calls(hub) == [
        ("GET", "/v2/endpoint/team/judge"),
        ("POST", "/endpoints/team/judge/v1/chat/completions"),
    ]
    assert get_inference_endpoint("asleep", namespace="team").url is None
    with pytest.raises(HfHubHTTPError):
        get_inference_endpoint("absent", namespace="team")


def test_the_async_client_makes_the_same_calls_and_never_retries(hub):
    async def ask():
        async with AsyncInferenceClient("org/big", timeout=0.5) as client:
            return await client.chat_completion(QUESTION, max_tokens=9)

    assert asyncio.run(ask()).usage.completion_tokens > 1
    hub.behavior.faults = Faults(script=[Fault.RATE_LIMIT, Fault.TIMEOUT])
    with pytest.raises(HfHubHTTPError) as limited:
        asyncio.run(ask())
    assert limited.value.response.status_code == 429
    with pytest.raises(InferenceTimeoutError):
        asyncio.run(ask())
    assert calls(hub) == [("POST", "/v1/chat/completions")] * 3


def test_a_wrong_token_is_refused(hub):
    with pytest.raises(HfHubHTTPError) as refused:
        InferenceClient("org/big", token="hf_wrong").chat_completion(QUESTION)
    assert refused.value.response.status_code == 401
