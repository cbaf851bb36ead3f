"""What is written down of batches; each change is in the journal before it is in the database."""

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, func, insert, or_, select, update

from components.errors import RunConflict
from components.pipeline.batch import writing
from components.pipeline.batch.journal import Journal
from components.pipeline.batch.lease import LEASE_SECONDS, LeaseLost
from components.pipeline.batch.planning import Plan
from components.pipeline.batch.reading import JOB, PAGE, REQUEST, SET, USE, BatchReader
from components.pipeline.batch.states import JobState
from components.pipeline.batch.writing import Closing, Settled
from components.pipeline.ledger import Ledger
from components.pipeline.ledger.database import sqlite_path
from components.pipeline.ledger.owner import is_process_alive
from components.pipeline.ledger.tables import BatchJob, BatchSet

__all__ = ["JOB", "REQUEST", "SET", "BatchStore", "Closing", "Settled"]

JSON_FIELDS = ("counts", "handles")
JOURNALED = ("input_ref", "remote_id", "outcome", "intent_at")


class BatchStore(BatchReader):
    """Sets, jobs and requests in the ledger, with input files and the journal in a folder beside it."""

    def __init__(self, ledger: Ledger, folder: Path | None = None) -> None:
        super().__init__(ledger)
        database = sqlite_path(ledger.database.url)
        self.folder = folder or (database.parent if database else Path.cwd()) / "batches"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.journal = Journal(self.folder / "journal.jsonl")

    def plan(self, batch: dict[str, Any], plan: Plan) -> bool:
        """Write a set, its jobs and its requests down in one commit; False where the set is there already."""
        self._journal_plan(batch, plan)

        def write(connection: Connection) -> bool:
            if connection.execute(select(SET.c.key).where(SET.c.key == plan.set_key)).first() is not None:
                return False
            connection.execute(insert(SET).values(**BatchSet(**batch).model_dump()))
            writing.put_jobs(connection, plan)
            for start in range(0, len(plan.entries), PAGE):
                page = plan.entries[start : start + PAGE]
                connection.execute(insert(REQUEST), [writing.request_of(plan.set_key, entry) for entry in page])
            if not plan.jobs:
                connection.execute(update(SET).where(SET.c.key == plan.set_key).values(state="closed"))
            return True

        is_new = self.ledger.database.write(write)
        if not is_new:
            self._journal_drop(plan)
        return is_new

    def move(self, plan: Plan, closing: tuple[BatchJob, Closing] | None = None, owner: str = "") -> None:
        """Give requests of a set to new jobs, and end the job they were in, in one commit.

        Raises: RunConflict when one of them was answered or sent again meanwhile.
        """
        batch = self.set(plan.set_key)
        assert batch is not None
        self._journal_plan(batch.model_dump(), plan)

        def write(connection: Connection) -> None:
            writing.put_jobs(connection, plan)
            for start in range(0, len(plan.entries), PAGE):
                page = plan.entries[start : start + PAGE]
                moves = [writing.moved(plan.set_key, entry) for entry in page if entry.job_key]
                if moves:
                    connection.execute(writing.MOVE, moves)
            moved = connection.execute(
                select(func.count()).where(REQUEST.c.job_key.in_([job["key"] for job in plan.jobs]))
            ).scalar_one()
            if moved != sum(job["n"] for job in plan.jobs):
                raise RunConflict("Some of these rows were answered or sent again meanwhile. Look again, then retry.")
            connection.execute(update(SET).where(SET.c.key == plan.set_key).values(state="open"))
            if closing is not None:
                writing.close(connection, *closing, owner)

        try:
            self.ledger.database.write(write)
        except BaseException:
            self._journal_drop(plan)
            raise
        if closing is not None:
            self.journal.append(str(closing[1].state), key=closing[0].key)

    def change(
        self, job_key: str, state: JobState | None = None, note: str = "", owner: str = "", **values: Any
    ) -> None:
        """Change a job, or move it on to another state. Raises: LeaseLost when `owner` no longer holds it."""
        for name in JSON_FIELDS:
            if name in values:
                values[name] = json.dumps(dict(values[name]))
        if state is not None:
            values["state"] = state
            self.journal.append(str(state), key=job_key, **{name: values[name] for name in JOURNALED if name in values})

        def write(connection: Connection) -> None:
            writing.change(connection, job_key, owner, values)
            if state is not None or note:
                writing.note(connection, job_key, str(state or "note"), note)

        try:
            self.ledger.database.write(write)
        except LeaseLost:
            # The journal has it already; what holds is what the new holder wrote.
            if state is not None:
                job = self.job(job_key)
                self.journal.append(job.state, key=job_key, **{name: getattr(job, name) for name in JOURNALED})
            raise

    def note(self, job_key: str, kind: str, message: str) -> None:
        """Add to the timeline of a job."""
        self.ledger.database.write(lambda connection: writing.note(connection, job_key, kind, message))

    def set_account(self, set_key: str, account: str) -> None:
        """Take another key of the same account for the one that made a set."""
        query = update(SET).where(SET.c.key == set_key).values(account=account)
        self.ledger.database.write(lambda connection: connection.execute(query))

    def use(self, set_keys: Sequence[str], run_id: str, step: str) -> None:
        """Write down that a step takes answers from these sets, those of other runs among them."""
        others = select(SET.c.key).where(
            SET.c.key.in_(set_keys), or_(SET.c.run_id.is_(None), SET.c.run_id != run_id, SET.c.step != step)
        )
        known = select(USE.c.set_key).where(USE.c.run_id == run_id, USE.c.step == step)

        def write(connection: Connection) -> None:
            fresh = connection.execute(others.where(SET.c.key.not_in(known))).scalars().all()
            if fresh:
                connection.execute(insert(USE), [{"set_key": key, "run_id": run_id, "step": step} for key in fresh])

        self.ledger.database.write(write)

    def settle(self, job: BatchJob, results: Sequence[Settled]) -> None:
        """Write results down; an answer that is there is never made worse, and one of another job never touched."""
        statement = writing.SETTLE_ADOPTED if writing.is_adopted(job) else writing.SETTLE
        values = [writing.settled(job, result) for result in results]
        if values:
            self.ledger.database.write(lambda connection: connection.execute(statement, values))

    def close_job(self, job: BatchJob, closing: Closing, owner: str = "") -> None:
        """End a job in one commit: what has no result by now has none, and the run may go on."""
        self.journal.append(str(closing.state), key=job.key)
        self.ledger.database.write(lambda connection: writing.close(connection, job, closing, owner))

    # Who moves a job

    def claim(self, job_key: str, owner: str, seconds: float = LEASE_SECONDS) -> bool:
        """Take a job for a while; False where another living process has it."""

        def write(connection: Connection) -> bool:
            now = time.time()
            query = select(JOB.c.lease_owner, JOB.c.lease_until).where(JOB.c.key == job_key)
            holder, until = connection.execute(query).one()
            if holder and until > now and is_process_alive(holder):
                return False
            values = {"lease_owner": owner, "lease_until": now + seconds}
            connection.execute(update(JOB).where(JOB.c.key == job_key).values(**values))
            return True

        return self.ledger.database.write(write)

    def renew(self, job_key: str, owner: str, seconds: float = LEASE_SECONDS) -> bool:
        """Keep a job for a while longer; False where it was lost."""
        query = (
            update(JOB)
            .where(JOB.c.key == job_key, JOB.c.lease_owner == owner)
            .values(lease_until=time.time() + seconds)
        )
        return self.ledger.database.write(lambda connection: bool(connection.execute(query).rowcount == 1))

    def release(self, job_key: str, owner: str) -> None:
        """Let go of a job."""
        where = (JOB.c.key == job_key, JOB.c.lease_owner == owner)
        self.ledger.database.write(
            lambda connection: connection.execute(update(JOB).where(*where).values(lease_owner="", lease_until=0.0))
        )

    def _journal_plan(self, batch: dict[str, Any], plan: Plan) -> None:
        rows: dict[str, list[tuple[Any, ...]]] = {job["key"]: [] for job in plan.jobs}
        for entry in plan.entries:
            if entry.job_key:
                rows[entry.job_key].append((entry.idx, entry.part, entry.row, entry.cell_key))
        for job in plan.jobs:
            facts = {name: value for name, value in job.items() if name not in ("state", "created_at")}
            self.journal.append("planned", set=batch, **facts, rows=rows[job["key"]])

    def _journal_drop(self, plan: Plan) -> None:
        for job in plan.jobs:
            self.journal.append("dropped", key=job["key"])
