import asyncio
import socket

import aiohttp
import httpx
import openai
import pytest

from tests.bench.server.check import measure, table
from tests.bench.server.client import request_bytes, run
from tests.bench.server.fast_server import FastServer


@pytest.fixture(scope="module")
def server():
    with FastServer(latency_ms=1) as running:
        yield running


def ask_openai(server, text):
    client = openai.OpenAI(base_url=server.base_url, api_key="none", max_retries=0)
    return client.chat.completions.create(model="bench", messages=[{"role": "user", "content": text}])


def test_the_answer_names_its_row_and_is_as_long_as_promised(server):
    content = ask_openai(server, "row-41 hello").choices[0].message.content
    assert content.startswith("row-41 The customer")
    assert 290 <= len(content) <= 330


def test_a_fixed_answer_comes_without_the_row():
    with FastServer(latency_ms=0, content='{"label": "bug"}') as server:
        assert ask_openai(server, "row-1").choices[0].message.content == '{"label": "bug"}'


def test_every_client_is_understood(server):
    question = {"messages": [{"role": "user", "content": "row-7"}]}

    async def with_aiohttp():
        url = f"{server.base_url}/chat/completions"
        async with aiohttp.ClientSession() as session, session.post(url, json=question) as reply:
            return await reply.json()

    answers = [asyncio.run(with_aiohttp()), httpx.post(f"{server.base_url}/chat/completions", json=question).json()]
    assert all(answer["choices"][0]["message"]["content"].startswith("row-7 ") for answer in answers)
    assert httpx.get(f"{server.base_url}/models").json()["data"][0]["id"] == "bench"


def test_a_request_may_arrive_in_pieces_and_two_at_once(server):
    first, second = request_bytes("x", "/v1/chat/completions", 1), request_bytes("x", "/v1/chat/completions", 2)
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(first[:30])
        connection.sendall(first[30:200])
        connection.sendall(first[200:] + second)
        received = b""
        while received.count(b'"row-') < 2 or not received.endswith(b"}}"):
            received += connection.recv(65_536)
    assert received.index(b'"row-1 ') < received.index(b'"row-2 ')


def test_the_bare_client_counts_what_it_asked(server):
    before = server.stats().requests
    figures = run(server.base_url, 300, 20)
    after = server.stats()
    assert after.requests - before == 300
    assert 1 <= after.max_in_flight <= 20
    assert figures.wall > 0 and figures.cpu > 0 and figures.peak_rss > 1


def test_the_bare_client_refuses_an_answer_of_another_row():
    with FastServer(latency_ms=0, content="row-9") as server, pytest.raises(RuntimeError, match="row-0 got"):
        run(server.base_url, 3, 1)


def test_the_check_makes_a_table():
    small = measure(200, 10, 1)
    assert small.server_cpu > 0 and small.ideal == pytest.approx(0.02)
    assert table([small]).count("\n") == 2
