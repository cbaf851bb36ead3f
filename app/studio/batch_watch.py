"""Looks after batch jobs while a process is awake, and puts the runs that wait for them back to work."""

import logging
import threading

from sqlalchemy import and_, exists, select, update

from app.studio.batch_terms import KnownTerms
from app.studio.connections import Connections
from components.errors import StillroomError
from components.pipeline.batch import BatchStore, actions
from components.pipeline.batch.machine import needs_script
from components.pipeline.batch.poller import TICK_SECONDS, Poller
from components.pipeline.batch.recovery import tidy_up
from components.pipeline.batch.states import OPEN_STATES, JobState
from components.pipeline.batch.store import JOB, SET
from components.pipeline.batch.submitting import needs_decision
from components.pipeline.ledger.cells import CELL, EVENT, RUN
from components.pipeline.ledger.tables import BatchSet
from components.states import CellState, RunState
from components.vault import lend

log = logging.getLogger("stillroom.batch")

WAITING = "Waiting for batch jobs."
ENDED = (str(RunState.DONE), str(RunState.DONE_WITH_FAILURES))


class BatchWatch:
    """The poller in a thread; several processes may watch the same jobs."""

    def __init__(self, store: BatchStore, poller: Poller, terms: KnownTerms, connections: Connections) -> None:
        self._store, self._poller, self._terms, self._connections = store, poller, terms, connections
        self._nudge = threading.Event()

    def watch(self, stop: threading.Event) -> None:
        """Look after jobs until told to stop."""
        self._tidy_up()
        self.keys_changed()
        while not stop.is_set():
            self.look()
            self._nudge.wait(TICK_SECONDS)
            self._nudge.clear()

    def look(self) -> None:
        """Ask about everything that is due."""
        try:
            self._poller.tick()
        except Exception:
            # A look that fails, as on a full disk, must not be the last.
            log.exception("Batch jobs could not be looked at. It is tried again in a moment.")

    def _tidy_up(self) -> None:
        try:
            tidy_up(self._store)
        except StillroomError as error:
            log.warning("Input files that no job has could not be removed: %s", error)

    def nudge(self) -> None:
        """Look now, not in a moment."""
        self._nudge.set()

    def keys_changed(self) -> None:
        """Go on with the jobs that waited for a key which is here now."""
        self._terms.forget()
        for job in self._store.jobs(states=[JobState.BLOCKED]):
            batch = self._store.set(job.set_key)
            assert batch is not None
            # A job that needs a decision waits for a person, whatever keys there are.
            if not needs_decision(job) and self._opens(batch):
                actions.refresh(self._store, job)
        for job in filter(needs_script, self._store.jobs(states=OPEN_STATES)):
            batch = self._store.set(job.set_key)
            assert batch is not None
            if self._opens(batch):
                self._store.change(job.key, message="", next_poll_at=0.0)
        self._nudge.set()

    def wake_runs(self, origin: str = "app") -> list[str]:
        """Queue the runs of which a job came back since they were last at work; returns their ids."""
        self._have_ended_runs_wait()
        found = self.runs_with_news()
        return [run_id for run_id in found if self._moved(run_id, RunState.QUEUED, RunState.WAITING_BATCH, origin)]

    def runs_with_news(self) -> list[str]:
        """The waiting runs of which a job came back since they were last at work."""
        news, began = EVENT.alias(), EVENT.alias()
        since = and_(began.c.run_id == news.c.run_id, began.c.kind == str(RunState.RUNNING), began.c.id > news.c.id)
        query = (
            select(RUN.c.id)
            .join(news, news.c.run_id == RUN.c.id)
            .where(RUN.c.state == str(RunState.WAITING_BATCH), RUN.c.is_portable)
            .where(news.c.kind == "batch", ~exists().where(since).correlate(news))
            .distinct()
        )
        with self._store.ledger.database.read() as connection:
            return list(connection.execute(query).scalars())

    def runs_at_work(self) -> list[str]:
        """The runs that sent jobs and are at work, or in line for it; those of scripts are the scripts' affair."""
        states = [str(RunState.QUEUED), str(RunState.RUNNING)]
        query = select(RUN.c.id).where(RUN.c.state.in_(states), RUN.c.is_portable, RUN.c.origin != "script")
        with self._store.ledger.database.read() as connection:
            return list(connection.execute(query.where(RUN.c.id.in_(select(SET.c.run_id)))).scalars())

    def wait_for_jobs(self, run_id: str) -> None:
        """Have a run that has ended wait for jobs that were sent since."""
        for ended in (RunState.DONE, RunState.DONE_WITH_FAILURES):
            if self._moved(run_id, RunState.WAITING_BATCH, ended, "app"):
                self._store.ledger.note(run_id, RunState.WAITING_BATCH, WAITING)

    def _have_ended_runs_wait(self) -> None:
        """What `wait_for_jobs` does, where a crash came before it."""
        pending = and_(CELL.c.run_id == SET.c.run_id, CELL.c.step == SET.c.step, CELL.c.state == str(CellState.PENDING))
        query = (
            select(SET.c.run_id)
            .select_from(JOB)
            .join(SET, SET.c.key == JOB.c.set_key)
            .join(RUN, RUN.c.id == SET.c.run_id)
            .where(JOB.c.state.in_([str(state) for state in OPEN_STATES]), RUN.c.state.in_(ENDED))
            .where(exists().where(pending).correlate(SET))
            .distinct()
        )
        with self._store.ledger.database.read() as connection:
            found = list(connection.execute(query).scalars())
        for run_id in found:
            self.wait_for_jobs(run_id)

    def _opens(self, batch: BatchSet) -> bool:
        try:
            with lend(self._connections.vault()):
                self._poller.open_provider(batch)
        except StillroomError:
            return False
        return True

    def _moved(self, run_id: str, state: RunState, before: RunState, origin: str) -> bool:
        reason = WAITING if state is RunState.WAITING_BATCH else ""
        values = {"state": str(state), "state_reason": reason, "origin": origin, "command": "", "finished_at": None}
        query = update(RUN).where(RUN.c.id == run_id, RUN.c.state == str(before)).values(**values)
        return self._store.ledger.database.write(lambda connection: bool(connection.execute(query).rowcount == 1))
