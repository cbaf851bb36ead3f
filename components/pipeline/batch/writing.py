"""The statements that write batches down, each inside somebody's transaction."""

import time
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, and_, bindparam, func, insert, or_, select, update

from components.pipeline.batch.lease import LeaseLost
from components.pipeline.batch.planning import Entry, Plan
from components.pipeline.batch.reading import JOB, JOB_EVENT, REQUEST, SET
from components.pipeline.batch.states import OPEN_STATES, JobState, RequestState
from components.pipeline.ledger.cells import EVENT, RUN, STEP
from components.pipeline.ledger.tables import BatchJob, BatchRequest
from components.states import LIVE_STATES

LONGEST_MESSAGE = 2000
LONGEST_CODE = 200


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


@dataclass(frozen=True)
class Closing:
    """How a job ends, and what becomes of its requests of which nothing is known."""

    left_over: RequestState
    message: str
    is_retryable: bool = True
    state: JobState = JobState.CLOSED
    note: str = ""


def is_adopted(job: BatchJob) -> bool:
    """Whether somebody else made the job, so that nobody knows which requests are in it until its results come."""
    return not job.input_file


def change(connection: Connection, job_key: str, owner: str, values: dict[str, Any]) -> None:
    """Set fields of a job. Raises: LeaseLost when `owner` no longer holds it."""
    where = (JOB.c.key == job_key, *([JOB.c.lease_owner == owner] if owner else []))
    if values and connection.execute(update(JOB).where(*where).values(**values)).rowcount != 1 and owner:
        raise LeaseLost(f"Another process has taken batch job {job_key[:8]} over.")


def close(connection: Connection, job: BatchJob, closing: Closing, owner: str) -> None:
    """End a job, with all that follows from it."""
    cost = connection.execute(
        select(func.coalesce(func.sum(REQUEST.c.cost), 0.0)).where(REQUEST.c.job_key == job.key)
    ).scalar_one()
    ended_at = job.ended_at or time.time()
    values = {"state": closing.state, "cost": cost, "message": closing.note, "ended_at": ended_at, "next_poll_at": 0.0}
    change(connection, job.key, owner, values)
    note(connection, job.key, str(closing.state), closing.note)
    others = select(func.count()).where(JOB.c.set_key == job.set_key, JOB.c.state.in_(OPEN_STATES))
    is_last = not connection.execute(others).scalar_one()
    if is_last or not is_adopted(job):
        # Which of several adopted jobs a row was in is known only once all of them are read.
        mine = REQUEST.c.set_key == job.set_key if is_adopted(job) else REQUEST.c.job_key == job.key
        connection.execute(
            update(REQUEST)
            .where(mine, REQUEST.c.state == RequestState.INFLIGHT)
            .values(state=closing.left_over, message=closing.message, is_retryable=closing.is_retryable)
        )
    if is_last and is_adopted(job):
        _count_anew(connection, job)
    if is_last:
        connection.execute(update(SET).where(SET.c.key == job.set_key).values(state="closed"))
    _wake_held(connection, job)
    _tell_runs(connection, job, closing)


def _count_anew(connection: Connection, job: BatchJob) -> None:
    """How many requests each adopted job of a set had: those whose results it brought; the first has the rest."""
    brought = select(func.count()).where(REQUEST.c.job_key == JOB.c.key).scalar_subquery()
    connection.execute(update(JOB).where(JOB.c.set_key == job.set_key, JOB.c.input_file == "").values(n=brought))


def _tell_runs(connection: Connection, job: BatchJob, closing: Closing) -> None:
    """Note it on the timeline of every run that waits for this job: its own, and those that ask the same.

    One at work may have looked at this job before, and is about to wait for it.
    """
    run_id, step = connection.execute(select(SET.c.run_id, SET.c.step).where(SET.c.key == job.set_key)).one()
    same_step = select(STEP.c.run_id).where(STEP.c.step == step)
    waits = and_(RUN.c.state.in_(LIVE_STATES), RUN.c.id.in_(same_step))
    news = f"Job {job.key[:8]}: {closing.state}"
    for waiting in connection.execute(select(RUN.c.id).where(or_(RUN.c.id == run_id, waits))).scalars().all():
        connection.execute(insert(EVENT).values(run_id=waiting, at=time.time(), kind="batch", message=news))


