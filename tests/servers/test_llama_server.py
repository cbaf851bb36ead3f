import json

import openai
import pytest

from tests.servers.llama_server import llama_server

pytestmark = pytest.mark.engine

LABEL = {
    "type": "object",
    "properties": {"label": {"enum": ["positive", "negative"]}},
    "required": ["label"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def client():
    with llama_server(key="sk-local") as server:
        yield openai.OpenAI(base_url=server.base_url, api_key="sk-local", max_retries=0)


def ask(client, text, **settings):
    return client.chat.completions.create(
        model="tiny", messages=[{"role": "user", "content": text}], temperature=0, seed=1, **settings
    )


def test_the_engine_answers_with_usage_and_logprobs(client):
    answer = ask(client, "hello", max_tokens=16, logprobs=True)
    assert answer.choices[0].message.content
    assert 0 < answer.usage.completion_tokens <= 16
    assert answer.choices[0].logprobs.content[0].logprob <= 0


def test_the_engine_holds_its_answer_to_a_schema(client):
    wanted = {"type": "json_schema", "json_schema": {"name": "label", "schema": LABEL, "strict": True}}
    answers = ask(client, "Label this review: a lovely hotel.", response_format=wanted, max_tokens=32, n=2).choices
    assert all(json.loads(one.message.content)["label"] in ("positive", "negative") for one in answers)
    cut = ask(client, "Label this review: a lovely hotel.", response_format=wanted, max_tokens=3).choices[0]
    assert cut.finish_reason == "length"


def test_the_engine_refuses_a_prompt_past_its_context(client):
    with pytest.raises(openai.BadRequestError, match="context"):
        ask(client, "hotel " * 3000)


def test_the_engine_checks_its_key(client):
    with pytest.raises(openai.AuthenticationError):
        ask(client.with_options(api_key="sk-wrong"), "hello")


def test_the_engine_embeds_when_started_so():
    with llama_server(embed=True) as server:
        client = openai.OpenAI(base_url=server.base_url, api_key="none")
        one, other = client.embeddings.create(model="tiny", input=["a hotel", "a bank"]).data
    assert len(one.embedding) == 128 and one.embedding != other.embedding
