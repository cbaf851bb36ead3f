"""The one place that talks HTTP to providers: JSON out, JSON in, and one of our errors for whatever goes wrong."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import aiohttp
import orjson

from components.errors import (
    ProviderDown,
    ProviderError,
    ProviderTimeout,
    ReplyError,
    RequestRefused,
    StillroomError,
    WrongAddress,
)
from components.llms.failures import error_for, redacted

LARGEST_REPLY = 8 * 1024 * 1024
CONNECT_SECONDS = 5.0
READ_SECONDS = 120.0
KEEP_ALIVE_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Reply:
    """A good reply: the JSON of its body, and its headers."""

    data: Any
    headers: Mapping[str, str]


async def post_json(
    url: str, *, headers: Mapping[str, str], body: Any, timeout: float = READ_SECONDS, provider: str
) -> Reply:
    """Post a body and read the JSON object that answers it, within `timeout` seconds in all.

    Raises: ProviderError of the fitting kind, which holds no request and no key; ReplyError for a reply over 8 MB.
    """
    reply = await _exchange("POST", url, headers, _encoded(body, provider), timeout, CONNECT_SECONDS, provider)
    if not isinstance(reply.data, dict):
        raise ProviderDown(f"{provider} sent a reply that is no JSON object.", provider=provider)
    return reply


async def get_json(
    url: str, *, headers: Mapping[str, str], timeout: float = 10.0, connect: float = CONNECT_SECONDS, provider: str
) -> Reply:
    """Get JSON, with the errors of `post_json`."""
    return await _exchange("GET", url, headers, None, timeout, connect, provider)


async def _exchange(
    method: str,
    url: str,
    headers: Mapping[str, str],
    payload: bytes | None,
    timeout: float,
    connect: float,
    provider: str,
) -> Reply:
    # An error of the HTTP library may hold the request and its key, so ours is raised outside the `except`.
    failure: StillroomError | None = None
    try:
        session = await _session()
        async with session.request(
            method, url, data=payload, headers=headers, timeout=_limits(timeout, connect), allow_redirects=False
        ) as response:
            raw = await _read(response)
    except StillroomError as error:
        failure = error
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        failure = _broken(error, url, timeout, connect, provider, headers)
    if failure is not None:
        raise failure
    status = response.status
    if 200 <= status < 300:
        data = _json(raw)
        if data is None:
            raise _no_json(raw, response.content_type, url, provider)
        if isinstance(data, dict) and data.get("error") and not data.get("choices"):
            raise error_for(200, response.headers, data, provider, headers)
        return Reply(data, response.headers)
    if 300 <= status < 400:
        raise WrongAddress(
            f"{_place(url)} sends every call elsewhere (HTTP {status}). Put the address it points to in base_url.",
            provider=provider,
            status=status,
        )
    raise error_for(status, response.headers, _json(raw) or raw, provider, headers)


def _encoded(body: Any, provider: str) -> bytes:
    try:
        return orjson.dumps(body)
    except TypeError as error:
        reason = str(error)
    if "surrogates" in reason:
        reason = "it holds half of a character (a lone surrogate); take it out of the row"
    raise RequestRefused(f"The request cannot be sent: {reason}.", provider=provider)


async def _read(response: aiohttp.ClientResponse) -> bytes:
    length = response.content_length
    if length is not None and length <= LARGEST_REPLY and "Content-Encoding" not in response.headers:
        return await response.read()
    parts: list[bytes] = []
    size = 0
    async for part in response.content.iter_any():
        size += len(part)
        if size > LARGEST_REPLY:
            raise ReplyError(f"The reply is larger than {LARGEST_REPLY // 1024**2} MB. Ask for a shorter answer.")
        parts.append(part)
    return b"".join(parts)


def _json(raw: bytes) -> Any:
    """The JSON of a body; None where it is none."""
    try:
        return orjson.loads(raw)
    except ValueError:
        return None


def _no_json(raw: bytes, kind: str, url: str, provider: str) -> ProviderError:
    if kind == "text/html" or raw[:64].lstrip().startswith(b"<"):
        return WrongAddress(f"A web page answers at {_place(url)}, not a model. Check base_url.", provider=provider)
    return _perhaps_paid(ProviderDown(f"{provider} sent a reply that is not whole JSON.", provider=provider))


def _broken(
    error: Exception, url: str, timeout: float, connect: float, provider: str, headers: Mapping[str, str]
) -> ProviderError:
    """What became of a call that got no reply."""
    place = _place(url)
    match error:
        case aiohttp.ConnectionTimeoutError():
            return ProviderTimeout(f"{place} took no connection within {connect:g} seconds.", provider=provider)
        case TimeoutError():
            late = ProviderTimeout(f"{provider} did not answer within {timeout:g} seconds.", provider=provider)
            return _perhaps_paid(late)
        case aiohttp.ClientConnectorDNSError():
            text = f"The name in {place} cannot be found. Check base_url and the network."
        case aiohttp.ClientSSLError() | aiohttp.ServerFingerprintMismatch():
            text = f"The connection to {place} is not secure: its certificate was not accepted."
        case aiohttp.ClientConnectorError():
            text = f"Nothing answers at {place}. Start the server there, or check base_url."
        case aiohttp.InvalidURL() | ValueError():
            reason = redacted(str(error), headers)
            text = f"{place} is no address that can be called ({reason}). Check base_url."
            return WrongAddress(text, provider=provider)
        case aiohttp.ClientResponseError():
            text = f"{place} answers, but not in HTTP. Check base_url."
        case _:
            text = f"{provider} broke the connection off before the answer was whole."
            return _perhaps_paid(ProviderDown(text, provider=provider))
    return ProviderDown(text, provider=provider)


def _perhaps_paid(error: ProviderError) -> ProviderError:
    error.may_be_paid = True
    return error


def _place(url: str) -> str:
    return url.split("?", 1)[0]


@cache
def _limits(timeout: float, connect: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=timeout, sock_connect=connect)


Owner = AsyncGenerator[aiohttp.ClientSession, None]
_sessions: dict[asyncio.AbstractEventLoop, tuple[aiohttp.ClientSession, Owner]] = {}


async def _session() -> aiohttp.ClientSession:
    loop = asyncio.get_running_loop()
    held = _sessions.get(loop)
    if held is None:
        # Held by a generator, because a loop that ends closes the generators it began: no session is left open.
        owner = _owner(loop)
        held = _sessions[loop] = (await anext(owner), owner)
    return held[0]


async def _owner(loop: asyncio.AbstractEventLoop) -> Owner:
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE_SECONDS),
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        headers={"User-Agent": "stillroom", "Content-Type": "application/json"},
    ) as session:
        try:
            yield session
        finally:
            _sessions.pop(loop, None)
