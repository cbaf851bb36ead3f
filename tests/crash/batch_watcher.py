"""A process that moves the jobs of some sets until none is out: `python -m tests.crash.batch_watcher SET…`."""

import argparse
import threading
from collections.abc import Sequence

from components.pipeline.batch.machine import Machine
from components.pipeline.batch.poller import Poller
from components.pipeline.batch.states import FINISHED
from components.pipeline.batch.store import BatchStore
from components.pipeline.ledger import Ledger
from components.vault import ScriptVault, lend

PAUSE = 0.05


def main(sets: Sequence[str], lease: float) -> None:
    ledger = Ledger()
    store = BatchStore(ledger)
    poller = Poller(store, ScriptVault)
    machine = Machine(store, poller.open_provider, lease_seconds=lease)
    pause = threading.Event()
    while jobs := [job for key in sets for job in store.jobs(key) if job.state not in FINISHED]:
        for job in jobs:
            with lend(ScriptVault()):
                machine.advance(job.key)
        pause.wait(PAUSE)
    ledger.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("sets", nargs="+")
    parser.add_argument("--lease", type=float, default=120.0)
    options = parser.parse_args()
    main(options.sets, options.lease)
