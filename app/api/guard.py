"""Stands before every request: who may ask, from where and how much, and what the browser may do with the answer."""

import hashlib
import hmac
import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit

from fastapi import Response
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.errors import refused
from app.settings import Settings
from components.vault import LOOPBACK

COOKIE = "stillroom_session"
ENTRANCE = "/enter"
SPACES = ".hf.space"
MEGABYTE = 1_000_000
LARGEST_API_BODY = MEGABYTE
LARGEST_PAGE_BODY = 16 * MEGABYTE
OPEN = ("/healthz", ENTRANCE, "/assets/")

# Gradio's pages carry their settings in inline scripts and make functions of their own templates.
POLICY = {
    "default-src": "'self'",
    "script-src": "'self' 'unsafe-inline' 'unsafe-eval'",
    "style-src": "'self' 'unsafe-inline'",
    "img-src": "'self' data: blob:",
    "font-src": "'self' data:",
    "connect-src": "'self'",
    "worker-src": "'self' blob:",
    "media-src": "'self' data: blob:",
    "object-src": "'none'",
    "base-uri": "'self'",
    "form-action": "'self'",
    "frame-ancestors": "'self'",
}


class Guard:
    """Refuses other sites, foreign host names and bodies that are too large; adds headers to every answer."""

    def __init__(self, app: ASGIApp, settings: Settings, *, on_space: bool = False) -> None:
        self._app = app
        self._settings = settings
        self._names = LOOPBACK | {settings.host.lower(), *settings.allowed_hosts}
        self._takes_addresses = settings.host not in LOOPBACK
        self._token = settings.token.get_secret_value() if settings.token else ""
        ancestors = "'self' https://huggingface.co https://*.hf.space" if on_space else "'self'"
        policy = "; ".join(f"{name} {value}" for name, value in (POLICY | {"frame-ancestors": ancestors}).items())
        self._headers = {
            "Content-Security-Policy": policy,
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "same-origin",
            "Cross-Origin-Resource-Policy": "same-origin",
        }
        if not on_space:
            self._headers["X-Frame-Options"] = "SAMEORIGIN"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refusal = self._refusal(scope, headers)

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                sent = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    sent.setdefault(name, value)
            await send(message)

        if refusal is None:
            await self._app(scope, _limited(receive, self._largest(scope["path"])), send_guarded)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            await refusal(scope, receive, send_guarded)

    def _refusal(self, scope: Scope, headers: Headers) -> Response | None:
        path, method = scope["path"], scope.get("method", "GET")
        if not self._knows(_name(headers.get("host", ""))):
            return refused(
                "Stillroom is not known by this name. Add it to STILLROOM_ALLOWED_HOSTS if it is yours.", 403
            )
        if not self._is_ours(headers, method, path):
            return refused("Another site may not ask this of Stillroom.", 403)
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > self._largest(path):
            return refused(f"This is more than {self._largest(path) // MEGABYTE:,} MB, the most that is taken.", 413)
        if self._token and not path.startswith(OPEN) and not self._is_let_in(headers):
            if method == "GET" and "text/html" in headers.get("accept", ""):
                return Response(status_code=303, headers={"Location": scope.get("root_path", "") + ENTRANCE})
            return refused("Give the token of this Stillroom: Authorization: Bearer TOKEN.", 401)
        return None

    def _knows(self, name: str) -> bool:
        # A page of another site can be given any name that leads here, but never a bare address.
        is_address = self._takes_addresses and _is_address(name)
        return name in self._names or name.endswith(SPACES) or is_address

    def _is_ours(self, headers: Mapping[str, str], method: str, path: str) -> bool:
        is_read = method in ("GET", "HEAD")
        if is_read and path.startswith("/assets/"):
            return True
        origin = headers.get("origin")
        if origin is not None and not self._is_same(origin, headers.get("host", "")):
            return False
        if headers.get("sec-fetch-site", "none") in ("none", "same-origin"):
            return True
        # A link on another site may open a page; it may do and read nothing else.
        opens_page = headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") in (
            "document",
            "iframe",
        )
        return is_read and opens_page and not path.startswith(("/api/", "/gradio_api/"))

    def _is_same(self, origin: str, host: str) -> bool:
        try:
            parts = urlsplit(origin)
        except ValueError:
            return False
        return bool(parts.netloc) and (
            parts.netloc.lower() == host.lower() or parts.hostname in self._settings.allowed_hosts
        )

    def _is_let_in(self, headers: Mapping[str, str]) -> bool:
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), self._token.encode()):
            return True
        cookie = cookie_parser(headers.get("cookie", "")).get(COOKIE, "")
        return hmac.compare_digest(cookie.encode(), session_of(self._token).encode())

    def _largest(self, path: str) -> int:
        if path.startswith("/gradio_api/upload"):
            return self._settings.max_upload_bytes + MEGABYTE
        return LARGEST_API_BODY if path.startswith("/api/") else LARGEST_PAGE_BODY


def session_of(token: str) -> str:
    """What the cookie of somebody who gave the token holds; the token cannot be read from it."""
    return hmac.new(token.encode(), b"stillroom session", hashlib.sha256).hexdigest()


def _limited(receive: Receive, most: int) -> Receive:
    """Counts a body that did not say how long it is."""
    count = 0

    async def counted() -> Message:
        nonlocal count
        message = await receive()
        if message["type"] == "http.request":
            count += len(message.get("body", b""))
            if count > most:
                # To the app it looks as if the sender hung up, which every framework ends cleanly.
                return {"type": "http.disconnect"}
        return message

    return counted


def _name(host: str) -> str:
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
