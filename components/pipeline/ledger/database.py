"""One database file, one writer: a thread that groups waiting writes into commits, under a lock file."""

import fcntl
import logging
import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, create_engine, event
from sqlalchemy.engine import Engine, make_url
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from components.errors import LedgerError

log = logging.getLogger("stillroom.ledger")

T = TypeVar("T")
Write = Callable[[Connection], Any]
GROUP = 256
BUSY_SECONDS = 30


class Database:
    """A writer connection in a thread of its own, and read-only connections for everybody else.

    SQLite 3.7.0 to 3.51.2 can corrupt a WAL database that two connections write or checkpoint at once, so every write
    of every process happens while it holds `<database>.lock`, and readers cannot write.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._path = sqlite_path(url)
        if self._path is not None:
            try:
                self._path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise LedgerError(f"Cannot make the folder for {self._path}: {error.strerror}.") from None
        self._lock_path = self._path.with_name(self._path.name + ".lock") if self._path else None
        self._writer = self._engine(read_only=False)
        self._reader: Engine | None = None
        self._queue: queue.SimpleQueue[tuple[Write, Future[Any]] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._start = threading.Lock()
        self._is_closed = False

    def submit(self, write: Callable[[Connection], T]) -> "Future[T]":
        """Have a write done with the next commit; the future is ready once it is on disk."""
        future: Future[T] = Future()
        # From here on nobody can cancel it: a write is done even when the one who asked for it is gone.
        future.set_running_or_notify_cancel()
        with self._start:
            if self._is_closed:
                raise LedgerError("The ledger was closed.")
            if self._thread is None:
                self._thread = threading.Thread(target=self._write_on, name="stillroom-ledger", daemon=True)
                self._thread.start()
            self._queue.put((write, future))
        return future

    def write(self, write: Callable[[Connection], T]) -> T:
        """Do a write and wait until it is on disk."""
        return self.submit(write).result()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection that sees all that was committed, and cannot write."""
        if self._reader is None:
            self._reader = self._engine(read_only=True)
        try:
            with self._reader.connect() as connection:
                yield connection
        except DBAPIError as error:
            raise LedgerError(f"Cannot read the database {self._name()}: {error.orig}.") from None

    @contextmanager
    def exclusively(self) -> Iterator[Connection]:
        """The writer connection inside one transaction, for work done before the writer thread starts."""
        try:
            with self._locked(), self._writer.begin() as connection:
                yield connection
        except (DBAPIError, OSError) as error:
            raise self._plain(error) from None

    def close(self) -> None:
        """Finish what is waiting and close."""
        with self._start:
            self._is_closed = True
            thread, self._thread = self._thread, None
            if thread is not None:
                self._queue.put(None)
        if thread is not None:
            thread.join()
        if self._reader is not None:
            self._reader.dispose()
        with self._locked():
            self._writer.dispose()

    def _write_on(self) -> None:
        while True:
            item = self._queue.get()
            group = []
            while item is not None:
                group.append(item)
                if len(group) >= GROUP or self._queue.empty():
                    break
                item = self._queue.get()
            if group:
                self._commit(group)
            if item is None:
                return

    def _commit(self, group: list[tuple[Write, Future[Any]]]) -> None:
        try:
            with self._locked(), self._writer.begin() as connection:
                results = [write(connection) for write, _ in group]
        except Exception as error:
            if len(group) == 1:
                group[0][1].set_exception(self._plain(error))
                return
            # One bad write must not take its neighbors down with it.
            for alone in group:
                self._commit([alone])
            return
        for (_, future), result in zip(group, results, strict=True):
            future.set_result(result)

    def _plain(self, error: Exception) -> Exception:
        if isinstance(error, DBAPIError):
            return LedgerError(f"Cannot use the database {self._name()}: {error.orig}.")
        if isinstance(error, (SQLAlchemyError, OSError)):
            return LedgerError(f"Cannot use the database {self._name()}: {error}.")
        return error

    def _name(self) -> str:
        return str(self._path) if self._path else make_url(self.url).render_as_string(hide_password=True)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        if self._lock_path is None:
            yield
            return
        with open(self._lock_path, "a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _engine(self, *, read_only: bool) -> Engine:
        if self._path is None:
            return create_engine(self.url)
        if not read_only:
            engine = create_engine(
                f"sqlite:///{self._path}", connect_args={"check_same_thread": False, "timeout": BUSY_SECONDS}
            )
            event.listen(engine, "connect", _prepare_writer)
            event.listen(engine, "begin", _begin_immediate)
            return engine
        engine = create_engine(
            f"sqlite:///file:{self._path}?mode=ro&uri=true",
            connect_args={"check_same_thread": False, "timeout": BUSY_SECONDS},
            poolclass=NullPool,
        )
        event.listen(engine, "connect", _prepare_reader)
        return engine


def sqlite_path(url: str) -> Path | None:
    """The file of a SQLite URL; None for any other database."""
    parsed = make_url(url)
    if not parsed.drivername.startswith("sqlite"):
        return None
    if not parsed.database or parsed.database == ":memory:":
        raise LedgerError("The ledger needs a database file: a database in memory would lose paid answers.")
    return Path(parsed.database).expanduser().absolute()


def _prepare_writer(connection: Any, _record: Any) -> None:
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _prepare_reader(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA query_only=1")
    cursor.execute("PRAGMA wal_autocheckpoint=0")
    cursor.close()


def _begin_immediate(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
