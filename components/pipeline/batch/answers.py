"""What came back for the rows of a batch set, read so that memory holds but a few of them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from components.errors import ProviderError, ReplyError
from components.pipeline.batch.model import BatchModel
from components.pipeline.batch.planning import TOO_LARGE
from components.pipeline.batch.reading import BatchReader, Standing
from components.pipeline.batch.states import FINISHED, RequestState
from components.states import Reason

CHUNK = 256
CHUNK_BYTES = 4 * 1024 * 1024


@dataclass
class Found:
    """What came back for a row."""

    state: RequestState
    output: Any = None
    """As the model reads it; None where there is no answer."""
    message: str = ""
    reason: Reason = Reason.PROVIDER_ERROR
    attempts: int = 1
    tokens_in: int = 0
    tokens_out: int = 0
    cost: float = 0.0
    cost_known: bool = True


def answered(
    store: BatchReader, set_key: str, wanted: Mapping[int, str], llm: BatchModel, count: int, *, cost_known: bool
) -> Iterator[list[tuple[str, Found]]]:
    """What has come back by now, a few rows at a time; `wanted` names the rows by their index in the set.

    A row that failed is given only once its job is over, since until then it may be sent again.
    """
    over = {job.key for job in store.jobs(set_key) if job.state in FINISHED} | {""}
    chunk: list[list[Standing]] = []
    size = 0
    for group in _by_index(store.standings(set_key)):
        if group[0].idx not in wanted or not all(_is_settled(request, over) for request in group):
            continue
        chunk.append(group)
        size += sum(request.size for request in group)
        if len(chunk) >= CHUNK or size >= CHUNK_BYTES:
            yield _read(store, set_key, chunk, wanted, llm, count, cost_known)
            chunk, size = [], 0
    if chunk:
        yield _read(store, set_key, chunk, wanted, llm, count, cost_known)


def _read(
    store: BatchReader,
    set_key: str,
    groups: Sequence[Sequence[Standing]],
    wanted: Mapping[int, str],
    llm: BatchModel,
    count: int,
    cost_known: bool,
) -> list[tuple[str, Found]]:
    replies = store.replies(set_key, [group[0].idx for group in groups])
    return [(wanted[group[0].idx], _found(group, replies, llm, count, cost_known)) for group in groups]


def _found(
    requests: Sequence[Standing],
    replies: Mapping[tuple[int, int], bytes],
    llm: BatchModel,
    count: int,
    cost_known: bool,
) -> Found:
    found = Found(
        RequestState.OK,
        attempts=max(request.attempt for request in requests),
        tokens_in=sum(request.tokens_in for request in requests),
        tokens_out=sum(request.tokens_out for request in requests),
        cost=sum(request.cost for request in requests),
        cost_known=cost_known,
    )
    good = [request for request in requests if request.state == RequestState.OK]
    # Without a price, only the provider itself can have said what an answer cost.
    found.cost_known = cost_known or (bool(good) and all(request.cost > 0 for request in good))
    if not good:
        first = requests[0]
        found.state, found.message, found.reason = RequestState(first.state), first.message, _reason(first)
        return found
    try:
        # Where each generation was a request of its own, those that came are kept, as they are online.
        found.output = llm.batch_output([orjson.loads(replies[one.idx, one.part]) for one in good], count)
    except (ProviderError, ReplyError) as error:
        found.state, found.message, found.reason = RequestState.FAILED, str(error), error.reason
    except Exception as error:
        # An answer of a shape that the model does not foresee is its own row's fault, and no other's.
        text = f"The answer could not be read: {type(error).__name__}: {error}"
        found.state, found.message = RequestState.FAILED, text
    return found


def _is_settled(request: Standing, over: set[str]) -> bool:
    if request.state == RequestState.OK:
        return True
    return request.state != RequestState.INFLIGHT and request.job_key in over


def _by_index(requests: Iterator[Standing]) -> Iterator[list[Standing]]:
    group: list[Standing] = []
    for request in requests:
        if group and group[0].idx != request.idx:
            yield group
            group = []
        group.append(request)
    if group:
        yield group


def _reason(request: Standing) -> Reason:
    if request.state == RequestState.EXPIRED:
        return Reason.EXPIRED
    text = f"{request.code} {request.message}".lower()
    if request.code == TOO_LARGE or ("context" in text and ("length" in text or "long" in text)):
        return Reason.CONTEXT_TOO_LONG
    if "content_filter" in text or "content_policy" in text:
        return Reason.REFUSED
    if "insufficient_quota" in text or request.http_status in (401, 402, 403):
        return Reason.BAD_KEY
    return Reason.RATE_LIMIT if request.http_status == 429 else Reason.PROVIDER_ERROR
