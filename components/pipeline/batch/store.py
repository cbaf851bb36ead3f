"""What is written down of batches, and the questions asked of it."""

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import Connection, and_, func, insert, or_, select, update

from components.errors import LedgerError
from components.pipeline.batch.journal import Journal
from components.pipeline.batch.states import FINISHED, JobState, RequestState
from components.pipeline.ledger import Ledger
from components.pipeline.ledger.cells import EVENT, RUN
from components.pipeline.ledger.database import sqlite_path
from components.pipeline.ledger.tables import BatchEvent, BatchJob, BatchRequest, BatchSet

SET = BatchSet.__table__  # type: ignore[attr-defined]
JOB = BatchJob.__table__  # type: ignore[attr-defined]
REQUEST = BatchRequest.__table__  # type: ignore[attr-defined]
JOB_EVENT = BatchEvent.__table__  # type: ignore[attr-defined]

PAGE = 1000
LEASE_SECONDS = 120.0
OPEN_STATES = tuple(state for state in JobState if state not in FINISHED)
JSON_FIELDS = ("counts", "handles")


@dataclass(frozen=True)
class Settled:
    """What a provider said of one request."""

    idx: int
    part: int
    state: RequestState
    reply: bytes | None = None
    http_status: int | None = None
    code: str = ""
    message: str = ""
    is_retryable: bool = False
    tokens_in: int = 0
    tokens_out: int = 0
    cost: float = 0.0


