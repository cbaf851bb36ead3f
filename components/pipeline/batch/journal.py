"""A second record of every batch job, beside the database: what was paid for is found again if that is lost."""

import fcntl
import json
import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from components.errors import DataFileError

log = logging.getLogger("stillroom.batch")

BEGINNING = b'{"at": '


class Journal:
    """One JSON line for each submission, id and transition, on disk before anybody is told of it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, kind: str, **facts: Any) -> None:
        """Write a line and wait until it is on disk."""
        line = json.dumps({"at": time.time(), "kind": kind, **facts}, ensure_ascii=False).encode(errors="replace")
        is_new = not self.path.exists()
        with open(self.path, "a+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if file.seek(0, os.SEEK_END):
                # A crash may have cut the last line short, and this one must not be joined to it.
                file.seek(-1, os.SEEK_END)
                line = line if file.read(1) == b"\n" else b"\n" + line
            file.write(line + b"\n")
            file.flush()
            os.fsync(file.fileno())
        if is_new:
            keep_names(self.path.parent)


def keep_names(folder: Path) -> None:
    """Have the names of the files in a folder on disk too; their content is by itself not enough."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def read_journal(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of a journal; those that a crash cut short are left out.

    Raises: DataFileError for a file that cannot be read, or is no journal.
    """
    try:
        with open(path, "rb") as file:
            for number, line in enumerate(file, start=1):
                entry = _entry(line)
                if entry is not None:
                    yield entry
                elif line.startswith(BEGINNING) or BEGINNING.startswith(line.strip()):
                    log.warning("%s, line %d was cut short by a crash and is left out.", path.name, number)
                else:
                    raise DataFileError(f"{path.name}, line {number}: this is no line of a batch journal.")
    except OSError as error:
        raise DataFileError(f"{path.name}: it cannot be read: {error.strerror}.") from None


def _entry(line: bytes) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) and "kind" in entry else None
