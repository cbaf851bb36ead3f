"""What the engine, the app and the CLI ask of the ledger."""

import os
import secrets
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from copy import copy
from typing import Any, NamedTuple, Self

import orjson
from sqlalchemy import Connection, and_, delete, func, insert, literal, or_, select, update

from components.errors import LedgerError, RunConflict
from components.home import home
from components.pipeline.ledger.cells import (
    CELL,
    EVENT,
    ROUTE,
    RUN,
    STEP,
    Record,
    add_to_totals,
    record_cells,
    remove_cells,
    whole_text,
)
from components.pipeline.ledger.database import Database
from components.pipeline.ledger.fence import TAKEN, FencedDatabase
from components.pipeline.ledger.migrate import upgrade
from components.pipeline.ledger.owner import begins, is_at_work
from components.pipeline.ledger.tables import Event, Run, StepRun, metadata
from components.states import LIVE_STATES, CellState, Reason, RunState

LEASE_SECONDS = 60.0
WITHOUT_SPEC = tuple(literal("").label("spec") if column.name == "spec" else column for column in RUN.c)
PAGE = 500
AT_ONCE = 10_000
"""Names in one statement: SQLite takes 32,766 values at most."""
FREE = {"lease_owner": "", "lease_beat": 0.0, "command": "", "in_flight": 0}
"""A run that nobody works on."""


def default_url() -> str:
    """`STILLROOM_DATABASE`, or a SQLite file in the home folder."""
    return os.environ.get("STILLROOM_DATABASE") or f"sqlite:///{home() / 'stillroom.db'}"


class Asked(NamedTuple):
    """What others want of whoever works on a run."""

    command: str
    """`pause` or `stop`, or nothing."""
    cap: float | None
    """What the run may spend."""


