"""Take over jobs that somebody else made, such as the older library: only their ids are known."""

import secrets
import time
from collections.abc import Sequence

from components.errors import BatchGone, ConfigError
from components.llms.batch.protocol import BatchProvider, Remote
from components.pipeline.batch.matching import Want, names_of
from components.pipeline.batch.planning import Entry, Plan
from components.pipeline.batch.states import JobState


def adopted_plan(
    provider: BatchProvider, set_key: str, ids: Sequence[str], wants: Sequence[Want], path: str, elsewhere: int = 0
) -> Plan:
    """Jobs for these ids; their results name each row by its number, whichever of the jobs it is in.

    `path` is that of the online call which the requests stand for; `elsewhere`: rows in jobs beside these.

    Raises: BatchGone for an id that the provider does not know; ConfigError where they are of other rows.
    """
    remotes = [_found(provider, id) for id in dict.fromkeys(ids)]
    totals = [remote.counts.get("total", 0) for remote in remotes]
    rows = 1 + max(want.number for want in wants)
    if all(totals) and elsewhere and sum(totals) + elsewhere != rows:
        raise ConfigError(
            f"Not known here in jobs_ids: {', '.join(ids)}, with {sum(totals):,} requests. The others have "
            f"{elsewhere:,}, and there are {rows:,} rows, so these are other rows. Check the ids, or leave out those "
            "that are not known to send the rest anew."
        )
    if all(totals) and not elsewhere and sum(totals) != rows:
        raise ConfigError(
            f"The jobs in jobs_ids have {sum(totals):,} requests and there are {rows:,} rows, so these are other rows. "
            "Give the rows that the jobs were made of, or leave jobs_ids out to send these anew."
        )
    # Some providers count nothing, which leaves no doubt where there is but one job.
    counted = [totals[0] or len(wants)] if len(remotes) == 1 else totals
    jobs = [_job(remote, set_key, n, path) for remote, n in zip(remotes, counted, strict=True)]
    first = str(jobs[0]["key"])
    entries = [Entry(want.number, 0, want.row, names_of(want)[-1], first) for want in wants]
    return Plan(set_key, jobs, entries)


def _found(provider: BatchProvider, id: str) -> Remote:
    try:
        return provider.get(id)
    except BatchGone as error:
        message = f"'{id}' in jobs_ids: {error} Check it, or leave it out to send its rows anew."
        raise BatchGone(message, status=error.status) from None


def _job(remote: Remote, set_key: str, n: int, path: str) -> dict[str, object]:
    return {
        "key": secrets.token_hex(16),
        "set_key": set_key,
        "state": JobState.RUNNING,
        "n": n,
        "remote_id": remote.id,
        "input_file": "",
        "path": path,
        "estimate": None,
        "created_at": time.time(),
        "submitted_at": remote.created_at or time.time(),
    }
