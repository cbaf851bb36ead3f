"""The questions asked of what is written down of batches."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import Select, and_, func, or_, select

from components.errors import LedgerError
from components.pipeline.batch.states import AT_PROVIDER, OPEN_STATES, JobState, RequestState
from components.pipeline.ledger import Ledger
from components.pipeline.ledger.cells import CELL, RUN
from components.pipeline.ledger.tables import BatchEvent, BatchJob, BatchRequest, BatchSet, BatchUse
from components.states import LIVE_STATES, CellState, RunState

SET = BatchSet.__table__  # type: ignore[attr-defined]
USE = BatchUse.__table__  # type: ignore[attr-defined]
JOB = BatchJob.__table__  # type: ignore[attr-defined]
REQUEST = BatchRequest.__table__  # type: ignore[attr-defined]
JOB_EVENT = BatchEvent.__table__  # type: ignore[attr-defined]

PAGE = 1000
KEYS_AT_ONCE = 500
LET_GO = "let_go"
"""The kind of event that names a provider's batch which is this job's no more."""
ATTACHED = "attached"
"""The kind of event that names a provider's batch to which a person attached the job."""
TRIED_LATER = "tried_later"
"""The kind of event that says what a batch failed for before the same one was made again."""
QUEUE_LIMIT = "queue_limit"
"""The kind of event that names how many tokens the provider takes into its queue."""


class Known(NamedTuple):
    """A request as it stands, and whose it is."""

    cell_key: str
    set_key: str
    idx: int
    row: str
    state: str
    attempt: int
    run_id: str | None
    step: str


class Standing(NamedTuple):
    """A request as it stands, without its reply."""

    idx: int
    part: int
    state: str
    job_key: str
    attempt: int
    http_status: int | None
    code: str
    message: str
    tokens_in: int
    tokens_out: int
    cost: float
    size: int
    """Bytes of its reply."""


HELD_BACK = "so nothing more of it is sent."
RUN_RESTS = f"Its run is {{}}, {HELD_BACK} Continue the run to go on with it."
RUN_GONE = f"Its run was deleted, {HELD_BACK} Cancel it, or run the pipeline again to use it."


@dataclass(frozen=True)
class Queue:
    """What is known of a provider's queue for one model of one account."""

    limit: int | None
    """The most tokens it takes; None where it never said."""
    taken: int
    """About how many of ours are in it."""


