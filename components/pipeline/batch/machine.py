"""Moves a batch job on, one committed step at a time, so that it can go on after a crash at any of them."""

import json
import logging
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from components.errors import (
    BatchGone,
    BatchOutcomeUnknown,
    CredentialError,
    ProviderError,
    QuotaExhausted,
    RateLimited,
    StillroomError,
)
from components.llms.batch.protocol import BatchProvider, Remote
from components.llms.llm import LLM
from components.pipeline.batch.ingest import ingest
from components.pipeline.batch.reconcile import reconcile
from components.pipeline.batch.resend import MOST_ATTEMPTS, plan_again
from components.pipeline.batch.states import FINISHED, JobState, RequestState
from components.pipeline.batch.store import BatchStore
from components.pipeline.ledger.tables import BatchJob, BatchSet

log = logging.getLogger("stillroom.batch")

FIRST_POLL = 10.0
EARLY_CEILING = 60.0
LATE_CEILING = 300.0
EARLY_SECONDS = 600.0
HOLD_FIRST, HOLD_CEILING = 60.0, 1800.0
GONE_AFTER = 3
UPLOADS_AT_MOST = 2
QUEUE_WORDS = ("token_limit_exceeded", "enqueued", "queue limit", "queued tokens")

Opener = Callable[[BatchSet], tuple[BatchProvider, LLM]]


