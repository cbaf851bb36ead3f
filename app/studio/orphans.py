"""Batch jobs that the journal knows and the database lost, as after a disk was wiped."""

import json
import logging
import threading
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.pipeline.batch.recovery import DROPPED

log = logging.getLogger("stillroom.batch")


@dataclass
class Journaled:
    """What the journal says of a job."""

    key: str
    at: float
    n: int
    input_file: str
    batch: dict[str, Any]
    """Its set, without the model."""
    remote_id: str = ""
    state: str = "planned"


class JournalReader:
    """Reads the journal as it grows: what was read once is not read again."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._jobs: dict[str, Journaled] = {}
        self._offset = 0
        self._lock = threading.Lock()

    def missing(self, known: Collection[str]) -> list[Journaled]:
        """The jobs that are in the journal alone, oldest first."""
        return [job for job in self._all().values() if job.key not in known]

    def has(self, keys: Collection[str]) -> bool:
        """Whether every one of these jobs is in the journal."""
        jobs = self._all()
        return all(key in jobs for key in keys)

    def _all(self) -> dict[str, Journaled]:
        with self._lock:
            try:
                size = self._path.stat().st_size
            except OSError:
                self._jobs, self._offset = {}, 0
                return {}
            if size < self._offset:
                self._jobs, self._offset = {}, 0
            if size > self._offset:
                self._read_on()
            return dict(self._jobs)

    def _read_on(self) -> None:
        with open(self._path, "rb") as file:
            file.seek(self._offset)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                self._offset += len(line)
                self._take(line)

    def _take(self, line: bytes) -> None:
        try:
            entry = json.loads(line)
            kind, key = str(entry["kind"]), str(entry["key"])
            if kind == "planned":
                self._jobs[key] = _planned(key, entry)
            elif kind == DROPPED:
                self._jobs.pop(key, None)
            elif key in self._jobs:
                job = self._jobs[key]
                job.state, job.remote_id = kind, str(entry.get("remote_id") or job.remote_id)
        except (ValueError, KeyError, TypeError):
            # `recover` names the line; a list that is looked at all the time must not fail over it.
            log.warning("A line of %s is no line of a batch journal.", self._path.name)


def _planned(key: str, entry: dict[str, Any]) -> Journaled:
    kept = ("run_id", "step", "model", "provider", "account")
    batch = {name: entry["set"].get(name) or "" for name in kept}
    return Journaled(key, float(entry["at"]), int(entry["n"]), str(entry.get("input_file") or ""), batch)