class BatchReader:
    """Reads sets, jobs and requests."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger

    # Sets and jobs

    def set(self, key: str) -> BatchSet | None:
        """One set, if it is known."""
        rows = self._rows(select(SET).where(SET.c.key == key))
        return BatchSet(**rows[0]) if rows else None

    def sets_of(self, run_id: str, step: str | None = None) -> list[BatchSet]:
        """The sets of a run, or of one step of it, oldest first."""
        query = select(SET).where(SET.c.run_id == run_id).order_by(SET.c.created_at)
        if step is not None:
            query = query.where(SET.c.step == step)
        return [BatchSet(**row) for row in self._rows(query)]

    def used_by(self, run_id: str, step: str) -> list[str]:
        """The sets of other runs from which a step takes answers."""
        query = select(USE.c.set_key).where(USE.c.run_id == run_id, USE.c.step == step)
        return [row["set_key"] for row in self._rows(query)]

    def held_back(self, set_keys: Collection[str]) -> dict[str, str]:
        """The sets of which nothing may be sent now, as somebody halted every run that wants it; and why."""
        owners = self._rows(select(SET.c.key, SET.c.run_id).where(SET.c.key.in_(set_keys), SET.c.run_id.is_not(None)))
        uses = self._rows(select(USE.c.set_key, USE.c.run_id).where(USE.c.set_key.in_(set_keys)))
        names = {row["run_id"] for row in (*owners, *uses)}
        columns = [RUN.c.id, RUN.c.state, RUN.c.command]
        halted = {row["id"]: _halted(row) for row in self._rows(select(*columns).where(RUN.c.id.in_(names)))}
        is_live = (RUN.c.id.in_(names), RUN.c.state.in_(LIVE_STATES))
        live = {row["id"] for row in self._rows(select(RUN.c.id).where(*is_live))}
        wanted = {row["set_key"] for row in uses if row["run_id"] in live and not halted[row["run_id"]]}
        whys = {row["key"]: halted.get(row["run_id"], RUN_GONE) for row in owners}
        return {key: why for key, why in whys.items() if why and key not in wanted}

    def job(self, key: str) -> BatchJob:
        """One job by its key. Raises: LedgerError when there is none."""
        rows = self._rows(select(JOB).where(JOB.c.key == key))
        if not rows:
            raise LedgerError(f"There is no batch job '{key[:8]}'.")
        return BatchJob(**rows[0])

    def find_job(self, name: str) -> BatchJob:
        """The job with this provider id or key, or the one of which either starts so.

        Raises: LedgerError when there is not just one.
        """
        exact = or_(JOB.c.remote_id == name, JOB.c.key == name)
        begins = or_(*(column.startswith(name, autoescape=True) for column in (JOB.c.remote_id, JOB.c.key)))
        rows = self._rows(select(JOB).where(exact)) or self._rows(select(JOB).where(begins).limit(2)) if name else []
        if not rows:
            raise LedgerError(f"There is no batch job '{name}'.")
        if len(rows) > 1:
            raise LedgerError(f"Several batch jobs have an id that starts with '{name}'. Type more of it.")
        return BatchJob(**rows[0])

    def jobs(self, set_key: str | None = None, states: Sequence[JobState] = ()) -> list[BatchJob]:
        """Jobs, oldest first."""
        query = select(JOB).order_by(JOB.c.created_at, JOB.c.key)
        if set_key is not None:
            query = query.where(JOB.c.set_key == set_key)
        if states:
            query = query.where(JOB.c.state.in_(list(states)))
        return [BatchJob(**row) for row in self._rows(query)]

    def due(self, now: float) -> list[BatchJob]:
        """Open jobs whose time has come, longest waiting first."""
        waiting = and_(JOB.c.state.in_(OPEN_STATES), JOB.c.state != JobState.BLOCKED, JOB.c.next_poll_at <= now)
        return [BatchJob(**row) for row in self._rows(select(JOB).where(waiting).order_by(JOB.c.next_poll_at))]

    def events(self, job_key: str, kind: str | None = None) -> list[BatchEvent]:
        """What happened to a job, oldest first."""
        query = select(JOB_EVENT).where(JOB_EVENT.c.job_key == job_key).order_by(JOB_EVENT.c.id)
        if kind is not None:
            query = query.where(JOB_EVENT.c.kind == kind)
        return [BatchEvent(**row) for row in self._rows(query)]

    def remote_ids(self) -> dict[str, str]:
        """The job of every provider id that is known."""
        query = select(JOB.c.remote_id, JOB.c.key).where(JOB.c.remote_id.is_not(None))
        return {row["remote_id"]: row["key"] for row in self._rows(query)}

    def queue(self, batch: BatchSet, job_key: str, since: float) -> Queue:
        """What is known of the queue that a job of this set goes to; what was said of it before is out of date."""
        same = (SET.c.account == batch.account, SET.c.model == batch.model)
        said = (
            select(JOB_EVENT.c.message)
            .select_from(JOB_EVENT.join(JOB, JOB.c.key == JOB_EVENT.c.job_key).join(SET, SET.c.key == JOB.c.set_key))
            .where(*same, JOB_EVENT.c.kind == QUEUE_LIMIT, JOB_EVENT.c.at >= since)
            .order_by(JOB_EVENT.c.id.desc())
            .limit(1)
        )
        taken = (
            select(func.coalesce(func.sum(JOB.c.tokens), 0).label("tokens"))
            .select_from(JOB.join(SET, SET.c.key == JOB.c.set_key))
            .where(*same, JOB.c.state.in_(AT_PROVIDER), JOB.c.key != job_key)
        )
        limits = self._rows(said)
        return Queue(int(limits[0]["message"]) if limits else None, int(self._rows(taken)[0]["tokens"]))

    def open_estimate(self, run_id: str, step: str) -> float:
        """US dollars that the open jobs of a step cost at most."""
        query = (
            select(func.coalesce(func.sum(JOB.c.estimate), 0.0).label("cost"))
            .select_from(JOB.join(SET, SET.c.key == JOB.c.set_key))
            .where(SET.c.run_id == run_id, SET.c.step == step, JOB.c.state.in_(OPEN_STATES))
        )
        return float(self._rows(query)[0]["cost"])

    # Requests

    def counts(self, *, set_key: str | None = None, job_key: str | None = None) -> dict[str, int]:
        """How many requests are in each state; they always add up."""
        query = select(REQUEST.c.state, func.count().label("n")).group_by(REQUEST.c.state)
        if set_key is not None:
            query = query.where(REQUEST.c.set_key == set_key)
        if job_key is not None:
            query = query.where(REQUEST.c.job_key == job_key)
        found = {row["state"]: row["n"] for row in self._rows(query)}
        return {str(state): found.get(state, 0) for state in RequestState}

    def known(self, cell_keys: Sequence[str]) -> Iterator[Known]:
        """Every request that asks one of these things, oldest set first."""
        names = ("cell_key", "set_key", "idx", "row", "state", "attempt")
        columns = [*(REQUEST.c[name] for name in names), SET.c.run_id, SET.c.step]
        base = select(*columns).join(SET, SET.c.key == REQUEST.c.set_key)
        order = (SET.c.created_at, REQUEST.c.set_key, REQUEST.c.idx, REQUEST.c.part)
        for start in range(0, len(cell_keys), KEYS_AT_ONCE):
            wanted = REQUEST.c.cell_key.in_(cell_keys[start : start + KEYS_AT_ONCE])
            with self.ledger.database.read() as connection:
                rows = connection.execute(base.where(wanted).order_by(*order)).all()
            yield from map(Known._make, rows)

    def standings(self, set_key: str) -> Iterator[Standing]:
        """Every request of a set without its reply, in the order of its rows, read a page at a time."""
        columns = [REQUEST.c[name] for name in Standing._fields if name != "size"]
        size = func.coalesce(func.length(REQUEST.c.reply), 0)
        after = (-1, 0)
        while True:
            query = select(*columns, size).where(*_after(set_key, after)).order_by(REQUEST.c.idx, REQUEST.c.part)
            with self.ledger.database.read() as connection:
                page = [Standing._make(row) for row in connection.execute(query.limit(PAGE))]
            yield from page
            if len(page) < PAGE:
                return
            after = (page[-1].idx, page[-1].part)

    def replies(self, set_key: str, idxs: Sequence[int]) -> dict[tuple[int, int], bytes]:
        """The replies to some rows of a set, by index and part."""
        query = select(REQUEST.c.idx, REQUEST.c.part, REQUEST.c.reply).where(
            REQUEST.c.set_key == set_key, REQUEST.c.idx.in_(list(idxs)), REQUEST.c.reply.is_not(None)
        )
        with self.ledger.database.read() as connection:
            return {(idx, part): reply for idx, part, reply in connection.execute(query)}

    def without_answer(
        self, *, set_key: str | None = None, job_key: str | None = None, most_attempts: int | None = None
    ) -> list[BatchRequest]:
        """Requests that came back without an answer; with `most_attempts`, those only that are worth another try."""
        no_answer = [RequestState.FAILED, RequestState.EXPIRED, RequestState.MISSING]
        query = select(REQUEST).where(REQUEST.c.state.in_(no_answer), REQUEST.c.job_key != "")
        if set_key is not None:
            query = query.where(REQUEST.c.set_key == set_key)
        if job_key is not None:
            query = query.where(REQUEST.c.job_key == job_key)
        if most_attempts is not None:
            query = query.where(REQUEST.c.is_retryable, REQUEST.c.attempt < most_attempts)
        return [BatchRequest(**row) for row in self._rows(query.order_by(REQUEST.c.idx, REQUEST.c.part))]

    def unsettled(self, job_key: str) -> list[BatchRequest]:
        """The requests of a job of which nothing is known yet."""
        query = select(REQUEST).where(REQUEST.c.job_key == job_key, REQUEST.c.state == RequestState.INFLIGHT)
        return [BatchRequest(**row) for row in self._rows(query.order_by(REQUEST.c.idx, REQUEST.c.part))]

    def main_complaint(self, job_key: str) -> tuple[str, int]:
        """What was said most often of the rows of a job that failed, and of how many."""
        query = (
            select(REQUEST.c.message, func.count().label("n"))
            .where(REQUEST.c.job_key == job_key, REQUEST.c.state == RequestState.FAILED)
            .group_by(REQUEST.c.message)
            .order_by(func.count().desc())
            .limit(1)
        )
        rows = self._rows(query)
        return (rows[0]["message"], rows[0]["n"]) if rows else ("", 0)

    def reopened(self, run_id: str, step: str) -> dict[str, int]:
        """The rows of a step that are to be worked on again, and how often each was tried."""
        where = (CELL.c.run_id == run_id, CELL.c.step == step, CELL.c.state == CellState.PENDING)
        return {row["row"]: row["attempts"] for row in self._rows(select(CELL.c.row, CELL.c.attempts).where(*where))}

    def _rows(self, query: Select[Any]) -> list[dict[str, Any]]:
        with self.ledger.database.read() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]


def _halted(run: dict[str, Any]) -> str:
    """Why a run sends nothing; empty for one that may."""
    # What somebody asked of the process that works on it counts before that process has heard of it.
    rests = {"stop": "stopped", "pause": "paused"}.get(run["command"], run["state"])
    return RUN_RESTS.format(rests) if rests in (RunState.STOPPED, RunState.PAUSED) else ""


def _after(set_key: str, after: tuple[int, int]) -> tuple[Any, ...]:
    idx, part = after
    return (
        REQUEST.c.set_key == set_key,
        or_(REQUEST.c.idx > idx, and_(REQUEST.c.idx == idx, REQUEST.c.part > part)),
    )
