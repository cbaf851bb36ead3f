"""Where the work of a step is done. `Local` is this process; others can stand behind the same calls."""

import asyncio
import contextvars
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from typing import Any, Protocol, TypeVar

from components.errors import CapReached, ConfigError, ProviderError, ReplyError, StillroomError
from components.llms.gate import Halted
from components.llms.meter import metered
from components.llms.redaction import traceback_of
from components.pipeline.engine.outcome import Outcome
from components.states import CellState, Reason
from components.steps.step import METADATA, AnyStep, Step
from components.steps.tasks.task import Task
from components.steps.typing import Row

log = logging.getLogger("stillroom.engine")

T = TypeVar("T")


class Interrupted(Exception):
    """Work on several rows was broken off by what concerns the whole run; the rows before that are done."""

    def __init__(self, outcomes: list[Outcome], cause: BaseException) -> None:
        super().__init__(str(cause))
        self.outcomes = outcomes
        self.cause = cause


class Backend(Protocol):
    """Does the work of a step on rows."""

    async def ask(self, step: Task, rows: Sequence[Row]) -> Outcome:
        """Ask a model about one row. Raises: ProviderError that pauses the run; CapReached."""
        ...

    async def apply(self, step: Step, items: Sequence[Sequence[Row]]) -> list[Outcome]:
        """Work on several rows, each by itself; an item has one row for each step before this one.

        Raises: Interrupted, with what is done, where a provider error pauses the run, the cap is reached or it rests.
        """
        ...

    async def in_thread(self, work: Callable[..., T], *arguments: Any) -> T:
        """Do blocking work without holding up the loop."""
        ...


class Local:
    """Works in this process: models on the loop, other steps in threads."""

    def __init__(self, *, threads: int = 16, keeps_metadata: bool = False) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="stillroom-step")
        self._keeps_metadata = keeps_metadata

    async def ask(self, step: Task, rows: Sequence[Row]) -> Outcome:
        row = rows[0]
        with metered() as meter:
            try:
                answer = await step.answer(row)
            except Exception as error:
                outcome = failure(error, step)
                outcome.prompt = _prompt_of(step, row)
            else:
                outcome = Outcome(
                    rows=self.stripped(answer.rows),
                    state=answer.state,
                    reason=answer.reason,
                    message=answer.message,
                    prompt=_messages(answer.prompt),
                    raw=answer.raw,
                    model=answer.model,
                )
        outcome.meter = meter
        outcome.model = outcome.model or step.llm.model_name
        outcome.is_rehearsal = step.llm.is_rehearsal
        return outcome

    async def apply(self, step: Step, items: Sequence[Sequence[Row]]) -> list[Outcome]:
        if not type(step).__module__.startswith("components."):
            # Other people's code may change a list in place, and the same list may lie before another step.
            items = [[_own(row) for row in rows] for rows in items]
        if step.takes_batches:
            try:
                made = await self.in_thread(step.apply, [rows[0] for rows in items])
                if len(made) != len(items):
                    raise ConfigError(f"Step '{step.name}' made {len(made)} rows of {len(items)}; it must keep count.")
                return [Outcome(rows=[row]) for row in made]
            except Exception as error:
                if len(items) == 1:
                    return [failure(error, step)]
        return await self.in_thread(self._one_by_one, step, items)

    async def in_thread(self, work: Callable[..., T], *arguments: Any) -> T:
        context = contextvars.copy_context()
        return await asyncio.get_running_loop().run_in_executor(self._pool, lambda: context.run(work, *arguments))

    def close(self) -> None:
        """Let the threads go."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _one_by_one(self, step: Step, items: Sequence[Sequence[Row]]) -> list[Outcome]:
        outcomes: list[Outcome] = []
        for rows in items:
            with metered() as meter:
                try:
                    outcome = Outcome(rows=step.apply(*([row] for row in rows)))
                except Halted as cause:
                    raise Interrupted(outcomes, cause) from None
                except Exception as error:
                    if concerns_run(error):
                        raise Interrupted(outcomes, error) from None
                    outcome = failure(error, step)
            outcome.meter = meter
            outcomes.append(outcome)
        return outcomes

    def stripped(self, rows: Sequence[Row]) -> list[Row]:
        """Rows as the ledger keeps them; what happened on the way to them is kept beside them."""
        if self._keeps_metadata:
            return list(rows)
        return [{name: value for name, value in row.items() if name != METADATA} for row in rows]


def concerns_run(error: BaseException) -> bool:
    """Whether an error says nothing about a row, but that the run cannot go on."""
    return isinstance(error, CapReached) or (isinstance(error, ProviderError) and error.pauses_run)


def failure(error: Exception, step: AnyStep) -> Outcome:
    """An exception as a failed cell; those that concern the whole run are raised on."""
    if concerns_run(error):
        raise error
    if isinstance(error, (ReplyError, ProviderError)):
        return Outcome(state=CellState.FAILED, reason=error.reason, message=str(error))
    if isinstance(error, StillroomError):
        return Outcome(state=CellState.FAILED, reason=Reason.PROVIDER_ERROR, message=str(error))
    log.warning("Step '%s' failed on a row\n%s", step.name, traceback_of(error))
    message = f"The step had an error: {type(error).__name__}: {error}"
    return Outcome(state=CellState.FAILED, reason=Reason.PROVIDER_ERROR, message=message)


def _own(row: Row) -> Row:
    """A row whose lists and dicts are nobody else's."""
    if any(isinstance(value, (list, dict, set)) for value in row.values()):
        return deepcopy(row)
    return row


def _prompt_of(step: Task, row: Row) -> Any:
    try:
        return _messages(step.prompt(row))
    except Exception:
        # The prompt itself may be what failed, and the outcome says so already.
        return None


def _messages(prompt: Any) -> Any:
    return prompt[0] if isinstance(prompt, tuple) else prompt
