"""Rows of results: pages for the grid, everything about one row, and corrections."""

from typing import Any, Literal

from fastapi import APIRouter, Request, Response
from pydantic import Field

from app.api.answers import answer, tagged
from app.api.runs import Body
from app.studio import Studio


class Correction(Body):
    """What a person says about a value."""

    action: Literal["correct", "confirm", "undo"] = "correct"
    row: str = Field(max_length=200)
    column: str = Field(max_length=1000)
    value: Any = None
    step: str = Field("", max_length=200)
    note: str = ""
    reviewer: str = Field("", max_length=200)


def routes(studio: Studio) -> APIRouter:
    """The routes below /api/runs/{id}."""
    router = APIRouter()
    results = studio.results

    @router.get("/{run_id}/rows")
    def page(
        request: Request,
        run_id: str,
        step: str = "",
        state: str = "",
        reason: str = "",
        q: str = "",
        sort: str = "",
        desc: bool = False,
        offset: int = 0,
        limit: int = 100,
    ) -> Response:
        states = [one for one in state.split(",") if one and one != "all"]
        found = results.page(
            run_id,
            step,
            states=states,
            reason=reason,
            search=q[:1000],
            sort=sort,
            descending=desc,
            offset=max(0, min(offset, 2**62)),
            limit=limit,
        )
        return tagged(request, found)

    @router.get("/{run_id}/rows/{row}")
    def row(request: Request, run_id: str, row: str, step: str = "") -> Response:
        return tagged(request, results.row(run_id, row, step))

    @router.post("/{run_id}/corrections")
    def correct(run_id: str, body: Correction) -> Response:
        place = {"step": body.step, "reviewer": body.reviewer}
        if body.action == "confirm":
            return answer(results.confirm(run_id, body.row, body.column, **place))
        if body.action == "undo":
            return answer(results.undo(run_id, body.row, body.column, **place))
        return answer(results.correct(run_id, body.row, body.column, body.value, note=body.note, **place))

    return router
