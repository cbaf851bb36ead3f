"""Hand rows in to a batch API, ask how it goes, and take the answers: for a step of a run, or for a script."""

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from components.errors import ConfigError, OfflineBatchNotFinished
from components.llms.batch.protocol import BatchProvider
from components.llms.llm import LLM
from components.llms.typing import FormattedInput, GenerateOutput
from components.pipeline.batch.ingest import batch_price
from components.pipeline.batch.machine import Machine
from components.pipeline.batch.planning import Request, plan_files
from components.pipeline.batch.poller import owner_name
from components.pipeline.batch.states import FINISHED, RequestState
from components.pipeline.batch.store import BatchStore, reply_of
from components.pipeline.ledger import Ledger, shared_ledger
from components.pipeline.ledger.tables import BatchRequest
from components.states import Reason


@dataclass(frozen=True)
class Want:
    """A row that wants an answer."""

    row: str
    key: str
    """Its identity; an answer with the same identity serves it."""
    prompt: FormattedInput


@dataclass
class Found:
    """What came back for a row."""

    state: RequestState
    output: GenerateOutput | None = None
    message: str = ""
    reason: Reason = Reason.PROVIDER_ERROR
    attempts: int = 1
    tokens_in: int = 0
    tokens_out: int = 0
    cost: float = 0.0
    cost_known: bool = True


@dataclass
class Batches:
    """Batch work of one model, over one ledger."""

    ledger: Ledger
    llm: LLM
    on_change: Callable[[], None] = lambda: None
    store: BatchStore = field(init=False)

    def __post_init__(self) -> None:
        self.store = BatchStore(self.ledger)
        self.provider: BatchProvider = self.llm.batch_provider()
        self.machine = Machine(self.store, lambda _batch: (self.provider, self.llm))

    def hand_in(
        self,
        wants: Sequence[Want],
        count: int,
        kwargs: Mapping[str, Any],
        *,
        run_id: str | None = None,
        step: str = "",
        scope: str = "",
    ) -> list[str]:
        """The sets that hold these rows; rows that are in none yet are planned as a new one. Nothing is sent."""
        known: dict[str, str] = {}
        sets = [batch.key for batch in self.store.sets_of(run_id, step)] if run_id else []
        for set_key in sets:
            for request in self.store.all_requests(set_key):
                known[request.cell_key] = set_key
        fresh = [want for want in wants if want.key not in known]
        if fresh:
            key = self._set_key(fresh, scope)
            if self.store.set(key) is None:
                self._plan(key, fresh, count, kwargs, run_id, step)
            sets.append(key)
        return sets

    def advance(self, sets: Sequence[str]) -> None:
        """Send what is planned, ask about what is out and collect what is done."""
        owner = owner_name()
        for set_key in sets:
            for job in self.store.jobs(set_key):
                if job.state not in FINISHED and self.store.claim(job.key, owner):
                    try:
                        self.machine.advance(job.key)
                    finally:
                        self.store.release(job.key, owner)
        self.on_change()

    def answers(self, sets: Sequence[str], wants: Sequence[Want], count: int) -> Iterator[tuple[str, Found]]:
        """What has come back so far, for the rows that want it."""
        rows: dict[str, list[str]] = {}
        for want in wants:
            rows.setdefault(want.key, []).append(want.row)
        price_known = batch_price(self.provider, self.llm) is not None
        for set_key in sets:
            for requests in _by_index(self.store.all_requests(set_key)):
                if any(request.state == RequestState.INFLIGHT for request in requests):
                    continue
                for row in rows.pop(requests[0].cell_key, ()):
                    yield row, self._found(requests, count, price_known)

    def ids(self, sets: Sequence[str]) -> tuple[str, ...]:
        """The provider's ids of the jobs."""
        return tuple(job.remote_id for key in sets for job in self.store.jobs(key) if job.remote_id)

    def is_open(self, sets: Sequence[str]) -> bool:
        """Whether a job is still to be heard of."""
        return any(job.state not in FINISHED for key in sets for job in self.store.jobs(key))

    def _plan(
        self, key: str, wants: Sequence[Want], count: int, kwargs: Mapping[str, Any], run_id: str | None, step: str
    ) -> None:
        def requests() -> Iterator[Request]:
            for idx, want in enumerate(wants):
                for part, (path, body) in enumerate(self.llm.batch_requests(want.prompt, count, kwargs)):
                    yield Request(idx, path, body, part, want.row, want.key)

        plan = plan_files(self.provider, requests(), self.store.folder, key, window=self.provider.caps.windows[0])
        batch = {
            "key": key,
            "run_id": run_id,
            "step": step,
            "model": self.llm.model_name,
            "provider": type(self.llm).__name__,
            "account": self.provider.account,
            "llm": json.dumps(self.llm.dump()),
            "n": len(plan.requests),
            "num_generations": count,
            "created_at": time.time(),
        }
        self.store.plan(batch, plan.jobs, iter(plan.requests))

    def _set_key(self, wants: Sequence[Want], scope: str) -> str:
        digest = hashlib.blake2b(f"{self.llm.signature()}:{scope}".encode(), digest_size=16)
        for want in wants:
            digest.update(want.key.encode())
        return digest.hexdigest()

    def _found(self, requests: Sequence[BatchRequest], count: int, price_known: bool) -> Found:
        totals: dict[str, Any] = {
            "attempts": max(request.attempt for request in requests),
            "tokens_in": sum(request.tokens_in for request in requests),
            "tokens_out": sum(request.tokens_out for request in requests),
            "cost": sum(request.cost for request in requests),
            "cost_known": price_known,
        }
        bad = next((request for request in requests if request.state != RequestState.OK), None)
        if bad is not None:
            return Found(RequestState(bad.state), None, bad.message, _reason(bad), **totals)
        replies = [reply_of(request) for request in requests]
        try:
            output = self.llm.batch_output(replies, count)
        except Exception as error:
            reason = getattr(error, "reason", Reason.UNPARSEABLE)
            return Found(RequestState.FAILED, None, str(error), reason, **totals)
        return Found(RequestState.OK, output, **totals)


