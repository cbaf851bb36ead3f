import asyncio
import gc
import gzip
import socket
import warnings

import pytest
from aiohttp import web

from components.errors import (
    CredentialError,
    ProviderDown,
    ProviderTimeout,
    RateLimited,
    ReplyError,
    RequestRefused,
    WrongAddress,
)
from components.llms import http
from components.llms.endpoint import SecretHeaders
from components.llms.http import get_json, post_json
from tests.components.llms.conftest import KEY
from tests.servers.faults import Fault, Faults
from tests.servers.loopback import Loopback

HEADERS = SecretHeaders({"Authorization": f"Bearer {KEY}"})
BODY = {"model": "m", "messages": [{"role": "user", "content": "hello row-1"}]}


def post(url, body=BODY, **settings):
    return asyncio.run(post_json(url, headers=HEADERS, body=body, provider="Test", **settings))


class OddServer(Loopback):
    """Answers every path with one given response."""

    def __init__(self, **response):
        super().__init__()
        self.response = response
        self.seen = []

    def application(self):
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self.answer)
        return app

    async def answer(self, request):
        self.seen.append(request.path)
        return web.Response(**self.response)


def test_a_good_reply_is_its_json(server):
    reply = post(f"{server.base_url}/chat/completions")
    assert reply.data["choices"][0]["message"]["content"] == "echo: hello row-1"
    assert reply.headers["Content-Type"].startswith("application/json")
    assert server.requests[0].key == KEY


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault.RATE_LIMIT, RateLimited),
        (Fault.SERVER_ERROR, ProviderDown),
        (Fault.HTML_503, ProviderDown),
        (Fault.MALFORMED, ProviderDown),
        (Fault.DROPPED, ProviderDown),
        (Fault.CUT, ProviderDown),
        (Fault.BAD_KEY, CredentialError),
        (Fault.HTML_200, WrongAddress),
        (Fault.ERROR_IN_200, ProviderDown),
        (Fault.HUGE, ReplyError),
    ],
)
def test_every_fault_of_a_server_is_one_of_our_errors(server, fault, kind):
    server.behavior.faults = Faults(script=[fault])
    with pytest.raises(kind) as caught:
        post(f"{server.base_url}/chat/completions")
    assert type(caught.value) is kind
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_a_server_that_holds_the_call_is_a_timeout_that_may_have_been_paid(server):
    server.behavior.faults = Faults(script=[Fault.TIMEOUT])
    with pytest.raises(ProviderTimeout, match=r"did not answer within 0\.05 seconds") as caught:
        post(f"{server.base_url}/chat/completions", timeout=0.05)
    assert caught.value.may_be_paid


def test_a_page_in_place_of_an_api_says_check_base_url():
    page = OddServer(text="<!doctype html><p>Sign in", content_type="text/html")
    with page as odd, pytest.raises(WrongAddress, match=r"web page answers at http://127\.0\.0\.1.*Check base_url"):
        post(f"{odd.origin}/v1/chat/completions")


def test_html_that_says_it_is_json_is_a_page_too():
    with OddServer(text="\n <html></html>", content_type="application/json") as odd, pytest.raises(WrongAddress):
        post(odd.origin)


def test_a_redirect_is_not_followed_and_the_key_goes_nowhere_else():
    with OddServer(text="{}") as other:
        away = OddServer(status=307, headers={"Location": f"{other.origin}/v1"})
        with away as odd, pytest.raises(WrongAddress, match="sends every call elsewhere"):
            post(odd.origin)
        assert other.seen == []


def test_a_server_that_is_not_there_says_where_and_what_to_do():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    with pytest.raises(ProviderDown, match=rf"Nothing answers at http://127.0.0.1:{port}/v1. Start the server"):
        post(f"http://127.0.0.1:{port}/v1")


def test_a_name_that_is_not_there_says_check_the_network():
    with pytest.raises(ProviderDown, match=r"cannot be found\. Check base_url"):
        post("http://no-such-host.invalid/v1")


