"""Each fault as it goes over the wire."""

import asyncio
import json
import socket
import struct
from dataclasses import replace
from typing import Any

from aiohttp import web

from tests.servers import refusals
from tests.servers.answers import Reply, tokens
from tests.servers.behavior import Behavior
from tests.servers.faults import Fault
from tests.servers.refusals import Refusal

HTML = "<html><head><title>{0}</title></head><body><h1>{0}</h1><hr>nginx</body></html>"


def refused_by_fault(fault: Fault, body: dict[str, Any], behavior: Behavior) -> Refusal | None:
    """The fault as an error object, where it is one."""
    limit = Refusal(429, "Rate limit reached for requests.", "requests", code="rate_limit_exceeded")
    match fault:
        case Fault.RATE_LIMIT:
            return replace(limit, headers={"Retry-After": f"{behavior.retry_after_s:g}"})
        case Fault.RATE_LIMIT_MS:
            return replace(limit, headers={"retry-after-ms": str(behavior.retry_after_ms)})
        case Fault.RATE_LIMIT_BARE:
            return limit
        case Fault.INSUFFICIENT_QUOTA:
            message = "You exceeded your current quota, please check your plan and billing details."
            return Refusal(429, message, "insufficient_quota", code="insufficient_quota")
        case Fault.FLEX_UNAVAILABLE:
            return Refusal(429, "No flex capacity at the moment.", "resource_unavailable", code="resource_unavailable")
        case Fault.SERVER_ERROR:
            return Refusal(500, "The server had an error while processing your request.", "server_error")
        case Fault.BAD_KEY:
            return refusals.bad_key("sk-refused-by-plan")
        case Fault.UNKNOWN_MODEL:
            return refusals.unknown_model(body.get("model", ""))
        case Fault.CONTEXT_TOO_LONG:
            return refusals.context_too_long(8192, 9000)
        case Fault.CONTENT_POLICY:
            message = "The response was filtered due to the prompt triggering our content management policy."
            return Refusal(400, message, param="prompt", code="content_filter")
        case Fault.UNSUPPORTED_PARAMETER:
            return refusals.unsupported_parameter("max_tokens", " Use 'max_completion_tokens' instead.")
    return None


def spoiled(fault: Fault | None, reply: Reply, behavior: Behavior) -> Reply:
    """One choice as the fault leaves it."""
    match fault:
        case Fault.FILTERED:
            return replace(reply, text="", finish_reason="content_filter")
        case Fault.REFUSAL:
            return replace(reply, text=None, refusal="I'm sorry, but I can't help with that.")
        case Fault.NULL_CONTENT:
            return replace(reply, text=None)
        case Fault.TOOL_CALLS:
            return replace(reply, text=None, finish_reason="tool_calls")
        case Fault.HUGE:
            return replace(reply, text="x" * behavior.huge_bytes)
        case Fault.TRUNCATED:
            words = tokens(reply.text or "")
            return replace(reply, text="".join(words[: len(words) // 2]), finish_reason="length")
    return reply


def spoiled_body(fault: Fault | None, answer: dict[str, Any]) -> dict[str, Any]:
    """A whole chat completion as the fault leaves it."""
    if fault is Fault.EMPTY_CHOICES:
        return {**answer, "choices": []}
    if fault is Fault.TOOL_CALLS:
        call = {"id": "call_1", "type": "function", "function": {"name": "look_up", "arguments": "{}"}}
        for choice in answer["choices"]:
            choice["message"]["tool_calls"] = [call]
    return answer


async def send(fault: Fault | None, request: web.Request, answer: dict[str, Any]) -> web.StreamResponse:
    """The answer, or what is left of it once the fault has happened to the connection or the bytes."""
    match fault:
        case Fault.HTML_503:
            page = HTML.format("503 Service Temporarily Unavailable")
            return web.Response(status=503, text=page, content_type="text/html")
        case Fault.HTML_200:
            return web.Response(text=HTML.format("Sign in"), content_type="text/html")
        case Fault.ERROR_IN_200:
            return web.json_response(Refusal(200, "Upstream provider failed.", "server_error", code="502").body())
        case Fault.MALFORMED:
            whole = json.dumps(answer)
            return web.Response(text=whole[: len(whole) // 2], content_type="application/json")
        case Fault.TIMEOUT:
            await asyncio.get_running_loop().create_future()
        case Fault.DROPPED:
            return _reset(request)
        case Fault.CUT:
            return await _cut(request, json.dumps(answer).encode())
    return web.json_response(answer)


def _reset(request: web.Request) -> web.Response:
    transport = request.transport
    assert transport is not None
    connection = transport.get_extra_info("socket")
    # Linger 0 makes the close a reset, which is what a crashed server or a proxy sends.
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
    return web.Response()


async def _cut(request: web.Request, whole: bytes) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": str(len(whole))})
    await response.prepare(request)
    await response.write(whole[: len(whole) // 2])
    assert request.transport is not None
    request.transport.close()
    return response
