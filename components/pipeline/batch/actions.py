"""What a person can do about a batch job."""

import json
import time

from components.errors import ConfigError, RunConflict
from components.llms.batch.local import rest
from components.llms.batch.protocol import BatchProvider
from components.pipeline.batch.in_hand import CANCELED
from components.pipeline.batch.machine import can_be_held_back, is_on_this_machine, place_of
from components.pipeline.batch.reading import ATTACHED
from components.pipeline.batch.recovery import Recovered, recover
from components.pipeline.batch.resend import plan_again
from components.pipeline.batch.states import FINISHED, JobState
from components.pipeline.batch.store import BatchStore
from components.pipeline.ledger.tables import BatchJob
from components.states import RunState

__all__ = ["Recovered", "adopt", "cancel", "finish_online", "recover", "refresh", "rest_held_back", "resubmit", "retry"]


def refresh(store: BatchStore, job: BatchJob) -> None:
    """Ask about a job now, also one that waits for a person. Raises: RunConflict for one that is over."""
    if job.state in FINISHED:
        raise RunConflict(f"Batch job {job.key[:8]} is {job.state} already.")
    if job.state in (JobState.BLOCKED, JobState.HELD):
        store.change(job.key, place_of(job), "Asked for by a person.", message="", next_poll_at=0.0)
    else:
        store.change(job.key, next_poll_at=0.0)


def rest_held_back(store: BatchStore) -> None:
    """Have no further row asked for by jobs on this machine whose runs somebody halted."""
    out = store.jobs(states=(JobState.SUBMITTED, JobState.RUNNING))
    jobs = [job for job in out if is_on_this_machine(job) and can_be_held_back(job)]
    why = store.held_back({job.set_key for job in jobs}) if jobs else {}
    for job in jobs:
        if job.set_key in why:
            rest(job.remote_id or "")


def cancel(store: BatchStore, job: BatchJob, provider: BatchProvider) -> None:
    """End a job early; what is done by then is collected, as it is paid for.

    Raises: RunConflict for one that is over; ConfigError where the provider cannot do it.
    """
    if job.state in FINISHED:
        raise RunConflict(f"Batch job {job.key[:8]} is {job.state} already.")
    if job.remote_id and not provider.caps.can_cancel:
        raise ConfigError("This provider cannot cancel a batch job. It ends by itself.")
    # Written down first, so that it is canceled too when this process ends here, or when it has yet to be found.
    # One that waits for a person goes on, or nobody would bring home what is done.
    state = place_of(job) if job.state == JobState.BLOCKED else None
    store.change(job.key, state, "Canceled by a person.", cancel_requested_at=time.time(), next_poll_at=0.0)
    if job.remote_id and not job.outcome:
        remote = provider.cancel(job.remote_id)
        store.change(job.key, status=remote.status)
    elif not job.remote_id and job.intent_at is None:
        store.close_job(job, CANCELED)


def retry(store: BatchStore, provider: BatchProvider, set_key: str) -> int:
    """Send every request of a set that has no answer again; returns how many.

    Raises: ConfigError when the requests are no longer on this machine.
    """
    return plan_again(store, provider, set_key, store.without_answer(set_key=set_key))


def adopt(store: BatchStore, job: BatchJob, provider: BatchProvider, remote_id: str) -> None:
    """Attach a job to the provider's batch of that id.

    Raises: ConfigError when the batch has another number of requests; BatchGone when there is none.
    """
    remote = provider.get(remote_id)
    total = remote.counts.get("total", job.n)
    if total not in (0, job.n):
        raise ConfigError(f"'{remote_id}' has {total:,} requests and this job has {job.n:,}, so it is another batch.")
    store.note(job.key, ATTACHED, remote.id)
    store.change(
        job.key, JobState.SUBMITTED, "Re-attached by its id.", remote_id=remote.id, status=remote.status,
        counts=remote.counts, handles=remote.handles, submitted_at=job.submitted_at or time.time(), message="",
        outcome="", next_poll_at=0.0, expires_at=remote.expires_at, results_expire_at=remote.results_expire_at,
        poll_errors=0,
    )  # fmt: skip


def resubmit(store: BatchStore, job: BatchJob) -> None:
    """Make a job anew although nobody knows whether it was made before; a person has looked and decided.

    Raises: RunConflict for one that is at the provider, or over.
    """
    if job.remote_id or job.state in FINISHED:
        raise RunConflict(f"Batch job {job.key[:8]} was submitted already.")
    state = JobState.UPLOADED if job.input_ref is not None else JobState.PLANNED
    store.change(job.key, state, "Resubmitted by a person.", message="", intent_at=None, next_poll_at=0.0)


def check_nothing_out(store: BatchStore, run_id: str, step: str) -> None:
    """Raises: RunConflict while a job is out from which a step may get answers, also one of another run."""

    def is_out(set_keys: list[str]) -> bool:
        return any(job.state not in FINISHED for key in set_keys for job in store.jobs(key))

    if is_out([batch.key for batch in store.sets_of(run_id, step)]):
        raise RunConflict("A batch job of this step is still out. Cancel it first; its finished rows are kept.")
    if is_out(store.used_by(run_id, step)):
        raise RunConflict(
            "This step takes answers from a batch job of another run, which is still out. Wait until it ended, or "
            "cancel it first; its finished rows are kept."
        )


def finish_online(store: BatchStore, run_id: str, step: str) -> int:
    """Have the rest of a step's rows done now, at the full price; returns how many rows were left.

    Raises: RunConflict while a job is still out: cancel it and let it be collected first.
    """
    check_nothing_out(store, run_id, step)
    run = store.ledger.run(run_id)
    spec = json.loads(run.spec)
    for entry in spec["steps"]:
        if entry["name"] == step:
            entry["llm"]["use_offline_batch_generation"] = False
    left = store.ledger.reopen(run_id, step=step)
    store.ledger.update_run(run_id, spec=json.dumps(spec))
    store.ledger.set_state(run_id, RunState.QUEUED, f"The rest of '{step}' is done now.")
    return left
