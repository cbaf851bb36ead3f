"""The REST routes: JSON in and out, all of it through the studio."""

from fastapi import APIRouter

from app.api import batches, datasets, exports, pipelines, rows, runs
from app.studio import Studio


def routes(studio: Studio) -> APIRouter:
    """All routes, to be included before the pages are mounted."""
    router = APIRouter()
    router.include_router(runs.routes(studio), prefix="/api/runs")
    router.include_router(rows.routes(studio), prefix="/api/runs")
    router.include_router(exports.routes(studio), prefix="/api/runs")
    router.include_router(batches.run_routes(studio), prefix="/api/runs")
    router.include_router(batches.routes(studio), prefix="/api/jobs")
    router.include_router(pipelines.routes(studio), prefix="/api/pipelines")
    router.include_router(datasets.routes(studio), prefix="/api/datasets")
    return router
