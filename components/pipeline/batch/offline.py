"""Hand rows in to a batch API, ask how it goes, and take the answers: for a step of a run, or for a script."""

import hashlib
import json
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import orjson

from components.errors import (
    ConfigError,
    OfflineBatchError,
    OfflineBatchNotFinished,
    ProviderError,
    RequestRefused,
    StillroomError,
)
from components.llms.batch.protocol import BatchProvider
from components.llms.llm import LLM
from components.llms.pricing import Price
from components.llms.typing import FormattedInput, GenerateOutput
from components.pipeline.batch.adopting import adopted_plan
from components.pipeline.batch.answers import Found, answered
from components.pipeline.batch.ingest import batch_price
from components.pipeline.batch.machine import Machine
from components.pipeline.batch.matching import HandedIn, Want, find, names_of
from components.pipeline.batch.model import BatchModel
from components.pipeline.batch.planning import Limits, Plan, Request, Unsendable, plan_files
from components.pipeline.batch.reading import HELD_BACK
from components.pipeline.batch.states import FINISHED, JobState
from components.pipeline.batch.store import BatchStore
from components.pipeline.garbage import few_collections
from components.pipeline.ledger import Ledger, shared_ledger
from components.pipeline.ledger.tables import BatchJob

__all__ = ["Batches", "Found", "HandedIn", "Want", "generate_offline"]


