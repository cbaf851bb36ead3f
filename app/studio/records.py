"""Rows of the app's tables, by id."""

import secrets
from typing import Any

from sqlalchemy import Table, delete, insert, select

from app.studio.errors import NotFound
from components.pipeline.ledger import Ledger

Record = dict[str, Any]


class Records:
    """One table of the app: rows as dicts, written by the ledger's one writer."""

    def __init__(self, ledger: Ledger, table: Table, prefix: str, noun: str) -> None:
        self.database = ledger.database
        self.table = table
        self._prefix = prefix
        self._noun = noun

    def new_id(self) -> str:
        """An id of 128 bits that nobody can guess."""
        return f"{self._prefix}_{secrets.token_hex(16)}"

    def all(self, *where: Any, newest_by: str = "created_at") -> list[Record]:
        """The rows, the newest first."""
        query = select(self.table).where(*where).order_by(self.table.c[newest_by].desc(), self.table.c.id)
        with self.database.read() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    def get(self, id: str) -> Record:
        """One row. Raises: NotFound."""
        with self.database.read() as connection:
            row = connection.execute(select(self.table).where(self.table.c.id == id)).mappings().first()
        if row is None:
            raise NotFound(f"There is no {self._noun} '{id}'. It may have been deleted.")
        return dict(row)

    def add(self, record: Record) -> None:
        """A new row."""
        self.database.write(lambda connection: connection.execute(insert(self.table).values(**record)))

    def remove(self, id: str) -> None:
        """Remove a row. Raises: NotFound."""
        query = delete(self.table).where(self.table.c.id == id)
        if not self.database.write(lambda connection: connection.execute(query).rowcount):
            raise NotFound(f"There is no {self._noun} '{id}'. It may have been deleted.")
