import asyncio

import pytest

from components.errors import ConfigError, CredentialError, RateLimited, UnknownModel, WrongAddress
from components.llms import InferenceEndpointsLLM
from components.llms.pricing import Price
from components.vault import BoundVault, lend
from tests.components.llms.conftest import ask
from tests.servers.faults import Fault, Faults
from tests.servers.hub_environment import point_clients_at
from tests.servers.hub_server import HubServer

MODEL = "meta-llama/Meta-Llama-3.1-70B-Instruct"
SCHEMA = {"type": "object", "properties": {"label": {"enum": ["bug"]}}, "required": ["label"]}


@pytest.fixture
def hub(monkeypatch, tmp_path):
    with HubServer() as running:
        point_clients_at(monkeypatch, running, tmp_path)
        yield running


def loaded(**fields):
    llm = InferenceEndpointsLLM(**fields)
    llm.load()
    return llm


def calls(hub):
    return [(request.method, request.path.split("?")[0]) for request in hub.requests]


def test_a_model_is_asked_through_the_router_as_the_chapter_writes_it(hub):
    llm = loaded(model=MODEL)
    output = llm.generate_outputs(inputs=[ask("What's the capital of Spain?")])[0]
    assert output["generations"] == ["echo: What's the capital of Spain?"]
    assert calls(hub) == [("POST", "/v1/chat/completions")]
    sent = hub.requests[0]
    assert (sent.body, sent.key) == (
        {"model": MODEL, "messages": ask("What's the capital of Spain?"), "max_tokens": 128},
        "hf_tester",
    )


def test_model_and_model_id_are_the_same():
    assert InferenceEndpointsLLM(model=MODEL).dump() == InferenceEndpointsLLM(model_id=MODEL).dump()
    assert InferenceEndpointsLLM(model=MODEL).model_name == MODEL
    assert InferenceEndpointsLLM(model=MODEL, model_display_name="llama").model_name == "llama"


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"model_id": MODEL, "endpoint_name": "judge"},
        {"base_url": "https://x.example.org", "endpoint_name": "judge"},
        {"model": MODEL, "model_id": MODEL},
    ],
)
def test_a_model_has_one_place(fields):
    with pytest.raises(ConfigError):
        InferenceEndpointsLLM(**fields)


def test_all_that_was_set_is_sent(hub):
    llm = loaded(model_id=f"{MODEL}:fastest", bill_to="team", generation_kwargs={"temperature": "0.2"})
    llm.generate_outputs(
        [ask()], stop_sequences=["x"], seed=3, top_k=5, repetition_penalty=1.1, **llm.get_generation_kwargs()
    )
    sent = hub.requests[0]
    assert sent.headers["x-hf-bill-to"] == "team"
    assert {key: sent.body[key] for key in ("stop", "seed", "top_k", "repetition_penalty", "temperature")} == {
        "stop": ["x"],
        "seed": 3,
        "top_k": 5,
        "repetition_penalty": 1.1,
        "temperature": 0.2,
    }


def test_no_more_than_four_texts_may_end_an_answer():
    with pytest.raises(ConfigError, match="stop_sequences"):
        InferenceEndpointsLLM(model_id=MODEL, generation_kwargs={"stop_sequences": list("abcde")})


def test_a_named_provider_is_called_by_its_own_name_of_the_model(hub):
    hub.add(MODEL, providers={"together": "llama-turbo", "groq": "llama-70b"})
    loaded(model_id=MODEL, provider="together").generate_outputs([(ask(), {"schema": SCHEMA})] * 2)
    loaded(model_id=MODEL, provider="groq").generate_outputs([ask()])
    assert calls(hub) == [
        ("GET", f"/api/models/{MODEL}"),
        ("POST", "/together/v1/chat/completions"),
        ("POST", "/together/v1/chat/completions"),
        ("POST", "/groq/openai/v1/chat/completions"),
    ]
    assert hub.requests[1].body["model"] == "llama-turbo"
    assert hub.requests[1].body["response_format"]["schema"]["required"] == ["label"]


def test_a_provider_without_the_model_is_told_before_the_first_row(hub):
    hub.add(MODEL, providers={"together": "llama-turbo"})
    with pytest.raises(UnknownModel, match="not supported by provider cohere"):
        loaded(model_id=MODEL, provider="cohere")
    with pytest.raises(UnknownModel, match=f"has no '{MODEL}x'"):
        loaded(model_id=f"{MODEL}x", provider="together")
    with pytest.raises(ConfigError, match=r"'nobody' is no provider\. Known are"):
        loaded(model_id=MODEL, provider="nobody")


