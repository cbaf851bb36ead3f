"""Results as files, streamed."""

from fastapi import APIRouter
from fastapi.responses import StreamingResponse

from app.studio import Studio


def routes(studio: Studio) -> APIRouter:
    """The routes below /api/runs/{id}."""
    router = APIRouter()

    @router.get("/{run_id}/export.{format}")
    def export(run_id: str, format: str, step: str = "", state: str = "", safe: bool = True) -> StreamingResponse:
        states = [one for one in state.split(",") if one and one != "all"]
        file = studio.exports.export(run_id, step=step, format=format, states=states, safe_for_spreadsheets=safe)
        headers = {"Content-Disposition": f'attachment; filename="{file.filename}"', "Cache-Control": "no-store"}
        return StreamingResponse(file.chunks, media_type=file.media_type, headers=headers)

    return router
