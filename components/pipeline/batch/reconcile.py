"""Find out whether a batch exists whose creation had an unknown outcome, so that it is not paid for twice."""

from dataclasses import dataclass

from components.llms.batch.protocol import BatchProvider, Reconcile, Remote
from components.pipeline.batch.store import BatchStore
from components.pipeline.ledger.tables import BatchJob

SKEW = 300.0
"""Seconds by which our clock and the provider's may differ."""
LOOKUPS = 2
"""Empty listings, at least `grace` apart, before a job is taken not to exist."""


@dataclass(frozen=True)
class Found:
    """What a look at the provider's list says."""

    remote: Remote | None = None
    is_absent: bool = False
    ask: str = ""
    lookups: int = 0
    next_at: float = 0.0


def reconcile(job: BatchJob, provider: BatchProvider, store: BatchStore, now: float, grace: float) -> Found:
    """The batch of a job in state `creating`; extra copies are canceled."""
    caps = provider.caps
    if caps.reconcile is Reconcile.NONE or not caps.can_list:
        return Found(ask=_ASK)
    intent = job.intent_at or now
    listed = list(provider.recent(intent - SKEW))
    if caps.reconcile is Reconcile.GUESS:
        return _guess(job, listed, store, now, intent, grace)
    ours = [
        remote
        for remote in listed
        if (remote.tag and remote.tag == job.key) or (remote.input_ref and remote.input_ref == job.input_ref)
    ]
    if not ours:
        return _not_yet(job, now, intent, grace)
    ours.sort(key=lambda remote: remote.created_at or 0.0)
    for extra in ours[1:]:
        if not extra.has_ended:
            provider.cancel(extra.id)
            store.change(job.key, note=f"A second copy, {extra.id}, was canceled.")
    return Found(remote=ours[0])


def _guess(job: BatchJob, listed: list[Remote], store: BatchStore, now: float, intent: float, grace: float) -> Found:
    known = {other.remote_id for other in store.jobs()}
    near = [
        remote
        for remote in listed
        if remote.id not in known
        and (remote.created_at is None or intent - 5 <= remote.created_at <= intent + 120 + grace)
        and remote.counts.get("total", job.n) in (0, job.n)
    ]
    if len(near) == 1:
        return Found(remote=near[0])
    return Found(ask=_ASK) if near else _not_yet(job, now, intent, grace)


def _not_yet(job: BatchJob, now: float, intent: float, grace: float) -> Found:
    # Lists lag behind: one empty answer soon after the request proves nothing.
    if now - intent >= grace and job.lookups + 1 >= LOOKUPS:
        return Found(is_absent=True)
    return Found(lookups=job.lookups + 1, next_at=max(now + grace, intent + grace))


_ASK = (
    "The provider did not say whether it made this job, and it cannot be looked up for sure. Look at the provider's "
    "own page: re-attach the job by its id if it is there, or resubmit if it is not."
)
