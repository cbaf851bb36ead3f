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


class RequestState(StrEnum):
    """What came of one request."""

    INFLIGHT = "inflight"
    OK = "ok"
    FAILED = "failed"
    EXPIRED = "expired"
    MISSING = "missing"
