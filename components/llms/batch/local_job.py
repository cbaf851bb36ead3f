"""A batch job on this machine, as a folder: what was asked, what is answered, and how it stands."""

import fcntl
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import orjson

from components.errors import BatchGone
from components.llms.batch.moments import DAY_SECONDS

ID = re.compile(r"local_[0-9a-f]{24}")
Status = Literal["in_progress", "completed", "failed", "cancelled"]


@dataclass(frozen=True)
class State:
    """How a job stands, as its file says."""

    tag: str
    total: int
    created_at: float
    status: Status = "in_progress"
    completed: int = 0
    failed: int = 0
    message: str = ""


@dataclass(frozen=True)
class LocalJob:
    """One folder. Only who holds its lock writes to it, so that no row is worked on twice at once."""

    folder: Path

    @property
    def id(self) -> str:
        """Its name, which is the job's id."""
        return self.folder.name

    @property
    def results(self) -> Path:
        """The answers, a line each, in the order in which they came."""
        return self.folder / "results.jsonl"

    @property
    def is_cancel_asked(self) -> bool:
        """Whether somebody wants it to end."""
        return (self.folder / "cancel").exists()

    def state(self) -> State:
        """How it stands. Raises: BatchGone for a job that is not there, or was never begun."""
        try:
            return State(**orjson.loads((self.folder / "state.json").read_bytes()))
        except FileNotFoundError:
            raise BatchGone(f"There is no batch job '{self.id}' on this machine.") from None

    def write(self, state: State) -> None:
        """Put a new state in the place of the old one, whole or not at all."""
        draft = self.folder / f"state.{secrets.token_hex(4)}.json"
        with open(draft, "wb") as handle:
            handle.write(orjson.dumps(asdict(state)))
            handle.flush()
            os.fsync(handle.fileno())
        draft.rename(self.folder / "state.json")

    def ask_to_cancel(self) -> None:
        """Tell whoever works on it to end."""
        (self.folder / "cancel").touch()

    @property
    def is_rest_asked(self) -> bool:
        """Whether somebody wants the work on it to rest."""
        return (self.folder / "rest").exists()

    def ask_to_rest(self) -> None:
        """Tell whoever works on it to ask for no further row."""
        (self.folder / "rest").touch()

    def go_on(self) -> None:
        """Take the wish for a rest back."""
        (self.folder / "rest").unlink(missing_ok=True)

    def requests(self) -> Iterator[dict[str, Any]]:
        """What was asked, a line at a time."""
        with open(self.folder / "input.jsonl", "rb") as handle:
            for line in handle:
                yield orjson.loads(line)

    def drop_input(self) -> None:
        """Forget what was asked, once it is all answered."""
        (self.folder / "input.jsonl").unlink(missing_ok=True)

    def answered(self) -> tuple[set[str], int]:
        """The names of the rows that are answered, and how many of them failed.

        A last line that a crash cut short is taken off: its row is asked again.
        """
        names: set[str] = set()
        failed = whole = 0
        if not self.results.exists():
            return names, 0
        with open(self.results, "r+b") as handle:
            for line in handle:
                if not line.endswith(b"\n"):
                    break
                whole += len(line)
                answer = orjson.loads(line)
                names.add(answer["custom_id"])
                failed += "error" in answer
            handle.truncate(whole)
        return names, failed

    @contextmanager
    def held(self) -> Iterator[bool]:
        """Hold the job for the block; False where another process, or another thread, holds it."""
        with open(self.folder / "lock", "wb") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            yield True


def keep(folder: Path, file: Path) -> LocalJob:
    """A new job that keeps its own copy of the input; it begins with its first state."""
    job = LocalJob(folder / f"local_{secrets.token_hex(12)}")
    job.folder.mkdir(parents=True)
    target = job.folder / "input.jsonl"
    try:
        os.link(file, target)
    except OSError:
        shutil.copyfile(file, target)
    return job


def remove_old(folder: Path, days: int) -> None:
    """Remove jobs that ended long ago, and what a crash left before a job began."""
    since = time.time() - days * DAY_SECONDS
    for place in folder.glob("local_*") if folder.is_dir() else ():
        try:
            state = find(folder, place.name).state()
        except BatchGone:
            is_old = place.stat().st_mtime < time.time() - DAY_SECONDS
        else:
            is_old = state.status != "in_progress" and state.created_at < since
        if is_old:
            shutil.rmtree(place, ignore_errors=True)


def find(folder: Path, id: str) -> LocalJob:
    """The job of that id. Raises: BatchGone where there is none."""
    if not ID.fullmatch(id) or not (folder / id).is_dir():
        raise BatchGone(f"There is no batch job '{id}' on this machine.")
    return LocalJob(folder / id)


def every(folder: Path) -> Iterator[tuple[LocalJob, State]]:
    """The jobs that have begun, newest first."""
    found = []
    for place in folder.glob("local_*") if folder.is_dir() else ():
        try:
            job = find(folder, place.name)
            found.append((job, job.state()))
        except BatchGone:
            continue
    yield from sorted(found, key=lambda one: one[1].created_at, reverse=True)