class Batches:
    """Batch work of one model, over one ledger."""

    def __init__(
        self,
        ledger: Ledger,
        llm: BatchModel,
        *,
        make_machine: Callable[..., Machine] = Machine,
        limits: Limits = Limits(),  # noqa: B008 - it cannot be changed
        clock: Callable[[], float] = time.time,
        asks_again: bool = True,
    ) -> None:
        """`asks_again`: jobs that wait for a person are tried once more, as a person has just asked for it.

        Raises: CredentialError without a key; ConfigError where the model cannot work so.
        """
        self.llm = llm
        self.store = BatchStore(ledger)
        self.provider: BatchProvider = llm.batch_provider()
        self.machine = make_machine(self.store, lambda _batch: (self.provider, self.llm), clock=clock)
        self._limits = limits
        self._clock = clock
        self._asks_again = asks_again
        self._blocked: set[str] = set()

    def hand_in(
        self,
        wants: Sequence[Want],
        count: int,
        kwargs: Mapping[str, Any],
        *,
        run_id: str | None = None,
        step: str = "",
        reuses: bool = True,
        allow: Callable[[float | None], None] = lambda _cost: None,
    ) -> HandedIn:
        """Find the requests of these rows, and plan those that were never asked. Nothing is sent.

        `reuses`: take what other runs asked. `allow`: may raise when the new requests could cost too much.
        """
        with few_collections():
            return self._handed_in(wants, count, kwargs, run_id, step, reuses, allow)

    def _handed_in(
        self,
        wants: Sequence[Want],
        count: int,
        kwargs: Mapping[str, Any],
        run_id: str | None,
        step: str,
        reuses: bool,
        allow: Callable[[float | None], None],
    ) -> HandedIn:
        looked_for = ""
        while True:
            handed, fresh = find(self.store, wants, run_id=run_id, step=step, reuses=reuses)
            if not fresh:
                if run_id is not None:
                    self.store.use(handed.sets, run_id, step)
                return handed
            key, number = self._new_key(fresh, "" if reuses else str(run_id))
            if number and key != looked_for:
                # The set before it may have been made since these rows were looked for.
                looked_for = key
                continue
            plan = self._adopt(key, fresh, count, kwargs) or self._plan(key, fresh, count, kwargs)
            try:
                allow(plan.estimate)
                self.machine.reached("files_written")
                # Where another process handed the same rows in at this moment, its requests are found next time.
                if not self.store.plan(self._set(plan, count, run_id, step), plan):
                    plan.discard()
            except BaseException:
                plan.discard()
                raise
            self.machine.reached("planned")

    def advance(self, sets: Sequence[str], goes_on: Callable[[], bool] = lambda: True) -> None:
        """Send what is planned, ask about what is out and collect what is done; no further job once not `goes_on`."""
        done: set[str] = set()
        while jobs := [job for key in sets for job in self.store.jobs(key) if job.key not in done]:
            for job in jobs:
                if not goes_on():
                    return
                done.add(job.key)
                if job.state not in FINISHED and not self._must_wait(job):
                    self.machine.advance(job.key)
            # From here on they wait for a person, also those that were made just now.
            self._blocked |= {job.key for job in self.jobs(sets) if job.state == JobState.BLOCKED}

    def answers(self, handed: HandedIn, count: int) -> Iterator[list[tuple[str, Found]]]:
        """What has come back by now, a few rows at a time."""
        cost_known = batch_price(self.provider, self.llm) is not None
        by_set: dict[str, dict[int, str]] = defaultdict(dict)
        for row, place in handed.places.items():
            by_set[place.set_key][place.idx] = row
        for set_key, wanted in by_set.items():
            for chunk in answered(self.store, set_key, wanted, self.llm, count, cost_known=cost_known):
                for row, found in chunk:
                    found.attempts += handed.places[row].attempts
                yield chunk

    def jobs(self, sets: Sequence[str]) -> list[BatchJob]:
        """The jobs of these sets."""
        return [job for key in sets for job in self.store.jobs(key)]

    def _must_wait(self, job: BatchJob) -> bool:
        """Whether a person or a rest is needed first; else whoever calls wants to know how it stands now."""
        if job.state == JobState.BLOCKED:
            return not self._asks_again or job.key in self._blocked
        if job.state == JobState.HELD and HELD_BACK in job.message:
            # Whoever asks now is at work, so somebody continued a run that wants it.
            return False
        return (job.state == JobState.HELD or job.poll_errors > 0) and job.next_poll_at > self._clock()

    def _plan(self, key: str, wants: Sequence[Want], count: int, kwargs: Mapping[str, Any]) -> Plan:
        price = batch_price(self.provider, self.llm)
        requests = (one for idx, want in enumerate(wants) for one in self._requests(idx, want, count, kwargs, price))
        window = self.provider.caps.windows[0]
        return plan_files(self.provider, requests, self.store.folder, key, window=window, limits=self._limits)

    def _requests(
        self, idx: int, want: Want, count: int, kwargs: Mapping[str, Any], price: Price | None
    ) -> Iterator[Request | Unsendable]:
        name = names_of(want)[-1]
        try:
            prompt = want.prompt()
            parts = self.llm.batch_requests(prompt, count, kwargs)
        except Exception as error:
            if isinstance(error, ProviderError) and not isinstance(error, RequestRefused):
                raise
            is_plain = isinstance(error, StillroomError)
            message = str(error) if is_plain else f"The step had an error: {type(error).__name__}: {error}"
            yield Unsendable(idx, want.row, name, message)
            return
        read, written = self.llm.most_tokens(prompt, count, kwargs)
        cost = price.cost(read * len(parts), written) / len(parts) if price else None
        for part, (path, body) in enumerate(parts):
            yield Request(idx, path, body, part, want.row, name, tokens=read, cost=cost)

    def _adopt(self, key: str, wants: Sequence[Want], count: int, kwargs: Mapping[str, Any]) -> Plan | None:
        """A plan that consists of the jobs in `jobs_ids` that are not in the ledger yet; None where all are.

        Raises: BatchGone for an id that the provider does not know; ConfigError where they are of other rows.
        """
        known = self.store.remote_ids()
        named = list(dict.fromkeys(self.llm.jobs_ids or ()))
        ids = [id for id in named if id not in known]
        if not ids:
            return None
        elsewhere = sum(sum(self.store.counts(job_key=known[id]).values()) for id in named if id in known)
        made = (one for want in wants for one in self._requests(0, want, count, kwargs, None))
        path = next((one.path for one in made if isinstance(one, Request)), "")
        return adopted_plan(self.provider, key, ids, wants, path, elsewhere)

    def _set(self, plan: Plan, count: int, run_id: str | None, step: str) -> dict[str, Any]:
        return {
            "key": plan.set_key,
            "run_id": run_id,
            "step": step,
            "model": self.llm.model_name,
            "provider": type(self.llm).__name__,
            "account": self.provider.account,
            "llm": json.dumps(self.llm.dump()),
            "n": len(plan.entries),
            "num_generations": count,
            "estimate": plan.estimate,
            "created_at": self._clock(),
        }

    def _new_key(self, wants: Sequence[Want], scope: str) -> tuple[str, int]:
        """A key that two processes with the same rows agree on, so that only one of them sends these; its number."""
        digest = hashlib.blake2b(f"{self.llm.signature()}:{scope}".encode(), digest_size=12)
        for want in wants:
            digest.update(names_of(want)[-1].encode())
        number = 0
        while self.store.set(f"{digest.hexdigest()}-{number}") is not None:
            number += 1
        return f"{digest.hexdigest()}-{number}", number


