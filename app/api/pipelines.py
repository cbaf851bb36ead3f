"""Pipelines as files."""

import re

from fastapi import APIRouter, Response

from app.studio import Studio


def routes(studio: Studio) -> APIRouter:
    """The routes below /api/pipelines."""
    router = APIRouter()

    @router.get("/{pipeline_id}/pipeline.yaml")
    def yaml(pipeline_id: str) -> Response:
        draft = studio.pipelines.get(pipeline_id)
        stem = re.sub(r"[^A-Za-z0-9._-]+", "-", draft.name).strip("-.")[:60] or "pipeline"
        headers = {"Content-Disposition": f'attachment; filename="{stem}.yaml"', "Cache-Control": "no-store"}
        return Response(draft.spec.to_yaml(), media_type="application/yaml; charset=utf-8", headers=headers)

    return router
