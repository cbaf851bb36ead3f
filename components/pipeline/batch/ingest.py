"""Read the results of a batch into the ledger, a line at a time; doing it twice does no harm."""

import json
import logging
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import orjson

from components.errors import BatchGone
from components.llms.batch.protocol import BatchLine, BatchProvider, Remote, UnreadableLine
from components.llms.compatible import CompatibleLLM
from components.llms.pricing import Price
from components.pipeline.batch.model import BatchModel
from components.pipeline.batch.planning import read_custom_id
from components.pipeline.batch.states import RequestState
from components.pipeline.batch.store import BatchStore, Settled
from components.pipeline.batch.writing import is_adopted
from components.pipeline.garbage import few_collections
from components.pipeline.ledger.tables import BatchJob, BatchSet

log = logging.getLogger("stillroom.batch")

CHUNK = 500
CHUNK_BYTES = 4 * 1024 * 1024
NOT_RUN = {
    "batch_expired": RequestState.EXPIRED,
    "expired": RequestState.EXPIRED,
    "batch_cancelled": RequestState.MISSING,
}
ANY_NAME = re.compile(r"(?:b[0-9a-f]{12}-)?(\d{1,15})(?:-(\d{1,15}))?", re.ASCII)
"""A name of ours from a job of another ledger, or a bare row number, as the older library had it."""


@dataclass
class Tally:
    """What was in the result files."""

    matched: int = 0
    strange: int = 0
    """Lines that belong to no row of the job."""
    unreadable: int = 0
    account: set[tuple[int, int]] = field(default_factory=set)
    """Rows that were refused for the account's sake, by index and part."""
    account_trouble: str = ""
    """What is wrong with the account, as the first of them says."""

    @property
    def is_anothers(self) -> bool:
        """Whether there are results, and none of them is of this job."""
        return bool(self.strange) and not self.matched

    @property
    def is_clean(self) -> bool:
        """Whether everything in the files is in the ledger now."""
        return not self.strange and not self.unreadable


def ingest(
    job: BatchJob,
    batch: BatchSet,
    provider: BatchProvider,
    llm: BatchModel,
    store: BatchStore,
    reached: Callable[[str], None],
) -> Tally:
    """Settle every request that a result file speaks of.

    Raises: ProviderError when a file cannot be fetched; what another file says is settled all the same.
    """
    tally = Tally()
    chunk: list[Settled] = []
    size = 0
    with few_collections():
        try:
            for settled in _results(job, batch, provider, llm, store, tally):
                chunk.append(settled)
                size += len(settled.reply or b"")
                if len(chunk) >= CHUNK or size >= CHUNK_BYTES:
                    store.settle(job, chunk)
                    reached("settled")
                    chunk, size = [], 0
        finally:
            store.settle(job, chunk)
    return tally


def batch_price(provider: BatchProvider, llm: BatchModel) -> Price | None:
    """What tokens cost in a batch."""
    price = llm.price
    if price is None:
        return None
    models = provider.caps.discounted_models
    discount = provider.caps.discount if models is None or llm.model_name in models else 0.0
    return Price(price.input * (1 - discount), price.output * (1 - discount))


def _results(
    job: BatchJob, batch: BatchSet, provider: BatchProvider, llm: BatchModel, store: BatchStore, tally: Tally
) -> Iterator[Settled]:
    assert job.remote_id is not None
    price = batch_price(provider, llm)
    handles = json.loads(job.handles)
    remote = Remote(job.remote_id, job.status, outcome=job.outcome or None, handles=handles)  # type: ignore[arg-type]
    try:
        for line in provider.results(remote, store.folder):
            if isinstance(line, UnreadableLine):
                # A blank line hides nothing.
                tally.unreadable += bool(line.text)
                continue
            place = _place(job, line.custom_id)
            if place is None:
                tally.strange += 1
                continue
            tally.matched += 1
            if line.is_account:
                tally.account.add(place)
                tally.account_trouble = tally.account_trouble or line.message
            yield _settled(job, place, line, llm, batch, price)
    except BatchGone:
        # A batch that failed or was stopped early may well have no results.
        if job.outcome == "completed":
            raise


def _place(job: BatchJob, name: str) -> tuple[int, int] | None:
    if not is_adopted(job):
        return read_custom_id(name, job.key)
    found = ANY_NAME.fullmatch(name)
    return (int(found[1]), int(found[2] or 0)) if found else None


def _settled(
    job: BatchJob, place: tuple[int, int], line: BatchLine, llm: BatchModel, batch: BatchSet, price: Price | None
) -> Settled:
    if line.body is None:
        state = NOT_RUN.get(line.code, RequestState.FAILED)
        return Settled(*place, state, None, line.status, line.code, line.message, line.is_retryable)
    reply = dict(line.body)
    try:
        read, written = llm.batch_usage(job.path, reply, 1 if place[1] else batch.num_generations)
    except Exception as error:
        # An answer of a strange shape is kept as it came; whoever reads it says what is wrong with it.
        log.warning("The tokens of a row could not be counted: %s: %s", type(error).__name__, error)
        read = written = 0
    cost = llm.reported_cost(reply) if isinstance(llm, CompatibleLLM) else None
    if cost is None:
        cost = price.cost(read, written) if price else 0.0
    return Settled(
        *place, RequestState.OK, orjson.dumps(reply), line.status, tokens_in=read, tokens_out=written, cost=cost,
    )  # fmt: skip
