"""How often a provider is asked about a job."""

import random

FIRST_POLL = 10.0
EARLY_CEILING = 60.0
LATE_CEILING = 300.0
EARLY_SECONDS = 600.0


def poll_seconds(polls: int, age: float) -> float:
    """How long to wait before asking again: from 10 seconds, longer each time, up to 5 minutes for an old job."""
    ceiling = EARLY_CEILING if age < EARLY_SECONDS else LATE_CEILING
    return float(min(FIRST_POLL * 1.5 ** min(polls, 20), ceiling))


def jittered(seconds: float) -> float:
    """About so long, so that many jobs are not asked about at once."""
    return seconds * random.uniform(0.8, 1.2)
