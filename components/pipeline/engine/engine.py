"""One run at work: an event loop in a thread of its own, with a window of rows in flight."""

import asyncio
import logging
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import cached_property
from typing import Any

from components.errors import CapReached, LedgerError, ProviderError, RunConflict, StillroomError
from components.llms.budget import Budget
from components.llms.gate import Gate, Halted, RetryPolicy, through
from components.llms.llm import LLM
from components.llms.loop import at_home
from components.llms.redaction import keep_secrets_of, traceback_of, without_keys
from components.pipeline.engine.backend import Local
from components.pipeline.engine.descendants import Descendants
from components.pipeline.engine.halt import Halt
from components.pipeline.engine.node import Node
from components.pipeline.engine.nodes import connect, node_for
from components.pipeline.engine.recorder import Recorder
from components.pipeline.garbage import few_collections
from components.pipeline.graph import Graph
from components.pipeline.ledger import Ledger, StepRun
from components.pipeline.ledger.owner import ends, process_name
from components.states import RunState
from components.steps.step import AnyStep
from components.steps.tasks.task import GeneratorTask, Task
from components.vault import Vault, lend

log = logging.getLogger("stillroom.engine")

FATAL_LIMIT = 3
BEAT_SECONDS = 1.0
GRACE_SECONDS = 5.0
NOTHING_SPENT = "The run is paused; nothing more was spent."


