"""The first rows through the real engine, to see prompts, answers and prices before the many."""

from typing import Any

import orjson
from sqlalchemy import select

from app.studio.estimates import Estimates
from app.studio.overnight import with_overnight
from app.studio.runs import Runs
from app.studio.table_rows import cell_of, position
from components.errors import ConfigError
from components.pipeline.ledger import Ledger
from components.pipeline.ledger.cells import CELL
from components.pipeline.spec import PipelineSpec
from components.states import Reason, RunState
from components.steps.step import METADATA

MOST_ROWS = 100
SMALLEST_CAP = 0.05
KIND = "preview"


class Previews:
    """Starts previews and reads what came of them."""

    def __init__(self, ledger: Ledger, runs: Runs, estimates: Estimates) -> None:
        self._ledger, self._runs, self._estimates = ledger, runs, estimates

    def start(
        self,
        spec: PipelineSpec,
        *,
        rows: int = 5,
        cap: float | None = None,
        pipeline_id: str | None = None,
        use_cache: bool = True,
    ) -> str:
        """Queue the first rows; returns the id to ask for the result.

        Where the price is known it is capped at what it can cost, unless `cap` says otherwise. With `use_cache`,
        rows that the very same steps answered before cost nothing again.
        Raises: ConfigError with everything that keeps the pipeline from running.
        """
        # Somebody waits at the screen for it.
        spec = with_overnight(spec, ())
        if not 1 <= rows <= MOST_ROWS:
            raise ConfigError(f"A preview has 1 to {MOST_ROWS} rows, not {rows}.")
        if cap is None:
            estimate = self._estimates.estimate(spec, rows=rows)
            if estimate.suggested_cap is not None:
                cap = max(SMALLEST_CAP, estimate.suggested_cap)
        return self._runs.start(
            spec, pipeline_id=pipeline_id, cap=cap, row_limit=rows, concurrency=rows, use_cache=use_cache, kind=KIND
        )

    def result(self, run_id: str) -> dict[str, Any]:
        """What is known by now: for each row and step the prompt, raw answer, new columns, tokens, cost and state.

        `is_done` tells whether more will come. Raises: NotFound.
        """
        run = self._runs.get(run_id)
        order = {record.step: record.position for record in self._ledger.steps(run_id)}
        query = select(CELL).where(CELL.c.run_id == run_id, CELL.c.step.in_(list(order))).order_by(CELL.c.row)
        rows: dict[str, dict[str, Any]] = {}
        known: dict[str, dict[str, Any]] = {}
        with self._ledger.database.read() as connection:
            cells = [dict(cell) for cell in connection.execute(query).mappings()]
        for cell in sorted(cells, key=lambda cell: (order[cell["step"]], cell["row"])):
            name = cell["row"].partition(".")[0]
            row = rows.setdefault(name, {"row": name, "position": position(name), "values": {}, "steps": []})
            step = _step(cell, known.setdefault(name, {}))
            if order[cell["step"]] == 0:
                row["values"] = step["values"]
            else:
                row["steps"].append(step)
        return {
            "id": run_id,
            "state": run.state,
            "state_reason": run.state_reason,
            "is_done": run.state not in (RunState.QUEUED, RunState.RUNNING),
            "rehearsal": run.is_rehearsal,
            "spent": run.spent,
            "cap": run.cap,
            "cost_known": run.cost_known,
            "tokens_in": sum(cell["tokens_in"] for cell in cells),
            "tokens_out": sum(cell["tokens_out"] for cell in cells),
            "rows": [rows[name] for name in sorted(rows)],
        }

    def stop(self, run_id: str) -> None:
        """Stop a preview that is under way. Raises: NotFound; RunConflict."""
        self._runs.stop(run_id)


def _step(cell: dict[str, Any], known: dict[str, Any]) -> dict[str, Any]:
    """A cell with the columns that are new in it; several rows made of one are a list under `rows`."""
    for name in ("output", "prompt", "raw"):
        cell[name] = orjson.loads(cell[name]) if cell[name] else None
    made = [
        {column: value for column, value in row.items() if column != METADATA and known.get(column) != value}
        for row in cell["output"] or []
    ]
    for row in made[:1]:
        known.update(row)
    step = cell_of(cell, made[0] if made else {})
    reason = cell["reason"]
    step["row"] = cell["row"]
    step["sentence"] = Reason(reason).sentence if reason in list(Reason) else ""
    step["rows"] = made if len(made) > 1 else []
    return step
