"""Who works on a run: one owner at a time, who says every second that it lives."""

import time
from typing import NamedTuple

from sqlalchemy import Connection, select, update

from components.errors import LedgerError, RunConflict
from components.pipeline.ledger.cells import RUN, whole_text
from components.pipeline.ledger.database import Database
from components.pipeline.ledger.events import note
from components.pipeline.ledger.fence import TAKEN
from components.pipeline.ledger.owner import begins, is_at_work
from components.states import RunState

LEASE_SECONDS = 60.0
FREE = {"lease_owner": "", "lease_beat": 0.0, "command": "", "in_flight": 0}
"""A run that nobody works on."""


class Asked(NamedTuple):
    """What others want of whoever works on a run."""

    command: str
    """`pause` or `stop`, or nothing."""
    cap: float | None
    """What the run may spend."""


class Leases:
    """What the owner of a run tells the ledger, and what others tell the owner."""

    database: Database

    def claim(self, run_id: str, owner: str) -> int:
        """Take a run over; returns how many calls were out when its last owner died.

        Raises: RunConflict while another living process works on it.
        """

        def write(connection: Connection) -> int:
            columns = (RUN.c.lease_owner, RUN.c.lease_beat, RUN.c.in_flight)
            row = connection.execute(select(*columns).where(RUN.c.id == run_id)).first()
            if row is None:
                raise LedgerError(f"There is no run '{run_id}'.")
            holder, beat, in_flight = row
            fresh = time.time() - beat < LEASE_SECONDS
            if holder and holder != owner and fresh and is_at_work(holder):
                raise RunConflict("Another process is working on this run. Stop it there first.")
            values = {"lease_owner": owner, "lease_beat": time.time(), "command": "", "in_flight": 0}
            connection.execute(update(RUN).where(RUN.c.id == run_id).values(**values))
            return int(in_flight)

        lost = self.database.write(write)
        begins(owner)
        return lost

    def beat(self, run_id: str, owner: str, in_flight: int) -> Asked:
        """Say that the owner is alive; returns what others ask of it. Raises: RunConflict when it lost the run."""

        def write(connection: Connection) -> Asked:
            changed = connection.execute(
                update(RUN)
                .where(RUN.c.id == run_id, RUN.c.lease_owner == owner)
                .values(lease_beat=time.time(), in_flight=in_flight)
            )
            if changed.rowcount != 1:
                raise RunConflict(TAKEN)
            return Asked(*connection.execute(select(RUN.c.command, RUN.c.cap).where(RUN.c.id == run_id)).one())

        return self.database.write(write)

    def ask(self, run_id: str, command: str) -> None:
        """Ask whoever works on a run to `pause` or `stop`."""
        query = update(RUN).where(RUN.c.id == run_id).values(command=command)
        self.database.write(lambda connection: connection.execute(query))

    def rest(self, run_id: str, state: RunState, reason: str = "", *, refused_at: float | None = None) -> bool:
        """Write down that a run rests and let go of it.

        False, with nothing written, where it would rest at a spending cap but has a higher one than the `refused_at`.
        """
        finished_at = time.time() if state in (RunState.DONE, RunState.DONE_WITH_FAILURES) else None

        def write(connection: Connection) -> bool:
            if state is RunState.CAPPED and refused_at is not None:
                cap = connection.execute(select(RUN.c.cap).where(RUN.c.id == run_id)).scalar()
                if cap is None or cap > refused_at:
                    return False
            changed = {"state": state, "state_reason": whole_text(reason), "finished_at": finished_at, **FREE}
            connection.execute(update(RUN).where(RUN.c.id == run_id).values(**changed))
            note(connection, run_id, state, reason)
            return True

        return self.database.write(write)

    def may_have_paid(self, run_id: str, calls: int) -> None:
        """Say of a run that calls were broken off, so that nobody knows whether they cost anything."""
        many, them = ("1 call was", "it") if calls == 1 else (f"{calls} calls were", "them")
        sentence = f"{many} broken off before an answer came. The provider may charge for {them} all the same."

        def write(connection: Connection) -> None:
            connection.execute(update(RUN).where(RUN.c.id == run_id).values(cost_known=False))
            note(connection, run_id, "broken_off", sentence)

        self.database.write(write)
