"""Send requests again that came back without an answer, in a new and smaller job."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from components.errors import ConfigError
from components.llms.batch.protocol import BatchProvider
from components.pipeline.batch.planning import Request, lines_of, plan_files
from components.pipeline.batch.store import BatchStore
from components.pipeline.ledger.tables import BatchRequest

MOST_ATTEMPTS = 3
"""A row is sent once, and again at most twice."""


def plan_again(
    store: BatchStore, provider: BatchProvider, set_key: str, requests: Sequence[BatchRequest], *, window: str = ""
) -> int:
    """Plan a job for requests of a set, with the bodies they were first sent with; returns how many there are.

    Raises: ConfigError when an input file is gone.
    """
    if not requests:
        return 0
    batch = store.set(set_key)
    assert batch is not None
    plan = plan_files(
        provider, _bodies(store, provider, requests), store.folder, set_key, window=window or provider.caps.windows[0]
    )
    store.plan(batch.model_dump(), plan.jobs, iter(plan.requests))
    return len(plan.requests)


def _bodies(store: BatchStore, provider: BatchProvider, requests: Sequence[BatchRequest]) -> Iterator[Request]:
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
        for place, body in lines_of(provider, file, job_key):
            found = mine.get(place)
            if found is not None:
                yield Request(found.idx, job.path, body, found.part, found.row, found.cell_key, found.attempt + 1)
