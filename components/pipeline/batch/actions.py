"""What a person can do about a batch job."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, select, update

from components.errors import ConfigError, RunConflict
from components.llms.batch.protocol import BatchProvider
from components.pipeline.batch.journal import read_journal
from components.pipeline.batch.machine import Opener
from components.pipeline.batch.planning import lines_of
from components.pipeline.batch.resend import plan_again
from components.pipeline.batch.states import FINISHED, JobState, RequestState
from components.pipeline.batch.store import REQUEST, BatchStore
from components.pipeline.ledger.cells import RUN
from components.pipeline.ledger.tables import BatchJob, BatchSet
from components.states import RunState

NO_ANSWER = (RequestState.FAILED, RequestState.EXPIRED, RequestState.MISSING)


def refresh(store: BatchStore, job: BatchJob) -> None:
    """Ask about a job now, also one that waits for a person."""
    if job.state in FINISHED:
        raise RunConflict(f"Batch job {job.key[:8]} is {job.state} already.")
    if job.state in (JobState.BLOCKED, JobState.HELD):
        state = JobState.UPLOADED if job.input_ref is not None else JobState.PLANNED
        if job.remote_id:
            state = JobState.ENDED if job.outcome else JobState.RUNNING
        elif job.intent_at is not None:
            state = JobState.CREATING
        store.change(job.key, state, "Asked for by a person.", message="", next_poll_at=0.0)
    else:
        store.change(job.key, next_poll_at=0.0)


def cancel(store: BatchStore, job: BatchJob, provider: BatchProvider) -> None:
    """End a job early; what is done by then is collected, as it is paid for."""
    if job.state in FINISHED:
        raise RunConflict(f"Batch job {job.key[:8]} is {job.state} already.")
    store.change(job.key, note="Canceled by a person.", cancel_requested_at=time.time(), next_poll_at=0.0)
    if job.remote_id:
        if not provider.caps.can_cancel:
            raise ConfigError("This provider cannot cancel a batch job. It ends by itself.")
        provider.cancel(job.remote_id)
    elif job.intent_at is None:
        store.close_job(job, RequestState.MISSING, "The batch was canceled before it was sent.", note="Canceled.")


def retry(store: BatchStore, provider: BatchProvider, set_key: str) -> int:
    """Send every request of a set that has no answer again; returns how many."""
    requests = [request for request in store.all_requests(set_key) if request.state in NO_ANSWER]
    return plan_again(store, provider, set_key, requests)


def adopt(store: BatchStore, job: BatchJob, provider: BatchProvider, remote_id: str) -> None:
    """Attach a job to the provider's batch of that id.

    Raises: ConfigError when the batch has another number of requests; BatchGone when there is none.
    """
    remote = provider.get(remote_id)
    total = remote.counts.get("total", job.n)
    if total not in (0, job.n):
        raise ConfigError(f"'{remote_id}' has {total:,} requests and this job has {job.n:,}, so it is another batch.")
    store.change(
        job.key, JobState.SUBMITTED, "Re-attached by its id.", remote_id=remote.id, status=remote.status,
        counts=remote.counts, handles=remote.handles, submitted_at=job.submitted_at or time.time(), message="",
        next_poll_at=0.0, expires_at=remote.expires_at, results_expire_at=remote.results_expire_at, poll_errors=0,
    )  # fmt: skip


def resubmit(store: BatchStore, job: BatchJob) -> None:
    """Make a job anew although nobody knows whether it was made before; a person has looked and decided."""
    if job.remote_id or job.state in FINISHED:
        raise RunConflict(f"Batch job {job.key[:8]} was submitted already.")
    state = JobState.UPLOADED if job.input_ref is not None else JobState.PLANNED
    store.change(job.key, state, "Resubmitted by a person.", message="", intent_at=None, next_poll_at=0.0)


def finish_online(store: BatchStore, run_id: str, step: str) -> int:
    """Have the rest of a step's rows done now, at the full price; returns how many rows were left.

    Raises: RunConflict while a job is still out: cancel it and let it be collected first.
    """
    for batch in store.sets_of(run_id, step):
        if any(job.state not in FINISHED for job in store.jobs(batch.key)):
            raise RunConflict("A batch job of this step is still out. Cancel it first; its finished rows are kept.")
    run = store.ledger.run(run_id)
    spec = json.loads(run.spec)
    for entry in spec["steps"]:
        if entry["name"] == step:
            entry["llm"]["use_offline_batch_generation"] = False
    left = store.ledger.reopen(run_id, step=step)
    store.ledger.update_run(run_id, spec=json.dumps(spec))
    store.ledger.set_state(run_id, RunState.QUEUED, f"The rest of '{step}' is done now.")
    return left


@dataclass(frozen=True)
class Recovered:
    """What a journal gave back."""

    jobs: int
    already_there: int
    without_input: int


def recover(store: BatchStore, journal: Path, open_provider: Opener) -> Recovered:
    """Rebuild sets and jobs from a journal after the database was lost; each job goes on where it was.

    Raises: DataFileError for a journal that cannot be read.
    """
    jobs: dict[str, dict[str, Any]] = {}
    for entry in read_journal(journal):
        if entry["kind"] == "planned":
            jobs[entry["key"]] = dict(entry)
        elif entry.get("key") in jobs:
            facts = {name: value for name, value in entry.items() if name not in ("at", "kind", "key")}
            jobs[entry["key"]] |= facts | {"state": entry["kind"]}
    there = without = made = 0
    known = {job.key for job in store.jobs()}
    for key, facts in jobs.items():
        if key in known:
            there += 1
            continue
        if _rebuild(store, key, facts, open_provider):
            made += 1
        else:
            without += 1
    return Recovered(made, there, without)


def _rebuild(store: BatchStore, key: str, facts: dict[str, Any], open_provider: Opener) -> bool:
    batch = {**facts["set"], "run_id": None}
    file = store.folder / Path(facts["input_file"]).name
    if not file.exists():
        return False
    names = ("set_key", "n", "sha256", "path", "window", "estimate", "input_ref", "remote_id", "outcome")
    job = {name: facts[name] for name in names if facts.get(name) is not None}
    state = JobState.RUNNING if facts.get("remote_id") else JobState(facts.get("state", JobState.PLANNED))
    job |= {"key": key, "input_file": str(file), "state": state, "created_at": facts["at"]}
    if state is JobState.CREATING:
        job["intent_at"] = facts["at"]
    job.pop("outcome", None)
    provider, _ = open_provider(BatchSet(**batch))
    cells = {entry["idx"]: entry for entry in facts.get("rows", [])}
    requests = [
        {
            "set_key": batch["key"], "idx": idx, "part": part, "job_key": key, "attempt": 1,
            "row": cells.get(idx, {}).get("row", ""), "cell_key": cells.get(idx, {}).get("cell_key", ""),
        }
        for (idx, part), _ in lines_of(provider, file, key)
    ]  # fmt: skip
    store.plan(batch, [job], iter(requests))
    return True


def wake(store: BatchStore, run_id: str) -> None:
    """Put a run to work that waits for its batches."""

    def write(connection: Connection) -> None:
        where = (RUN.c.id == run_id, RUN.c.state == RunState.WAITING_BATCH)
        connection.execute(update(RUN).where(*where).values(state=RunState.QUEUED))

    store.ledger.database.write(write)


def rows_of(store: BatchStore, job_key: str, states: Sequence[RequestState]) -> list[dict[str, Any]]:
    """The requests of a job in some states, with what was said of them."""
    query = select(REQUEST).where(REQUEST.c.job_key == job_key, REQUEST.c.state.in_(list(states)))
    with store.ledger.database.read() as connection:
        return [dict(row) for row in connection.execute(query.order_by(REQUEST.c.idx)).mappings()]
