"""Runs and their steps, as the ledger keeps them."""

import secrets
import time
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, delete, insert, literal, select, update

from components.errors import LedgerError, RunConflict
from components.pipeline.ledger.cells import EVENT, RUN, STEP, Record, whole_text
from components.pipeline.ledger.database import Database
from components.pipeline.ledger.events import note
from components.pipeline.ledger.tables import Event, Run, StepRun
from components.states import LIVE_STATES, RunState

WITHOUT_SPEC = tuple(literal("").label("spec") if column.name == "spec" else column for column in RUN.c)


class Runs:
    """What is asked of runs and steps."""

    database: Database

    def create_run(self, run: Record, steps: Sequence[Record]) -> str:
        """A new run with its steps; returns its id."""
        run_id = f"r_{secrets.token_hex(16)}"
        values = {"id": run_id, "created_at": time.time(), **run}

        def write(connection: Connection) -> str:
            connection.execute(insert(RUN).values(**_run_defaults(values)))
            for position, step in enumerate(steps):
                connection.execute(insert(STEP).values(run_id=run_id, position=position, **step))
            note(connection, run_id, "created")
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

    def set_state(self, run_id: str, state: RunState, reason: str = "", **values: Any) -> None:
        """Move a run to a state, and note it on its timeline."""

        def write(connection: Connection) -> None:
            changed = {"state": state, "state_reason": whole_text(reason), **values}
            connection.execute(update(RUN).where(RUN.c.id == run_id).values(**changed))
            note(connection, run_id, state, reason)

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
        self.database.write(lambda connection: note(connection, run_id, kind, message))


def _run_defaults(values: Record) -> Record:
    # A core insert knows nothing of the defaults that SQLModel keeps on the class.
    return Run(**values).model_dump()
