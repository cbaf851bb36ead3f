"""Rebuild jobs from the journal after the database was lost; each goes on where it was."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from components.pipeline.batch.journal import read_journal
from components.pipeline.batch.planning import Entry, Plan, remove_orphans
from components.pipeline.batch.states import JobState
from components.pipeline.batch.store import BatchStore

KEPT = (
    "n", "bytes", "tokens", "sha256", "path", "window", "estimate", "attempt", "input_ref", "remote_id", "intent_at",
)  # fmt: skip
DROPPED = "dropped"

Name = tuple[str, int, int]
"""Set, index and part of a request."""


@dataclass(frozen=True)
class Recovered:
    """What a journal gave back."""

    jobs: int
    already_there: int
    without_input: int
    """Jobs that were not sent yet and whose requests are no longer on this machine."""


@dataclass
class Journaled:
    """What the journal says of a job."""

    key: str
    facts: dict[str, Any]
    state: str = "planned"
    rows: dict[Name, tuple[str, str]] = field(default_factory=dict)
    """Row and identity of each request that is still its own."""

    @property
    def was_sent(self) -> bool:
        """Whether it is at the provider, or may be."""
        return bool(self.facts.get("remote_id")) or self.facts.get("intent_at") is not None

    @property
    def has_rows(self) -> bool:
        """Whether any request may be in it; which are in one of several adopted jobs is told by their results alone."""
        return bool(self.rows) or not self.facts.get("input_file")

    @property
    def is_over(self) -> bool:
        """Whether it ended without ever being at the provider."""
        return not self.was_sent and self.state in (JobState.CLOSED, JobState.REJECTED)


def recover(store: BatchStore, journal: Path, _open_provider: object = None) -> Recovered:
    """Bring back the sets and jobs that the database does not have.

    Raises: DataFileError for a journal that cannot be read.
    """
    known = {job.key for job in store.jobs()}
    jobs = _read(journal)
    lost = {key: job for key, job in jobs.items() if key not in known}
    without = [job for job in lost.values() if not job.was_sent and not job.is_over and not _file(store, job).exists()]
    back = [job for job in lost.values() if job.has_rows and not job.is_over and job not in without]
    by_set: dict[str, list[Journaled]] = {}
    for job in back:
        by_set.setdefault(job.facts["set"]["key"], []).append(job)
    made = 0
    for set_key, mine in by_set.items():
        plan = _plan(store, set_key, mine)
        # A set that lives on in the database is not touched: its jobs are known, or were given up.
        made += len(mine) if store.plan({**mine[0].facts["set"], "run_id": None, "state": "open"}, plan) else 0
    # Of these nothing is left to bring back, so that nobody is asked to do it again.
    for job in lost.values():
        if job not in back:
            store.journal.append(DROPPED, key=job.key)
    return Recovered(made, len(jobs) - len(lost), len(without))


def tidy_up(store: BatchStore) -> None:
    """Remove input files that no job has, as a crash may leave them."""
    if not store.journal.path.exists():
        return
    known = {job.key for job in store.jobs()}
    for entry in read_journal(store.journal.path):
        if entry["kind"] == "planned":
            known.add(entry["key"])
        elif entry["kind"] == DROPPED:
            known.discard(str(entry.get("key")))
    remove_orphans(store.folder, known)


def _read(journal: Path) -> dict[str, Journaled]:
    """Every job of a journal, with the rows that no later job took over."""
    jobs: dict[str, Journaled] = {}
    for entry in read_journal(journal):
        key = entry.get("key")
        if entry["kind"] == "planned":
            jobs.pop(entry["key"], None)
            jobs[entry["key"]] = Journaled(entry["key"], entry, rows=dict(_rows(entry)))
        elif entry["kind"] == DROPPED:
            jobs.pop(str(key), None)
        elif key in jobs:
            jobs[key].state = entry["kind"]
            jobs[key].facts |= {name: entry[name] for name in KEPT if name in entry}
    # Only now is it known which plans were carried out, so that rows went to their jobs.
    owner: dict[Name, str] = {}
    for job in jobs.values():
        for name in job.rows:
            _disown(jobs, owner.get(name), name)
            owner[name] = job.key
    return jobs


def _rows(entry: dict[str, Any]) -> Iterator[tuple[Name, tuple[str, str]]]:
    for idx, part, row, cell_key in entry.get("rows", ()):
        yield (entry["set"]["key"], idx, part), (row, cell_key)


def _disown(jobs: dict[str, Journaled], key: str | None, name: Name) -> None:
    before = jobs.get(key or "")
    if before is None:
        return
    if before.was_sent:
        before.rows.pop(name, None)
    else:
        # It was never sent, and the same rows were planned anew: all that is left of it is its file.
        before.rows.clear()


def _plan(store: BatchStore, set_key: str, jobs: list[Journaled]) -> Plan:
    entries = [
        Entry(idx, part, row, cell_key, job.key, job.facts.get("attempt", 1))
        for job in jobs
        for (_, idx, part), (row, cell_key) in job.rows.items()
    ]
    return Plan(set_key, [_job(store, job) for job in jobs], entries)


def _job(store: BatchStore, job: Journaled) -> dict[str, Any]:
    facts = job.facts
    if facts.get("remote_id"):
        state = JobState.RUNNING
    elif facts.get("intent_at") is not None:
        state = JobState.CREATING
    else:
        state = JobState.UPLOADED if facts.get("input_ref") else JobState.PLANNED
    file = str(_file(store, job)) if facts.get("input_file") else ""
    kept = {name: facts[name] for name in KEPT if facts.get(name) is not None}
    about = {"key": job.key, "set_key": facts["set"]["key"], "state": state, "created_at": facts["at"]}
    return kept | about | {"input_file": file, "submitted_at": facts["at"] if facts.get("remote_id") else None}


def _file(store: BatchStore, job: Journaled) -> Path:
    # By its name alone: the folder may have moved, and a path in a file is nobody's to follow.
    return store.folder / Path(str(job.facts.get("input_file") or job.key)).name