def test_an_address_that_is_none_is_told():
    with pytest.raises(WrongAddress, match="Check base_url"):
        post("http:///v1")


def test_something_that_does_not_speak_http_is_told():
    async def scenario():
        async def babble(reader, writer):
            await reader.read(10)
            writer.write(b"SSH-2.0-OpenSSH_9.6\r\n")
            writer.close()

        listener = await asyncio.start_server(babble, "127.0.0.1", 0)
        port = listener.sockets[0].getsockname()[1]
        async with listener:
            await post_json(f"http://127.0.0.1:{port}", headers={}, body={}, provider="Test")

    with pytest.raises(ProviderDown):
        asyncio.run(scenario())


@pytest.mark.parametrize("text", ["[]", '"text"', "3", "null", ""])
def test_a_reply_that_is_no_json_object_is_a_providers_fault(text):
    with OddServer(text=text, content_type="application/json") as odd, pytest.raises(ProviderDown):
        post(odd.origin)


def test_a_compressed_bomb_stops_at_the_limit():
    bomb = gzip.compress(b'{"a": "' + b"x" * 32 * 1024 * 1024 + b'"}')
    assert len(bomb) < 100_000
    packed = OddServer(body=bomb, headers={"Content-Encoding": "gzip", "Content-Type": "application/json"})
    with packed as odd, pytest.raises(ReplyError, match="larger than 8 MB"):
        post(odd.origin)


def test_half_a_character_in_a_row_is_refused_before_it_is_sent(server):
    with pytest.raises(RequestRefused, match="half of a character"):
        post(f"{server.base_url}/chat/completions", body={"text": "\ud83d"})
    assert server.requests == []


def test_one_session_serves_all_calls_of_a_loop(server):
    async def twice():
        sessions = set()
        for _ in range(2):
            await post_json(f"{server.base_url}/chat/completions", headers=HEADERS, body=BODY, provider="Test")
            sessions.add(http._sessions[asyncio.get_running_loop()][0])
        return len(sessions)

    assert asyncio.run(twice()) == 1


def test_a_loop_that_ends_leaves_no_connection_open(server):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        post(f"{server.base_url}/chat/completions")
        gc.collect()
    assert all(loop.is_running() for loop in http._sessions)


def test_a_list_of_models_may_be_a_bare_array():
    with OddServer(text='[{"id": "a"}]', content_type="application/json") as odd:
        reply = asyncio.run(get_json(odd.origin, headers={}, provider="Test"))
    assert reply.data == [{"id": "a"}]


def test_proxies_of_the_environment_are_not_used(server, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert post(f"{server.base_url}/chat/completions").data["choices"]


def test_no_cookie_is_kept():
    with OddServer(text="{}", content_type="application/json", headers={"Set-Cookie": "a=b"}) as odd:

        async def twice():
            await get_json(odd.origin, headers={}, provider="Test")
            session, _ = http._sessions[asyncio.get_running_loop()]
            return list(session.cookie_jar)

        assert asyncio.run(twice()) == []


@pytest.mark.parametrize("fault", [Fault.BAD_KEY, Fault.DROPPED, Fault.TIMEOUT, Fault.MALFORMED, Fault.SERVER_ERROR])
def test_no_frame_of_an_errors_traceback_shows_the_key(server, fault):
    server.behavior.faults = Faults(script=[fault])
    with pytest.raises(Exception) as caught:
        post(f"{server.base_url}/chat/completions", timeout=0.05)
    shown = [repr(vars(caught.value)), repr(caught.value.args), str(caught.value)]
    trace = caught.value.__traceback__
    while trace is not None:
        if "/components/" in trace.tb_frame.f_code.co_filename:
            shown += [repr(value) for value in trace.tb_frame.f_locals.values()]
        trace = trace.tb_next
    assert len(shown) > 10
    assert KEY not in "".join(shown)