class BatchStore:
    """Sets, jobs and requests in the ledger, with input files and the journal in a folder beside it."""

    def __init__(self, ledger: Ledger, folder: Path | None = None) -> None:
        self.ledger = ledger
        database = sqlite_path(ledger.database.url)
        self.folder = folder or (database.parent if database else Path.cwd()) / "batches"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.journal = Journal(self.folder / "journal.jsonl")

    # Writing

    def plan(self, batch: dict[str, Any], jobs: Sequence[dict[str, Any]], requests: Iterator[dict[str, Any]]) -> None:
        """Write a set, its jobs and its requests down in one commit; the input files are on disk already."""
        rows = list(requests)
        for job in jobs:
            names = ("key", "set_key", "n", "sha256", "input_file", "path", "window", "estimate")
            facts = {name: job[name] for name in names if name in job}
            mine = [
                {"idx": row["idx"], "row": row["row"], "cell_key": row["cell_key"]}
                for row in rows
                if row["job_key"] == job["key"] and not row["part"]
            ]
            self.journal.append("planned", set=batch, rows=mine, **facts)

        def write(connection: Connection) -> None:
            known = connection.execute(select(SET.c.key).where(SET.c.key == batch["key"])).first()
            if known is None:
                connection.execute(insert(SET).values(**BatchSet(**batch).model_dump()))
            else:
                connection.execute(update(SET).where(SET.c.key == batch["key"]).values(state="open"))
            for job in jobs:
                connection.execute(insert(JOB).values(**BatchJob(**job).model_dump()))
                _note(connection, job["key"], JobState.PLANNED)
            for start in range(0, len(rows), PAGE):
                _put_requests(connection, rows[start : start + PAGE])

        self.ledger.database.write(write)

    def change(self, job_key: str, state: JobState | None = None, note: str = "", **values: Any) -> None:
        """Move a job on; a change of state is in the journal before it is in the database."""
        for name in JSON_FIELDS:
            if name in values:
                values[name] = json.dumps(dict(values[name]))
        if state is not None:
            values["state"] = state
            facts = {name: values[name] for name in ("input_ref", "remote_id", "outcome") if values.get(name)}
            self.journal.append(str(state), key=job_key, **facts)

        def write(connection: Connection) -> None:
            connection.execute(update(JOB).where(JOB.c.key == job_key).values(**values))
            if state is not None or note:
                _note(connection, job_key, str(state or "note"), note)

        self.ledger.database.write(write)

    def claim(self, job_key: str, owner: str) -> bool:
        """Take a job for a while; False where another process has it."""
        now = time.time()

        def write(connection: Connection) -> bool:
            free = or_(JOB.c.lease_owner == owner, JOB.c.lease_owner == "", JOB.c.lease_until < now)
            changed = connection.execute(
                update(JOB).where(JOB.c.key == job_key, free).values(lease_owner=owner, lease_until=now + LEASE_SECONDS)
            )
            return bool(changed.rowcount == 1)

        return self.ledger.database.write(write)

    def release(self, job_key: str, owner: str) -> None:
        """Let go of a job."""
        where = (JOB.c.key == job_key, JOB.c.lease_owner == owner)
        self.ledger.database.write(
            lambda connection: connection.execute(update(JOB).where(*where).values(lease_owner="", lease_until=0.0))
        )

    def settle(self, job_key: str, set_key: str, results: Sequence[Settled]) -> None:
        """Write results down; an answer that is there is never made worse, and one of another job never touched."""

        def write(connection: Connection) -> None:
            for result in results:
                connection.execute(
                    update(REQUEST)
                    .where(
                        REQUEST.c.set_key == set_key,
                        REQUEST.c.idx == result.idx,
                        REQUEST.c.part == result.part,
                        REQUEST.c.job_key == job_key,
                        REQUEST.c.state != RequestState.OK,
                    )
                    .values(
                        state=result.state,
                        reply=result.reply,
                        http_status=result.http_status,
                        code=result.code[:200],
                        message=result.message[:2000],
                        is_retryable=result.is_retryable,
                        tokens_in=result.tokens_in,
                        tokens_out=result.tokens_out,
                        cost=result.cost,
                    )
                )

        self.ledger.database.write(write)

    def close_job(
        self,
        job: BatchJob,
        left_over: RequestState,
        message: str,
        *,
        is_retryable: bool = True,
        state: JobState = JobState.CLOSED,
        note: str = "",
    ) -> None:
        """Close a job in one commit: what has no result by now has none, and the run may go on."""
        self.journal.append(str(state), key=job.key)

        def write(connection: Connection) -> None:
            inflight = (REQUEST.c.job_key == job.key, REQUEST.c.state == RequestState.INFLIGHT)
            connection.execute(
                update(REQUEST).where(*inflight).values(state=left_over, message=message, is_retryable=is_retryable)
            )
            cost = connection.execute(
                select(func.coalesce(func.sum(REQUEST.c.cost), 0.0)).where(REQUEST.c.job_key == job.key)
            ).scalar_one()
            values = {"state": state, "cost": cost, "message": note, "ended_at": job.ended_at or time.time()}
            connection.execute(update(JOB).where(JOB.c.key == job.key).values(**values))
            _note(connection, job.key, str(state), note)
            still_open = connection.execute(
                select(func.count()).where(JOB.c.set_key == job.set_key, JOB.c.state.in_(OPEN_STATES))
            ).scalar_one()
            if not still_open:
                connection.execute(update(SET).where(SET.c.key == job.set_key).values(state="closed"))
            run_id = connection.execute(select(SET.c.run_id).where(SET.c.key == job.set_key)).scalar()
            if run_id:
                connection.execute(
                    insert(EVENT).values(
                        run_id=run_id, at=time.time(), kind="batch", message=f"Job {job.key[:8]}: {state}"
                    )
                )

        self.ledger.database.write(write)

    def wake_run(self, run_id: str, state: str) -> None:
        """Put a run that waits for batches back to work."""
        self.ledger.database.write(
            lambda connection: connection.execute(
                update(RUN).where(RUN.c.id == run_id, RUN.c.state == "waiting_batch").values(state=state)
            )
        )

    # Reading

    def set(self, key: str) -> BatchSet | None:
        """One set, if it is known."""
        with self.ledger.database.read() as connection:
            row = connection.execute(select(SET).where(SET.c.key == key)).mappings().first()
        return BatchSet(**row) if row else None

    def sets_of(self, run_id: str, step: str) -> list[BatchSet]:
        """The sets of one step of a run."""
        query = select(SET).where(SET.c.run_id == run_id, SET.c.step == step).order_by(SET.c.created_at)
        with self.ledger.database.read() as connection:
            return [BatchSet(**row) for row in connection.execute(query).mappings()]

    def job(self, key: str) -> BatchJob:
        """One job by its key."""
        with self.ledger.database.read() as connection:
            return BatchJob(**connection.execute(select(JOB).where(JOB.c.key == key)).mappings().one())

    def find_job(self, name: str) -> BatchJob:
        """The job with this provider id, or whose key starts so. Raises: LedgerError when there is not just one."""
        query = select(JOB).where(or_(JOB.c.remote_id == name, JOB.c.key.startswith(name, autoescape=True))).limit(2)
        with self.ledger.database.read() as connection:
            rows = connection.execute(query).mappings().all()
        if len(rows) != 1:
            raise LedgerError(f"There {'is no' if not rows else 'are several'} batch job '{name}'.")
        return BatchJob(**rows[0])

    def jobs(self, set_key: str | None = None, states: Sequence[JobState] = ()) -> list[BatchJob]:
        """Jobs, oldest first."""
        query = select(JOB).order_by(JOB.c.created_at, JOB.c.key)
        if set_key is not None:
            query = query.where(JOB.c.set_key == set_key)
        if states:
            query = query.where(JOB.c.state.in_(list(states)))
        with self.ledger.database.read() as connection:
            return [BatchJob(**row) for row in connection.execute(query).mappings()]

    def due(self, now: float) -> list[BatchJob]:
        """Open jobs whose time has come."""
        waiting = and_(JOB.c.state.in_(OPEN_STATES), JOB.c.state != JobState.BLOCKED, JOB.c.next_poll_at <= now)
        with self.ledger.database.read() as connection:
            return [BatchJob(**row) for row in connection.execute(select(JOB).where(waiting)).mappings()]

    def counts(self, *, set_key: str | None = None, job_key: str | None = None) -> dict[str, int]:
        """How many requests are in each state; they always add up."""
        query = select(REQUEST.c.state, func.count()).group_by(REQUEST.c.state)
        if set_key is not None:
            query = query.where(REQUEST.c.set_key == set_key)
        if job_key is not None:
            query = query.where(REQUEST.c.job_key == job_key)
        with self.ledger.database.read() as connection:
            found = {row.state: row[1] for row in connection.execute(query)}
        return {str(state): found.get(state, 0) for state in RequestState}

    def requests(self, set_key: str, *, after: tuple[int, int] = (-1, 0), limit: int = PAGE) -> list[BatchRequest]:
        """The next requests of a set, in the order of its rows."""
        idx, part = after
        query = (
            select(REQUEST)
            .where(
                REQUEST.c.set_key == set_key,
                or_(REQUEST.c.idx > idx, and_(REQUEST.c.idx == idx, REQUEST.c.part > part)),
            )
            .order_by(REQUEST.c.idx, REQUEST.c.part)
            .limit(limit)
        )
        with self.ledger.database.read() as connection:
            return [BatchRequest(**row) for row in connection.execute(query).mappings()]

    def all_requests(self, set_key: str) -> Iterator[BatchRequest]:
        """Every request of a set, read a page at a time."""
        after = (-1, 0)
        while page := self.requests(set_key, after=after):
            yield from page
            after = (page[-1].idx, page[-1].part)

    def events(self, job_key: str) -> list[BatchEvent]:
        """What happened to a job, oldest first."""
        query = select(JOB_EVENT).where(JOB_EVENT.c.job_key == job_key).order_by(JOB_EVENT.c.id)
        with self.ledger.database.read() as connection:
            return [BatchEvent(**row) for row in connection.execute(query).mappings()]

    def retryable(self, set_key: str, most_attempts: int) -> list[BatchRequest]:
        """Requests without an answer that are worth sending again."""
        query = (
            select(REQUEST)
            .where(
                REQUEST.c.set_key == set_key,
                REQUEST.c.state.in_([RequestState.FAILED, RequestState.EXPIRED, RequestState.MISSING]),
                REQUEST.c.is_retryable,
                REQUEST.c.attempt < most_attempts,
            )
            .order_by(REQUEST.c.idx, REQUEST.c.part)
        )
        with self.ledger.database.read() as connection:
            return [BatchRequest(**row) for row in connection.execute(query).mappings()]


def reply_of(request: BatchRequest) -> Any:
    """The provider's reply to a request."""
    return orjson.loads(request.reply) if request.reply else None


def _put_requests(connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
    fresh = [row for row in rows if row["attempt"] == 1]
    if fresh:
        connection.execute(insert(REQUEST), [BATCH_REQUEST_DEFAULTS | row for row in fresh])
    for row in rows:
        if row["attempt"] > 1:
            connection.execute(
                update(REQUEST)
                .where(
                    REQUEST.c.set_key == row["set_key"],
                    REQUEST.c.idx == row["idx"],
                    REQUEST.c.part == row["part"],
                    REQUEST.c.state != RequestState.OK,
                )
                .values(
                    state=RequestState.INFLIGHT, job_key=row["job_key"], attempt=row["attempt"], message="", code=""
                )
            )


def _note(connection: Connection, job_key: str, kind: str, message: str = "") -> None:
    connection.execute(insert(JOB_EVENT).values(job_key=job_key, at=time.time(), kind=kind, message=message))


BATCH_REQUEST_DEFAULTS = BatchRequest(set_key="", idx=0).model_dump()