def test_an_address_is_called_as_it_is_and_no_hub_is_asked(hub):
    llm = loaded(base_url=f"{hub.origin}/endpoints/team/judge")
    assert llm.generate_outputs([ask()])[0]["generations"] == ["echo: hello row-1"]
    loaded(model_id=MODEL, base_url=hub.router_url).generate_outputs([ask()])
    assert calls(hub) == [("POST", "/endpoints/team/judge/v1/chat/completions"), ("POST", "/v1/chat/completions")]
    assert [request.body["model"] for request in hub.requests] == ["tgi", MODEL]


def test_a_bare_text_is_completed_by_a_server_of_ones_own(hub):
    assert loaded(base_url=hub.router_url).generate_outputs(["hello"])[0]["generations"] == ["echo: hello"]
    assert calls(hub) == [("POST", "/v1/completions")]


def test_a_dedicated_server_is_held_to_a_schema_in_its_own_shape(hub):
    hub.behavior.has_json_schema = False
    llm = loaded(base_url=hub.router_url)
    llm.generate_outputs([(ask(), {"schema": SCHEMA})])
    assert hub.requests[1].body["response_format"] == {"type": "json_object", "value": SCHEMA}


def test_a_dedicated_endpoint_is_found_by_its_name_once(hub):
    hub.inference.add_endpoint("team", "judge")
    llm = loaded(endpoint_name="judge", endpoint_namespace="team")
    llm.generate_outputs([ask(), ask("again")])
    assert calls(hub) == [
        ("GET", "/v2/endpoint/team/judge"),
        ("POST", "/endpoints/team/judge/v1/chat/completions"),
        ("POST", "/endpoints/team/judge/v1/chat/completions"),
    ]
    assert llm.model_name == "judge"


def test_an_endpoint_that_does_not_run_says_where_to_start_it(hub):
    hub.inference.add_endpoint("team", "asleep", state="paused")
    with pytest.raises(WrongAddress, match=r"is paused\. Start it at https://ui\.endpoints"):
        loaded(endpoint_name="asleep", endpoint_namespace="team")


def test_without_a_token_it_says_which_one(monkeypatch, tmp_path):
    with HubServer() as hub:
        point_clients_at(monkeypatch, hub, tmp_path, token=None)
        with pytest.raises(CredentialError, match="HF_TOKEN"):
            loaded(model_id=MODEL)


def test_the_token_that_was_saved_by_logging_in_is_found(monkeypatch, tmp_path):
    with HubServer() as hub:
        point_clients_at(monkeypatch, hub, tmp_path, token=None)
        (tmp_path / "token").write_text("hf_tester")
        loaded(model_id=MODEL).generate_outputs([ask()])
        assert hub.requests[0].key == "hf_tester"


def test_in_the_app_the_servers_token_goes_to_hugging_face_only(hub):
    with lend(BoundVault()):
        assert loaded(model_id=MODEL).endpoint.headers["Authorization"] == "Bearer hf_tester"
        with pytest.raises(CredentialError):
            loaded(base_url="https://my-tgi.example.org")


def test_a_wrong_token_is_an_error_and_not_an_empty_answer(hub):
    with pytest.raises(CredentialError) as caught:
        loaded(model_id=MODEL, api_key="hf_wrong_token_1234").generate_outputs([ask()])
    assert "hf_wrong" not in str(caught.value)


def test_errors_are_never_swallowed(hub):
    hub.behavior.faults = Faults(script=[Fault.RATE_LIMIT])
    with pytest.raises(RateLimited):
        asyncio.run(loaded(model_id=MODEL).agenerate(ask()))


def test_a_price_is_known_where_the_provider_is():
    model = "meta-llama/Llama-3.3-70B-Instruct"
    assert InferenceEndpointsLLM(model_id=model, provider="together").price.input > 0
    assert InferenceEndpointsLLM(model_id=model).price is None
    assert InferenceEndpointsLLM(endpoint_name="judge").price is None
    assert InferenceEndpointsLLM(base_url="http://localhost:8080").price == Price(0, 0)
