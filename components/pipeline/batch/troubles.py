"""What a failed call means for a job."""

from components.errors import BatchGone, CredentialError, ProviderError, QuotaExhausted, RateLimited
from components.llms.batch.refusals import QUEUE
from components.pipeline.batch.in_hand import InHand
from components.pipeline.batch.pace import EARLY_SECONDS, FIRST_POLL, jittered, poll_seconds
from components.pipeline.batch.queueing import HOLD_CEILING, HOLD_FIRST, hold
from components.pipeline.batch.refused_files import halve, reject
from components.pipeline.batch.states import JobState, RequestState
from components.pipeline.batch.store import Closing

GONE_AFTER = 4
GONE_SECONDS = 300.0
TOO_LARGE = 413


def trouble(hand: InHand, error: ProviderError) -> None:
    """Wait and try again, wait for a person, or end the job."""
    if isinstance(error, (CredentialError, QuotaExhausted)):
        hand.block(str(error))
    elif isinstance(error, BatchGone) and hand.job.remote_id is not None:
        _gone(hand, error)
    elif hand.job.remote_id is None and hand.job.intent_at is None:
        _not_submitted(hand, error)
    else:
        wait = error.retry_after or jittered(poll_seconds(hand.job.poll_errors, EARLY_SECONDS))
        _wait(hand, error, wait)


def _not_submitted(hand: InHand, error: ProviderError) -> None:
    job, now = hand.job, hand.clock()
    if isinstance(error, RateLimited) and QUEUE.search(str(error)):
        hold(hand, str(error))
    elif isinstance(error, RateLimited):
        wait = error.retry_after or min(HOLD_FIRST * 2.0**job.poll_errors, HOLD_CEILING)
        message = f"{error} It is tried again by itself."
        hand.change(JobState.HELD, message, message=message, next_poll_at=now + wait, poll_errors=job.poll_errors + 1)
    elif error.is_retryable:
        _wait(hand, error, error.retry_after or jittered(poll_seconds(job.poll_errors, EARLY_SECONDS)))
    elif error.status == TOO_LARGE:
        halve(hand, str(error))
    else:
        reject(hand, str(error))


def _gone(hand: InHand, error: BatchGone) -> None:
    """A provider may not see a batch for a moment after it was made, or for the length of an incident."""
    job, now = hand.job, hand.clock()
    if job.poll_errors and now < job.next_poll_at:
        return
    if job.poll_errors + 1 < GONE_AFTER:
        _wait(hand, error, GONE_SECONDS if job.poll_errors else FIRST_POLL)
        return
    what = "these results" if job.outcome else "this job"
    note = f"The provider knows {what} no more, or not under this key. Retry the rows, or enter the key that made it."
    message = f"The provider no longer has {what}."
    hand.close(Closing(RequestState.MISSING, message, state=JobState.LOST, note=note))


def _wait(hand: InHand, error: ProviderError, seconds: float) -> None:
    # Written once for each new trouble: a provider that is down for hours fills no timeline.
    is_news = hand.job.message != str(error)
    hand.change(
        note=str(error) if is_news else "", message=str(error), next_poll_at=hand.clock() + seconds,
        poll_errors=hand.job.poll_errors + 1,
    )  # fmt: skip
