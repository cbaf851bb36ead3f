"""Synchronous HTTP for batch jobs: every call is made once, and large files pass through memory in small pieces."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from ssl import SSLContext
from typing import Any, TypeVar
from urllib.parse import urljoin

import httpx
import orjson

from components.errors import BatchOutcomeUnknown, ProviderDown, ProviderError, ProviderTimeout, WrongAddress
from components.llms.batch.calls import SECONDS, Answer, Call
from components.llms.batch.refusals import UNSURE, refusal
from components.llms.failures import error_for
from components.vault import origin

CONNECT_SECONDS = 10.0
CHUNK = 256 * 1024
LARGEST_REPLY = 32 * 1024 * 1024
"""Bytes of a reply that is read as a whole; results never are."""
LARGEST_REFUSAL = 64 * 1024
MOST_REDIRECTS = 3
NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol, httpx.InvalidURL)

T = TypeVar("T")


class Wire:
    """Calls to one account. Raises ProviderError of the fitting kind, which holds no request and no key."""

    def __init__(
        self,
        root: str,
        headers: Mapping[str, str],
        title: str,
        *,
        query: Mapping[str, str] | None = None,
        timeout: float = SECONDS,
    ) -> None:
        self.root = root.rstrip("/")
        self.title = title
        self._headers = headers
        self._query = dict(query or {})
        self._timeout = timeout

    def get(self, path: str, call: Call = Call.FIND, **params: str | int) -> Answer:
        """Read JSON."""
        return self._call("GET", path, call, self._json, params=params)

    def post(
        self, path: str, body: Any = None, call: Call = Call.FIND, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Post JSON that makes no batch."""
        return self._call("POST", path, call, self._json, content=_encoded(body), headers=headers)

    def create(self, path: str, content: bytes | Iterable[bytes], length: int | None = None) -> Answer:
        """Make a batch with one request. Raises: BatchOutcomeUnknown when it may or may not have been made."""
        headers = {"Content-Length": str(length)} if length is not None else None
        return self._call("POST", path, Call.MAKE, self._made, content=content, headers=headers)

    def upload(self, path: str, file: Path, name: str, fields: Mapping[str, str]) -> Answer:
        """Post a form with a file, straight from the disk."""
        with open(file, "rb") as handle:
            form = {"file": (name, handle, "application/jsonl")}
            return self._call("POST", path, Call.SEND, self._json, data=dict(fields), files=form)

    def send(self, url: str, file: Path, headers: Mapping[str, str]) -> Answer:
        """Post the bytes of a file, straight from the disk."""
        with open(file, "rb") as handle:
            length = {"Content-Length": str(file.stat().st_size)}
            content = iter(lambda: handle.read(CHUNK), b"")
            return self._call("POST", url, Call.SEND, self._json, content=content, headers={**headers, **length})

    def read(self, path: str, take: Callable[[Iterator[bytes]], T], **params: str | int) -> T:
        """Hand the pieces of a reply to `take` as they come, however large it is."""
        return self._call("GET", path, Call.FIND, lambda reply: take(reply.iter_bytes(CHUNK)), params=params)

    def address(self, path: str) -> str:
        """Where a path lies; an address that the provider gave must be on its own host, for the key goes there.

        Raises: WrongAddress.
        """
        url = urljoin(f"{self.root}/", path) if "://" in path else f"{self.root}{path}"
        if not _is_same_host(url, self.root):
            raise WrongAddress(
                f"{self.title} points to another server for a file. The key is not sent there.", provider=self.title
            )
        return url

    def _call(
        self,
        method: str,
        path: str,
        call: Call,
        take: Callable[[httpx.Response], T],
        *,
        params: Mapping[str, str | int] | None = None,
        headers: Mapping[str, str] | None = None,
        **sent: Any,
    ) -> T:
        url = self.address(path)
        if "content" in sent:
            headers = {"Content-Type": "application/json", **(headers or {})}
        every = {"User-Agent": "stillroom", "Accept-Encoding": "identity", **self._headers, **(headers or {})}
        query: Mapping[str, str | int] = {**self._query, **(params or {})}
        # An error of the HTTP library holds the request and its key, so ours is raised outside the `except`.
        failure: ProviderError
        try:
            with self._client() as client:
                for _ in range(MOST_REDIRECTS + 1):
                    with client.stream(method, url, headers=every, params=query or None, **sent) as reply:
                        if reply.is_success:
                            return take(reply)
                        target = urljoin(url, reply.headers.get("location", "")) if reply.has_redirect_location else ""
                        if method != "GET" or not target or not _is_same_host(target, url):
                            failure = self._refused(reply, call)
                            break
                    url, query = target, {}
                else:
                    failure = WrongAddress(f"{self.title} redirects without end.", provider=self.title)
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
            failure = self._broken(error, url, call)
        raise failure

    def _client(self) -> httpx.Client:
        timeout = httpx.Timeout(self._timeout, connect=min(CONNECT_SECONDS, self._timeout))
        return httpx.Client(verify=_trusted(), trust_env=False, follow_redirects=False, timeout=timeout)

    def _json(self, reply: httpx.Response) -> Answer:
        raw = _first(reply, LARGEST_REPLY)
        try:
            return Answer(orjson.loads(raw) if raw.strip() else {}, reply.headers)
        except ValueError:
            pass
        text = f"{self.title} sent a reply that is not whole JSON."
        raise ProviderDown(text, provider=self.title, status=reply.status_code)

    def _made(self, reply: httpx.Response) -> Answer:
        try:
            return self._json(reply)
        except ProviderDown as error:
            text = str(error)
        raise BatchOutcomeUnknown(f"{text} {UNSURE}", provider=self.title)

    def _refused(self, reply: httpx.Response, call: Call) -> ProviderError:
        status = reply.status_code
        if 300 <= status < 400:
            text = f"{self.title} sends the call elsewhere (HTTP {status}). Put the address it points to in base_url."
            return WrongAddress(text, provider=self.title, status=status)
        raw = _first(reply, LARGEST_REFUSAL)
        try:
            said = orjson.loads(raw)
        except ValueError:
            said = raw
        error = error_for(status, reply.headers, said, self.title, self._headers)
        return refusal(error, makes=call is Call.MAKE, sends=call is Call.SEND, finds=call is Call.FIND)

    def _broken(self, error: Exception, url: str, call: Call) -> ProviderError:
        place = url.split("?", 1)[0]
        kind: type[ProviderError] = ProviderDown
        match error:
            case httpx.InvalidURL() | httpx.UnsupportedProtocol():
                kind, text = WrongAddress, f"{place} is no address that can be called. Check base_url."
            case httpx.ConnectTimeout():
                kind, text = ProviderTimeout, f"{place} took no connection in time."
            case httpx.ConnectError():
                text = f"Nothing answers at {place}. Check base_url and the network."
            case httpx.TimeoutException():
                kind, text = ProviderTimeout, f"{self.title} did not answer within {self._timeout:g} seconds."
            case _:
                text = f"{self.title} broke the connection off before the answer was whole."
        if call is Call.MAKE and not isinstance(error, NEVER_SENT):
            kind, text = BatchOutcomeUnknown, f"{text} {UNSURE}"
        return kind(text, provider=self.title)


def _is_same_host(url: str, other: str) -> bool:
    try:
        return origin(url) == origin(other)
    except ValueError:
        return False


def _encoded(body: Any) -> bytes:
    return b"" if body is None else orjson.dumps(body)


def _first(reply: httpx.Response, most: int) -> bytes:
    parts, size = [], 0
    for part in reply.iter_bytes(CHUNK):
        parts.append(part)
        size += len(part)
        if size > most:
            break
    return b"".join(parts)


@cache
def _trusted() -> SSLContext:
    # Made once, since reading the certificates takes longer than most calls.
    return httpx.create_ssl_context(trust_env=False)
