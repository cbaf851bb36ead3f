"""Find out whether a batch exists whose creation had an unknown outcome, so that it is not paid for twice."""

from collections.abc import Collection
from dataclasses import dataclass

from components.llms.batch.protocol import BatchProvider, Reconcile, Remote
from components.pipeline.ledger.tables import BatchJob

SKEW = 300.0
"""Seconds by which our clock and the provider's may differ."""
LOOKUPS = 2
"""Empty listings, at least `grace` apart, before a job is taken not to exist."""
GUESS_BEFORE, GUESS_AFTER = 5.0, 120.0
"""When a batch was made that may be ours, in seconds from our request."""


@dataclass(frozen=True)
class Found:
    """What a look at the provider's list says."""

    remote: Remote | None = None
    extras: tuple[Remote, ...] = ()
    """Copies of the job that nobody needs."""
    is_absent: bool = False
    is_unsure: bool = False
    """The provider does not let anybody tell."""
    lookups: int = 0
    next_at: float = 0.0


def reconcile(job: BatchJob, provider: BatchProvider, others: Collection[str], now: float, grace: float) -> Found:
    """Where the batch of a job is that may or may not have been made; `others` are ids that are surely not it."""
    caps = provider.caps
    if caps.reconcile is Reconcile.NONE or not caps.can_list:
        return Found(is_unsure=True)
    intent = job.intent_at or now
    listed = [remote for remote in provider.recent(intent - SKEW) if remote.id not in others]
    if caps.reconcile is Reconcile.GUESS:
        near = [remote for remote in listed if _may_be(remote, job, intent, grace)]
        if len(near) == 1:
            return Found(near[0])
        return Found(is_unsure=True) if near else _not_yet(job, now, intent, grace)
    ours = [
        remote
        for remote in listed
        if (remote.tag and remote.tag == job.key) or (remote.input_ref and remote.input_ref == job.input_ref)
    ]
    if not ours:
        return _not_yet(job, now, intent, grace)
    # Lists are newest first, and many providers know the time to the second only.
    ours.reverse()
    ours.sort(key=lambda remote: remote.created_at or 0.0)
    return Found(ours[0], tuple(remote for remote in ours[1:] if not remote.has_ended))


def _may_be(remote: Remote, job: BatchJob, intent: float, grace: float) -> bool:
    at, total = remote.created_at, remote.counts.get("total", 0)
    in_time = at is None or intent - GUESS_BEFORE <= at <= intent + GUESS_AFTER + grace
    return in_time and total in (0, job.n)


def _not_yet(job: BatchJob, now: float, intent: float, grace: float) -> Found:
    # Lists lag behind: one empty answer soon after the request proves nothing.
    if now < job.next_poll_at and job.lookups:
        return Found(lookups=job.lookups, next_at=job.next_poll_at)
    lookups = job.lookups + 1
    if now - intent >= grace and lookups >= LOOKUPS:
        return Found(is_absent=True)
    return Found(lookups=lookups, next_at=now + grace)
