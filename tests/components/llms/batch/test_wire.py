import asyncio

import orjson
import pytest
from aiohttp import web

from components.errors import (
    BatchGone,
    BatchOutcomeUnknown,
    ProviderDown,
    ProviderTimeout,
    RequestRefused,
    WrongAddress,
)
from components.llms.batch.calls import Call
from components.llms.batch.inline import enclosed, encoded_line
from components.llms.batch.wire import Wire
from tests.servers.loopback import Loopback

KEY = "sk-canary-4f1e9d7c2b"


class Answering(Loopback):
    """Answers every path by a function of the request."""

    def __init__(self, answer):
        super().__init__()
        self.answer = answer
        self.seen = []

    def application(self):
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self.handle)
        return app

    async def handle(self, request):
        self.seen.append((request.method, request.path_qs, request.headers.get("Authorization", "")))
        return await self.answer(request)


@pytest.fixture
def at(request):
    """A wire to a server that answers so."""

    def start(answer, **settings):
        server = Answering(answer)
        server.start()
        request.addfinalizer(server.stop)
        return server, Wire(f"{server.origin}/v1", {"Authorization": f"Bearer {KEY}"}, "Acme", **settings)

    return start


def says(body=None, **more):
    async def answer(_request):
        return web.json_response(body if body is not None else {}, **more)

    return answer


def sends_to(url):
    async def answer(request):
        if request.path == "/there":
            return web.json_response({"ok": True})
        raise web.HTTPFound(url or "/there")

    return answer


def test_the_query_of_an_account_goes_with_every_call(at):
    server, wire = at(says({"id": "b"}), query={"api-version": "1"})
    wire.get("/batches", Call.LOOK, limit=2)
    wire.post("/batches/b/cancel")
    assert [path for _, path, _ in server.seen] == [
        "/v1/batches?api-version=1&limit=2",
        "/v1/batches/b/cancel?api-version=1",
    ]


def test_reading_goes_along_on_the_same_host(at):
    server, wire = at(sends_to(None))
    assert wire.get("/files/a").data == {"ok": True}
    assert [path for _, path, _ in server.seen] == ["/v1/files/a", "/there"]


def test_the_key_never_goes_along_to_another_host(at):
    other, _ = at(says({"ok": True}))
    server, wire = at(sends_to(f"http://127.0.0.1:{other.port}/there"))
    with pytest.raises(WrongAddress, match="elsewhere"):
        wire.get("/files/a")
    assert other.seen == [] and len(server.seen) == 1


def test_going_round_in_circles_comes_to_an_end(at):
    async def round_and_round(request):
        raise web.HTTPFound(request.path)

    server, wire = at(round_and_round)
    with pytest.raises(WrongAddress, match="without end"):
        wire.get("/files/a")
    assert len(server.seen) == 4


@pytest.mark.parametrize("call", ["create", "post"])
def test_what_is_sent_does_not_go_along(at, call):
    server, wire = at(sends_to("/there"))
    with pytest.raises(WrongAddress):
        wire.create("/batches", b"{}") if call == "create" else wire.post("/batches/b/cancel")
    assert len(server.seen) == 1


def test_an_address_the_provider_gave_must_be_its_own(at):
    _, wire = at(says())
    assert wire.address("/x") == f"{wire.root}/x"
    assert wire.address(f"{wire.root}/files/1") == f"{wire.root}/files/1"
    for url in (
        "http://example.com/x",
        "https://127.0.0.1/x",
        "http://127.0.0.1:1/x",
        "http://127.0.0.1:99999/x",
        "ftp://127.0.0.1/x",
    ):
        with pytest.raises(WrongAddress, match="not sent"):
            wire.address(url)


async def page(_request):
    return web.Response(text="<html>hello</html>", content_type="text/html")


def test_a_web_page_is_no_batch(at):
    _, wire = at(page)
    with pytest.raises(ProviderDown, match="not whole JSON"):
        wire.get("/batches/b")
    with pytest.raises(BatchOutcomeUnknown):
        wire.create("/batches", b"{}")


async def endless(request):
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(request)
    while True:
        await response.write(b'{"a": 1},' * 10_000)


def test_a_reply_without_end_is_not_read_to_its_end(at, monkeypatch):
    monkeypatch.setattr("components.llms.batch.wire.LARGEST_REPLY", 500_000)
    _, wire = at(endless)
    with pytest.raises(ProviderDown):
        wire.get("/batches/b")


async def silent(request):
    await request.read()
    response = web.StreamResponse()
    await response.prepare(request)
    await asyncio.get_running_loop().create_future()


def test_a_provider_that_falls_silent_is_given_up(at):
    _, wire = at(silent, timeout=0.2)
    with pytest.raises(ProviderTimeout, match=r"0\.2 seconds"):
        wire.get("/batches/b")


@pytest.mark.parametrize(("status", "call", "kind"), [
    (404, Call.FIND, BatchGone),
    (410, Call.FIND, BatchGone),
    (404, Call.LOOK, WrongAddress),
    (500, Call.FIND, ProviderDown),
    (408, Call.FIND, ProviderTimeout),
])  # fmt: skip
def test_what_a_status_means_depends_on_the_call(at, status, call, kind):
    _, wire = at(says({"error": {"message": "no"}}, status=status))
    with pytest.raises(kind):
        wire.get("/batches/b", call)


@pytest.mark.parametrize("status", [408, 499, 500, 502, 503, 504, 520])
def test_after_some_refusals_a_batch_may_have_been_made(at, status):
    _, wire = at(says({"error": {"message": "no"}}, status=status))
    with pytest.raises(BatchOutcomeUnknown):
        wire.create("/batches", b"{}")


def test_a_proxy_in_the_environment_is_not_asked(at, monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    _, wire = at(says({"id": "b"}))
    assert wire.get("/batches/b").data == {"id": "b"}


def test_no_cookie_is_kept_from_one_call_to_the_next(at):
    cookies = []

    async def baker(request):
        cookies.append(request.headers.get("Cookie"))
        response = web.json_response({})
        response.set_cookie("session", "1")
        return response

    _, wire = at(baker)
    wire.get("/a")
    wire.get("/b")
    assert cookies == [None, None]


def test_a_request_that_json_cannot_hold_says_why():
    with pytest.raises(RequestRefused, match="surrogate"):
        encoded_line({"text": "\ud800"})
    with pytest.raises(RequestRefused, match="cannot be sent"):
        encoded_line({"thing": object()})


@pytest.mark.parametrize("lines", [1, 2, 1000])
def test_lines_become_an_array_and_the_length_is_known_before(tmp_path, lines):
    file = tmp_path / "in.jsonl"
    file.write_bytes(b"".join(encoded_line({"n": n, "text": "a, b\n" * 200}) for n in range(lines)))
    content, length = enclosed(file, {"endpoint": "/v1", "model": "m"})
    whole = b"".join(content)
    assert len(whole) == length
    data = orjson.loads(whole)
    assert list(data) == ["endpoint", "model", "requests"]
    assert [one["n"] for one in data["requests"]] == list(range(lines))
