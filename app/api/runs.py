"""Runs: how far they are, and what to do with them."""

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from app.api.answers import answer, tagged
from app.studio import Studio


class Body(BaseModel):
    """What a request may say; nothing else is let through."""

    model_config = ConfigDict(extra="forbid")


class GoOn(Body):
    """How to go on."""

    cap: float | None = Field(None, gt=0, allow_inf_nan=False)
    concurrency: int | None = Field(None, ge=1, le=1000)


class Retry(Body):
    """Which failed rows to work on again; all of them when nothing is said."""

    reason: str | None = Field(None, max_length=100)
    step: str | None = Field(None, max_length=200)
    rows: list[str] | None = Field(None, max_length=10_000)


def routes(studio: Studio) -> APIRouter:
    """The routes below /api/runs."""
    router = APIRouter()
    runs = studio.runs

    @router.get("")
    def list_runs(request: Request, limit: int = 100) -> Response:
        return tagged(request, {"runs": runs.recent(limit=max(1, min(limit, 1000)))})

    @router.get("/{run_id}")
    def progress(request: Request, run_id: str) -> Response:
        return tagged(request, runs.progress(run_id))

    @router.get("/{run_id}/events")
    def events(request: Request, run_id: str) -> Response:
        return tagged(request, {"events": runs.events(run_id)})

    @router.post("/{run_id}/pause")
    def pause(run_id: str) -> Response:
        runs.pause(run_id)
        return answer({"ok": True})

    @router.post("/{run_id}/stop")
    def stop(run_id: str) -> Response:
        runs.stop(run_id)
        return answer({"ok": True})

    @router.post("/{run_id}/continue")
    def go_on(run_id: str, body: GoOn | None = None) -> Response:
        body = body or GoOn()
        runs.go_on(run_id, cap=body.cap, concurrency=body.concurrency)
        return answer({"ok": True})

    @router.post("/{run_id}/retry")
    def retry(run_id: str, body: Retry | None = None) -> Response:
        body = body or Retry()
        return answer({"ok": True, "count": runs.retry(run_id, reason=body.reason, step=body.step, rows=body.rows)})

    return router
