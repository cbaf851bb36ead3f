"""A task whose rows go to a provider's batch API: it hands them in, and takes up what has come back."""

import asyncio
import json
from collections.abc import Iterator
from functools import partial
from typing import Any

from components.errors import CapReached, ProviderError
from components.pipeline.batch.offline import Batches, Found, HandedIn, Want
from components.pipeline.batch.states import FINISHED, JobState, RequestState
from components.pipeline.batch.store import BatchStore
from components.pipeline.batch.waiting import what_is_out
from components.pipeline.engine.backend import failure
from components.pipeline.engine.identity import cell_key
from components.pipeline.engine.inbox import Item
from components.pipeline.engine.outcome import Outcome
from components.pipeline.engine.row_node import RowNode
from components.states import CellState, Reason
from components.steps.tasks.task import Task

Answers = list[tuple[str, Found]]


class BatchNode(RowNode):
    """Collects the rows of a step, keeps them with a batch set, and goes on with each row that is answered."""

    step: Task

    async def prepare(self) -> None:
        await super().prepare()
        self._waiting: dict[str, tuple[Item, str]] = {}
        self._rows: list[str] = []
        self._store = await self.engine.backend.in_thread(BatchStore, self.engine.ledger)
        self._reserved = 0.0
        await self._reserve()

    async def work(self) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(self.engine.concurrency):
                group.create_task(self._gather())
        if self._waiting:
            await self._wait()
        self.waits_for_batch = bool(self._waiting)
        await self.finish()

    async def _gather(self) -> None:
        while (item := await self.inbox.take()) is not None:
            await self.engine.checkpoint()
            self._rows.append(item.row)
            key = cell_key(self.signature, item.rows) if item.rows else ""
            if await self._is_settled(item, key):
                continue
            nothing = self._nothing_to_ask(item)
            if nothing is None:
                self._waiting[item.row] = (item, key)
            else:
                await self._pass_on(item, await self._keep(item, "", nothing))

    async def _wait(self) -> None:
        batches, handed = await self._hand_in()
        every = self.step.llm.offline_batch_generation_block_until_done
        while True:
            await self.engine.checkpoint()
            await self.engine.backend.in_thread(batches.advance, handed.sets, self._goes_on)
            # Asked first, so that nothing which comes back meanwhile is left lying.
            is_under_way = await self.engine.backend.in_thread(self._is_under_way, handed)
            await self._take_up(batches, handed)
            await self._reserve()
            if not self._waiting or every is None or not is_under_way:
                break
            await asyncio.sleep(every)
        if self._waiting:
            self.parked_because = await self.engine.backend.in_thread(
                what_is_out, self._store, handed.sets, self.name, len(self._waiting)
            )

    async def _hand_in(self) -> tuple[Batches, HandedIn]:
        while True:
            try:
                return await self.engine.backend.in_thread(self._handed_in)
            except CapReached as error:
                await self.engine.reached_cap(error)
            except ProviderError as error:
                await self.engine.had_fatal(error)

    def _handed_in(self) -> tuple[Batches, HandedIn]:
        # The app wakes a run whenever a job came back, which is nobody's wish to try again what waits for a person.
        batches = Batches(self.engine.ledger, self.step.llm, asks_again=self.engine.run.origin != "app")
        number = {row: at for at, row in enumerate(sorted(self._rows))}
        tried = self._store.reopened(self.engine.run_id, self.name)
        wants = [
            Want(row, key, partial(self.step.prompt, item.rows[0]), number[row], tried.get(row, 0))
            for row, (item, key) in sorted(self._waiting.items())
        ]
        handed = batches.hand_in(
            wants,
            self._count,
            self.step.llm.get_generation_kwargs(),
            run_id=self.engine.run_id,
            step=self.name,
            reuses=self.engine.reuses and self.step.use_cache,
            allow=self._allow,
        )
        return batches, handed

    def _is_under_way(self, handed: HandedIn) -> bool:
        """Whether anything can still come back without a person's help."""
        jobs = [job for key in handed.sets for job in self._store.jobs(key)]
        return any(job.state not in FINISHED and job.state != JobState.BLOCKED for job in jobs)

    def _goes_on(self) -> bool:
        return not self.engine.is_halted

    async def _take_up(self, batches: Batches, handed: HandedIn) -> None:
        answers = batches.answers(handed, self._count)
        while chunk := await self.engine.backend.in_thread(self._outcomes, answers):
            await self.engine.checkpoint()
            with self.engine.paying():
                kept = await asyncio.gather(*(self._keep(item, key, outcome) for item, key, outcome in chunk))
            for (item, _, _), outcome in zip(chunk, kept, strict=True):
                self.engine.gate.budget.book(outcome.meter.cost)
                del handed.places[item.row], self._waiting[item.row]
                await self._pass_on(item, outcome)

    def _outcomes(self, answers: Iterator[Answers]) -> list[tuple[Item, str, Outcome]]:
        """The next few answers, read by the task; nothing when there are no more."""
        return [(*self._waiting[row], self._outcome(self._waiting[row][0], found)) for row, found in next(answers, [])]

    def _outcome(self, item: Item, found: Found) -> Outcome:
        try:
            outcome = self._read(item, found)
        except Exception as error:
            # A task of somebody's own may stumble over an answer; its row keeps what it said.
            outcome = failure(error, self.step)
        outcome.model = self.step.llm.model_name
        outcome.is_rehearsal = self.step.llm.is_rehearsal
        meter = outcome.meter
        meter.attempts, meter.input_tokens, meter.output_tokens = found.attempts, found.tokens_in, found.tokens_out
        meter.cost, meter.cost_known = found.cost, found.cost_known
        return outcome

    def _read(self, item: Item, found: Found) -> Outcome:
        row = item.rows[0]
        if found.output is not None:
            answer = self.step.answer_from(row, found.output)
            return Outcome(
                rows=self.engine.backend.stripped(answer.rows),
                state=answer.state,
                reason=answer.reason,
                message=answer.message,
                prompt=_messages(answer.prompt),
                raw=answer.raw,
            )
        if found.state is RequestState.EXPIRED:
            state, reason = CellState.EXPIRED, Reason.EXPIRED
        else:
            state, reason = CellState.FAILED, found.reason
        return Outcome(state=state, reason=reason, message=found.message, prompt=_messages(self.step.prompt(row)))

    def _allow(self, cost: float | None) -> None:
        """Raises: CapReached when new requests could pass the spending cap."""
        self.engine.gate.budget.check(cost or 0.0)

    async def _reserve(self) -> None:
        """Set aside what the jobs that are out may cost."""
        amount = await self.engine.backend.in_thread(self._store.open_estimate, self.engine.run_id, self.name)
        self.engine.gate.budget.promised += amount - self._reserved
        self._reserved = amount

    @property
    def _count(self) -> int:
        return self.step.num_generations or 1


def _messages(prompt: Any) -> Any:
    messages = prompt[0] if isinstance(prompt, tuple) else prompt
    # A prompt that could not be sent, for half of a character in it, is kept with a question mark there.
    return json.loads(json.dumps(messages, ensure_ascii=False, default=str).encode("utf-8", "replace"))
