"""Writing and removing cells, with the running totals that go with them in the same commit."""

from collections import defaultdict
from collections.abc import Sequence
from functools import cache
from typing import Any

from sqlalchemy import Connection, Dialect, and_, delete, func, insert, select, update

from components.pipeline.ledger.tables import Cell, Event, Route, Run, StepRun

CELL = Cell.__table__  # type: ignore[attr-defined]
RUN = Run.__table__  # type: ignore[attr-defined]
STEP = StepRun.__table__  # type: ignore[attr-defined]
ROUTE = Route.__table__  # type: ignore[attr-defined]
EVENT = Event.__table__  # type: ignore[attr-defined]

SUMMED = ("tokens_in", "tokens_out", "cost", "attempts", "seconds")
COUNTED = ("ok", "failed", "needs_review", "skipped", "expired")

# A cell that failed made no row, but nothing was fanned out or dropped by it either.
FANNED_OUT = and_(CELL.c.output.is_not(None), CELL.c.n_out != 1)

MOST_AT_ONCE = 64
"""Rows an INSERT puts in: with their columns far below SQLite's 32,766 values a statement."""

Record = dict[str, Any]


def record_cells(connection: Connection, cells: Sequence[Record]) -> None:
    """Insert cells; one that is there already is an error unless the new one `replaces` it."""
    totals: dict[tuple[str, str], dict[str, float]] = defaultdict(lambda: defaultdict(float))
    spent: dict[str, float] = defaultdict(float)
    unknown: set[tuple[str, str]] = set()
    fresh = []
    for cell in cells:
        place = (cell["run_id"], cell["step"])
        total = totals[place]
        for name in SUMMED:
            total[name] += cell[name]
        spent[cell["run_id"]] += cell["cost"]
        if not cell["cost_known"]:
            unknown.add(place)
        if cell.get("replaces"):
            cell = _without_old(connection, cell, total)
        total[cell["state"]] += 1
        total["fanned_out"] += cell["output"] is not None and cell["n_out"] != 1
        fresh.append({name: value for name, value in cell.items() if name != "replaces"})
    _insert(connection, fresh)
    for (run_id, step), changes in totals.items():
        values: dict[str, Any] = {name: STEP.c[name] + change for name, change in changes.items() if change}
        if (run_id, step) in unknown:
            values["cost_known"] = False
        if values:
            connection.execute(update(STEP).where(STEP.c.run_id == run_id, STEP.c.step == step).values(**values))
    for run_id, cost in spent.items():
        values = {"spent": RUN.c.spent + cost} if cost else {}
        if any(place[0] == run_id for place in unknown):
            values["cost_known"] = False
        if values:
            connection.execute(update(RUN).where(RUN.c.id == run_id).values(**values))


def _insert(connection: Connection, cells: Sequence[Record]) -> None:
    # Compiled once and handed to the driver as it is: SQLAlchemy's own way costs as much again as SQLite's work.
    compiled = _insert_for(connection.dialect)
    if not compiled.positional:
        connection.exec_driver_sql(compiled.string, [dict(cell) for cell in cells])
        return
    names = compiled.positiontup
    first = 0
    while first < len(cells):
        # Many rows by one statement, as each statement gives the interpreter away; powers of two keep them few.
        size = min(MOST_AT_ONCE, 1 << (len(cells) - first).bit_length() - 1)
        some = cells[first : first + size]
        connection.exec_driver_sql(
            _insert_of(compiled.string, size), tuple(cell[name] for cell in some for name in names)
        )
        first += size


@cache
def _insert_for(dialect: Dialect) -> Any:
    return insert(CELL).compile(dialect=dialect)


@cache
def _insert_of(statement: str, rows: int) -> str:
    head, _, values = statement.rpartition("VALUES ")
    return f"{head}VALUES {', '.join([values] * rows)}"


def _without_old(connection: Connection, cell: Record, total: dict[str, float]) -> Record:
    where = (CELL.c.run_id == cell["run_id"], CELL.c.step == cell["step"], CELL.c.row == cell["row"])
    columns = [CELL.c[name] for name in ("state", *SUMMED)]
    old = connection.execute(select(*columns, FANNED_OUT.label("fanned_out")).where(*where)).mappings().first()
    if old is None:
        return cell
    connection.execute(delete(CELL).where(*where))
    if old["state"] in COUNTED:
        total[old["state"]] -= 1
    total["fanned_out"] -= bool(old["fanned_out"])
    return cell | {name: cell[name] + old[name] for name in SUMMED}


def remove_cells(connection: Connection, run_id: str, step: str, which: Any) -> None:
    """Delete the cells of a step that match a condition; what they cost stays on the books."""
    where = (CELL.c.run_id == run_id, CELL.c.step == step, which)
    gone = connection.execute(
        select(CELL.c.state, func.count(), func.sum(FANNED_OUT)).where(*where).group_by(CELL.c.state)
    ).all()
    if not gone:
        return
    connection.execute(delete(CELL).where(*where))
    values: dict[str, Any] = {state: STEP.c[state] - count for state, count, _ in gone if state in COUNTED}
    values["fanned_out"] = STEP.c.fanned_out - sum(int(fanned or 0) for _, _, fanned in gone)
    connection.execute(update(STEP).where(STEP.c.run_id == run_id, STEP.c.step == step).values(**values))
