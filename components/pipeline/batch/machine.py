"""Moves batch jobs on, one committed step at a time, so that they can go on after a crash at any of them."""

import logging
import time
from collections.abc import Callable

from components.errors import ConfigError, ProviderError, StillroomError
from components.llms.batch.local import rest
from components.llms.batch.local_job import ID as LOCAL_ID
from components.llms.batch.protocol import BatchProvider, Remote
from components.pipeline.batch import collecting, submitting
from components.pipeline.batch.accounts import why_not_ours
from components.pipeline.batch.in_hand import InHand
from components.pipeline.batch.lease import LEASE_SECONDS, LeaseLost, held
from components.pipeline.batch.model import BatchModel
from components.pipeline.batch.states import FINISHED, JobState, Unsure
from components.pipeline.batch.store import BatchStore
from components.pipeline.batch.troubles import trouble
from components.pipeline.ledger.tables import BatchJob, BatchSet

log = logging.getLogger("stillroom.batch")

UNKNOWN_MODEL_SECONDS = 300.0
SCRIPT_ONLY = "Only the script that sent this job can take its results: run it again."

Opener = Callable[[BatchSet], tuple[BatchProvider, BatchModel]]


class Machine:
    """Advances jobs; everything it knows is in the store."""

    def __init__(
        self,
        store: BatchStore,
        open_provider: Opener,
        *,
        grace: float = 60.0,
        unsure: Unsure = Unsure.ASK,
        lease_seconds: float = LEASE_SECONDS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.store = store
        self._open = open_provider
        self._grace = grace
        self._unsure = unsure
        self._lease_seconds = lease_seconds
        self._clock = clock

    def reached(self, point: str) -> None:
        """A place where a crash must do no harm; tests crash here."""

    def advance(self, job_key: str) -> BatchJob | None:
        """Move a job on until it has to wait for something; None where another process is at it."""
        with held(self.store, job_key, self._lease_seconds) as owner:
            if not owner:
                return None
            try:
                self._advance(job_key, owner)
            except LeaseLost as error:
                log.warning("%s", error)
        return self.store.job(job_key)

    def seen(self, job_key: str, remote: Remote) -> None:
        """Take in what a list of the provider's says of a job that has not ended."""
        with held(self.store, job_key, self._lease_seconds) as owner:
            hand = self._take(job_key, owner) if owner else None
            if hand is not None and place_of(hand.job) in (JobState.SUBMITTED, JobState.RUNNING):
                collecting.seen(hand, remote)

    def _advance(self, job_key: str, owner: str) -> None:
        while True:
            hand = self._take(job_key, owner)
            if hand is None:
                return
            try:
                if not self._step(hand):
                    return
            except ProviderError as error:
                trouble(hand, error)
                return

    def _take(self, job_key: str, owner: str) -> InHand | None:
        """The job with its model and its account; None when it is over, or cannot be moved for now."""
        job = self.store.job(job_key)
        if job.state in FINISHED:
            return None
        batch = self.store.set(job.set_key)
        assert batch is not None
        try:
            provider, llm = self._open(batch)
        except ConfigError as error:
            # Only the script that made it has this model; nothing is wrong with the job.
            later = self._clock() + UNKNOWN_MODEL_SECONDS
            self.store.change(job_key, message=f"{error} {SCRIPT_ONLY}", next_poll_at=later)
            return None
        except StillroomError as error:
            message = f"{error} Its results wait at the provider meanwhile."
            if job.state != JobState.BLOCKED or job.message != message:
                self.store.change(job_key, JobState.BLOCKED, message, owner, message=message)
            return None
        hand = InHand(
            self.store, job, batch, provider, llm, owner, self._clock, self.reached, self._grace, self._unsure
        )
        try:
            message = why_not_ours(hand)
        except ProviderError as error:
            trouble(hand, error)
            return None
        if message:
            hand.block(message)
            return None
        return hand

    def _step(self, hand: InHand) -> bool:
        match place_of(hand.job):
            case JobState.PLANNED | JobState.UPLOADED if submitting.is_held_back(hand):
                return False
            case JobState.SUBMITTED | JobState.RUNNING if is_on_this_machine(hand.job) and submitting.is_held_back(
                hand
            ):
                rest(hand.job.remote_id or "")
                return False
            case JobState.PLANNED:
                return submitting.upload(hand)
            case JobState.UPLOADED:
                return submitting.create(hand)
            case JobState.CREATING:
                return submitting.look_up(hand)
            case JobState.SUBMITTED | JobState.RUNNING:
                return collecting.poll(hand)
            case _:
                return collecting.collect(hand)


def needs_script(job: BatchJob) -> bool:
    """Whether nobody but the script that sent a job can move it."""
    return job.state not in FINISHED and job.message.endswith(SCRIPT_ONLY)


def is_unsent(job: BatchJob) -> bool:
    """Whether nothing of a job is at its provider, nor may be."""
    return place_of(job) in (JobState.PLANNED, JobState.UPLOADED)


def is_on_this_machine(job: BatchJob) -> bool:
    """Whether a job was begun as one that this machine works on."""
    return LOCAL_ID.fullmatch(job.remote_id or "") is not None


def can_be_held_back(job: BatchJob) -> bool:
    """Whether a job spends nothing more when it is left alone."""
    is_out = place_of(job) in (JobState.SUBMITTED, JobState.RUNNING)
    return job.cancel_requested_at is None and (is_unsent(job) or (is_out and is_on_this_machine(job)))


def place_of(job: BatchJob) -> JobState:
    """Where a job is on its way; one that is blocked or held is taken up where it was."""
    state = JobState(job.state)
    if state not in (JobState.BLOCKED, JobState.HELD):
        return state
    if job.remote_id:
        return JobState.ENDED if job.outcome else JobState.RUNNING
    if job.intent_at is not None:
        return JobState.CREATING
    return JobState.UPLOADED if job.input_ref is not None else JobState.PLANNED
