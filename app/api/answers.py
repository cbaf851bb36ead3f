"""What the routes answer: JSON with a tag, so that a page that asks again gets nothing anew when nothing changed."""

import hashlib
from typing import Any

import orjson
from fastapi import Request, Response


def answer(data: Any, status: int = 200) -> Response:
    """Plain data as JSON."""
    return Response(orjson.dumps(data), status, media_type="application/json", headers={"Cache-Control": "no-store"})


def tagged(request: Request, data: Any) -> Response:
    """Plain data as JSON with an ETag; 304 and no body for whoever has it already."""
    body = orjson.dumps(data)
    tag = f'"{hashlib.blake2b(body, digest_size=16).hexdigest()}"'
    headers = {"ETag": tag, "Cache-Control": "no-cache"}
    known = [one.strip().removeprefix("W/") for one in request.headers.get("if-none-match", "").split(",")]
    if tag in known:
        return Response(status_code=304, headers=headers)
    return Response(body, media_type="application/json", headers=headers)