class Machine:
    """Advances jobs; everything it knows is in the store."""

    def __init__(
        self, store: BatchStore, open_provider: Opener, *, grace: float = 60.0, clock: Callable[[], float] = time.time
    ) -> None:
        self.store = store
        self._open = open_provider
        self._grace = grace
        self._clock = clock

    def reached(self, point: str) -> None:
        """A place where a crash must do no harm; tests crash here."""

    def advance(self, job_key: str) -> BatchJob:
        """Move a job on until it has to wait for something."""
        while True:
            job = self.store.job(job_key)
            state = JobState(job.state)
            if state in FINISHED:
                return job
            batch = self.store.set(job.set_key)
            assert batch is not None
            try:
                provider, llm = self._open(batch)
            except (CredentialError, StillroomError) as error:
                return self._block(job, f"{error} Results wait at the provider meanwhile.")
            if batch.account and provider.account != batch.account:
                return self._block(
                    job,
                    f"This job was made with another key or at another address ({batch.account}). Enter that key "
                    "under Models and keys to collect it.",
                )
            try:
                again = self._step(job, state, batch, provider, llm)
            except ProviderError as error:
                return self._trouble(job, error)
            if not again:
                return self.store.job(job_key)

    def _step(self, job: BatchJob, state: JobState, batch: BatchSet, provider: BatchProvider, llm: LLM) -> bool:
        if state in (JobState.BLOCKED, JobState.HELD):
            return self._resume(job)
        if state is JobState.PLANNED:
            return self._upload(job, provider)
        if state is JobState.UPLOADED:
            return self._create(job, batch, provider)
        if state is JobState.CREATING:
            return self._look_up(job, provider)
        if state in (JobState.SUBMITTED, JobState.RUNNING):
            return self._poll(job, provider)
        return self._collect(job, batch, provider, llm)

    def _resume(self, job: BatchJob) -> bool:
        if job.remote_id:
            state = JobState.ENDED if job.outcome else JobState.RUNNING
        elif job.intent_at is not None:
            state = JobState.CREATING
        else:
            state = JobState.UPLOADED if job.input_ref is not None else JobState.PLANNED
        self.store.change(job.key, state, message="")
        return True

    def _upload(self, job: BatchJob, provider: BatchProvider) -> bool:
        self.reached("before_upload")
        reference = provider.upload(Path(job.input_file), f"stillroom-{job.key}.jsonl")
        self.reached("after_upload")
        self.store.change(job.key, JobState.UPLOADED, input_ref=reference or None, uploads=job.uploads + 1)
        self.reached("uploaded")
        return True

    def _create(self, job: BatchJob, batch: BatchSet, provider: BatchProvider) -> bool:
        self.store.change(job.key, JobState.CREATING, intent_at=self._clock(), lookups=0)
        self.reached("intent")
        try:
            remote = provider.create(
                job.input_ref or "", file=Path(job.input_file), tag=job.key, model=batch.model, path=job.path, n=job.n,
                window=job.window,
            )  # fmt: skip
        except BatchOutcomeUnknown as error:
            self.store.change(
                job.key, note=f"Whether the job was made is not known: {error}", next_poll_at=self._clock() + 5.0,
                message="Looking for the job at the provider; it is not made twice.",
            )  # fmt: skip
            return False
        except ProviderError:
            # A clear refusal made nothing, so there is nothing to look for.
            self.store.change(job.key, JobState.UPLOADED, intent_at=None)
            raise
        self.reached("created")
        self._submitted(job, remote)
        self.reached("submitted")
        return False

    def _look_up(self, job: BatchJob, provider: BatchProvider) -> bool:
        found = reconcile(job, provider, self.store, self._clock(), self._grace)
        if found.remote is not None:
            self._submitted(job, found.remote, "Found at the provider.")
            return True
        if found.ask:
            self._block(job, found.ask)
            return False
        if found.is_absent:
            self.store.change(job.key, JobState.UPLOADED, "The provider has no such job.", intent_at=None, message="")
            return True
        self.store.change(job.key, lookups=found.lookups, next_poll_at=found.next_at)
        return False

    def _submitted(self, job: BatchJob, remote: Remote, note: str = "") -> None:
        now = self._clock()
        self.store.change(
            job.key, JobState.SUBMITTED, note, remote_id=remote.id, status=remote.status, counts=remote.counts,
            handles=remote.handles, submitted_at=now, expires_at=remote.expires_at,
            results_expire_at=remote.results_expire_at, message="", polls=0, poll_errors=0,
            next_poll_at=now + (remote.retry_after or FIRST_POLL) * _jitter(),
        )  # fmt: skip

    def _poll(self, job: BatchJob, provider: BatchProvider) -> bool:
        self.reached("poll")
        assert job.remote_id is not None
        remote = provider.get(job.remote_id)
        return self.seen(job, remote)

    def seen(self, job: BatchJob, remote: Remote) -> bool:
        """Take in what the provider says of a job; True when there is more to do at once."""
        now = self._clock()
        values: dict[str, Any] = {
            "status": remote.status, "counts": remote.counts, "handles": remote.handles, "polls": job.polls + 1,
            "poll_errors": 0, "expires_at": remote.expires_at or job.expires_at,
            "results_expire_at": remote.results_expire_at or job.results_expire_at,
        }  # fmt: skip
        if remote.has_ended:
            errors = [{"message": error.message, "code": error.code, "line": error.line} for error in remote.errors]
            message = "; ".join(error.message for error in remote.errors if error.message)[:500]
            values["handles"] = {**remote.handles, **({"errors": json.dumps(errors)} if errors else {})}
            values |= {"outcome": remote.outcome, "ended_at": now, "message": message, "next_poll_at": 0.0}
            self.store.change(job.key, JobState.ENDED, **values)
            self.reached("ended")
            return True
        wait = remote.retry_after or poll_seconds(job.polls, now - (job.submitted_at or now))
        state = JobState.RUNNING if job.state != JobState.RUNNING else None
        self.store.change(job.key, state, next_poll_at=now + wait * _jitter(), **values)
        return False

    def _collect(self, job: BatchJob, batch: BatchSet, provider: BatchProvider, llm: LLM) -> bool:
        if job.outcome == "failed" and self._failed_as_a_whole(job):
            return True
        if job.state != JobState.INGESTING:
            self.store.change(job.key, JobState.INGESTING)
        self.reached("ingesting")
        ingest(job, batch, provider, llm, self.store, self.reached)
        self.reached("ingested")
        if job.outcome == "completed":
            # Refused for want of room, not for what it is: sent again by itself, as nothing was paid for it.
            again = [
                request for request in self.store.retryable(batch.key, MOST_ATTEMPTS) if request.job_key == job.key
            ]
            plan_again(self.store, provider, batch.key, again)
            self.reached("sent_again")
        left_over, message = LEFT_OVER.get(job.outcome, LEFT_OVER["completed"])
        self.store.close_job(job, left_over, message, note=job.message)
        return False

    def _failed_as_a_whole(self, job: BatchJob) -> bool:
        """A file that did not pass the provider's checks; True when the job was sent somewhere else than to results."""
        handles = json.loads(job.handles)
        errors = json.loads(handles.get("errors", "[]"))
        said = " ".join(f"{error['code']} {error['message']}" for error in errors).lower()
        if any(word in said for word in QUEUE_WORDS):
            self._again(
                job,
                JobState.HELD,
                "The provider's queue is full. It is tried again by itself.",
                next_poll_at=self._clock() + HOLD_FIRST * 2 ** min(job.polls, 5),
            )
            return True
        if "cannot find file" in said and job.uploads < UPLOADS_AT_MOST:
            self._again(
                job, JobState.PLANNED, "The provider did not find the file, so it is sent again.", input_ref=None
            )
            return True
        return False

    def _again(self, job: BatchJob, state: JobState, message: str, **values: object) -> None:
        self.store.change(
            job.key, state, message, message=message, remote_id=None, outcome="", intent_at=None, handles={}, **values
        )

    def _trouble(self, job: BatchJob, error: ProviderError) -> BatchJob:
        now = self._clock()
        if isinstance(error, (CredentialError, QuotaExhausted)):
            return self._block(job, str(error))
        if isinstance(error, BatchGone):
            if job.poll_errors + 1 >= GONE_AFTER:
                self.store.close_job(
                    job, RequestState.MISSING, "The provider no longer has this job.", state=JobState.LOST,
                    note="The provider knows no such job any more. Retry its rows, or enter the key that made it.",
                )  # fmt: skip
                return self.store.job(job.key)
        elif isinstance(error, RateLimited) and job.remote_id is None:
            wait = error.retry_after or min(HOLD_FIRST * 2.0**job.poll_errors, HOLD_CEILING)
            self.store.change(
                job.key,
                JobState.HELD,
                str(error),
                message=f"{error} It is tried again by itself.",
                next_poll_at=now + wait,
                poll_errors=job.poll_errors + 1,
            )
            return self.store.job(job.key)
        elif not error.is_retryable and job.remote_id is None:
            self.store.close_job(
                job,
                RequestState.FAILED,
                str(error),
                is_retryable=False,
                state=JobState.REJECTED,
                note=f"The provider refused the file: {error}",
            )
            return self.store.job(job.key)
        wait = error.retry_after or poll_seconds(job.poll_errors, EARLY_SECONDS)
        self.store.change(
            job.key, note=str(error), next_poll_at=now + wait * _jitter(), poll_errors=job.poll_errors + 1
        )
        return self.store.job(job.key)

    def _block(self, job: BatchJob, message: str) -> BatchJob:
        if job.state != JobState.BLOCKED or job.message != message:
            self.store.change(job.key, JobState.BLOCKED, message, message=message)
        return self.store.job(job.key)


LEFT_OVER = {
    "completed": (RequestState.MISSING, "The provider gave no result for this row."),
    "failed": (RequestState.FAILED, "The provider refused the whole file."),
    "expired": (RequestState.EXPIRED, "The batch ended before this row was done."),
    "cancelled": (RequestState.MISSING, "The batch was canceled before this row was done."),
}


def poll_seconds(polls: int, age: float) -> float:
    """How long to wait before asking again: from 10 seconds, longer each time, up to 5 minutes for an old job."""
    ceiling = EARLY_CEILING if age < EARLY_SECONDS else LATE_CEILING
    return float(min(FIRST_POLL * 1.5 ** min(polls, 20), ceiling))


def _jitter() -> float:
    return random.uniform(0.8, 1.2)