class Engine:
    """Works on one run until it is done, paused, stopped or capped.

    Everything it knows is in the ledger: killed at any moment, another engine goes on from there.
    """

    def __init__(
        self,
        graph: Graph,
        ledger: Ledger,
        run_id: str,
        *,
        vault: Vault | None = None,
        policy: RetryPolicy | None = None,
        keeps_metadata: bool = False,
        on_start: Callable[["Engine"], None] | None = None,
    ) -> None:
        self.graph = graph
        self.ledger = ledger
        """Read by the engine, and written by those whose work stays true whoever works on the run, as batch jobs do."""
        self.run_id = run_id
        self.books = ledger.held_by(run_id, self.owner)
        """What the engine writes goes in here, and only as long as the run is its own."""
        self.run = ledger.run(run_id)
        self.concurrency = self.run.concurrency
        self.row_limit = self.run.row_limit
        self.reuses = self.run.use_cache
        self.step_runs: dict[str, StepRun] = {}
        self.nodes: dict[str, Node] = {}
        self.descendants = Descendants(self)
        self._vault = vault
        self._policy = policy
        self._keeps_metadata = keeps_metadata
        self._on_start = on_start
        self._halt = Halt()
        self._loaded: list[AnyStep] = []
        self._fatal = 0
        self._busy = 0

    @cached_property
    def owner(self) -> str:
        """This process and this engine, for the lease."""
        return f"{process_name()}:{secrets.token_hex(8)}"

    def work(self) -> RunState:
        """Work until the run comes to a rest; may be called from any thread, also inside a running loop.

        Raises: RunConflict when another process works on the run; what a source or a step that needs all rows raised.
        """
        result: list[RunState] = []
        error: list[BaseException] = []

        def main() -> None:
            try:
                with few_collections():
                    result.append(asyncio.run(self._main()))
            except BaseException as caught:
                error.append(caught)
            finally:
                rested.set()

        # An event, as a join that a signal interrupts takes a living thread for a dead one on Python 3.11.
        rested = threading.Event()
        thread = threading.Thread(target=main, name=f"stillroom-run-{self.run_id[:8]}", daemon=True)
        thread.start()
        try:
            while not rested.wait(0.2):
                pass
        except KeyboardInterrupt:
            self.stop("Stopped from the keyboard.")
            rested.wait()
        if error:
            raise error[0]
        return result[0]

    def pause(self, reason: str = "Paused.") -> None:
        """Finish the calls in flight, then rest."""
        self._halt.ask(RunState.PAUSED, reason)

    def stop(self, reason: str = "Stopped.") -> None:
        """Finish the calls in flight, for a few seconds at most, then rest; also while it is about to pause."""
        self._halt.ask(RunState.STOPPED, reason)

    def park(self, reason: str) -> None:
        """Stop because the process ends; a pause that somebody asked for before stays a pause."""
        self._halt.ask(RunState.STOPPED, reason, is_parked=True)

    def set_cap(self, cap: float | None) -> None:
        """Let the run spend up to another amount from now on."""
        self.run.cap = cap
        if hasattr(self, "gate"):
            self.gate.budget.cap = cap

    @property
    def in_flight(self) -> int:
        """Calls that are out right now."""
        return self.gate.in_flight if hasattr(self, "gate") else 0

    # What nodes ask of the engine

    @property
    def is_halted(self) -> bool:
        """Whether the run is coming to a rest, so that nothing new may begin."""
        return self._halt.decided is not None

    async def checkpoint(self) -> None:
        """Goes on, or ends the task when the run comes to a rest."""
        if self._halt.decided is not None:
            raise Halted

    @contextmanager
    def paying(self) -> Iterator[None]:
        """Marks work that may cost money until its result is committed; a run at rest has none."""
        self._busy += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._busy -= 1
            if not self._busy:
                self._idle.set()

    async def had_fatal(self, error: ProviderError) -> None:
        """Count a failure that concerns the whole run; after the third the run is paused."""
        self._fatal += 1
        if self._fatal >= FATAL_LIMIT:
            self._halt.set(RunState.PAUSED, without_keys(f"{error} {NOTHING_SPENT}"))
        await self.checkpoint()

    async def reached_cap(self, error: CapReached) -> None:
        """Bring the run to a rest at its spending cap."""
        self._halt.set(RunState.CAPPED, str(error))
        await self.checkpoint()

    # The run itself

    async def _main(self) -> RunState:
        self._idle = asyncio.Event()
        self._idle.set()
        self._halt.attend(asyncio.get_running_loop())
        try:
            lost = self.ledger.claim(self.run_id, self.owner)
            if lost and self._costs_money():
                self.books.may_have_paid(self.run_id, lost)
            while True:
                state = await self._sit()
                if state is not None:
                    return state
                # Its cap was raised while the run came to a rest at it.
                self._halt.forget()
        except RunConflict:
            log.warning("Run %s is not this engine's to work on, or no longer.", self.run_id)
            raise
        finally:
            ends(self.owner)

    async def _sit(self) -> RunState | None:
        """Work until the run rests; None where it has reason to go on at once."""
        # What was spent, and what may be, is known for sure only once nobody else works on the run.
        self.run = self.ledger.run(self.run_id)
        budget = Budget(self.run.cap, self.run.spent)
        self.gate = Gate(concurrency=self.concurrency, budget=budget, policy=self._policy)
        self.backend = Local(keeps_metadata=self._keeps_metadata)
        self.recorder = Recorder(self.books)
        if self._on_start is not None:
            self._on_start(self)
        try:
            with lend(self._vault) if self._vault else nullcontext(), through(self.gate), at_home(self._halt.loop):
                state, reason = await self._work()
        except RunConflict:
            raise
        except BaseException as error:
            reason = str(error) if isinstance(error, StillroomError) else f"{type(error).__name__}: {error}"
            await self.recorder.settle()
            self._rest(RunState.STOPPED, without_keys(reason))
            raise
        else:
            return state if self._rest(state, reason) else None
        finally:
            self.backend.close()

    async def _work(self) -> tuple[RunState, str]:
        self.books.set_state(
            self.run_id, RunState.RUNNING, started_at=self.run.started_at or time.time(), finished_at=None
        )
        self.step_runs = {record.step: record for record in self.ledger.steps(self.run_id)}
        try:
            await self.backend.in_thread(self._load)
            return await self._work_on_steps()
        except ProviderError as error:
            if not error.pauses_run:
                raise
            # No key at all is like one that is refused: the run waits for it.
            return RunState.PAUSED, without_keys(f"{error} {NOTHING_SPENT}")
        finally:
            await self.backend.in_thread(self._unload)

    async def _work_on_steps(self) -> tuple[RunState, str]:
        self.nodes = nodes = {name: node_for(self, self.graph.steps[name]) for name in self.graph.order()}
        for node in nodes.values():
            await node.prepare()
        connect(self, nodes)
        tasks = [asyncio.create_task(node.work(), name=node.name) for node in nodes.values()]
        beat = asyncio.create_task(self._beat())
        halted = asyncio.create_task(self._halt.changed.wait())
        try:
            await self._until_rest(tasks, beat, halted)
        except (LedgerError, RunConflict):
            # Nothing more could be kept, or another process keeps it.
            raise
        except Exception:
            # What is out is paid for, whichever step broke.
            self._halt.set(RunState.PAUSED, "")
            await self._let_calls_return(beat)
            raise
        finally:
            for task in (*tasks, beat, halted):
                task.cancel()
            await asyncio.gather(*tasks, beat, halted, return_exceptions=True)
            await self.recorder.settle()
        if self._halt.decided is not None:
            return self._halt.decided
        if any(node.is_parked for node in nodes.values()):
            reasons = (node.parked_because for node in nodes.values())
            return RunState.WAITING_BATCH, " ".join(filter(None, reasons)) or "Waiting for batch jobs."
        failed = any(step.failed or step.expired for step in self.ledger.steps(self.run_id))
        return (RunState.DONE_WITH_FAILURES if failed else RunState.DONE), ""

    async def _until_rest(
        self, tasks: list["asyncio.Task[None]"], beat: "asyncio.Task[None]", halted: "asyncio.Task[Any]"
    ) -> None:
        waiting: set[asyncio.Task[Any]] = set(tasks)
        while waiting and not self.is_halted:
            done, _ = await asyncio.wait({*waiting, beat, halted}, return_when=asyncio.FIRST_COMPLETED)
            waiting -= done
            for task in done:
                if task is not halted:
                    _raise_unless_halted(task)
        if waiting:
            await self._let_calls_return(beat)

    async def _let_calls_return(self, beat: "asyncio.Task[None]") -> None:
        """Let no further call out and wait for those that are, a few seconds only once the run is to stop."""
        self.gate.halt()
        idle = asyncio.create_task(self._idle.wait())
        while not idle.done() and not beat.done():
            self._halt.changed.clear()
            more = asyncio.create_task(self._halt.changed.wait())
            patience = GRACE_SECONDS if self._halt.is_hurried else None
            await asyncio.wait({idle, beat, more}, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
            more.cancel()
            if patience is not None:
                break
        idle.cancel()
        if beat.done():
            _raise_unless_halted(beat)

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            asked = await asyncio.to_thread(self.ledger.beat, self.run_id, self.owner, self.in_flight)
            self.set_cap(asked.cap)
            if asked.command == "pause":
                self._halt.set(RunState.PAUSED, "Paused.")
            elif asked.command == "stop":
                self._halt.set(RunState.STOPPED, "Stopped.")

    def _rest(self, state: RunState, reason: str) -> bool:
        """Write down that the run rests; False where its cap was raised before that could be written."""
        if self.gate.broken_off:
            self.books.may_have_paid(self.run_id, self.gate.broken_off)
        # A process that is about to end begins nothing new.
        refused_at = None if self._halt.is_hurried else self.gate.budget.refused_at
        return self.books.rest(self.run_id, state, reason, refused_at=refused_at)

    def _costs_money(self) -> bool:
        models = [model for step in self.graph.steps.values() for model in _models(step)]
        return any(model.price is None or not model.price.is_free for model in models)

    def _load(self) -> None:
        for step in self.graph.steps.values():
            self._loaded.append(step)
            for part in (step, *_models(step)):
                keep_secrets_of(part)
            step.load()

    def _unload(self) -> None:
        loaded, self._loaded = self._loaded, []
        for step in loaded:
            try:
                step.unload()
            except Exception as error:
                # The rows are safe by now, and the other steps have something to give back too.
                log.error("Step '%s' could not be unloaded.\n%s", step.name, traceback_of(error))


def _models(step: AnyStep) -> list[LLM]:
    return [step.llm] if isinstance(step, (Task, GeneratorTask)) else []


def _raise_unless_halted(task: "asyncio.Task[Any]") -> None:
    error = task.exception() if not task.cancelled() else None
    while isinstance(error, BaseExceptionGroup):
        real = error.split(Halted)[1]
        error = real.exceptions[0] if real is not None else None
    if error is not None and not isinstance(error, Halted):
        raise error
