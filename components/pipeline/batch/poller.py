"""Keeps an eye on every batch job that is out, for whichever process is awake."""

import json
import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from components import catalog
from components.errors import ConfigError, ProviderError, StillroomError
from components.llms.batch.protocol import BatchProvider
from components.llms.llm import LLM
from components.pipeline.batch.machine import Machine
from components.pipeline.batch.states import JobState
from components.pipeline.batch.store import BatchStore
from components.pipeline.ledger.owner import process_name
from components.pipeline.ledger.tables import BatchJob, BatchSet
from components.vault import Vault, lend

log = logging.getLogger("stillroom.batch")

TICK_SECONDS = 2.0
AT_ONCE = 4
LIST_FROM = 20
"""From this many jobs of one account on, one listing takes the place of a question for each."""


def owner_name() -> str:
    """This process and thread, for the lease of a job."""
    return f"{process_name()}:{threading.get_ident():x}"


class Poller:
    """Advances jobs when they are due, at most four calls at once; several pollers share the jobs by lease."""

    def __init__(
        self,
        store: BatchStore,
        vault: Callable[[], Vault],
        *,
        on_close: Callable[[BatchJob, BatchSet], None] | None = None,
    ) -> None:
        self.store = store
        self._vault = vault
        self._on_close = on_close or (lambda _job, _batch: None)

    def open_provider(self, batch: BatchSet) -> tuple[BatchProvider, LLM]:
        """The model and account of a set, with the key that is there now. Raises: CredentialError without one."""
        llm = catalog.build(json.loads(batch.llm))
        if not isinstance(llm, LLM):
            raise ConfigError(f"'{batch.provider}' is no model of the catalog.")
        return llm.batch_provider(), llm

    def tick(self) -> int:
        """Advance everything that is due now; returns how many jobs."""
        jobs = self._glanced(self.store.due(time.time()))
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="stillroom-batch") as pool:
            return sum(pool.map(self.advance, [job.key for job in jobs]))

    def advance(self, job_key: str) -> bool:
        """Advance one job, unless another process has it."""
        owner = owner_name()
        if not self.store.claim(job_key, owner):
            return False
        try:
            with lend(self._vault()):
                job = Machine(self.store, self.open_provider).advance(job_key)
        except StillroomError:
            log.exception("Batch job %s could not be advanced", job_key[:8])
            self.store.change(job_key, next_poll_at=time.time() + 60.0)
            return False
        finally:
            self.store.release(job_key, owner)
        if job.state == JobState.CLOSED:
            batch = self.store.set(job.set_key)
            if batch is not None:
                self._on_close(job, batch)
        return True

    def watch(self, stop: threading.Event) -> None:
        """Keep advancing jobs until told to stop."""
        while not stop.is_set():
            self.tick()
            stop.wait(TICK_SECONDS)

    def _glanced(self, jobs: list[BatchJob]) -> list[BatchJob]:
        """The jobs that still need a call of their own, after one listing for accounts that have many out."""
        running: dict[str, list[BatchJob]] = defaultdict(list)
        for job in jobs:
            if job.state in (JobState.SUBMITTED, JobState.RUNNING):
                running[job.set_key].append(job)
        left = list(jobs)
        for set_key, mine in running.items():
            if len(mine) <= LIST_FROM:
                continue
            batch = self.store.set(set_key)
            assert batch is not None
            try:
                with lend(self._vault()):
                    provider, _ = self.open_provider(batch)
                    seen = {
                        remote.id: remote for remote in provider.recent(min(job.created_at for job in mine) - 300.0)
                    }
            except (ProviderError, StillroomError):
                continue
            machine = Machine(self.store, self.open_provider)
            for job in mine:
                remote = seen.get(job.remote_id or "")
                if remote is not None and not remote.has_ended:
                    machine.seen(job, remote)
                    left.remove(job)
        return left
