"""What one owner of a run writes: nothing any more once the run is somebody else's."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from functools import cache
from typing import Any, TypeVar

from sqlalchemy import Connection, Dialect, bindparam, select

from components.errors import RunConflict
from components.pipeline.ledger.cells import RUN
from components.pipeline.ledger.database import Database

T = TypeVar("T")

TAKEN = "Another process has taken this run over."

# Where a database has several writers, nobody takes the run over between the look and the commit.
HOLDER = select(RUN.c.lease_owner).where(RUN.c.id == bindparam("of_run")).with_for_update(read=True)


class FencedDatabase(Database):
    """A database behind a fence: each write sees, in its own transaction, that the run is still its owner's.

    A process that slept past its lease and wakes up cannot know that it did; here it finds out before it does harm.
    """

    def __init__(self, database: Database, run_id: str, owner: str) -> None:
        self.url = database.url
        self._behind = database
        self._run_id, self._owner = run_id, owner

    def submit(self, write: Callable[[Connection], T]) -> "Future[T]":
        """Have a write done with the next commit. The future has a RunConflict when the run was taken over."""

        def fenced(connection: Connection) -> T:
            if _holder(connection, self._run_id) != self._owner:
                raise RunConflict(TAKEN)
            return write(connection)

        return self._behind.submit(fenced)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        with self._behind.read() as connection:
            yield connection

    @contextmanager
    def exclusively(self) -> Iterator[Connection]:
        with self._behind.exclusively() as connection:
            yield connection

    def close(self) -> None:
        """Left to the database behind it, which others use too."""


def _holder(connection: Connection, run_id: str) -> Any:
    # Compiled once and handed to the driver as it is, as it goes along with every commit.
    compiled = _holder_for(connection.dialect)
    values: Any = (run_id,) if compiled.positional else {"of_run": run_id}
    return connection.exec_driver_sql(compiled.string, values).scalar()


@cache
def _holder_for(dialect: Dialect) -> Any:
    return HOLDER.compile(dialect=dialect)
