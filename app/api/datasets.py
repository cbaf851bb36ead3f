"""The first rows of data files."""

from fastapi import APIRouter, Request, Response

from app.api.answers import tagged
from app.studio import Studio
from app.studio.table_rows import SHORTENED, shortened


def routes(studio: Studio) -> APIRouter:
    """The routes below /api/datasets."""
    router = APIRouter()

    @router.get("/{dataset_id}/preview")
    def preview(request: Request, dataset_id: str, rows: int = 20) -> Response:
        found = studio.datasets.preview(dataset_id, rows)
        first = [{name: shortened(value, SHORTENED) for name, value in row.items()} for row in found.rows]
        data = {"columns": found.columns, "rows": first, "n_rows": found.n_rows, "warnings": found.warnings}
        return tagged(request, data)

    return router
