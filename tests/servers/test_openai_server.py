import concurrent.futures
import json
import math
import socket
from collections import Counter

import httpx
import openai
import pytest

from tests.servers.answers import Reply
from tests.servers.faults import Fault, Faults
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


@pytest.mark.parametrize(
    ("fault", "error", "code"),
    [
        (Fault.RATE_LIMIT, openai.RateLimitError, "rate_limit_exceeded"),
        (Fault.RATE_LIMIT_BARE, openai.RateLimitError, "rate_limit_exceeded"),
        (Fault.INSUFFICIENT_QUOTA, openai.RateLimitError, "insufficient_quota"),
        (Fault.SERVER_ERROR, openai.InternalServerError, None),
        (Fault.HTML_503, openai.InternalServerError, None),
        (Fault.TIMEOUT, openai.APITimeoutError, None),
        (Fault.MALFORMED, json.JSONDecodeError, None),
        (Fault.DROPPED, openai.APIConnectionError, None),
        (Fault.CUT, openai.APIConnectionError, None),
        (Fault.BAD_KEY, openai.AuthenticationError, "invalid_api_key"),
        (Fault.UNKNOWN_MODEL, openai.NotFoundError, "model_not_found"),
        (Fault.CONTEXT_TOO_LONG, openai.BadRequestError, "context_length_exceeded"),
        (Fault.CONTENT_POLICY, openai.BadRequestError, "content_filter"),
        (Fault.UNSUPPORTED_PARAMETER, openai.BadRequestError, "unsupported_parameter"),
    ],
)
def test_each_fault_reaches_the_sdk_as_its_error_and_costs_nothing(server, fault, error, code):
    server.behavior.faults = Faults(script=[fault])
    client = client_of(server, timeout=0.5)
    with pytest.raises(error) as raised:
        ask(client)
    assert getattr(raised.value, "code", None) == code
    assert server.paid("row-1") == 0
    assert ask(client).choices[0].message.content == "echo: row-1 hello"
    assert server.paid("row-1") == 1


def test_faults_inside_a_good_reply_look_as_providers_send_them(server):
    kinds = [Fault.FILTERED, Fault.REFUSAL, Fault.EMPTY_CHOICES, Fault.NULL_CONTENT, Fault.TOOL_CALLS, Fault.TRUNCATED]
    server.behavior.faults = Faults(script=[*kinds, Fault.HUGE])
    filtered, refused, empty, null, tools, truncated, huge = (ask(client_of(server)) for _ in range(7))
    assert filtered.choices[0].finish_reason == "content_filter"
    assert refused.choices[0].message.refusal and refused.choices[0].message.content is None
    assert empty.choices == []
    assert null.choices[0].message.content is None and null.choices[0].message.refusal is None
    assert tools.choices[0].message.tool_calls[0].function.name == "look_up"
    assert truncated.choices[0].finish_reason == "length"
    assert len(huge.choices[0].message.content) == 10_000_000


def test_html_and_error_objects_come_with_status_200(server):
    server.behavior.faults = Faults(script=[Fault.HTML_200, Fault.ERROR_IN_200])
    question = {"model": "m", "messages": [{"role": "user", "content": "row-1"}]}
    pages = [httpx.post(f"{server.base_url}/chat/completions", json=question) for _ in range(2)]
    assert [page.status_code for page in pages] == [200, 200]
    assert pages[0].text.startswith("<html>")
    assert pages[1].json()["error"]["code"] == "502"


def test_retry_after_comes_in_seconds_or_milliseconds(server):
    server.behavior.faults = Faults(script=[Fault.RATE_LIMIT, Fault.RATE_LIMIT_MS, Fault.RATE_LIMIT_BARE])
    headers = []
    for _ in range(3):
        with pytest.raises(openai.RateLimitError) as limited:
            ask(client_of(server))
        headers.append(limited.value.response.headers)
    assert headers[0]["retry-after"] == "1"
    assert headers[1]["retry-after-ms"] == "20"
    assert not {"retry-after", "retry-after-ms"} & set(headers[2])


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


def test_a_row_fails_as_often_as_planned_then_succeeds(server):
    server.behavior.faults = Faults(rows={"row-1": [Fault.SERVER_ERROR, Fault.RATE_LIMIT_BARE], "row-2": Fault.REFUSAL})
    client = openai.OpenAI(base_url=server.base_url, api_key="k", max_retries=2)
    assert ask(client).choices[0].message.content == "echo: row-1 hello"
    assert [request.status for request in server.requests] == [500, 429, 200]
    assert all(ask(client, "row-2").choices[0].message.refusal for _ in range(3))


def test_drawn_faults_do_not_depend_on_order():
    plan = Faults(rate=0.3, kinds=[Fault.SERVER_ERROR], seed=3)
    statuses = []
    for rows in (range(40), reversed(range(40))):
        with OpenAIServer(faults=plan) as server, httpx.Client() as client:
            for row in rows:
                question = {"model": "m", "messages": [{"role": "user", "content": f"row-{row}"}]}
                client.post(f"{server.base_url}/chat/completions", json=question)
            statuses.append({request.tag: request.status for request in server.requests})
    assert statuses[0] == statuses[1]
    assert 4 <= Counter(statuses[0].values())[500] <= 20


def test_a_token_bucket_lets_its_burst_through(server):
    server.behavior.rps, server.behavior.burst = 0.001, 3.0
    outcomes = []
    for _ in range(5):
        try:
            outcomes.append(ask(client_of(server)).choices[0].finish_reason)
        except openai.RateLimitError as limited:
            outcomes.append(limited.status_code)
            assert int(limited.response.headers["retry-after-ms"]) > 1
    assert outcomes == ["stop", "stop", "stop", 429, 429]


def test_calls_in_flight_are_counted():
    with (
        OpenAIServer(faults=Faults(script=[Fault.TIMEOUT] * 4)) as server,
        concurrent.futures.ThreadPoolExecutor(4) as pool,
    ):
        client = client_of(server, timeout=60)
        calls = [pool.submit(ask, client, f"row-{i}") for i in range(4)]
        server.journal.wait_until(lambda journal: journal.in_flight == 4)
        server.stop()
        assert all(isinstance(call.exception(), openai.APIConnectionError) for call in calls)
        assert (server.journal.max_in_flight, server.journal.in_flight) == (4, 0)


def test_a_client_that_hangs_up_still_pays():
    with OpenAIServer(latency_ms=300) as server:
        with pytest.raises(openai.APITimeoutError):
            ask(client_of(server, timeout=0.02), "row-gone")
        server.journal.wait_until(lambda journal: journal.paid("row-gone") == 1)
        assert [(r.client_left, r.status) for r in server.requests] == [(True, 200)]
        assert server.journal.in_flight == 0


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
