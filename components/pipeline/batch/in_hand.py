"""A batch job that this process moves, with all that is needed to move it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from components.llms.batch.protocol import BatchProvider
from components.pipeline.batch.model import BatchModel
from components.pipeline.batch.planning import Limits
from components.pipeline.batch.reading import LET_GO
from components.pipeline.batch.resend import plan_again
from components.pipeline.batch.states import JobState, RequestState, Unsure
from components.pipeline.batch.store import BatchStore, Closing
from components.pipeline.ledger.tables import BatchJob, BatchRequest, BatchSet

CANCELED = Closing(RequestState.MISSING, "The batch was canceled before it was sent.", note="Canceled.")


@dataclass
class InHand:
    """Every change is committed when its call returns, and refused when somebody else has the job by then."""

    store: BatchStore
    job: BatchJob
    batch: BatchSet
    provider: BatchProvider
    llm: BatchModel
    owner: str
    clock: Callable[[], float]
    reached: Callable[[str], None]
    grace: float
    """Seconds after which a job that no list shows was surely not made."""
    unsure: Unsure

    def change(self, state: JobState | None = None, note: str = "", **values: Any) -> None:
        """Change the job, or move it on. Raises: LeaseLost."""
        self.store.change(self.job.key, state, note, self.owner, **values)
        self.job = self.store.job(self.job.key)

    def block(self, message: str) -> None:
        """Have the job wait for a person."""
        if self.job.state != JobState.BLOCKED or self.job.message != message:
            self.change(JobState.BLOCKED, message, message=message)

    def restart(self, state: JobState, message: str, **values: Any) -> None:
        """Go back to before the job was made: what is at the provider is this job's no more."""
        if self.job.remote_id:
            self.store.note(self.job.key, LET_GO, self.job.remote_id)
        self.change(state, message, message=message, remote_id=None, outcome="", handles={}, **values)

    def close(self, closing: Closing) -> None:
        """End the job. Raises: LeaseLost."""
        self.store.close_job(self.job, closing, self.owner)
        self.job = self.store.job(self.job.key)

    def resend(
        self,
        requests: Sequence[BatchRequest],
        closing: Closing,
        *,
        limits: Limits = Limits(),  # noqa: B008 - it cannot be changed
        is_new_attempt: bool = True,
        waits_for: str = "",
    ) -> None:
        """End the job and put some of its requests into new ones. Raises: LeaseLost; ConfigError; RunConflict.

        `waits_for`: what a person has to put right before these are sent.
        """
        plan_again(
            self.store, self.provider, self.job.set_key, requests, limits=limits, is_new_attempt=is_new_attempt,
            closing=(self.job, closing), owner=self.owner, waits_for=waits_for,
        )  # fmt: skip
        self.job = self.store.job(self.job.key)

    def times(self, kind: str) -> int:
        """How often something happened to the job."""
        return len(self.store.events(self.job.key, kind))