def _wake_held(connection: Connection, job: BatchJob) -> None:
    """There is room in the queue again, so whoever waits for it may try; not who was told how long to wait."""
    mine = select(SET.c.account, SET.c.model).where(SET.c.key == job.set_key)
    account, model = connection.execute(mine).one()
    same = select(SET.c.key).where(SET.c.account == account, SET.c.model == model)
    held = (JOB.c.state == JobState.HELD, JOB.c.set_key.in_(same), JOB.c.poll_errors == 0)
    connection.execute(update(JOB).where(*held).values(next_poll_at=0.0))


def put_jobs(connection: Connection, plan: Plan) -> None:
    """New jobs."""
    for job in plan.jobs:
        connection.execute(insert(JOB).values(**BatchJob(**job).model_dump()))
        note(connection, job["key"], str(job["state"]), str(job.get("message", "")))


def request_of(set_key: str, entry: Entry) -> dict[str, Any]:
    """A new request; one that is in no job has failed already."""
    values = {
        "set_key": set_key,
        "idx": entry.idx,
        "part": entry.part,
        "row": entry.row,
        "cell_key": entry.cell_key,
        "job_key": entry.job_key,
        "attempt": entry.attempt,
        "code": entry.code,
        "message": entry.message[:LONGEST_MESSAGE],
        "state": RequestState.INFLIGHT if entry.job_key else RequestState.FAILED,
    }
    return REQUEST_DEFAULTS | values


def settled(job: BatchJob, result: Settled) -> dict[str, Any]:
    """The parameters of SETTLE."""
    return {
        "of_set": job.set_key,
        "of_job": job.key,
        "of_idx": result.idx,
        "of_part": result.part,
        "new_state": result.state,
        "new_reply": result.reply,
        "new_http_status": result.http_status,
        "new_code": result.code[:LONGEST_CODE],
        "new_message": result.message[:LONGEST_MESSAGE],
        "new_is_retryable": result.is_retryable,
        "new_tokens_in": result.tokens_in,
        "new_tokens_out": result.tokens_out,
        "new_cost": result.cost,
    }


def moved(set_key: str, entry: Entry) -> dict[str, Any]:
    """The parameters of MOVE."""
    return {
        "of_set": set_key,
        "of_idx": entry.idx,
        "of_part": entry.part,
        "of_job": entry.old_job,
        "new_job_key": entry.job_key,
        "new_attempt": entry.attempt,
    }


def note(connection: Connection, job_key: str, kind: str, message: str = "") -> None:
    """Add to the timeline of a job."""
    connection.execute(insert(JOB_EVENT).values(job_key=job_key, at=time.time(), kind=kind, message=message))


def _update(*names: str, **fixed: Any) -> Any:
    return (
        update(REQUEST)
        .where(
            REQUEST.c.set_key == bindparam("of_set"),
            REQUEST.c.idx == bindparam("of_idx"),
            REQUEST.c.part == bindparam("of_part"),
            REQUEST.c.state != RequestState.OK,
        )
        .values(**{name: bindparam(f"new_{name}") for name in names}, **fixed)
    )


REQUEST_DEFAULTS = BatchRequest(set_key="", idx=0).model_dump()
RESULT = ("state", "reply", "http_status", "code", "message", "is_retryable", "tokens_in", "tokens_out", "cost")
SETTLE = _update(*RESULT).where(REQUEST.c.job_key == bindparam("of_job"))
SETTLE_ADOPTED = _update(*RESULT, job_key=bindparam("of_job"))
MOVE = _update("job_key", "attempt", state=RequestState.INFLIGHT, http_status=None, code="", message="").where(
    REQUEST.c.job_key == bindparam("of_job")
)
