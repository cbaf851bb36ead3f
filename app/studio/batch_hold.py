"""Takes hold of a batch job, so that nobody else is at it, and of its provider, with the key that made it."""

import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from sqlalchemy import select

from app.studio.connections import Connections
from app.studio.errors import NotFound
from components.errors import ConfigError, LedgerError, RunConflict
from components.llms.batch.protocol import BatchProvider
from components.pipeline.batch import BatchStore
from components.pipeline.batch.lease import held
from components.pipeline.batch.poller import Poller
from components.pipeline.batch.store import JOB, SET
from components.pipeline.ledger.cells import RUN
from components.pipeline.ledger.tables import BatchJob
from components.vault import lend

PATIENCE = 5.0
"""Seconds that a click waits for a process that is at the same job."""


class BatchHold:
    """Finds jobs and holds them."""

    def __init__(self, store: BatchStore, poller: Poller, connections: Connections) -> None:
        self.store = store
        self._poller, self._connections = poller, connections

    def find(self, name: str) -> BatchJob:
        """The job of that key, start of a key, or provider's id. Raises: NotFound."""
        try:
            return self.store.find_job(name)
        except LedgerError as error:
            raise NotFound(str(error)) from None

    def jobs_of(self, run_id: str, step: str | None = None) -> list[BatchJob]:
        """The jobs of a run, or of one of its steps, oldest first."""
        query = select(JOB).join(SET, SET.c.key == JOB.c.set_key).where(SET.c.run_id == run_id)
        if step is not None:
            query = query.where(SET.c.step == step)
        with self.store.ledger.database.read() as connection:
            rows = connection.execute(query.order_by(JOB.c.created_at, JOB.c.key)).mappings()
            return [BatchJob(**row) for row in rows]

    def has_run(self, run_id: str) -> bool:
        """Whether the run is still there."""
        with self.store.ledger.database.read() as connection:
            return connection.execute(select(RUN.c.id).where(RUN.c.id == run_id)).first() is not None

    @contextmanager
    def held(self, job: BatchJob) -> Iterator[BatchJob]:
        """The job as it is now, with nobody else at it. Raises: RunConflict while somebody is, for a few seconds."""
        deadline, pause = time.monotonic() + PATIENCE, threading.Event()
        while True:
            with held(self.store, job.key) as owner:
                if owner:
                    yield self.store.job(job.key)
                    return
            if time.monotonic() > deadline:
                raise RunConflict("This job is being looked at right now. Try again in a moment.")
            pause.wait(0.1)

    def lent(self) -> AbstractContextManager[None]:
        """Lends keys to what is done inside the block."""
        return lend(self._connections.vault())

    def provider(self, job: BatchJob) -> BatchProvider:
        """The account that a job was made with. Raises: ConfigError for another one; CredentialError without a key."""
        batch = self.store.set(job.set_key)
        assert batch is not None
        with self.lent():
            provider, _ = self._poller.open_provider(batch)
        if batch.account and provider.account != batch.account:
            raise ConfigError("This job was made with another key. Enter that key under Models and keys first.")
        return provider
