"""Offline batch jobs: where they stand, and what to do about them."""

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import Field

from app.api.answers import answer, tagged
from app.api.runs import Body
from app.studio import Studio

MOST = 2_000


class Adopted(Body):
    """Which batch of the provider a job is."""

    id: str = Field(max_length=500)


class OfStep(Body):
    """Which step of a run."""

    step: str = Field(max_length=200)


class Told(Body):
    """Where to tell that a run has ended; nowhere when it is empty."""

    url: str = Field("", max_length=2_000)


def routes(studio: Studio) -> APIRouter:
    """The routes below /api/jobs."""
    router = APIRouter()
    batches = studio.batches

    @router.get("")
    def list_jobs(request: Request, run: str = "", limit: int = 500) -> Response:
        found = batches.list(run_id=run or None, limit=max(1, min(limit, MOST)))
        return tagged(request, {"jobs": found})

    # One segment, so that it never meets the key of a job.
    @router.post("/recover")
    def recover() -> Response:
        found = batches.recover()
        counts = {"jobs": found.jobs, "already_there": found.already_there, "without_input": found.without_input}
        return answer({"ok": True, **counts})

    @router.get("/{key}")
    def job(request: Request, key: str) -> Response:
        return tagged(request, batches.get(key))

    @router.get("/{key}/errors")
    def errors(key: str) -> StreamingResponse:
        headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
        return StreamingResponse(batches.errors(key), media_type="text/plain; charset=utf-8", headers=headers)

    def act(path: str, what: Callable[[str], Any]) -> None:
        def done(key: str) -> Response:
            found = what(key)
            return answer({"ok": True, **({"count": found} if isinstance(found, int) else {"job": found})})

        router.add_api_route(f"/{{key}}/{path}", done, methods=["POST"])

    act("refresh", batches.refresh)
    act("cancel", batches.cancel)
    act("collect", batches.collect)
    act("retry", batches.retry)
    act("resubmit", batches.resubmit)
    act("finish_online", batches.finish_job_online)

    @router.post("/{key}/adopt")
    def adopt(key: str, body: Adopted) -> Response:
        return answer({"ok": True, "job": batches.adopt(key, body.id)})

    return router


def run_routes(studio: Studio) -> APIRouter:
    """The routes below /api/runs/{id} that are about its batches, and about who is told of its end."""
    router = APIRouter()
    batches = studio.batches

    @router.get("/{run_id}/receipt")
    def receipt(request: Request, run_id: str, save: bool = False) -> Response:
        found = batches.receipt(run_id) | {"webhook": studio.webhooks.get(run_id)}
        if not save:
            # When it was written would make every answer a new one.
            return tagged(request, {name: value for name, value in found.items() if name != "written_at"})
        saved = answer(found)
        saved.headers["Content-Disposition"] = f'attachment; filename="receipt-{run_id[:10]}.json"'
        return saved

    @router.post("/{run_id}/collect")
    def collect(run_id: str) -> Response:
        return answer({"ok": True, "count": batches.collect_run(run_id)})

    @router.post("/{run_id}/finish_online")
    def finish_online(run_id: str, body: OfStep) -> Response:
        return answer({"ok": True, "count": batches.finish_online(run_id, body.step)})

    @router.post("/{run_id}/webhook")
    def webhook(run_id: str, body: Told) -> Response:
        studio.webhooks.set(run_id, body.url)
        return answer({"ok": True, "webhook": studio.webhooks.get(run_id)})

    return router
