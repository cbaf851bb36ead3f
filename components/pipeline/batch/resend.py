"""Send requests again, in new and smaller jobs, with the bodies they were first sent with."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from components.errors import ConfigError
from components.llms.batch.protocol import BatchProvider
from components.pipeline.batch.planning import Limits, Request, lines_of, plan_files
from components.pipeline.batch.states import JobState
from components.pipeline.batch.store import BatchStore, Closing
from components.pipeline.ledger.tables import BatchJob, BatchRequest

MOST_ATTEMPTS = 3
"""A row is sent once, and by itself again at most twice."""


def plan_again(
    store: BatchStore,
    provider: BatchProvider,
    set_key: str,
    requests: Sequence[BatchRequest],
    *,
    window: str = "",
    limits: Limits = Limits(),  # noqa: B008 - it cannot be changed
    is_new_attempt: bool = True,
    closing: tuple[BatchJob, Closing] | None = None,
    owner: str = "",
    waits_for: str = "",
) -> int:
    """Plan jobs for requests of a set; returns how many requests there are. With `closing`, the old job ends with it.

    With `waits_for`, the new jobs wait for a person, who is told this.

    Raises: ConfigError when an input file is gone; RunConflict when a request was answered or sent again meanwhile.
    """
    if not requests:
        return 0
    window = window or (closing[0].window if closing else provider.caps.windows[0])
    plan = plan_files(
        provider, _bodies(store, provider, requests, int(is_new_attempt)), store.folder, set_key, window=window,
        limits=limits,
    )  # fmt: skip
    if waits_for:
        for job in plan.jobs:
            job |= {"state": JobState.BLOCKED, "message": waits_for}
    try:
        store.move(plan, closing, owner)
    except BaseException:
        plan.discard()
        raise
    return len(plan.entries)


def _bodies(
    store: BatchStore, provider: BatchProvider, requests: Sequence[BatchRequest], more: int
) -> Iterator[Request]:
    wanted: dict[str, dict[tuple[int, int], BatchRequest]] = {}
    for request in requests:
        wanted.setdefault(request.job_key, {})[request.idx, request.part] = request
    for job_key, mine in wanted.items():
        job = store.job(job_key)
        file = Path(job.input_file)
        if not job.input_file or not file.exists():
            raise ConfigError(
                f"The requests of batch job {job_key[:8]} are no longer on this machine, so they cannot be sent again. "
                "Finish these rows online instead."
            )
        cost = None if job.estimate is None else job.estimate / max(1, job.n)
        for (idx, part), body in lines_of(provider, file, job_key):
            found = mine.get((idx, part))
            if found is not None:
                yield Request(
                    idx, job.path, body, part, found.row, found.cell_key, found.attempt + more,
                    tokens=job.tokens // max(1, job.n), cost=cost, old_job=job_key,
                )  # fmt: skip
