"""One process that serves everything: the routes, the pages, and the worker behind them."""

import logging
import os
import shutil
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI, Response
from starlette.concurrency import run_in_threadpool

from app.api import entrance, routes
from app.api.answers import answer
from app.api.errors import handle_errors, refused
from app.api.guard import Guard
from app.api.plain_page import LostVisitors
from app.settings import Settings
from app.studio import Studio
from app.worker import Worker
from components.vault import LOOPBACK

log = logging.getLogger("stillroom.server")

GRACE_SECONDS = 3


def create_app(settings: Settings | None = None, *, studio: Studio | None = None, pages: bool = True) -> FastAPI:
    """The whole app; without `pages` only the routes and the worker."""
    settings = settings or (studio.settings if studio else Settings.read())
    studio = studio or Studio(settings)
    worker = Worker(studio)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        worker.start()
        try:
            yield
        finally:
            await run_in_threadpool(worker.stop)

    app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    app.state.studio = studio
    app.add_middleware(LostVisitors)
    app.add_middleware(Guard, settings=settings, on_space=bool(os.environ.get("SPACE_ID")))
    handle_errors(app)

    @app.get("/healthz")
    def healthz() -> Response:
        return answer({"ok": True})

    app.include_router(entrance.routes(settings))
    app.include_router(routes(studio))

    @app.api_route("/api/{path:path}", methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
    def unknown(path: str) -> Response:
        return refused(f"There is nothing at /api/{path}.", 404)

    return _with_pages(app, studio) if pages else app


def serve(settings: Settings | None = None) -> None:
    """Serve until interrupted; runs under way go on at the next start."""
    import uvicorn

    settings = settings or Settings.read()
    if settings.host not in LOOPBACK and settings.token is None:
        log.warning(
            "Whoever reaches %s may use Stillroom and its keys. Set STILLROOM_TOKEN to ask for a token.", settings.host
        )
    app = create_app(settings)
    # The access log would hold what people search for.
    uvicorn.run(
        app,
        host=settings.host,
        port=settings.port,
        log_level="info",
        access_log=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )


def _with_pages(app: FastAPI, studio: Studio) -> FastAPI:
    uploads = studio.settings.home / "uploads"
    _set_up_gradio(uploads)
    import gradio as gr

    from app.ui import main
    from app.ui.assets import mount_assets

    mount_assets(app)
    with warnings.catch_warnings():
        # Said of every app with several pages, whether it asked for SSR or not.
        warnings.filterwarnings("ignore", "SSR mode is not supported")
        mounted: FastAPI = gr.mount_gradio_app(
            app,
            main.build(studio),
            path="/",
            footer_links=[],
            # It would keep what people type, keys too, in the browser's storage.
            run_history=False,
            allowed_paths=[],
            # An error that nobody foresaw may hold anything; those meant for people are shown all the same.
            show_error=False,
            max_file_size=studio.settings.max_upload_bytes,
            **main.mount_options(),
        )
    return mounted


def _set_up_gradio(uploads: Path) -> None:
    # Read when Gradio is imported or at work: nothing is sent home, and what people upload stays in the home folder.
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["GRADIO_TEMP_DIR"] = str(uploads)
    # Files that were added are copied from here at once, so what is left belongs to windows long closed.
    shutil.rmtree(uploads, ignore_errors=True)
    uploads.mkdir(parents=True, exist_ok=True, mode=0o700)
