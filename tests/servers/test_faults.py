import concurrent.futures
import json
import socket
from collections import Counter

import httpx
import openai
import pytest

from tests.servers.faults import Fault, Faults
from tests.servers.openai_server import OpenAIServer
from tests.servers.test_openai_server import ask, client_of


@pytest.fixture
def server():
    with OpenAIServer() as running:
        yield running


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
    question = json.dumps({"model": "m", "messages": [{"role": "user", "content": "row-gone"}]})
    with OpenAIServer(latency_ms=300) as server:
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {len(question)}\r\n\r\n"
            connection.sendall((head + question).encode())
            server.journal.wait_until(lambda journal: journal.in_flight == 1)
        server.journal.wait_until(lambda journal: journal.paid("row-gone") == 1)
        assert [(r.client_left, r.status) for r in server.requests] == [(True, 200)]
        assert server.journal.in_flight == 0
