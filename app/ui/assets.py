"""The files the browser gets: styles, scripts, fonts and pictures, all from this project."""

import hashlib
from functools import cache
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from starlette.responses import FileResponse, Response
from starlette.staticfiles import StaticFiles

ASSETS = Path(__file__).resolve().parents[2] / "assets"
PUBLIC_FOLDERS = ("css", "fonts", "js")
PUBLIC_FILES = ("favicon.png", "favicon.svg", "icons.svg", "logo.svg")


@cache
def asset_url(name: str) -> str:
    """Address of a file under assets/, relative to the app's root so that it also works below a path.

    Carries a hash of the content, so a browser never shows an older version.
    Raises: FileNotFoundError when there is no such file.
    """
    digest = hashlib.sha256((ASSETS / name).read_bytes()).hexdigest()[:10]
    return f"assets/{name}?v={digest}"


class _Revalidated(StaticFiles):
    """Scripts import each other by bare name, without a hash: the browser must ask each time (a 304 is cheap)."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        response = super().file_response(*args, **kwargs)
        response.headers["Cache-Control"] = "no-cache"
        return response


def mount_assets(app: FastAPI) -> None:
    """Serve the public files below /assets. Call it before Gradio is mounted.

    Only our own folders are taken, never /assets as a whole: Gradio serves its own scripts from there.
    """
    for folder in PUBLIC_FOLDERS:
        app.mount(f"/assets/{folder}", _Revalidated(directory=ASSETS / folder), name=f"assets-{folder}")
    for name in PUBLIC_FILES:
        app.add_api_route(f"/assets/{name}", _sender(ASSETS / name), include_in_schema=False)


def _sender(path: Path) -> Any:
    async def send() -> FileResponse:
        return FileResponse(path, headers={"Cache-Control": "no-cache"})

    return send
