"""Read the results of a batch into the ledger, a line at a time; doing it twice does no harm."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import orjson

from components.errors import BatchGone
from components.llms.batch.protocol import BatchLine, BatchProvider, Remote, UnreadableLine
from components.llms.llm import LLM
from components.llms.pricing import Price
from components.pipeline.batch.planning import lines_of, read_custom_id
from components.pipeline.batch.states import RequestState
from components.pipeline.batch.store import BatchStore, Settled
from components.pipeline.ledger.tables import BatchJob, BatchSet

CHUNK = 500
NOT_RUN = frozenset({"batch_expired", "expired"})


def ingest(
    job: BatchJob, batch: BatchSet, provider: BatchProvider, llm: LLM, store: BatchStore, reached: Callable[[str], None]
) -> None:
    """Settle every request that a result file speaks of. Raises: ProviderError when a file cannot be fetched."""
    chunk: list[Settled] = []
    strange = 0
    price = batch_price(provider, llm)
    for settled in _results(job, batch, provider, llm, price, store):
        if settled is None:
            strange += 1
            continue
        chunk.append(settled)
        if len(chunk) >= CHUNK:
            store.settle(job.key, batch.key, chunk)
            reached("settled")
            chunk = []
    if chunk:
        store.settle(job.key, batch.key, chunk)
    if strange:
        store.change(job.key, note=f"{strange} lines of the results could not be matched to a row and were left out.")


def batch_price(provider: BatchProvider, llm: LLM) -> Price | None:
    """What tokens cost in a batch."""
    price = llm.price
    if price is None:
        return None
    models = provider.caps.discounted_models
    discount = provider.caps.discount if models is None or llm.model_name in models else 0.0
    return Price(price.input * (1 - discount), price.output * (1 - discount))


def _results(
    job: BatchJob, batch: BatchSet, provider: BatchProvider, llm: LLM, price: Price | None, store: BatchStore
) -> Iterator[Settled | None]:
    handles = json.loads(job.handles)
    yield from _refused_lines(job, provider, json.loads(handles.get("errors", "[]")))
    assert job.remote_id is not None
    remote = Remote(job.remote_id, job.status, outcome=job.outcome or None, handles=handles)  # type: ignore[arg-type]
    try:
        for line in provider.results(remote, store.folder):
            yield None if isinstance(line, UnreadableLine) else _settled(job, line, llm, batch, price)
    except BatchGone:
        if job.outcome in ("completed", ""):
            raise


def _settled(job: BatchJob, line: BatchLine, llm: LLM, batch: BatchSet, price: Price | None) -> Settled | None:
    place = read_custom_id(line.custom_id, job.key)
    if place is None:
        return None
    idx, part = place
    if line.body is None:
        state = RequestState.EXPIRED if line.code in NOT_RUN else RequestState.FAILED
        return Settled(idx, part, state, None, line.status, line.code, line.message, line.is_retryable)
    count = 1 if part or batch.num_generations == 1 else batch.num_generations
    read, written = llm.batch_usage(job.path, dict(line.body), count)
    return Settled(
        idx, part, RequestState.OK, orjson.dumps(line.body), line.status, tokens_in=read, tokens_out=written,
        cost=price.cost(read, written) if price else 0.0,
    )  # fmt: skip


def _refused_lines(job: BatchJob, provider: BatchProvider, errors: list[dict[str, object]]) -> Iterator[Settled]:
    """Rows that the provider named when it refused the whole file; the others are worth sending again."""
    named = {error["line"]: error for error in errors if isinstance(error.get("line"), int)}
    if job.outcome != "failed" or not named:
        return
    for number, (place, _) in enumerate(lines_of(provider, Path(job.input_file), job.key), start=1):
        error = named.get(number)
        if error is not None:
            yield Settled(*place, RequestState.FAILED, code=str(error["code"]), message=str(error["message"]))
        else:
            message = "Another row of the same file was refused."
            yield Settled(*place, RequestState.FAILED, message=message, is_retryable=True)
