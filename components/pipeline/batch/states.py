"""Where a batch job and its requests stand."""

from enum import StrEnum


class JobState(StrEnum):
    """The life of a batch job, beside the states in which it waits for something."""

    PLANNED = "planned"
    UPLOADED = "uploaded"
    CREATING = "creating"
    SUBMITTED = "submitted"
    RUNNING = "running"
    ENDED = "ended"
    INGESTING = "ingesting"
    CLOSED = "closed"
    BLOCKED = "blocked"
    """Needs a person: a key, credit, or a decision."""
    HELD = "held"
    """The provider's queue is full; tried again by itself."""
    LOST = "lost"
    """The provider knows no such job any more."""
    REJECTED = "rejected"
    """The provider refuses the whole file."""


FINISHED = frozenset({JobState.CLOSED, JobState.LOST, JobState.REJECTED})
OPEN_STATES = tuple(state for state in JobState if state not in FINISHED)
AT_PROVIDER = (JobState.CREATING, JobState.SUBMITTED, JobState.RUNNING)
"""States in which a job takes up room in the provider's queue, or may do so."""


class RequestState(StrEnum):
    """What came of one request."""

    INFLIGHT = "inflight"
    OK = "ok"
    FAILED = "failed"
    EXPIRED = "expired"
    MISSING = "missing"


class Unsure(StrEnum):
    """What to do where a provider neither says whether it made a job nor lets anybody look."""

    ASK = "ask"
    """Wait for a person, who re-attaches the job by its id or resubmits it."""
    RESUBMIT = "resubmit"
    """Make it again; if it was made before, it is paid for twice."""
    WAIT = "wait"
    """Look again now and then for as long as the job could run, and only then ask."""
