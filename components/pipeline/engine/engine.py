"""One run at work: an event loop in a thread of its own, with a window of rows in flight."""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from functools import cached_property, partial
from typing import Any

import orjson

from components.errors import CapReached, LedgerError, ProviderError, RunConflict, StillroomError
from components.llms.budget import Budget
from components.llms.gate import Gate, Halted, RetryPolicy, through
from components.llms.loop import at_home
from components.pipeline.engine.backend import Local
from components.pipeline.engine.batch_node import node_for
from components.pipeline.engine.nodes import Node, RowNode
from components.pipeline.engine.recorder import Recorder
from components.pipeline.engine.routes import Routes
from components.pipeline.garbage import few_collections
from components.pipeline.graph import Graph
from components.pipeline.ledger import Ledger, StepRun
from components.pipeline.ledger.owner import is_process_alive, process_name
from components.states import RunState
from components.steps.step import GlobalStep
from components.steps.typing import Row
from components.vault import Vault, lend

log = logging.getLogger("stillroom.engine")

FATAL_LIMIT = 3
BEAT_SECONDS = 1.0
GRACE_SECONDS = 5.0


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
        self.run_id = run_id
        self.run = ledger.run(run_id)
        self.concurrency = self.run.concurrency
        self.row_limit = self.run.row_limit
        self.reuses = self.run.use_cache
        self.step_runs: dict[str, StepRun] = {}
        self.nodes: dict[str, Node] = {}
        self._vault = vault
        self._policy = policy
        self._keeps_metadata = keeps_metadata
        self._on_start = on_start
        self._halt: tuple[RunState, str] | None = None
        self._is_hurried = False
        self._fatal = 0
        self._busy = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = threading.Lock()

    @cached_property
    def owner(self) -> str:
        """This process and this engine, for the lease."""
        return f"{process_name()}:{id(self):x}"

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
        self._ask_halt(RunState.PAUSED, reason)

    def stop(self, reason: str = "Stopped.") -> None:
        """Finish the calls in flight, for a few seconds at most, then rest; also while it is about to pause."""
        self._ask_halt(RunState.STOPPED, reason)

    def park(self, reason: str) -> None:
        """Stop because the process ends; a pause that somebody asked for before stays a pause."""
        self._ask_halt(RunState.STOPPED, reason, is_parked=True)

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
        return self._halt is not None

    async def checkpoint(self) -> None:
        """Goes on, or ends the task when the run comes to a rest."""
        if self._halt is not None:
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
            self._set_halt(RunState.PAUSED, f"{error} The run is paused; nothing more was spent.")
        await self.checkpoint()

    async def reached_cap(self, error: CapReached) -> None:
        """Bring the run to a rest at its spending cap."""
        self._set_halt(RunState.CAPPED, str(error))
        await self.checkpoint()

    async def reused(self, place: tuple[str, str, str]) -> dict[str, Any] | None:
        """A finished cell of an earlier run, as one that cost nothing."""
        return await self.backend.in_thread(self.ledger.copy_of, *place)

    def rows_of(self, cell: dict[str, Any]) -> list[Row]:
        """The rows in a cell."""
        rows: list[Row] = orjson.loads(cell["output"]) if cell["output"] else []
        return rows

    async def forget_descendants(self, step: str, row: str, count: int) -> None:
        """Remove what later steps made of a row that hands on another number of rows than before.

        Where the number stays, each later step sees by itself which of its rows have changed.
        """
        later = self.named_alike(step)
        if later:
            forget = self.ledger.forget_after
            for name, gone in await self.backend.in_thread(forget, self.run_id, step, row, count, later):
                self._row_node(name).forget(gone)

    async def forget_from(self, step: str, row: str) -> None:
        """Remove what later steps made of the rows of a step from a row on."""
        later = self.named_alike(step)
        if later:
            await self.backend.in_thread(self.ledger.forget_from, self.run_id, later, row)
            for name in later:
                self._row_node(name).forget_from(row)

    def named_alike(self, step: str) -> list[str]:
        """The later steps whose rows are named after this step's; one that needs all rows names its own anew."""
        found: list[str] = []
        waiting = self.graph.successors(step)
        while waiting:
            name = waiting.pop()
            if name not in found and not isinstance(self.graph.steps[name], GlobalStep):
                found.append(name)
                waiting += self.graph.successors(name)
        return found

    def _row_node(self, name: str) -> RowNode:
        node = self.nodes[name]
        assert isinstance(node, RowNode)
        return node

    # The run itself

    async def _main(self) -> RunState:
        self._loop = asyncio.get_running_loop()
        self._halted = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self.ledger.claim(self.run_id, self.owner, is_alive=is_process_alive)
        budget = Budget(self.run.cap, self.run.spent)
        self.gate = Gate(concurrency=self.concurrency, budget=budget, policy=self._policy)
        self.backend = Local(keeps_metadata=self._keeps_metadata)
        self.recorder = Recorder(self.ledger)
        if self._on_start is not None:
            self._on_start(self)
        state, reason = RunState.STOPPED, ""
        try:
            with lend(self._vault) if self._vault else nullcontext(), through(self.gate), at_home(self._loop):
                state, reason = await self._work()
        except RunConflict:
            log.warning("Run %s was taken over by another process.", self.run_id)
            raise
        except BaseException as error:
            reason = str(error) if isinstance(error, StillroomError) else f"{type(error).__name__}: {error}"
            await self.recorder.settle()
            self._rest(RunState.STOPPED, reason)
            raise
        else:
            self._rest(state, reason)
            return state
        finally:
            self.backend.close()

    async def _work(self) -> tuple[RunState, str]:
        self.ledger.set_state(
            self.run_id, RunState.RUNNING, started_at=self.run.started_at or time.time(), finished_at=None
        )
        self.step_runs = {record.step: record for record in self.ledger.steps(self.run_id)}
        await self.backend.in_thread(self._load)
        self.nodes = nodes = {name: node_for(self, self.graph.steps[name]) for name in self.graph.order()}
        for node in nodes.values():
            await node.prepare()
        self._connect(nodes)
        tasks = [asyncio.create_task(node.work(), name=node.name) for node in nodes.values()]
        beat = asyncio.create_task(self._beat())
        halted = asyncio.create_task(self._halted.wait())
        try:
            await self._until_rest(tasks, beat, halted)
        except (LedgerError, RunConflict):
            # Nothing more could be kept, or another process keeps it.
            raise
        except Exception:
            # What is out is paid for, whichever step broke.
            self._set_halt(RunState.PAUSED, "")
            await self._let_calls_return(beat)
            raise
        finally:
            for task in (*tasks, beat, halted):
                task.cancel()
            await asyncio.gather(*tasks, beat, halted, return_exceptions=True)
            await self.recorder.settle()
            await self.backend.in_thread(self._unload)
        if self._halt is not None:
            return self._halt
        if any(node.is_parked for node in nodes.values()):
            reasons = (node.parked_because for node in nodes.values())
            return RunState.WAITING_BATCH, " ".join(filter(None, reasons)) or "Waiting for batch jobs."
        failed = any(step.failed or step.expired for step in self.ledger.steps(self.run_id))
        return (RunState.DONE_WITH_FAILURES if failed else RunState.DONE), ""

    async def _until_rest(
        self, tasks: list["asyncio.Task[None]"], beat: "asyncio.Task[None]", halted: "asyncio.Task[Any]"
    ) -> None:
        waiting: set[asyncio.Task[Any]] = set(tasks)
        while waiting and self._halt is None:
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
            self._halted.clear()
            more = asyncio.create_task(self._halted.wait())
            patience = GRACE_SECONDS if self._is_hurried else None
            await asyncio.wait({idle, beat, more}, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
            more.cancel()
            if patience is not None:
                break
        idle.cancel()
        if beat.done():
            _raise_unless_halted(beat)

    def _connect(self, nodes: dict[str, Node]) -> None:
        for name, node in nodes.items():
            node.successors = [nodes[after] for after in self.graph.successors(name)]
            router = self.graph.routers.get(name)
            if router is not None:
                names = [after.name for after in node.successors]
                size = min(getattr(after.step, "input_batch_size", None) or 50 for after in node.successors)
                node.routes = Routes(self.ledger, self.run_id, name, partial(router.route, names), size)
        for node in nodes.values():
            node.inbox.expects = self._expected_at(node, nodes)
            node.routes_before = {
                name: routes for name in node.predecessors if (routes := nodes[name].routes) is not None
            }

    def _expected_at(self, node: Node, nodes: dict[str, Node]) -> Callable[[str], list[str]]:
        """Of several branches that a router chose among, a row comes only from the chosen."""
        routers = {
            name: routed for name, routed in nodes.items() if routed.routes is not None and len(node.predecessors) > 1
        }

        def came_through(branch: str, row: str) -> bool:
            for router in routers.values():
                entries = [
                    after.name
                    for after in router.successors
                    if after.name == branch or branch in self.graph.descendants(after.name)
                ]
                known = router.routes.known(row) if router.routes is not None else None
                # Where nobody has chosen yet the row may still come, so it is waited for.
                if entries and known is not None and not set(entries) & set(known):
                    return False
            return True

        if not routers:
            return lambda _row: node.predecessors
        return lambda row: [branch for branch in node.predecessors if came_through(branch, row)]

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            command = await asyncio.to_thread(self.ledger.beat, self.run_id, self.owner, self.in_flight)
            if command == "pause":
                self._set_halt(RunState.PAUSED, "Paused.")
            elif command == "stop":
                self._set_halt(RunState.STOPPED, "Stopped.")

    def _ask_halt(self, state: RunState, reason: str, *, is_parked: bool = False) -> None:
        with self._lock:
            if self._loop is None:
                self._note_halt(state, reason, is_parked)
                return
            # The loop is closed once the run has come to a rest by itself.
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._set_halt, state, reason, is_parked)

    def _set_halt(self, state: RunState, reason: str, is_parked: bool = False) -> None:
        self._note_halt(state, reason, is_parked)
        self._halted.set()

    def _note_halt(self, state: RunState, reason: str, is_parked: bool) -> None:
        is_stop = state is RunState.STOPPED
        if self._halt is None or (is_stop and not is_parked and self._halt[0] is not RunState.STOPPED):
            self._halt = (state, reason)
        self._is_hurried = self._is_hurried or is_stop

    def _rest(self, state: RunState, reason: str) -> None:
        done = state in (RunState.DONE, RunState.DONE_WITH_FAILURES)
        self.ledger.set_state(self.run_id, state, reason, finished_at=time.time() if done else None)
        self.ledger.release(self.run_id, self.owner)

    def _load(self) -> None:
        for step in self.graph.steps.values():
            step.load()

    def _unload(self) -> None:
        for step in self.graph.steps.values():
            try:
                step.unload()
            except Exception:
                # The rows are safe by now, and the other steps have something to give back too.
                log.exception("Step '%s' could not be unloaded.", step.name)


def _raise_unless_halted(task: "asyncio.Task[Any]") -> None:
    error = task.exception() if not task.cancelled() else None
    while isinstance(error, BaseExceptionGroup):
        real = error.split(Halted)[1]
        error = real.exceptions[0] if real is not None else None
    if error is not None and not isinstance(error, Halted):
        raise error
