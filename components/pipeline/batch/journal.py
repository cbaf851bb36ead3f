"""A second record of every batch job, beside the database: what was paid for is found again if that is lost."""

import fcntl
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from components.errors import DataFileError


class Journal:
    """One JSON line for each submission, id and transition, on disk before anybody is told of it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, kind: str, **facts: Any) -> None:
        """Write a line and wait until it is on disk."""
        line = json.dumps({"at": time.time(), "kind": kind, **facts}, ensure_ascii=False) + "\n"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with open(self.path, "ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.write(line.encode())
            file.flush()
            os.fsync(file.fileno())


def read_journal(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of a journal; a last line that a crash cut short is left out.

    Raises: DataFileError for a line in the middle that is no JSON object.
    """
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise DataFileError(f"{path.name}: it cannot be read: {error.strerror}.") from None
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
        except ValueError:
            if number == len(lines):
                return
            raise DataFileError(f"{path.name}, line {number}: this is no line of a batch journal.") from None
        if not isinstance(entry, dict) or "kind" not in entry:
            raise DataFileError(f"{path.name}, line {number}: this is no line of a batch journal.")
        yield entry
