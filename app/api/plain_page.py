"""Pages that stand on their own, without Gradio: the door, and what is shown where there is no page."""

from fastapi.responses import HTMLResponse
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><link rel="icon" href="{root}/assets/favicon.svg">
<link rel="stylesheet" href="{root}/assets/css/app.css"><link rel="stylesheet" href="{root}/assets/css/plain.css">
<script>
let chosen = null;
try { chosen = localStorage.getItem("stillroom-theme"); } catch { /* refused in private windows */ }
const isDark = chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
document.documentElement.classList.toggle("dark", isDark);
</script></head>
<body class="plain"><main>{content}</main></body></html>
"""
NOTHING = """<h1>There is no such page</h1>
<p>The address may be mistyped, or the page is gone.</p><a class="button" href="{root}/">Go to Home</a>"""
PROGRAMS = ("/api/", "/gradio_api/", "/assets/")


def plain_page(title: str, content: str, root: str, status: int = 200) -> HTMLResponse:
    """A page around HTML of our own; `root` is the path that the app lives under."""
    parts = {"{title}": title, "{root}": root}
    page = PAGE.replace("{content}", content)
    for name, value in parts.items():
        page = page.replace(name, value)
    return HTMLResponse(page, status)


class LostVisitors:
    """Answers people who come to an address that is no page with a page; programs get what they always got."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_page = scope["type"] == "http" and scope["method"] == "GET" and not scope["path"].startswith(PROGRAMS)
        if not is_page or "text/html" not in Headers(scope=scope).get("accept", ""):
            await self._app(scope, receive, send)
            return
        is_lost = False

        async def send_page(message: Message) -> None:
            nonlocal is_lost
            if message["type"] == "http.response.start" and message["status"] == 404:
                is_lost = True
                page = plain_page("No such page · Stillroom", NOTHING, scope.get("root_path", ""), 404)
                await page(scope, receive, send)
            elif not is_lost:
                await send(message)

        await self._app(scope, receive, send_page)
