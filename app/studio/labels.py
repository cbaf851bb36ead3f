"""What people said about values: one line added for each time, the last one counts."""

import json
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, insert, select

from app.tables import LABEL
from components.pipeline.ledger import Ledger
from components.states import LabelState

AT_ONCE = 500


@dataclass(frozen=True)
class LabelRecord:
    """One time that a person looked at a value."""

    id: int
    step: str
    row: str
    column: str
    value: Any
    was: Any
    state: LabelState
    note: str
    reviewer: str
    at: float


class Labels:
    """Keeps labels; never changes one."""

    def __init__(self, ledger: Ledger) -> None:
        self._database = ledger.database

    def add(
        self,
        run_id: str,
        step: str,
        row: str,
        column: str,
        *,
        value: Any,
        was: Any,
        state: LabelState,
        note: str = "",
        reviewer: str = "",
    ) -> None:
        """Add what a person said."""
        values = {
            "run_id": run_id,
            "step": step,
            "row": row,
            "column": column,
            "value": json.dumps(value),
            "was": json.dumps(was),
            "state": str(state),
            "note": note,
            "reviewer": reviewer,
            "at": time.time(),
        }
        self._database.write(lambda connection: connection.execute(insert(LABEL).values(**values)))

    def last(self, run_id: str) -> int:
        """The number of what was said last in a run; 0 where nothing was."""
        query = select(func.max(LABEL.c.id)).where(LABEL.c.run_id == run_id)
        with self._database.read() as connection:
            return connection.execute(query).scalar() or 0

    def of(self, run_id: str, steps: Collection[str], rows: Sequence[str] | None = None) -> Iterator[LabelRecord]:
        """Everything that was said about values of these steps, and of these rows alone where given, oldest first."""
        if rows is None:
            yield from self._read(run_id, steps)
            return
        found: list[LabelRecord] = []
        for start in range(0, len(rows), AT_ONCE):
            found += self._read(run_id, steps, LABEL.c.row.in_(rows[start : start + AT_ONCE]))
        yield from sorted(found, key=lambda label: label.id)

    def _read(self, run_id: str, steps: Collection[str], *where: Any) -> list[LabelRecord]:
        query = select(LABEL).where(LABEL.c.run_id == run_id, LABEL.c.step.in_(sorted(steps)), *where)
        with self._database.read() as connection:
            return [_record(row) for row in connection.execute(query.order_by(LABEL.c.id)).mappings()]


def _record(row: Any) -> LabelRecord:
    return LabelRecord(
        id=row["id"],
        step=row["step"],
        row=row["row"],
        column=row["column"],
        value=json.loads(row["value"]),
        was=json.loads(row["was"]),
        state=LabelState(row["state"]),
        note=row["note"],
        reviewer=row["reviewer"],
        at=row["at"],
    )