def generate_offline(
    llm: LLM, inputs: Sequence[FormattedInput], num_generations: int, kwargs: Mapping[str, Any]
) -> list[GenerateOutput]:
    """What `generate_outputs` does for a model that works offline; the same inputs find the same jobs in any process.

    Raises: OfflineBatchNotFinished while jobs are out; OfflineBatchError when they wait for a person.
    """
    if not inputs:
        raise ConfigError("There is nothing to generate for: `inputs` is empty.")
    return [_as_output(found, num_generations) for found in found_offline(llm, inputs, num_generations, kwargs)]


def found_offline(
    model: BatchModel,
    inputs: Sequence[Any],
    num_generations: int,
    kwargs: Mapping[str, Any],
    allow: Callable[[float | None], None] = lambda _cost: None,
) -> list[Found]:
    """What came back for each input, once nothing is out any more. `allow` may raise before anything new is sent.

    Raises: OfflineBatchNotFinished while jobs are out; OfflineBatchError when they wait for a person.
    """
    batches = Batches(shared_ledger(), model)
    place = batches.provider.account.partition("#")[0]
    wants = _wants(model, place, inputs, num_generations, kwargs)
    handed = batches.hand_in(wants, num_generations, kwargs, allow=allow)
    every = model.offline_batch_generation_block_until_done
    while True:
        batches.advance(handed.sets)
        jobs = batches.jobs(handed.sets)
        ids = tuple(job.remote_id for job in jobs if job.remote_id)
        model.jobs_ids = ids or None
        still_out = [job for job in jobs if job.state not in FINISHED]
        if not still_out:
            break
        if all(job.state == JobState.BLOCKED for job in still_out):
            raise OfflineBatchError(f"An offline batch job waits for you: {still_out[0].message}")
        if every is None:
            raise OfflineBatchNotFinished(ids)
        try:
            time.sleep(every)
        except KeyboardInterrupt:
            raise OfflineBatchNotFinished(ids) from None
    found = {row: one for chunk in batches.answers(handed, num_generations) for row, one in chunk}
    if len(found) < len(inputs):
        # Somebody sent rows without an answer again since.
        raise OfflineBatchNotFinished(ids)
    return [found[str(idx)] for idx in range(len(inputs))]


def _wants(model: BatchModel, place: str, inputs: Sequence[Any], count: int, kwargs: Mapping[str, Any]) -> list[Want]:
    seen: Counter[bytes] = Counter()
    wants = []
    about = [model.signature(), place, count, dict(kwargs)]
    for idx, item in enumerate(inputs):
        data = _as_bytes([about, item])
        # The same question twice wants two answers.
        digest = hashlib.blake2b(data).digest()
        key = hashlib.blake2b(data + b"%d" % seen[digest], digest_size=16).hexdigest()
        seen[digest] += 1
        wants.append(Want(str(idx), key, partial(_same, item), idx))
    return wants


def _as_bytes(asked: Any) -> bytes:
    try:
        return orjson.dumps(asked, option=orjson.OPT_SORT_KEYS, default=str)
    except TypeError:
        # Half of a character is one row's fault, which is said of it when its request is made.
        return json.dumps(asked, sort_keys=True, default=str).encode()


def _same(item: Any) -> Any:
    return item


def _as_output(found: Found, count: int) -> GenerateOutput:
    if found.output is not None:
        output: GenerateOutput = found.output
        return output
    nothing: Any = {"generations": [None] * count, "statistics": {}, "errors": [found.message] * count}
    return nothing  # type: ignore[no-any-return]
