"""What a run waits for, in a sentence or two."""

import time
from collections.abc import Sequence

from components.pipeline.batch.reading import BatchReader
from components.pipeline.batch.states import FINISHED, JobState
from components.pipeline.ledger.tables import BatchJob

MOST_NAMED = 3


def what_is_out(store: BatchReader, sets: Sequence[str], step: str, rows: int) -> str:
    """Which jobs a step waits for, until when, and what a person has to do for it."""
    jobs = [job for key in sets for job in store.jobs(key) if job.state not in FINISHED]
    named = ", ".join(job.remote_id or job.key[:8] for job in jobs[:MOST_NAMED])
    more = f" and {len(jobs) - MOST_NAMED} more" if len(jobs) > MOST_NAMED else ""
    count = "1 batch job" if len(jobs) == 1 else f"{len(jobs)} batch jobs"
    text = f"Step '{step}' waits for {count} with {rows:,} row{'s' if rows != 1 else ''}: {named}{more}."
    due = max((job.expires_at for job in jobs if job.expires_at), default=None)
    if due is not None:
        text += f" Done by {time.strftime('%Y-%m-%d %H:%M', time.localtime(due))} at the latest."
    blocked = next((job for job in jobs if job.state == JobState.BLOCKED), None)
    return f"{text} {_needs(blocked)}" if blocked else text


def _needs(job: BatchJob) -> str:
    return f"Job {job.remote_id or job.key[:8]} needs you: {job.message}"
