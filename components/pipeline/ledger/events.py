"""The timeline of a run."""

import time

from sqlalchemy import Connection, insert

from components.pipeline.ledger.cells import EVENT, whole_text


def note(connection: Connection, run_id: str, kind: str, message: str = "") -> None:
    """Add to a run's timeline."""
    values = {"run_id": run_id, "at": time.time(), "kind": kind, "message": whole_text(message)}
    connection.execute(insert(EVENT).values(**values))
