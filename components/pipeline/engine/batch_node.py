"""A task whose rows go to a provider's batch API: it hands them in, and takes up what has come back."""

import asyncio
from typing import TYPE_CHECKING, Any

from components.pipeline.batch.offline import Batches, Want
from components.pipeline.batch.states import RequestState
from components.pipeline.engine.identity import cell_key
from components.pipeline.engine.inbox import Item
from components.pipeline.engine.nodes import Node, RowNode, SourceNode, TableNode
from components.pipeline.engine.outcome import Outcome
from components.states import CellState, Reason
from components.steps.step import AnyStep, GeneratorStep, GlobalStep
from components.steps.tasks.task import Task

if TYPE_CHECKING:
    from components.pipeline.engine.engine import Engine


class BatchNode(RowNode):
    """Collects the rows of a step, keeps them with a batch set, and goes on with each row that is answered."""

    async def work(self) -> None:
        waiting: dict[str, tuple[Item, str]] = {}
        while (item := await self.inbox.take()) is not None:
            await self.engine.checkpoint()
            key = cell_key(self.signature, item.rows) if item.rows else ""
            if not await self._is_settled(item, key) and not await self._is_empty(item):
                waiting[item.row] = (item, key)
        assert isinstance(self.step, Task)
        batches = Batches(self.engine.ledger, self.step.llm, on_change=self.engine.batch_changed)
        every = self.step.llm.offline_batch_generation_block_until_done
        while waiting:
            await self.engine.checkpoint()
            for row, outcome in await self.engine.backend.in_thread(self._collect, batches, waiting):
                item, key = waiting.pop(row)
                with self.engine.paying():
                    kept = await self._keep(item, key, outcome)
                await self._pass_on(item, kept)
            if not waiting or every is None:
                break
            await asyncio.sleep(every)
        self.waits_for_batch = bool(waiting)
        await self.finish()

    async def _is_empty(self, item: Item) -> bool:
        nothing = self._nothing_to_ask(item)
        if nothing is None:
            return False
        await self._pass_on(item, await self._keep(item, "", nothing))
        return True

    def _collect(self, batches: Batches, waiting: dict[str, tuple[Item, str]]) -> list[tuple[str, Outcome]]:
        assert isinstance(self.step, Task)
        step = self.step
        wants = [Want(row, key, _prompt(step, item)) for row, (item, key) in sorted(waiting.items())]
        count, kwargs = step.num_generations or 1, step.llm.get_generation_kwargs()
        scope = "" if self.engine.reuses and step.use_cache else self.engine.run_id
        sets = batches.hand_in(wants, count, kwargs, run_id=self.engine.run_id, step=self.name, scope=scope)
        batches.advance(sets)
        return [(row, self._outcome(waiting[row][0], found)) for row, found in batches.answers(sets, wants, count)]

    def _outcome(self, item: Item, found: Any) -> Outcome:
        assert isinstance(self.step, Task)
        step = self.step
        outcome = Outcome(model=step.llm.model_name, prompt=_messages(_prompt(step, item)))
        if found.state is RequestState.OK:
            answer = step.answer_from(item.rows[0], found.output)
            outcome.rows = self.engine.backend.stripped(answer.rows)
            outcome.state, outcome.reason, outcome.message = answer.state, answer.reason, answer.message
            outcome.raw = answer.raw
        elif found.state is RequestState.EXPIRED:
            outcome.state, outcome.reason, outcome.message = CellState.EXPIRED, Reason.EXPIRED, found.message
        else:
            outcome.state, outcome.reason, outcome.message = CellState.FAILED, found.reason, found.message
        meter = outcome.meter
        meter.attempts, meter.input_tokens, meter.output_tokens = found.attempts, found.tokens_in, found.tokens_out
        meter.cost, meter.cost_known = found.cost, found.cost_known
        return outcome


def node_for(engine: "Engine", step: AnyStep) -> Node:
    """The kind of node that a step needs."""
    if isinstance(step, GeneratorStep):
        return SourceNode(engine, step)
    if isinstance(step, GlobalStep):
        return TableNode(engine, step)
    if isinstance(step, Task) and type(step).process is Task.process and step.llm.use_offline_batch_generation:
        return BatchNode(engine, step)
    return RowNode(engine, step)


def _prompt(step: Task, item: Item) -> Any:
    return step.prompt(item.rows[0])


def _messages(prompt: Any) -> Any:
    return prompt[0] if isinstance(prompt, tuple) else prompt
