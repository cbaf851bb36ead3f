"""The worker: owns every run that was queued, in threads of the server's process, and never inside a page's event."""

import logging
import threading
import time
from dataclasses import dataclass

from sqlalchemy import select, update

from app.studio import Studio
from components.errors import RunConflict, StillroomError
from components.llms.gate import RetryPolicy
from components.llms.redaction import traceback_of, without_keys
from components.pipeline.batch.store import SET
from components.pipeline.ledger import Run
from components.pipeline.ledger.cells import RUN
from components.pipeline.running import engine_for
from components.states import RunState

log = logging.getLogger("stillroom.worker")

LOOK_SECONDS = 1.0
ANOTHERS_SECONDS = 5.0
"""How long a run that a command line queued is left to that process."""
GRACE_SECONDS = 8.0
PARKED = "Stillroom was stopped. The run goes on when it starts again."
PREVIEWS_AT_ONCE = 4
OURS = ("app", "cli")


@dataclass(frozen=True)
class Waiting:
    """A run that somebody should work on."""

    id: str
    kind: str


class Worker:
    """Takes queued runs, and goes on with runs whose process died, without being asked."""

    def __init__(self, studio: Studio, *, policy: RetryPolicy | None = None, only_batches: bool = False) -> None:
        """With `only_batches` it leaves every run alone that has sent nothing to a batch API."""
        self._studio = studio
        self._only_batches = only_batches
        self._policy = policy
        self._stopping = threading.Event()
        self._threads: dict[str, tuple[str, threading.Thread]] = {}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._beside: list[threading.Thread] = []
        self._given_up: set[str] = set()
        """Runs that could not even be written down as stopped; a person may queue them anew."""

    def start(self) -> None:
        """Begin; runs that were under way when the last process ended are taken up again."""
        if not self._only_batches:
            self._take_up_parked()
        self._thread = threading.Thread(target=self._look_on, name="stillroom-worker", daemon=True)
        self._thread.start()
        watches = {"batches": self._studio.batches.watch, "webhooks": self._studio.webhooks.watch}
        for name, watch in watches.items():
            thread = threading.Thread(target=watch, args=(self._stopping,), name=f"stillroom-{name}", daemon=True)
            self._beside.append(thread)
            thread.start()

    def stop(self, grace: float = GRACE_SECONDS) -> None:
        """Let the calls in flight come back, for a few seconds, and leave every run ready for the next start."""
        self._stopping.set()
        self._studio.dispatch.wake()
        self._studio.batches.nudge()
        if self._thread is not None:
            self._thread.join(grace)
        for engine in self._studio.dispatch.engines.values():
            engine.park(PARKED)
        deadline = time.monotonic() + grace
        with self._lock:
            threads = [thread for _, thread in self._threads.values()]
        for thread in [*threads, *self._beside]:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _take_up_parked(self) -> None:
        # The last process may have ended before it could put them back in line.
        query = update(RUN).where(RUN.c.state == str(RunState.STOPPED), RUN.c.state_reason == PARKED)
        query = query.where(RUN.c.origin.in_(OURS)).values(state=str(RunState.QUEUED))
        try:
            self._studio.ledger.database.write(lambda connection: connection.execute(query))
        except StillroomError as error:
            log.warning("Runs that were stopped with the last process could not be taken up: %s", error)

    def _look_on(self) -> None:
        while not self._stopping.is_set():
            for look in (self._studio.batches.wake_runs, self._take):
                try:
                    look()
                except Exception:
                    # A look that fails, as on a full disk, must not be the last.
                    log.exception("The worker could not look for runs. It tries again in a moment.")
            self._studio.dispatch.wait(LOOK_SECONDS)

    def _take(self) -> None:
        for waiting in self._waiting():
            with self._lock:
                if self._stopping.is_set() or waiting.id in self._threads or not self._has_room(waiting.kind):
                    continue
                thread = threading.Thread(
                    target=self._work, args=(waiting.id,), name=f"stillroom-take-{waiting.id[:10]}", daemon=True
                )
                self._threads[waiting.id] = (waiting.kind, thread)
                thread.start()

    def _has_room(self, kind: str) -> bool:
        # Somebody waits at the screen for a preview, so it never stands in line behind long runs.
        is_preview = kind == "preview"
        busy = sum((held == "preview") is is_preview for held, _ in self._threads.values())
        return busy < (PREVIEWS_AT_ONCE if is_preview else self._studio.settings.runs_at_once)

    def _waiting(self) -> list[Waiting]:
        columns = [RUN.c[name] for name in ("id", "kind", "origin", "state", "created_at", "lease_owner", "lease_beat")]
        states = [str(RunState.QUEUED), str(RunState.RUNNING)]
        query = (
            select(*columns)
            .where(RUN.c.state.in_(states), RUN.c.is_portable, RUN.c.origin.in_(OURS))
            .order_by(RUN.c.created_at)
        )
        if self._only_batches:
            query = query.where(RUN.c.id.in_(select(SET.c.run_id)))
        with self._studio.ledger.database.read() as connection:
            rows = connection.execute(query).mappings().all()
        now = time.time()
        return [
            Waiting(row["id"], row["kind"])
            for row in rows
            if self._studio.runs.is_abandoned(Run(name="", spec="", **row))
            and not (row["origin"] == "cli" and now - row["created_at"] < ANOTHERS_SECONDS)
            and not (row["state"] == RunState.RUNNING and row["id"] in self._given_up)
        ]

    def _work(self, run_id: str) -> None:
        try:
            self._do(run_id)
        except RunConflict as error:
            log.info("Run %s is left alone: %s", run_id, error)
        except Exception as error:
            self._give_up(run_id, error)
        finally:
            with self._lock:
                self._threads.pop(run_id, None)
            self._studio.dispatch.wake()

    def _do(self, run_id: str) -> None:
        studio = self._studio
        run = studio.runs.get(run_id)
        engine = engine_for(studio.ledger, run, vault=studio.connections.vault(), policy=self._policy)
        with studio.dispatch.at_work(engine):
            # Whoever paused the run before this line is seen here; whoever does so after it sees the engine.
            if self._stopping.is_set() or studio.runs.get(run_id).state not in (RunState.QUEUED, RunState.RUNNING):
                return
            engine.work()
        rested = studio.runs.get(run_id)
        if rested.state == RunState.STOPPED and rested.state_reason == PARKED:
            studio.ledger.set_state(run_id, RunState.QUEUED, PARKED)

    def _give_up(self, run_id: str, error: Exception) -> None:
        """A run that cannot go on says why; only a surprise goes to the log with all its detail."""
        if isinstance(error, StillroomError):
            reason = without_keys(str(error))
            log.warning("Run %s came to a rest: %s", run_id, reason)
        else:
            log.error("Run %s came to a rest by an error.\n%s", run_id, traceback_of(error))
            reason = f"The run had an error: {type(error).__name__}. The log says more."
        try:
            if self._studio.runs.is_abandoned(self._studio.runs.get(run_id)):
                self._studio.ledger.set_state(run_id, RunState.STOPPED, reason)
        except StillroomError as second:
            # It would be taken up at once as one that nobody works on, and pay for answers that cannot be kept.
            self._given_up.add(run_id)
            log.warning("What became of run %s could not be written down: %s", run_id, second)