def generate_offline(
    llm: LLM, inputs: Sequence[FormattedInput], num_generations: int, kwargs: Mapping[str, Any]
) -> list[GenerateOutput]:
    """What `generate_outputs` does for a model that works offline; the same inputs find the same jobs in any process.

    Raises: OfflineBatchNotFinished while jobs are out.
    """
    if not inputs:
        raise ConfigError("There is nothing to generate for: `inputs` is empty.")
    batches = Batches(shared_ledger(), llm)
    wants = [
        Want(str(idx), _input_key(llm, item, num_generations, kwargs, idx), item) for idx, item in enumerate(inputs)
    ]
    sets = batches.hand_in(wants, num_generations, kwargs)
    every = llm.offline_batch_generation_block_until_done
    while True:
        batches.advance(sets)
        llm.jobs_ids = batches.ids(sets) or None
        if not batches.is_open(sets):
            break
        if every is None:
            raise OfflineBatchNotFinished(llm.jobs_ids or ())
        try:
            time.sleep(every)
        except KeyboardInterrupt:
            raise OfflineBatchNotFinished(llm.jobs_ids or ()) from None
    found = dict(batches.answers(sets, wants, num_generations))
    return [_as_output(found[want.row], num_generations) for want in wants]


def _as_output(found: Found, count: int) -> GenerateOutput:
    if found.output is not None:
        return found.output
    nothing: Any = {"generations": [None] * count, "statistics": {}, "errors": [found.message] * count}
    return nothing  # type: ignore[no-any-return]


def _input_key(llm: LLM, item: FormattedInput, count: int, kwargs: Mapping[str, Any], idx: int) -> str:
    data = [llm.signature(), count, dict(kwargs), idx, item]
    return hashlib.blake2b(orjson.dumps(data, option=orjson.OPT_SORT_KEYS, default=str), digest_size=16).hexdigest()


def _by_index(requests: Iterator[BatchRequest]) -> Iterator[list[BatchRequest]]:
    group: list[BatchRequest] = []
    for request in requests:
        if group and group[0].idx != request.idx:
            yield group
            group = []
        group.append(request)
    if group:
        yield group


def _reason(request: BatchRequest) -> Reason:
    if request.state == RequestState.EXPIRED:
        return Reason.EXPIRED
    text = f"{request.code} {request.message}".lower()
    if "context" in text and ("length" in text or "long" in text):
        return Reason.CONTEXT_TOO_LONG
    if "content_filter" in text or "content_policy" in text:
        return Reason.REFUSED
    return Reason.RATE_LIMIT if request.http_status == 429 else Reason.PROVIDER_ERROR
