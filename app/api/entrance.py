"""The door of a Stillroom that has a token: a page that asks for it once."""

import asyncio
import hmac
from html import escape
from urllib.parse import parse_qs

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from app.api.guard import COOKIE, ENTRANCE, session_of
from app.settings import Settings

WRONG_TOKEN_SECONDS = 0.5
PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Stillroom</title><link rel="stylesheet" href="assets/css/app.css"></head>
<body style="display:grid;min-height:100vh;place-items:center;margin:0;font-family:system-ui,sans-serif">
<form method="post" action="enter" style="display:grid;gap:12px;width:min(320px,90vw)">
<h1 style="margin:0">Stillroom</h1>
<label for="token">Token</label>
<input id="token" name="token" type="password" autocomplete="current-password" required autofocus>
{problem}
<button type="submit">Open</button>
</form></body></html>
"""


def routes(settings: Settings) -> APIRouter:
    """The route /enter; there is none without a token."""
    router = APIRouter()
    if settings.token is None:
        return router
    token = settings.token.get_secret_value()

    @router.get(ENTRANCE)
    def ask() -> Response:
        return _page()

    @router.post(ENTRANCE)
    async def enter(request: Request) -> Response:
        form = parse_qs((await request.body()).decode("utf-8", "replace"))
        given = form.get("token", [""])[0].strip()
        if not hmac.compare_digest(given.encode(), token.encode()):
            # Guessing must be slow, also for whoever asks often.
            await asyncio.sleep(WRONG_TOKEN_SECONDS)
            return _page("That is not the token.")
        response = RedirectResponse(request.scope.get("root_path", "") + "/", status_code=303)
        is_secure = "https" in (request.url.scheme, request.headers.get("x-forwarded-proto", ""))
        response.set_cookie(COOKIE, session_of(token), httponly=True, samesite="lax", secure=is_secure)
        return response

    return router


def _page(problem: str = "") -> Response:
    line = f'<p role="alert">{escape(problem)}</p>' if problem else ""
    return HTMLResponse(PAGE.replace("{problem}", line), status_code=401 if problem else 200)
