import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from app.studio.outgoing import checked_address, is_public, post_json
from components.errors import ConfigError, ProviderDown

PUBLIC = ["8.8.8.8", "1.1.1.1", "2606:4700:4700::1111"]
PRIVATE = [
    "127.0.0.1",
    "127.8.9.1",
    "0.0.0.0",
    "10.0.0.1",
    "172.16.5.4",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "100.100.100.200",
    "192.0.0.8",
    "192.0.2.1",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b:1::7f00:1",
    "2002:7f00:1::",
    "2001:0:7f00:1::",
    "fc00::1",
    "fd12:3456::1",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
    "2001:db8::1",
    "not an address",
]


@pytest.mark.parametrize("address", PUBLIC)
def test_an_address_of_the_internet_is_public(address):
    assert is_public(address)


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_of_a_network_around_here_is_not_public(address):
    assert not is_public(address)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "hooks.example.org",
        "ftp://hooks.example.org/a",
        "file:///etc/passwd",
        "http://",
        "http://ada:secret@hooks.example.org/",
        "http://hooks.example.org/#part",
        "http://hooks.example.org/\r\nX: y",
        "http://hooks.example.org\\@127.0.0.1/",
        "http://[::1/",
        "http://hooks.example.org:0/",
        f"http://hooks.example.org/{'a' * 3000}",
    ],
)
def test_what_is_no_address_is_refused(url):
    with pytest.raises(ConfigError):
        checked_address(url)


@pytest.mark.parametrize("host", ["localhost", "app.localhost", "127.0.0.1", "[::1]", "[::ffff:10.0.0.1]", "10.1.2.3"])
def test_a_plainly_private_address_is_refused_when_it_is_typed(host):
    with pytest.raises(ConfigError, match="STILLROOM_ALLOW_PRIVATE_WEBHOOKS"):
        checked_address(f"http://{host}/hook")
    assert checked_address(f"http://{host}/hook", allow_private=True)


def whole(connection):
    """A request with its body, which may come apart from its head."""
    received = b""
    while b"\r\n\r\n" not in received or not received.endswith(b"}"):
        piece = connection.recv(65_536)
        if not piece:
            break
        received += piece
    return received


class Trap:
    """A server on loopback that counts who comes, and answers as it is told."""

    def __init__(self, answer=b"HTTP/1.1 204 No Content\r\n\r\n"):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.answer, self.calls = answer, []
        self.over = threading.Event()
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            with connection:
                self.calls.append(whole(connection))
                if self.answer is None:
                    self.over.wait(30)
                else:
                    connection.sendall(self.answer)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.over.set()
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()


# Names and notations that lead to loopback, whatever they look like.
NOTATIONS = ["127.1", "0x7f000001", "2130706433", "0177.0.0.1", "127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0"]


@pytest.mark.parametrize("host", NOTATIONS)
def test_no_notation_of_loopback_is_connected_to(host):
    with Trap() as trap:
        with pytest.raises((ConfigError, ProviderDown)):
            post_json(f"http://{host}:{trap.port}/", b"{}")
        assert trap.calls == []


def test_a_name_is_checked_when_it_is_connected_to(monkeypatch):
    with Trap() as trap:
        found = [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, trap.port)) for address in ("8.8.8.8", "127.0.0.1")
        ]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
        with pytest.raises(ConfigError, match=r"hooks\.example\.org is an address of this machine"):
            post_json(f"http://hooks.example.org:{trap.port}/", b"{}")
        assert trap.calls == []


def test_what_is_posted_arrives_as_json():
    with Trap() as trap:
        post_json(f"http://127.0.0.1:{trap.port}/hook?a=1", b'{"a": 1}', allow_private=True)
        (call,) = trap.calls
    head, _, body = call.partition(b"\r\n\r\n")
    assert head.startswith(b"POST /hook?a=1 HTTP/1.1")
    assert b"Content-Type: application/json" in head and f"Host: 127.0.0.1:{trap.port}".encode() in head
    assert body == b'{"a": 1}'


def test_a_redirect_is_not_followed():
    with Trap() as other, Trap(f"HTTP/1.1 307 Go\r\nLocation: http://127.0.0.1:{other.port}/\r\n\r\n".encode()) as trap:
        with pytest.raises(ProviderDown, match="status 307"):
            post_json(f"http://127.0.0.1:{trap.port}/", b"{}", allow_private=True)
        assert other.calls == []


def test_a_server_that_says_nothing_is_given_up_and_its_secret_is_not_told():
    with Trap(answer=None) as trap, pytest.raises(ProviderDown, match="did not answer") as caught:
        post_json(f"http://127.0.0.1:{trap.port}/s3cret", b"{}", allow_private=True, seconds=0.3)
    assert "s3cret" not in str(caught.value)


def test_a_server_that_drips_is_given_up_too():
    class Drip(BaseHTTPRequestHandler):
        def do_POST(self):
            for _ in range(100):
                self.wfile.write(b"H")
                self.wfile.flush()
                if over.wait(0.1):
                    return

        def log_message(self, *_):
            pass

    over = threading.Event()
    with HTTPServer(("127.0.0.1", 0), Drip) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        with pytest.raises(ProviderDown):
            post_json(f"http://127.0.0.1:{server.server_port}/", b"{}", allow_private=True, seconds=0.5)
        over.set()
        server.shutdown()


def test_nobody_at_home_is_told():
    with Trap() as trap:
        port = trap.port
    with pytest.raises(ProviderDown, match="could not be reached"):
        post_json(f"http://127.0.0.1:{port}/", b"{}", allow_private=True)
