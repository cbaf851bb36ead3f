"""The door of a Stillroom that has a token: a page that asks for it once."""

import asyncio
import hmac
from html import escape
from urllib.parse import parse_qs

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from app.api.guard import COOKIE, ENTRANCE, session_of
from app.api.plain_page import plain_page
from app.settings import Settings

WRONG_TOKEN_SECONDS = 0.5
FORM = """<form method="post" action="enter">
<h1>Stillroom</h1>
<label for="token">Token</label>
<input id="token" name="token" type="password" autocomplete="current-password" required autofocus>
{problem}
<button type="submit">Open</button>
</form>"""


def routes(settings: Settings) -> APIRouter:
    """The route /enter; there is none without a token."""
    router = APIRouter()
    if settings.token is None:
        return router
    token = settings.token.get_secret_value()

    @router.get(ENTRANCE)
    def ask(request: Request) -> Response:
        return _page(request)

    @router.post(ENTRANCE)
    async def enter(request: Request) -> Response:
        form = parse_qs((await request.body()).decode("utf-8", "replace"))
        given = form.get("token", [""])[0].strip()
        if not hmac.compare_digest(given.encode(), token.encode()):
            # Guessing must be slow, also for whoever asks often.
            await asyncio.sleep(WRONG_TOKEN_SECONDS)
            return _page(request, "That is not the token.")
        response = RedirectResponse(request.scope.get("root_path", "") + "/", status_code=303)
        is_secure = "https" in (request.url.scheme, request.headers.get("x-forwarded-proto", ""))
        response.set_cookie(COOKIE, session_of(token), httponly=True, samesite="lax", secure=is_secure)
        return response

    return router


def _page(request: Request, problem: str = "") -> Response:
    line = f'<p role="alert">{escape(problem)}</p>' if problem else ""
    root = request.scope.get("root_path", "")
    return plain_page("Stillroom", FORM.replace("{problem}", line), root, 401 if problem else 200)
