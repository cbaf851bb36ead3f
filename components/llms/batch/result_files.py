"""Result files on disk: fetched whole under another name, then read line by line."""

import hashlib
import os
import re
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from components.errors import BatchGone, LedgerError
from components.llms.batch.protocol import UnreadableLine

LONGEST_NAME = 100
STALE_SECONDS = 3600.0
SHOWN = 500


def result_file(folder: Path, batch_id: str, kind: str) -> Path:
    """Where a result file is kept; an id is a name of the provider's making, never a path."""
    name = re.sub(r"[^A-Za-z0-9_-]", "_", batch_id)[:LONGEST_NAME]
    if name != batch_id:
        name += f"-{hashlib.sha256(batch_id.encode()).hexdigest()[:8]}"
    return folder / "results" / f"{name}.{kind}.jsonl"


def fetch(file: Path, pour: Callable[[BinaryIO], None]) -> Path:
    """Fill the file; it has its name only once it is whole and on disk.

    A file that the provider no longer has is read as it was fetched before. Raises: BatchGone where it never was;
    LedgerError when it cannot be written.
    """
    part = file.with_name(f"{file.name}.{secrets.token_hex(4)}.part")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        _remove_stale(file)
        with open(part, "wb") as handle:
            pour(handle)
            handle.flush()
            os.fsync(handle.fileno())
        part.rename(file)
    except BatchGone:
        if not file.exists():
            raise
    except OSError as error:
        raise LedgerError(f"Results cannot be written to {file.parent}: {error.strerror}.") from None
    finally:
        with suppress(OSError):
            part.unlink()
    return file


def read_lines(file: Path) -> Iterator[Mapping[str, Any] | UnreadableLine]:
    """Every line of a result file as an object; one that is blank, broken or no object is said to be so."""
    with open(file, "rb") as handle:
        for line in handle:
            try:
                data = orjson.loads(line)
            except ValueError:
                data = None
            yield data if isinstance(data, dict) else UnreadableLine(line[:SHOWN].decode(errors="replace").strip())


def _remove_stale(file: Path) -> None:
    for left in file.parent.glob(f"{file.name}.*.part"):
        if time.time() - left.stat().st_mtime > STALE_SECONDS:
            left.unlink(missing_ok=True)
