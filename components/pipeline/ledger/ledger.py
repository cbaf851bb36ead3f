"""What the engine, the app and the CLI ask of the ledger."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from copy import copy
from typing import Any, Self

import orjson
from sqlalchemy import Connection, and_, func, insert, or_, select, update

from components.home import home
from components.pipeline.ledger.cells import (
    CELL,
    ROUTE,
    STEP,
    Record,
    add_to_totals,
    record_cells,
    remove_cells,
)
from components.pipeline.ledger.database import Database
from components.pipeline.ledger.events import note
from components.pipeline.ledger.fence import FencedDatabase
from components.pipeline.ledger.leases import Leases
from components.pipeline.ledger.migrate import upgrade
from components.pipeline.ledger.runs import Runs
from components.pipeline.ledger.tables import metadata
from components.states import CellState, Reason

PAGE = 500
AT_ONCE = 10_000
"""Names in one statement: SQLite takes 32,766 values at most."""


def default_url() -> str:
    """`STILLROOM_DATABASE`, or a SQLite file in the home folder."""
    return os.environ.get("STILLROOM_DATABASE") or f"sqlite:///{home() / 'stillroom.db'}"


class Ledger(Runs, Leases):
    """Runs, steps and cells, in one database that scripts, the CLI and the app share."""

    def __init__(self, url: str | None = None) -> None:
        self.database = Database(url or default_url())
        upgrade(self.database, newest=metadata)

    def close(self) -> None:
        """Finish what is waiting and close."""
        self.database.close()
        _opened.pop(self.database.url, None)

    def held_by(self, run_id: str, owner: str) -> Self:
        """The ledger as one owner of a run writes it. Every write raises RunConflict once the run was taken over."""
        fenced = copy(self)
        fenced.database = FencedDatabase(self.database, run_id, owner)
        return fenced

    # Cells

    def submit_cells(self, cells: Sequence[Record]) -> "Future[None]":
        """Have cells written with the next commit; running totals and spending go with them."""
        return self.database.submit(lambda connection: record_cells(connection, cells))

    def finish_source(self, run_id: str, step: str, cells: Sequence[Record], total: int) -> "Future[None]":
        """The last rows of a source or of a global step, and that they were the last, in one commit."""

        def write(connection: Connection) -> None:
            if cells:
                record_cells(connection, cells)
            connection.execute(
                update(STEP).where(STEP.c.run_id == run_id, STEP.c.step == step).values(is_complete=True, total=total)
            )

        return self.database.submit(write)

    def standing(self, run_id: str, step: str) -> dict[str, tuple[str, str]]:
        """State and key of every committed cell of a step, by row."""
        query = select(CELL.c.row, CELL.c.state, CELL.c.key).where(CELL.c.run_id == run_id, CELL.c.step == step)
        with self.database.read() as connection:
            return {row: (state, key) for row, state, key in connection.execute(query)}

    def outputs(
        self, run_id: str, step: str, *, after: str = "", limit: int = PAGE
    ) -> list[tuple[str, str, list[Any]]]:
        """Row, state and output rows of the next cells of a step, in order."""
        query = (
            select(CELL.c.row, CELL.c.state, CELL.c.output)
            .where(CELL.c.run_id == run_id, CELL.c.step == step, CELL.c.row > after)
            .order_by(CELL.c.row)
            .limit(limit)
        )
        with self.database.read() as connection:
            return [
                (row, state, orjson.loads(output) if output else []) for row, state, output in connection.execute(query)
            ]

    def all_outputs(self, run_id: str, step: str) -> Iterator[tuple[str, str, list[Any]]]:
        """Row, state and output rows of every cell of a step, in order, read a page at a time."""
        after = ""
        while page := self.outputs(run_id, step, after=after):
            yield from page
            after = page[-1][0]

    def output(self, run_id: str, step: str, row: str) -> list[Any]:
        """The rows that one cell made."""
        query = select(CELL.c.output).where(CELL.c.run_id == run_id, CELL.c.step == step, CELL.c.row == row)
        with self.database.read() as connection:
            found = connection.execute(query).scalar()
        return orjson.loads(found) if found else []

    def earlier_cells(self, run_id: str, signature: str) -> dict[str, tuple[str, str, str]]:
        """Where earlier runs keep what the same step made: run, step and row, by key."""
        query = (
            select(CELL.c.key, CELL.c.run_id, CELL.c.step, CELL.c.row)
            .join(STEP, (STEP.c.run_id == CELL.c.run_id) & (STEP.c.step == CELL.c.step))
            .where(STEP.c.signature == signature, CELL.c.run_id != run_id)
            # To ask again under the same limit would only pay for the same cut answer again.
            .where(
                or_(
                    CELL.c.state == CellState.OK,
                    and_(CELL.c.state == CellState.NEEDS_REVIEW, CELL.c.reason == Reason.CUT_OFF),
                )
            )
        )
        with self.database.read() as connection:
            return {key: (run, step, row) for key, run, step, row in connection.execute(query)}

    def copy_of(self, run_id: str, step: str, row: str) -> Record | None:
        """A finished cell, as one that cost nothing and can be written to another run."""
        where = (CELL.c.run_id == run_id, CELL.c.step == step, CELL.c.row == row)
        with self.database.read() as connection:
            found = connection.execute(select(CELL).where(*where)).mappings().first()
        if found is None:
            return None
        free = {"tokens_in": 0, "tokens_out": 0, "cost": 0.0, "cost_known": True, "seconds": 0.0, "attempts": 0}
        return dict(found) | free | {"is_reused": True}

    def count(self, run_id: str, step: str) -> int:
        """How many cells of a step are committed."""
        query = select(func.count()).select_from(CELL).where(CELL.c.run_id == run_id, CELL.c.step == step)
        with self.database.read() as connection:
            count: int = connection.execute(query).scalar_one()
        return count

    def forget_from(self, run_id: str, steps: Sequence[str], row: str) -> None:
        """Remove the cells of these steps from a row on, so that they are worked on again."""

        def write(connection: Connection) -> None:
            for name in steps:
                remove_cells(connection, run_id, name, CELL.c.row >= row)

        self.database.write(write)

    def forget_after(self, run_id: str, step: str, row: str, count: int, later: Sequence[str]) -> list[tuple[str, str]]:
        """Remove what later steps made of a row, if the cell handed on other than `count` rows so far.

        Returns step and row of each cell that is gone.
        """
        mine = (CELL.c.run_id == run_id, CELL.c.step == step, CELL.c.row == row)
        below = or_(CELL.c.row == row, CELL.c.row.between(f"{row}.", f"{row}/"))
        theirs = select(CELL.c.step, CELL.c.row).where(CELL.c.run_id == run_id, CELL.c.step.in_(later), below)

        def write(connection: Connection) -> list[tuple[str, str]]:
            old = connection.execute(select(CELL.c.output.is_not(None), CELL.c.n_out).where(*mine)).first()
            # A cell without a result hands on one row all the same: the one that later steps pass over.
            if old is None or (old[1] if old[0] else 1) == count:
                return []
            gone = [(name, other) for name, other in connection.execute(theirs)]
            for name in dict.fromkeys(name for name, _ in gone):
                remove_cells(connection, run_id, name, below)
            return gone

        return self.database.write(write)

    def book(self, run_id: str, step: str, used: Record) -> "Future[None]":
        """Add what a step used beside its rows, such as a source that asks a model; rows that come after are safe."""
        return self.database.submit(lambda connection: add_to_totals(connection, run_id, step, used))

    def reopen(
        self,
        run_id: str,
        *,
        reason: str | None = None,
        step: str | None = None,
        states: Sequence[str] = ("failed", "expired"),
        rows: Sequence[str] | None = None,
    ) -> int:
        """Mark failed cells to be worked on again; what they cost so far stays on the books. Returns how many."""

        where: list[Any] = [CELL.c.run_id == run_id, CELL.c.state.in_(states)]
        if reason:
            where.append(CELL.c.reason == reason)
        if step:
            where.append(CELL.c.step == step)
        pages: list[list[Any]] = [where]
        if rows is not None:
            starts = range(0, len(rows), AT_ONCE)
            pages = [[*where, CELL.c.row.in_(list(rows[start : start + AT_ONCE]))] for start in starts]

        def write(connection: Connection) -> int:
            # In one commit, however many pages: a half of what was asked for would be nobody's wish.
            total = sum(_reopen(connection, run_id, page) for page in pages)
            note(connection, run_id, "retry", f"{total} cells to be worked on again")
            return total

        return self.database.write(write)

    # Routes

    def route(self, run_id: str, step: str, batch: int, targets: Sequence[str]) -> "Future[None]":
        """Keep which steps a batch was sent to."""
        values = {"run_id": run_id, "step": step, "batch": batch, "targets": orjson.dumps(list(targets)).decode()}

        def write(connection: Connection) -> None:
            connection.execute(insert(ROUTE).values(**values))

        return self.database.submit(write)

    def routes(self, run_id: str, step: str) -> dict[int, list[str]]:
        """Which steps each batch was sent to."""
        query = select(ROUTE.c.batch, ROUTE.c.targets).where(ROUTE.c.run_id == run_id, ROUTE.c.step == step)
        with self.database.read() as connection:
            return {batch: orjson.loads(targets) for batch, targets in connection.execute(query)}


def _reopen(connection: Connection, run_id: str, where: Sequence[Any]) -> int:
    counted = select(CELL.c.step, CELL.c.state, func.count()).where(*where).group_by(CELL.c.step, CELL.c.state)
    counts = connection.execute(counted).all()
    connection.execute(update(CELL).where(*where).values(state=CellState.PENDING, key=""))
    for name, state, count in counts:
        mine = (STEP.c.run_id == run_id, STEP.c.step == name)
        connection.execute(update(STEP).where(*mine).values(**{state: STEP.c[state] - count}))
    return sum(count for _, _, count in counts)


_opened: dict[str, Ledger] = {}


def shared_ledger(url: str | None = None) -> Ledger:
    """The one ledger of this process for a database."""
    address = url or default_url()
    if address not in _opened:
        _opened[address] = Ledger(address)
    return _opened[address]
