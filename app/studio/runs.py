"""Starting, halting and going on with runs. Working on them is the worker's."""

import time
from collections.abc import Sequence
from typing import Any

from sqlalchemy import insert, select, update

from app.settings import Settings
from app.studio.checks import Checks
from app.studio.connections import Connections
from app.studio.dispatch import Dispatch
from app.studio.errors import NotFound
from app.studio.pipelines import Pipelines
from app.studio.progress import Progress, moment
from components.errors import ConfigError, RunConflict
from components.pipeline import artifacts
from components.pipeline.batch.actions import rest_held_back
from components.pipeline.batch.store import BatchStore
from components.pipeline.ledger import Ledger, Run
from components.pipeline.ledger.cells import EVENT, RUN
from components.pipeline.ledger.leases import LEASE_SECONDS
from components.pipeline.ledger.owner import is_at_work
from components.pipeline.running import RunOptions, check_cap, create_run
from components.pipeline.spec import PipelineSpec
from components.states import CellState, Reason, RunState
from components.vault import lend

RESTING = (RunState.PAUSED, RunState.STOPPED, RunState.CAPPED)
ENDED = (RunState.DONE, RunState.DONE_WITH_FAILURES)
UNATTENDED = (RunState.QUEUED, RunState.WAITING_BATCH)
"""Under way with nobody at work on it just now."""
FAILED = (CellState.FAILED, CellState.EXPIRED)