class Ledger:
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

    # Runs

    def create_run(self, run: Record, steps: Sequence[Record]) -> str:
        """A new run with its steps; returns its id."""
        run_id = f"r_{secrets.token_hex(16)}"
        values = {"id": run_id, "created_at": time.time(), **run}

        def write(connection: Connection) -> str:
            connection.execute(insert(RUN).values(**_run_defaults(values)))
            for position, step in enumerate(steps):
                connection.execute(insert(STEP).values(run_id=run_id, position=position, **step))
            _note(connection, run_id, "created")
            return run_id

        return self.database.write(write)

    def run(self, run_id: str, *, with_spec: bool = True) -> Run:
        """One run; its pipeline can be left out where it is not needed, as it may hold data.

        Raises: LedgerError when there is none of that id.
        """
        with self.database.read() as connection:
            columns = (RUN,) if with_spec else WITHOUT_SPEC
            row = connection.execute(select(*columns).where(RUN.c.id == run_id)).mappings().first()
        if row is None:
            raise LedgerError(f"There is no run '{run_id}'.")
        return Run(**row)

    def find_run(self, start_of_id: str) -> Run:
        """The run whose id starts so. Raises: LedgerError when none or several do."""
        with self.database.read() as connection:
            query = select(RUN).where(RUN.c.id.startswith(start_of_id, autoescape=True)).limit(2)
            rows = connection.execute(query).mappings().all()
        if len(rows) == 1:
            return Run(**rows[0])
        problem = "There is no run" if not rows else "Several runs have an id that starts with"
        raise LedgerError(f"{problem} '{start_of_id}'.")

    def runs(self, *, limit: int = 100, kinds: Sequence[str] = ("run",), name: str | None = None) -> list[Run]:
        """The newest runs first, without their pipelines."""
        query = select(*WITHOUT_SPEC).where(RUN.c.kind.in_(kinds)).order_by(RUN.c.created_at.desc()).limit(limit)
        if name is not None:
            query = query.where(RUN.c.name == name)
        with self.database.read() as connection:
            return [Run(**row) for row in connection.execute(query).mappings()]

    def unfinished(self, name: str, spec_hash: str) -> Run | None:
        """The newest run of this very pipeline, if it was interrupted, stopped or paused."""
        query = select(RUN).where(RUN.c.name == name, RUN.c.kind == "run").order_by(RUN.c.created_at.desc()).limit(1)
        with self.database.read() as connection:
            row = connection.execute(query).mappings().first()
        if row is None or row["spec_hash"] != spec_hash:
            return None
        run = Run(**row)
        return None if run.state in (RunState.DONE, RunState.DONE_WITH_FAILURES) else run

    def steps(self, run_id: str) -> list[StepRun]:
        """The steps of a run, in order."""
        query = select(STEP).where(STEP.c.run_id == run_id).order_by(STEP.c.position)
        with self.database.read() as connection:
            return [StepRun(**row) for row in connection.execute(query).mappings()]

    def events(self, run_id: str) -> list[Event]:
        """What happened to a run, oldest first."""
        query = select(EVENT).where(EVENT.c.run_id == run_id).order_by(EVENT.c.id)
        with self.database.read() as connection:
            return [Event(**row) for row in connection.execute(query).mappings()]

    def rest(self, run_id: str, state: RunState, reason: str = "", *, refused_at: float | None = None) -> bool:
        """Write down that a run rests and let go of it.

        False, with nothing written, where it would rest at a spending cap but has a higher one than the `refused_at`.
        """
        finished_at = time.time() if state in (RunState.DONE, RunState.DONE_WITH_FAILURES) else None

        def write(connection: Connection) -> bool:
            if state is RunState.CAPPED and refused_at is not None:
                cap = connection.execute(select(RUN.c.cap).where(RUN.c.id == run_id)).scalar()
                if cap is None or cap > refused_at:
                    return False
            changed = {"state": state, "state_reason": whole_text(reason), "finished_at": finished_at, **FREE}
            connection.execute(update(RUN).where(RUN.c.id == run_id).values(**changed))
            _note(connection, run_id, state, reason)
            return True

        return self.database.write(write)

    def may_have_paid(self, run_id: str, calls: int) -> None:
        """Say of a run that calls were broken off, so that nobody knows whether they cost anything."""
        many, them = ("1 call was", "it") if calls == 1 else (f"{calls} calls were", "them")
        sentence = f"{many} broken off before an answer came. The provider may charge for {them} all the same."

        def write(connection: Connection) -> None:
            connection.execute(update(RUN).where(RUN.c.id == run_id).values(cost_known=False))
            _note(connection, run_id, "broken_off", sentence)

        self.database.write(write)

    def set_state(self, run_id: str, state: RunState, reason: str = "", **values: Any) -> None:
        """Move a run to a state, and note it on its timeline."""

        def write(connection: Connection) -> None:
            changed = {"state": state, "state_reason": whole_text(reason), **values}
            connection.execute(update(RUN).where(RUN.c.id == run_id).values(**changed))
            _note(connection, run_id, state, reason)

        self.database.write(write)

    def update_run(self, run_id: str, **values: Any) -> None:
        """Change fields of a run."""
        self.database.write(
            lambda connection: connection.execute(update(RUN).where(RUN.c.id == run_id).values(**values))
        )

    def update_step(self, run_id: str, step: str, **values: Any) -> None:
        """Change fields of a step."""
        where = (STEP.c.run_id == run_id, STEP.c.step == step)
        self.database.write(lambda connection: connection.execute(update(STEP).where(*where).values(**values)))

    def delete_run(self, run_id: str) -> None:
        """Remove a run and all its cells. Raises: RunConflict while somebody works on it."""
        if self.run(run_id).state in LIVE_STATES:
            raise RunConflict("This run is being worked on. Stop it first.")
        self.database.write(lambda connection: connection.execute(delete(RUN).where(RUN.c.id == run_id)))

    def note(self, run_id: str, kind: str, message: str = "") -> None:
        """Add to a run's timeline."""
        self.database.write(lambda connection: _note(connection, run_id, kind, message))

    # Who works on a run

    def claim(self, run_id: str, owner: str) -> int:
        """Take a run over; returns how many calls were out when its last owner died.

        Raises: RunConflict while another living process works on it.
        """

        def write(connection: Connection) -> int:
            columns = (RUN.c.lease_owner, RUN.c.lease_beat, RUN.c.in_flight)
            row = connection.execute(select(*columns).where(RUN.c.id == run_id)).first()
            if row is None:
                raise LedgerError(f"There is no run '{run_id}'.")
            holder, beat, in_flight = row
            fresh = time.time() - beat < LEASE_SECONDS
            if holder and holder != owner and fresh and is_at_work(holder):
                raise RunConflict("Another process is working on this run. Stop it there first.")
            values = {"lease_owner": owner, "lease_beat": time.time(), "command": "", "in_flight": 0}
            connection.execute(update(RUN).where(RUN.c.id == run_id).values(**values))
            return int(in_flight)

        lost = self.database.write(write)
        begins(owner)
        return lost

    def beat(self, run_id: str, owner: str, in_flight: int) -> Asked:
        """Say that the owner is alive; returns what others ask of it. Raises: RunConflict when it lost the run."""

        def write(connection: Connection) -> Asked:
            changed = connection.execute(
                update(RUN)
                .where(RUN.c.id == run_id, RUN.c.lease_owner == owner)
                .values(lease_beat=time.time(), in_flight=in_flight)
            )
            if changed.rowcount != 1:
                raise RunConflict(TAKEN)
            return Asked(*connection.execute(select(RUN.c.command, RUN.c.cap).where(RUN.c.id == run_id)).one())

        return self.database.write(write)

    def ask(self, run_id: str, command: str) -> None:
        """Ask whoever works on a run to `pause` or `stop`."""
        self.update_run(run_id, command=command)

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
            _note(connection, run_id, "retry", f"{total} cells to be worked on again")
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


def _run_defaults(values: Record) -> Record:
    # A core insert knows nothing of the defaults that SQLModel keeps on the class.
    return Run(**values).model_dump()


def _reopen(connection: Connection, run_id: str, where: Sequence[Any]) -> int:
    counted = select(CELL.c.step, CELL.c.state, func.count()).where(*where).group_by(CELL.c.step, CELL.c.state)
    counts = connection.execute(counted).all()
    connection.execute(update(CELL).where(*where).values(state=CellState.PENDING, key=""))
    for name, state, count in counts:
        mine = (STEP.c.run_id == run_id, STEP.c.step == name)
        connection.execute(update(STEP).where(*mine).values(**{state: STEP.c[state] - count}))
    return sum(count for _, _, count in counts)


def _note(connection: Connection, run_id: str, kind: str, message: str = "") -> None:
    values = {"run_id": run_id, "at": time.time(), "kind": kind, "message": whole_text(message)}
    connection.execute(insert(EVENT).values(**values))


_opened: dict[str, Ledger] = {}


def shared_ledger(url: str | None = None) -> Ledger:
    """The one ledger of this process for a database."""
    address = url or default_url()
    if address not in _opened:
        _opened[address] = Ledger(address)
    return _opened[address]
