"""Room in a provider's queue: learned from its refusals, and kept in mind before a further job is sent."""

from components.pipeline.batch.in_hand import InHand
from components.pipeline.batch.planning import Limits
from components.pipeline.batch.reading import QUEUE_LIMIT
from components.pipeline.batch.remedies import queue_limit
from components.pipeline.batch.states import JobState, RequestState
from components.pipeline.batch.store import Closing

HOLD_FIRST, HOLD_CEILING = 60.0, 1800.0
TRIES_BEFORE_SPLIT = 3
REMEMBERED_SECONDS = 24 * 3600.0
"""An account may be given more room, so what it said is not believed for ever."""


def has_room(hand: InHand) -> bool:
    """Whether the job may be sent now. If not, it is held until there is room, or parted into jobs that fit."""
    job = hand.job
    queue = hand.store.queue(hand.batch, job.key, hand.clock() - REMEMBERED_SECONDS)
    if queue.limit is None:
        return True
    if job.tokens > queue.limit and job.n > 1:
        note = f"Parted into jobs of at most {queue.limit:,} tokens, which is what the provider's queue takes."
        closing = Closing(RequestState.MISSING, "It was in no part of the job.", note=note)
        rest = hand.store.unsettled(job.key)
        hand.resend(rest, closing, limits=Limits(tokens=queue.limit), is_new_attempt=False)
        return False
    if queue.taken and queue.taken + job.tokens > queue.limit:
        message = "The provider's queue has no room for it yet. It is sent when an earlier job ends."
        later = hand.clock() + HOLD_CEILING
        hand.change(JobState.HELD, message, message=message, next_poll_at=later, poll_errors=0)
        return False
    return True


def hold(hand: InHand, said: str) -> None:
    """Wait until the queue has room again, and learn how much it takes."""
    job, tries = hand.job, hand.times(JobState.HELD)
    limit = queue_limit(said)
    is_alone = not hand.store.queue(hand.batch, job.key, 0.0).taken
    if is_alone and tries >= TRIES_BEFORE_SPLIT and job.n > 1:
        limit = min(limit or job.tokens, job.tokens // 2)
    if limit:
        hand.store.note(job.key, QUEUE_LIMIT, str(limit))
    fits_never = limit is not None and job.tokens > limit and job.n > 1
    wait = 0.0 if fits_never else min(HOLD_FIRST * 2.0**tries, HOLD_CEILING)
    message = "The provider's queue is full. It is tried again by itself."
    hand.restart(JobState.HELD, message, intent_at=None, next_poll_at=hand.clock() + wait, poll_errors=0)