class Runs:
    """Everything a person can do with runs."""

    def __init__(
        self,
        settings: Settings,
        ledger: Ledger,
        dispatch: Dispatch,
        *,
        pipelines: Pipelines,
        connections: Connections,
        checks: Checks,
        progress: Progress,
    ) -> None:
        self._settings, self._ledger, self._dispatch = settings, ledger, dispatch
        self._pipelines, self._connections, self._checks = pipelines, connections, checks
        self._progress = progress

    def start(
        self,
        spec: PipelineSpec | None = None,
        *,
        pipeline_id: str | None = None,
        cap: float | None = None,
        concurrency: int | None = None,
        row_limit: int | None = None,
        use_cache: bool = True,
        kind: str = "run",
        origin: str = "app",
    ) -> str:
        """Queue a run of a pipeline, or of a saved one; the worker begins at once. Returns its id.

        Raises: ConfigError with everything that is wrong, also for a cap that cannot be kept; NotFound.
        """
        if spec is None:
            if pipeline_id is None:
                raise ConfigError("Say which pipeline to run.")
            spec = self._pipelines.get(pipeline_id).spec
        if row_limit is not None and row_limit < 1:
            raise ConfigError(f"A run needs at least one row, not {row_limit}.")
        self._checks.raise_errors(spec)
        options = RunOptions(
            kind=kind,
            origin=origin,
            pipeline_id=pipeline_id,
            cap=cap,
            concurrency=self._settings.concurrency if concurrency is None else concurrency,
            row_limit=row_limit,
            use_cache=use_cache,
        )
        with lend(self._connections.vault()):
            run_id = create_run(self._ledger, spec.build(), spec, options)
        self._dispatch.wake()
        return run_id

    def get(self, run_id: str) -> Run:
        """One run. Raises: NotFound."""
        with self._ledger.database.read() as connection:
            row = connection.execute(select(RUN).where(RUN.c.id == run_id)).mappings().first()
        if row is None:
            raise NotFound(f"There is no run '{run_id}'. It may have been deleted.")
        return Run(**row)

    def recent(self, limit: int = 100, kinds: Sequence[str] = ("run", "dry_run")) -> Sequence[dict[str, Any]]:
        """The newest runs, each as its line in the list shows it."""
        return self._progress.summaries(self._ledger.runs(limit=limit, kinds=kinds))

    def progress(self, run_id: str) -> dict[str, Any]:
        """How far a run has come: per step, in money, in time, and what failed. Raises: NotFound."""
        return self._progress.of(self.get(run_id))

    def events(self, run_id: str) -> Sequence[dict[str, Any]]:
        """What happened to a run, oldest first. Raises: NotFound."""
        self.get(run_id)
        events = self._ledger.events(run_id)
        return [{"at": moment(event.at), "kind": event.kind, "message": event.message} for event in events]

    def pause(self, run_id: str) -> None:
        """Finish the calls in flight, then rest. Raises: NotFound; RunConflict when it is not under way."""
        self._halt(run_id, RunState.PAUSED, UNATTENDED)

    def stop(self, run_id: str) -> None:
        """Bring a run to a rest within seconds. Raises: NotFound; RunConflict when it is not under way."""
        self._halt(run_id, RunState.STOPPED, (*UNATTENDED, RunState.PAUSED, RunState.CAPPED))

    def go_on(self, run_id: str, *, cap: float | None = None, concurrency: int | None = None) -> None:
        """Go on with a run that rests, whoever started it; `cap` takes the place of the old one.

        A run that is under way spends up to `cap` from now on.
        Raises: NotFound; RunConflict when it does not rest; ConfigError when only its script can go on with it.
        """
        run = self.get(run_id)
        if run.state in ENDED:
            raise RunConflict("This run is done. Retry its failed rows, or start a new run.")
        if run.state not in RESTING and not self.is_abandoned(run):
            if cap is not None and run.state == RunState.RUNNING and concurrency is None:
                # It may just be coming to a rest at the cap that it has.
                self.raise_cap(run_id, cap)
                return
            raise RunConflict("This run is under way already.")
        if run.state == RunState.CAPPED and cap is None:
            raise RunConflict(f"The cap of ${run.cap or 0:,.2f} is reached. Raise the cap to go on.")
        self._queue(run, cap, concurrency)

    def raise_cap(self, run_id: str, cap: float) -> None:
        """Let a run spend up to `cap` US dollars in all; one that rests at its cap goes on.

        Raises: NotFound; ConfigError for a cap below what is spent, or one that cannot be kept.
        """
        run = self.get(run_id)
        if run.state == RunState.CAPPED:
            self._queue(run, cap, None)
            return
        self._checked_cap(run, cap)
        self._ledger.update_run(run_id, cap=cap)
        engine = self._dispatch.engine(run_id)
        if engine is not None:
            engine.set_cap(cap)
        # It may have come to its rest the moment before; from then on the engine goes on by itself.
        if self.get(run_id).state == RunState.CAPPED:
            self._queue(run, cap, None)

    def retry(
        self, run_id: str, *, reason: str | None = None, step: str | None = None, rows: Sequence[str] | None = None
    ) -> int:
        """Work again on failed rows: on all, or those of a cause, a step, or by name. Returns how many.

        Raises: NotFound; RunConflict while it is under way, or when there are none; ConfigError.
        """
        run = self.get(run_id)
        if run.state not in (*RESTING, *ENDED):
            raise RunConflict("This run is under way. Pause it first, or wait until it rests.")
        if reason is not None and reason not in list(Reason):
            raise ConfigError(f"There is no reason '{reason}'. Use one of {', '.join(Reason)}.")
        spec = self._rebuilt(run)
        if step is not None:
            spec.step(step)
        states: tuple[str, ...] = FAILED
        # The errors of a run are counted by cause, rows that need review among them.
        if rows is not None or reason is not None:
            states = (*FAILED, CellState.NEEDS_REVIEW)
        count = self._ledger.reopen(run_id, reason=reason, step=step, states=states, rows=rows)
        if not count:
            raise RunConflict("There is nothing to retry: no row failed that way.")
        self._queue(run, None, None)
        return count

    def delete(self, run_id: str) -> None:
        """Remove a run with its results and corrections. Raises: NotFound; RunConflict while it is under way."""
        run = self.get(run_id)
        if self.is_abandoned(run) and run.state != RunState.QUEUED:
            self._ledger.set_state(run_id, RunState.STOPPED, "Its process is gone.")
        self._ledger.delete_run(run_id)
        artifacts.remove(self._ledger, run_id)

    def is_abandoned(self, run: Run) -> bool:
        """Whether a run is marked as under way while nobody works on it."""
        if run.state not in (RunState.QUEUED, RunState.RUNNING):
            return False
        is_fresh = time.time() - run.lease_beat < LEASE_SECONDS
        return not (run.lease_owner and is_fresh and is_at_work(run.lease_owner))

    def _halt(self, run_id: str, state: RunState, from_states: Sequence[RunState]) -> None:
        run = self.get(run_id)
        under_way = (RunState.QUEUED, RunState.RUNNING, RunState.WAITING_BATCH, RunState.COLLECTING)
        if run.state not in {*under_way, *from_states}:
            raise RunConflict(f"This run is {run.state.replace('_', ' ')} and needs no {_word(state)}.")
        sentence = "Paused." if state is RunState.PAUSED else "Stopped."
        moved = self._move(run_id, from_states, state, sentence)
        # The worker looks at the state once more after it has named its engine: one of us sees the other.
        engine = self._dispatch.engine(run_id)
        if engine is not None:
            # Whoever sends batch jobs looks it up, and the run may need a few seconds to come to its rest.
            self._ask(run_id, _word(state))
            engine.pause(sentence) if state is RunState.PAUSED else engine.stop(sentence)
        elif not moved:
            if self.is_abandoned(self.get(run_id)):
                self._ledger.set_state(run_id, state, sentence)
            else:
                self._ask(run_id, _word(state))
        rest_held_back(BatchStore(self._ledger))

    def _ask(self, run_id: str, word: str) -> None:
        # With nobody at work on it any more, a word left lying would hold its batch jobs back.
        query = update(RUN).where(RUN.c.id == run_id, RUN.c.lease_owner != "").values(command=word)
        self._ledger.database.write(lambda connection: connection.execute(query))

    def _move(self, run_id: str, from_states: Sequence[RunState], state: RunState, sentence: str) -> bool:
        names = [str(one) for one in from_states]
        query = update(RUN).where(RUN.c.id == run_id, RUN.c.state.in_(names))

        def write(connection: Any) -> bool:
            moved = connection.execute(query.values(state=str(state), state_reason=sentence)).rowcount == 1
            if moved:
                event = {"run_id": run_id, "at": time.time(), "kind": str(state), "message": sentence}
                connection.execute(insert(EVENT).values(**event))
            return bool(moved)

        return self._ledger.database.write(write)

    def _queue(self, run: Run, cap: float | None, concurrency: int | None) -> None:
        self._rebuilt(run)
        changed: dict[str, Any] = {"origin": "app", "finished_at": None, "command": ""}
        if cap is not None:
            self._checked_cap(run, cap)
            changed["cap"] = cap
        if concurrency is not None:
            if concurrency < 1:
                raise ConfigError(f"A run needs at least one call in flight, not {concurrency}.")
            changed["concurrency"] = concurrency
        self._ledger.set_state(run.id, RunState.QUEUED, "", **changed)
        self._dispatch.wake()

    def _rebuilt(self, run: Run) -> PipelineSpec:
        if not run.is_portable:
            raise ConfigError("This run uses steps of the script that started it. Run the script again to continue.")
        spec = PipelineSpec.model_validate_json(run.spec)
        spec.build()
        return spec

    def _checked_cap(self, run: Run, cap: float) -> None:
        if cap <= run.spent:
            raise ConfigError(f"${run.spent:,.2f} is spent already. A cap must be above that, not ${cap:,.2f}.")
        with lend(self._connections.vault()):
            check_cap(PipelineSpec.model_validate_json(run.spec).build(), cap)


def _word(state: RunState) -> str:
    return "pause" if state is RunState.PAUSED else "stop"
