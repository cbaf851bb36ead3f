"""Each trouble of a call as it goes over the wire."""

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from pathlib import Path

from aiohttp import web
from aiohttp.typedefs import Handler

from tests.servers.batch.behavior import BatchBehavior, Trouble
from tests.servers.batch.provider import Refused
from tests.servers.batch.results import PADDING
from tests.servers.batch.store import StoredFile
from tests.servers.batch.works import queue_full
from tests.servers.refusals import unknown_model

CHUNK = 1 << 20
TROUBLE: ContextVar[Trouble | None] = ContextVar("trouble", default=None)  # of the call at hand
LANDS = frozenset({Trouble.LAND_HANG, Trouble.LAND_500, Trouble.LAND_DROP, Trouble.CUT})
REASONS = {
    Trouble.BAD_REQUEST: (400, "The request is not valid.", "invalid_request_error"),
    Trouble.BAD_KEY: (401, "Incorrect API key provided.", "invalid_request_error"),
    Trouble.FORBIDDEN: (403, "You are not allowed to do this with this key.", "permission_error"),
    Trouble.CONFLICT: (409, "The request conflicts with another one.", "conflict_error"),
    Trouble.TOO_LARGE: (413, "The request is too large.", "request_too_large"),
    Trouble.UNPROCESSABLE: (422, "The request could not be processed.", "invalid_request_error"),
    Trouble.SERVER_ERROR: (500, "The server had an error while processing your request.", "server_error"),
}


def guarded(
    behavior: BatchBehavior, call: str, handler: Handler
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """The handler, with the troubles planned for this kind of call."""

    async def handle(request: web.Request) -> web.StreamResponse:
        trouble = behavior.trouble(call)
        TROUBLE.set(trouble)
        if trouble is not None and trouble not in LANDS:
            return await refuse(trouble, request, call, behavior)
        response = await handler(request)
        if trouble is Trouble.LAND_500:
            raise refused(Trouble.SERVER_ERROR)
        if trouble in (Trouble.LAND_HANG, Trouble.LAND_DROP):
            raise Lost(trouble)
        return response

    return handle


class Lost(Exception):
    """No reply will come; to be caught once the journal knows."""

    def __init__(self, trouble: Trouble) -> None:
        super().__init__(trouble)
        self.trouble = trouble


async def lose(trouble: Trouble, request: web.Request) -> web.StreamResponse:
    """The connection is reset, or held until the client or the server leaves."""
    if trouble in (Trouble.DROP, Trouble.LAND_DROP):
        return reset(request)
    await asyncio.get_running_loop().create_future()
    raise AssertionError("a held connection ends by being cancelled")


async def refuse(trouble: Trouble, request: web.Request, call: str, behavior: BatchBehavior) -> web.StreamResponse:
    if trouble in (Trouble.HANG, Trouble.DROP):
        raise Lost(trouble)
    if trouble is Trouble.HTML_503:
        page = "<html><head><title>503 Service Unavailable</title></head><body><h1>503</h1></body></html>"
        return web.Response(status=503, text=page, content_type="text/html")
    if request.can_read_body:
        # Read to its end: an answer to a half-sent upload would reset the connection instead.
        async for _ in request.content.iter_chunked(CHUNK):
            pass
    wait = {"Retry-After": f"{behavior.trouble_retry_after_s:g}"}
    if trouble is Trouble.RATE_LIMIT:
        raise Refused(429, "Rate limit reached for requests.", "requests", code="rate_limit_exceeded", headers=wait)
    if trouble is Trouble.QUEUE_FULL:
        raise Refused(429, queue_full(""), "token_limit_exceeded", code="token_limit_exceeded")
    if trouble is Trouble.NO_CREDIT:
        message = "You exceeded your current quota, please check your plan and billing details."
        raise Refused(429, message, "insufficient_quota", code="insufficient_quota")
    if trouble is Trouble.NOT_FOUND and call == "create":
        missing = unknown_model("the-model")
        raise Refused(missing.status, missing.message, code=missing.code)
    if trouble is Trouble.NOT_FOUND:
        raise Refused(404, "No such object.", "not_found_error")
    raise refused(trouble)


def refused(trouble: Trouble) -> Refused:
    status, message, kind = REASONS[trouble]
    return Refused(status, message, kind)


def reset(request: web.Request) -> web.Response:
    transport = request.transport
    assert transport is not None
    # Linger 0 makes the close a reset, which is what a crashed server or a proxy sends.
    connection = transport.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
    return web.Response()


async def send_file(
    request: web.Request, stored: StoredFile, path: Path, kind: str, headers: Mapping[str, str] | None = None
) -> web.StreamResponse:
    """The bytes of a file, padded if it is to be, and cut in the middle if this is the call's trouble."""
    cut = TROUBLE.get() is Trouble.CUT
    headers = {"Content-Type": kind, **(headers or {})}
    if not cut and stored.padding is None:
        return web.FileResponse(path, chunk_size=CHUNK, headers=headers)
    response = web.StreamResponse(headers={**headers, "Content-Length": str(stored.bytes)})
    await response.prepare(request)
    left = stored.bytes // 2 if cut else stored.bytes
    filling = b"x" * (stored.padding or 0)
    with path.open("rb") as file:
        for line in file:
            line = line.replace(PADDING.encode(), filling) if stored.padding is not None else line
            await response.write(line[:left])
            left -= len(line)
            if left <= 0:
                break
    if cut and request.transport is not None:
        request.transport.close()
    return response
