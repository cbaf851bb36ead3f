"""Keeps an eye on every batch job that is out, for whichever process is awake."""

import json
import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from components import catalog
from components.embeddings import OpenAIEmbeddings
from components.errors import ConfigError, StillroomError
from components.llms.batch.protocol import BatchProvider
from components.llms.llm import LLM
from components.pipeline.batch.lease import owner_name
from components.pipeline.batch.machine import Machine, is_on_this_machine
from components.pipeline.batch.model import BatchModel
from components.pipeline.batch.recovery import tidy_up
from components.pipeline.batch.states import FINISHED, JobState, Unsure
from components.pipeline.batch.store import BatchStore
from components.pipeline.ledger.tables import BatchJob, BatchSet
from components.vault import Vault, lend

__all__ = ["TICK_SECONDS", "Poller", "owner_name"]

log = logging.getLogger("stillroom.batch")

TICK_SECONDS = 2.0
AT_ONCE = 4
LIST_FROM = 20
"""From this many jobs of one account on, one listing takes the place of a question for each."""
AFTER_ERROR_SECONDS = 60.0
UNEXPECTED = "Something went wrong that was not foreseen ({}). It is tried again by itself; the log says more."


class Poller:
    """Advances jobs when they are due, at most four calls at once; several pollers share the jobs by lease."""

    def __init__(
        self,
        store: BatchStore,
        vault: Callable[[], Vault],
        *,
        on_close: Callable[[BatchJob, BatchSet], None] | None = None,
        unsure: Unsure = Unsure.ASK,
        make_machine: Callable[..., Machine] = Machine,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.store = store
        self._vault = vault
        self._on_close = on_close or (lambda _job, _batch: None)
        self._machine = make_machine(store, self.open_provider, unsure=unsure, clock=clock)
        self._clock = clock

    def open_provider(self, batch: BatchSet) -> tuple[BatchProvider, BatchModel]:
        """The model and account of a set, with the key that is there now.

        Raises: CredentialError without a key; ConfigError for a model that only somebody's script has.
        """
        model = catalog.build(json.loads(batch.llm))
        if not isinstance(model, (LLM, OpenAIEmbeddings)):
            raise ConfigError(f"'{batch.provider}' is no model of the catalog.")
        return model.batch_provider(), model

    def tick(self) -> int:
        """Advance everything that is due now; returns how many jobs."""
        jobs = self._glanced(self.store.due(self._clock()))
        if not jobs:
            return 0
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="stillroom-batch") as pool:
            return sum(pool.map(self.advance, [job.key for job in jobs]))

    def advance(self, job_key: str) -> bool:
        """Advance one job; False where another process is at it, or where it went wrong."""
        try:
            with lend(self._vault()):
                job = self._machine.advance(job_key)
        except StillroomError as error:
            # Such as a full disk: none of the job's business, and it may be over in a moment.
            log.error("Batch job %s could not be advanced: %s", job_key[:8], error)
            self._put_off(job_key, str(error))
            return False
        except Exception as error:
            # Such as a reply of a shape nobody thought of, which is no reason to ask for it at every tick.
            log.exception("Batch job %s could not be advanced.", job_key[:8])
            self._put_off(job_key, UNEXPECTED.format(type(error).__name__))
            return False
        if job is None:
            return False
        if job.state in FINISHED:
            batch = self.store.set(job.set_key)
            if batch is not None:
                self._on_close(job, batch)
        return True

    def _put_off(self, job_key: str, message: str) -> None:
        self.store.change(job_key, message=message, next_poll_at=self._clock() + AFTER_ERROR_SECONDS)

    def watch(self, stop: threading.Event) -> None:
        """Keep advancing jobs until told to stop."""
        tidy_up(self.store)
        while not stop.is_set():
            try:
                self.tick()
            except StillroomError as error:
                log.error("Batch jobs could not be looked at: %s It is tried again in a moment.", error)
            stop.wait(TICK_SECONDS)

    def _glanced(self, jobs: list[BatchJob]) -> list[BatchJob]:
        """The jobs that still need a call of their own, after one listing for accounts that have many out."""
        running: dict[str, list[BatchJob]] = defaultdict(list)
        sets: dict[str, BatchSet] = {}
        for job in jobs:
            if _is_followed(job):
                batch = sets.get(job.set_key) or self.store.set(job.set_key)
                assert batch is not None
                sets[job.set_key] = batch
                running[batch.account].append(job)
        done: set[str] = set()
        for mine in running.values():
            if len(mine) > LIST_FROM:
                done |= self._glance(sets[mine[0].set_key], mine)
        return [job for job in jobs if job.key not in done]

    def _glance(self, batch: BatchSet, jobs: list[BatchJob]) -> set[str]:
        """The jobs that a listing shows to be still at work."""
        try:
            with lend(self._vault()):
                provider, _ = self.open_provider(batch)
                if provider.account != batch.account or not provider.caps.can_list:
                    return set()
                since = min(job.submitted_at or job.created_at for job in jobs) - 300.0
                shown = {remote.id: remote for remote in provider.recent(since)}
                busy = {job.key: shown[job.remote_id] for job in jobs if job.remote_id in shown}
                busy = {key: remote for key, remote in busy.items() if not remote.has_ended}
                for key, remote in busy.items():
                    self._machine.seen(key, remote)
        except StillroomError:
            # Each job is then asked about by itself, which says what is wrong.
            return set()
        return set(busy)


def _is_followed(job: BatchJob) -> bool:
    """Whether a list says all there is to know of a job; one on this machine is worked on by being asked about."""
    is_out = job.state in (JobState.SUBMITTED, JobState.RUNNING) and job.cancel_requested_at is None
    return is_out and not is_on_this_machine(job)
