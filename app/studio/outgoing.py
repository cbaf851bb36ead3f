"""Requests to addresses that people typed: to public servers only, with no redirects and a deadline."""

import http.client
import ipaddress
import socket
import ssl
import threading
import time
from urllib.parse import SplitResult, urlsplit

from components.errors import ConfigError, ProviderDown

SECONDS = 10.0
LONGEST = 2_000
LARGEST_REPLY = 4_096
PORTS = {"http": 80, "https": 443}
NEVER = tuple(
    ipaddress.ip_network(text)
    # Protocol assignments, and the ranges that carry an IPv4 address inside: NAT64 and 6to4.
    for text in ("192.0.0.0/24", "64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32")
)


def checked_address(url: str, *, allow_private: bool = False) -> str:
    """An address to post to. Raises: ConfigError for what is none, or plainly leads to a private network."""
    url = url.strip()
    try:
        parts = urlsplit(url)
        sound = parts.scheme in PORTS and bool(parts.hostname) and parts.port != 0
    except ValueError:
        sound = False
    if not sound or len(url) > LONGEST or not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        raise ConfigError("The webhook is an address such as https://hooks.example.org/run.")
    if parts.username is not None or parts.fragment:
        raise ConfigError("The webhook must hold neither a password before its host nor anything after '#'.")
    host = parts.hostname or ""
    if not allow_private and (host == "localhost" or host.endswith(".localhost") or _is_private_literal(host)):
        raise ConfigError(_private(host))
    return url


def post_json(url: str, body: bytes, *, allow_private: bool = False, seconds: float = SECONDS) -> None:
    """Post JSON once; any answer in the 200s is a success.

    The addresses of the host are checked when it is connected to, whatever its name led to before.
    Raises: ConfigError for a private address; ProviderDown when it is not taken.
    """
    parts = urlsplit(url)
    host, deadline = parts.hostname or "", time.monotonic() + seconds
    failure = f"{host} did not answer in {seconds:.0f} seconds."
    try:
        connection = _Connection(parts, _addresses(parts, allow_private), deadline)
        watch = threading.Timer(seconds, connection.cut)
        watch.daemon = True
        watch.start()
        try:
            path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            headers = {"Content-Type": "application/json", "User-Agent": "Stillroom", "Connection": "close"}
            connection.request("POST", path, body, headers)
            status = connection.getresponse().status
        finally:
            watch.cancel()
            connection.close()
    except (OSError, http.client.HTTPException) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
        failure = failure if time.monotonic() >= deadline else f"{host} could not be reached: {reason}."
    else:
        if 200 <= status < 300:
            return
        failure = f"{host} answered with status {status}."
    # Raised outside the `except`: what went wrong inside may hold the whole address.
    raise ProviderDown(failure, provider=host)


def is_public(address: str) -> bool:
    """Whether an address is one of the open internet, and not of this machine or a network around it."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is not None:
            return is_public(str(ip.ipv4_mapped))
        if ip.is_site_local:
            return False
    if any(ip.version == network.version and ip in network for network in NEVER):
        return False
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or ip.is_unspecified)


class _Connection(http.client.HTTPConnection):
    """To the addresses that were checked, and to no others."""

    def __init__(self, parts: SplitResult, addresses: list[str], deadline: float) -> None:
        super().__init__(parts.hostname or "", parts.port or PORTS[parts.scheme])
        self._is_secure = parts.scheme == "https"
        self._addresses, self._deadline = addresses, deadline

    def connect(self) -> None:
        for place, address in enumerate(self._addresses, start=1):
            try:
                found = socket.create_connection((address, self.port), max(0.1, self._deadline - time.monotonic()))
                break
            except OSError:
                if place == len(self._addresses):
                    raise
        self.sock = found
        if self._is_secure:
            self.sock = ssl.create_default_context().wrap_socket(found, server_hostname=self.host)

    def cut(self) -> None:
        """End it at its deadline, however slowly the other side goes on."""
        if self.sock is not None:
            try:
                self.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                self.sock.close()


def _addresses(parts: SplitResult, allow_private: bool) -> list[str]:
    host = parts.hostname or ""
    found = socket.getaddrinfo(host, parts.port or PORTS[parts.scheme], type=socket.SOCK_STREAM)
    addresses = list(dict.fromkeys(str(one[4][0]) for one in found))
    # One private address among public ones is enough to be led there.
    if not allow_private and not all(is_public(address) for address in addresses):
        raise ConfigError(_private(host))
    return addresses


def _is_private_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return not is_public(host)


def _private(host: str) -> str:
    return (
        f"{host} is an address of this machine or of a private network, where no webhook may go. "
        "Set STILLROOM_ALLOW_PRIVATE_WEBHOOKS to allow it."
    )
