import json
import math
import socket

import httpx
import openai
import pytest

from tests.servers.answers import Reply
from tests.servers.journal import read_log
from tests.servers.openai_server import OpenAIServer
from tests.servers.process import ServerProcess

SENTIMENT = {
    "type": "object",
    "properties": {"label": {"enum": ["good", "bad", "mixed"]}, "reason": {"type": "string"}},
    "required": ["label", "reason"],
    "additionalProperties": False,
}


def client_of(server, key="sk-test", timeout=10.0):
    return openai.OpenAI(base_url=server.base_url, api_key=key, max_retries=0, timeout=timeout)


def ask(client, text="row-1 hello", **settings):
    settings.setdefault("model", "gpt-4o-mini")
    return client.chat.completions.create(messages=[{"role": "user", "content": text}], **settings)


def json_schema(schema, name="sentiment", strict=True):
    return {"type": "json_schema", "json_schema": {"name": name, "schema": schema, "strict": strict}}


@pytest.fixture
def server():
    with OpenAIServer() as running:
        yield running


def test_the_answer_says_which_row_was_asked(server):
    answer = ask(client_of(server), "row-7 what is this?")
    assert answer.choices[0].message.content == "echo: row-7 what is this?"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert server.paid("row-7") == 1
    assert server.requests[0].key == "sk-test"
    assert server.requests[0].body["messages"][0]["content"] == "row-7 what is this?"


def test_n_answers_are_told_apart(server):
    answer = ask(client_of(server), n=3)
    assert [choice.message.content for choice in answer.choices] == [
        "echo: row-1 hello",
        "echo: row-1 hello (2)",
        "echo: row-1 hello (3)",
    ]


def test_a_test_may_write_the_replies(server):
    server.behavior.reply = lambda body: [Reply("yes", finish_reason="length"), "no"]
    answer = ask(client_of(server), n=2)
    assert [(c.message.content, c.finish_reason) for c in answer.choices] == [("yes", "length"), ("no", "stop")]


def test_a_broken_reply_function_fails_the_test_that_wrote_it():
    def run():
        with OpenAIServer(reply=lambda body: body["typo"]) as server, pytest.raises(openai.InternalServerError):
            ask(client_of(server))

    with pytest.raises(KeyError, match="typo"):
        run()


def test_a_json_schema_gets_an_answer_that_fits_it(server):
    client = client_of(server)
    texts = [ask(client, f"row-{i}", response_format=json_schema(SENTIMENT)) for i in range(24)]
    answers = [json.loads(text.choices[0].message.content) for text in texts]
    assert {answer["label"] for answer in answers} == {"good", "bad", "mixed"}
    assert answers[3]["reason"] == "reason: row-3"
    assert (
        json.loads(ask(client, "row-3", response_format=json_schema(SENTIMENT)).choices[0].message.content)
        == answers[3]
    )


@pytest.mark.parametrize(
    "wanted",
    [
        json_schema({**SENTIMENT, "additionalProperties": True}),
        json_schema({**SENTIMENT, "required": ["label"]}),
        json_schema(SENTIMENT, name="has space"),
        {"type": "json_object"},
        {"type": "yaml"},
    ],
)
def test_a_response_format_openai_would_refuse_is_refused(server, wanted):
    with pytest.raises(openai.BadRequestError):
        ask(client_of(server), response_format=wanted)


def test_the_structured_output_ladder_can_be_walked_down():
    with OpenAIServer(has_json_schema=False, has_json_object=False) as server:
        client = client_of(server)
        with pytest.raises(openai.BadRequestError, match="json_schema"):
            ask(client, response_format=json_schema(SENTIMENT))
        with pytest.raises(openai.BadRequestError, match="json_object"):
            ask(client, "as JSON", response_format={"type": "json_object"})
        server.behavior.reads_schema_in_prompt = True
        answer = ask(client, f"row-1 answer as JSON: {json.dumps(SENTIMENT)}")
        assert json.loads(answer.choices[0].message.content).keys() == {"label", "reason"}


def test_max_tokens_cuts_json_and_says_so(server):
    choice = ask(client_of(server), response_format=json_schema(SENTIMENT), max_tokens=4).choices[0]
    assert choice.finish_reason == "length"
    with pytest.raises(ValueError):
        json.loads(choice.message.content)


@pytest.mark.parametrize(
    ("parameter", "value"), [("max_tokens", 9), ("temperature", 0.2), ("stop", ["."]), ("logprobs", True)]
)
def test_reasoning_models_refuse_old_parameters(server, parameter, value):
    with pytest.raises(openai.BadRequestError) as refused:
        ask(client_of(server), model="gpt-5-mini", **{parameter: value})
    assert refused.value.param == parameter
    assert (
        ask(client_of(server), model="gpt-5-mini", temperature=1, max_completion_tokens=64).usage.completion_tokens > 8
    )


def test_logprobs_cover_the_whole_answer(server):
    choice = ask(client_of(server), logprobs=True, top_logprobs=2).choices[0]
    assert "".join(part.token for part in choice.logprobs.content) == choice.message.content
    assert all(len(part.top_logprobs) == 2 and part.logprob < 0 for part in choice.logprobs.content)


def test_completions_embeddings_and_models_answer_too(server):
    client = client_of(server)
    plain = client.completions.create(model="gpt-4o-mini", prompt="row-2 once", logprobs=1, echo=True)
    assert plain.choices[0].text == "row-2 onceecho: row-2 once"
    vectors = [part.embedding for part in client.embeddings.create(model="e", input=["a", "b", "a"]).data]
    assert vectors[0] == vectors[2] != vectors[1]
    assert math.isclose(sum(x * x for x in vectors[0]), 1, rel_tol=1e-5)
    assert "gpt-4o-mini" in [model.id for model in client.models.list()]


def test_keys_models_and_context_are_checked():
    with OpenAIServer(keys={"sk-good"}, models=["m-1"], context_tokens=20) as server:
        with pytest.raises(openai.AuthenticationError):
            ask(client_of(server, "sk-bad-one-of-mine"))
        good = client_of(server, "sk-good")
        with pytest.raises(openai.NotFoundError):
            ask(good)
        with pytest.raises(openai.BadRequestError, match="maximum context length is 20 tokens"):
            ask(good, "word " * 50, model="m-1")
        assert [model.id for model in good.models.list()] == ["m-1"]
        assert ask(good, model="m-1").model == "m-1"


def test_a_server_process_keeps_its_books_when_killed(tmp_path):
    log = tmp_path / "calls.jsonl"
    command = ("--log", log, "--script", "server_error,ok", "--reply", "label:bug,billing")
    with ServerProcess("tests.servers.openai_server", *command) as server:
        client = openai.OpenAI(base_url=server.base_url, api_key="sk-1", max_retries=1)
        assert ask(client).choices[0].message.content in ("bug", "billing")
        journal = httpx.get(f"{server.origin}/__journal").json()
        assert journal["paid"] == {"row-1": 1}
        server.process.kill()
    lines = read_log(log)
    assert [(line["status"], line["billed"], line["tag"], line["attempt"]) for line in lines] == [
        (500, False, "row-1", 1),
        (200, True, "row-1", 2),
    ]


def test_a_port_in_use_is_an_error():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(OSError):
            OpenAIServer(port=taken.getsockname()[1]).start()
