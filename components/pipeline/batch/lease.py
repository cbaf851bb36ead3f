"""One process at a time moves a batch job."""

import logging
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from components.errors import LedgerError, RunConflict
from components.pipeline.ledger.owner import process_name

if TYPE_CHECKING:
    from components.pipeline.batch.store import BatchStore

log = logging.getLogger("stillroom.batch")

LEASE_SECONDS = 120.0
"""How long a process may be silent before another takes its job over; one that died is not waited for."""
RENEWALS = 4


class LeaseLost(RunConflict):
    """Another process has taken the job over meanwhile."""


def owner_name() -> str:
    """A holder in this process, told apart from all others."""
    return f"{process_name()}:{secrets.token_hex(4)}"


@contextmanager
def held(store: "BatchStore", job_key: str, seconds: float = LEASE_SECONDS) -> Iterator[str]:
    """Hold a job for the block, however long it takes; gives the holder's name, or '' where somebody else has it."""
    owner = owner_name()
    if not store.claim(job_key, owner, seconds):
        yield ""
        return
    done = threading.Event()
    renewing = threading.Thread(
        target=_renew, args=(store, job_key, owner, seconds, done), name="stillroom-lease", daemon=True
    )
    renewing.start()
    try:
        yield owner
    finally:
        done.set()
        renewing.join()
        store.release(job_key, owner)


def _renew(store: "BatchStore", job_key: str, owner: str, seconds: float, done: threading.Event) -> None:
    while not done.wait(seconds / RENEWALS):
        try:
            if not store.renew(job_key, owner, seconds):
                return
        except LedgerError as error:
            log.warning("The hold on batch job %s could not be renewed: %s", job_key[:8], error)
