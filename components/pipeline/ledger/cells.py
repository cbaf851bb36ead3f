"""Writing and removing cells, with the running totals that go with them in the same commit."""

from collections.abc import Sequence
from functools import cache
from itertools import chain
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection, Dialect, and_, bindparam, case, delete, func, insert, select, update

from components.pipeline.ledger.names import BESIDE, step_of
from components.pipeline.ledger.tables import Cell, Event, Route, Run, StepRun

CELL = Cell.__table__  # type: ignore[attr-defined]
RUN = Run.__table__  # type: ignore[attr-defined]
STEP = StepRun.__table__  # type: ignore[attr-defined]
ROUTE = Route.__table__  # type: ignore[attr-defined]
EVENT = Event.__table__  # type: ignore[attr-defined]

SUMMED = ("tokens_in", "tokens_out", "cost", "attempts", "seconds")
COUNTED = ("ok", "failed", "needs_review", "skipped", "expired")
ADDED = (*SUMMED, *COUNTED, "fanned_out")

# Built once: as expressions they would cost each commit more than the rows do.
ADD_TO_STEP = (
    update(STEP)
    .where(STEP.c.run_id == bindparam("of_run"), STEP.c.step == bindparam("of_step"))
    .values({name: STEP.c[name] + bindparam(f"more_{name}") for name in ADDED})
)
ADD_TO_RUN = update(RUN).where(RUN.c.id == bindparam("of_run")).values(spent=RUN.c.spent + bindparam("more_cost"))

# A cell that failed made no row, but nothing was fanned out or dropped by it either.
FANNED_OUT = and_(CELL.c.output.is_not(None), CELL.c.n_out != 1)

MOST_AT_ONCE = 64
"""Rows an INSERT puts in: with their columns far below SQLite's 32,766 values a statement."""

Record = dict[str, Any]


def whole_text(text: str) -> str:
    """A text as a database takes it: with a question mark for half of a character."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def record_cells(connection: Connection, cells: Sequence[Record]) -> None:
    """Insert cells; one that is there already is an error unless the new one `replaces` it."""
    totals: dict[tuple[str, str], dict[str, float]] = {}
    unknown: set[tuple[str, str]] = set()
    fresh = []
    for cell in cells:
        place = (cell["run_id"], step_of(cell["step"]))
        total = totals.get(place) or totals.setdefault(place, dict.fromkeys(ADDED, 0))
        for name in SUMMED:
            total[name] += cell[name]
        if not cell["cost_known"]:
            unknown.add(place)
        if cell.get("replaces"):
            cell = _without_old(connection, cell, total)
        if BESIDE not in cell["step"]:
            total[cell["state"]] += 1
            total["fanned_out"] += cell["output"] is not None and cell["n_out"] != 1
        fresh.append(cell)
    _insert(connection, fresh)
    for place, total in totals.items():
        add_to_totals(connection, *place, {**total, "cost_known": place not in unknown})


def add_to_totals(connection: Connection, run_id: str, step: str, used: Record) -> None:
    """Add what was used to the totals of a step and of its run."""
    more = {f"more_{name}": used.get(name, 0) for name in ADDED}
    connection.execute(ADD_TO_STEP, {"of_run": run_id, "of_step": step, **more})
    if used["cost"]:
        connection.execute(ADD_TO_RUN, {"of_run": run_id, "more_cost": used["cost"]})
    if not used["cost_known"]:
        connection.execute(update(STEP).where(STEP.c.run_id == run_id, STEP.c.step == step).values(cost_known=False))
        connection.execute(update(RUN).where(RUN.c.id == run_id).values(cost_known=False))


def _insert(connection: Connection, cells: Sequence[Record]) -> None:
    # Compiled once and handed to the driver as it is: SQLAlchemy's own way costs as much again as SQLite's work.
    compiled = _insert_for(connection.dialect)
    if not compiled.positional:
        fields = [{name: value for name, value in cell.items() if name != "replaces"} for cell in cells]
        connection.exec_driver_sql(compiled.string, fields)
        return
    values_of = itemgetter(*compiled.positiontup)
    first = 0
    while first < len(cells):
        # Many rows by one statement, as each statement gives the interpreter away; powers of two keep them few.
        size = min(MOST_AT_ONCE, 1 << (len(cells) - first).bit_length() - 1)
        values = chain.from_iterable(map(values_of, cells[first : first + size]))
        connection.exec_driver_sql(_insert_of(compiled.string, size), tuple(values))
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
    # Summed as numbers: a sum of truths would come back as one truth.
    fanned_out = func.sum(case((FANNED_OUT, 1), else_=0))
    gone = connection.execute(select(CELL.c.state, func.count(), fanned_out).where(*where).group_by(CELL.c.state)).all()
    if not gone:
        return
    connection.execute(delete(CELL).where(*where))
    values: dict[str, Any] = {state: STEP.c[state] - count for state, count, _ in gone if state in COUNTED}
    values["fanned_out"] = STEP.c.fanned_out - sum(fanned for _, _, fanned in gone)
    connection.execute(update(STEP).where(STEP.c.run_id == run_id, STEP.c.step == step).values(**values))
