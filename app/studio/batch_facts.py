"""Batch jobs as plain data: where they stand, what is counted, what they cost, and what can be done about them."""

import json
import threading
import time
from collections.abc import Sequence
from typing import Any

from sqlalchemy import case, func, select

from app.studio.batch_terms import PATIENCE_HOURS, KnownTerms, Terms, is_on_this_machine, provider_title
from app.studio.orphans import Journaled, JournalReader
from app.studio.progress import moment
from components.pipeline.batch import BatchStore
from components.pipeline.batch.machine import can_be_held_back, needs_script
from components.pipeline.batch.states import FINISHED, JobState, RequestState
from components.pipeline.batch.store import JOB, REQUEST, SET
from components.pipeline.batch.writing import is_adopted
from components.pipeline.ledger.cells import RUN
from components.pipeline.ledger.tables import BatchJob, BatchSet

ORPHANED = "orphaned"
OUTCOMES = tuple(str(state) for state in RequestState)
WITHOUT_ANSWER = (RequestState.FAILED, RequestState.EXPIRED, RequestState.MISSING)
LOST_ID_SENTENCE = "The database no longer has this job; the journal beside it does. Recover it to collect its rows."
LATE_SENTENCE = "The provider is late. Cancel the job to collect the rows that are done."
DELETED_SENTENCE = "They were not collected in time: the provider may have deleted its results by now."
WARN_SECONDS = 24 * 3600.0
"""How long before a provider deletes results that nobody collected somebody is told."""
WITH_PERSON = (JobState.BLOCKED, JobState.LOST, JobState.REJECTED)

Facts = dict[str, Any]


class JobFacts:
    """Reads jobs from the ledger, and from the journal those that the ledger lost."""

    def __init__(self, store: BatchStore, terms: KnownTerms) -> None:
        self._store, self._terms = store, terms
        self.journal = JournalReader(store.journal.path)
        self._counted: dict[tuple[Any, ...], dict[str, int]] = {}
        self._lock = threading.Lock()

    def all(self, *, run_id: str | None = None, limit: int = 500) -> list[Facts]:
        """Jobs as their lines in the list show them: those that need somebody, then open ones, then the newest."""
        where = [SET.c.run_id == run_id] if run_id is not None else []
        is_open = case((JOB.c.state.in_([str(state) for state in FINISHED]), 1), else_=0)
        query = (
            select(JOB, RUN.c.name.label("run_name"), RUN.c.state.label("run_state"))
            .join(SET, SET.c.key == JOB.c.set_key)
            .outerjoin(RUN, RUN.c.id == SET.c.run_id)
            .where(*where)
            .order_by(is_open, JOB.c.created_at.desc(), JOB.c.key)
            .limit(limit)
        )
        with self._store.ledger.database.read() as connection:
            rows = [dict(row) for row in connection.execute(query).mappings()]
        runs = {row["key"]: (row.pop("run_name"), row.pop("run_state")) for row in rows}
        jobs = [BatchJob(**row) for row in rows]
        sets = self._sets({job.set_key for job in jobs})
        counts, held = self.counts(jobs), self._held_back(jobs)
        found = [
            self._line(job, sets[job.set_key], counts[job.key], *runs[job.key], held.get(job.key, "")) for job in jobs
        ]
        found.sort(key=lambda line: not line["needs_person"])
        return [*(self._orphans() if run_id is None else []), *found]

    def one(self, job: BatchJob) -> Facts:
        """Everything about a job, with what happened to it."""
        batch = self._store.set(job.set_key)
        assert batch is not None
        name, state = self._run(batch)
        held_back = self._held_back([job]).get(job.key, "")
        facts = self._line(job, batch, self.counts([job])[job.key], name, state, held_back)
        events = [
            {"at": moment(event.at), "kind": event.kind, "message": event.message}
            for event in self._store.events(job.key)
        ]
        terms = self._terms.of(batch)
        limits = None if terms is None else _limits(terms)
        return facts | {"events": events, "limits": limits, "sha256": job.sha256, "path": job.path}

    def counts(self, jobs: Sequence[BatchJob]) -> dict[str, dict[str, int]]:
        """What came of the requests of each job; together with those sent again they are all that it had."""
        siblings = self._siblings({job.set_key for job in jobs})
        # Requests of a finished job move only when a new job of its set takes them.
        marks = {job.key: (job.key, job.state, job.ended_at, siblings.get(job.set_key)) for job in jobs}
        with self._lock:
            known = {key: self._counted[mark] for key, mark in marks.items() if mark in self._counted}
        fresh = self._counted_now([job.key for job in jobs if job.key not in known])
        found = {}
        for job in jobs:
            counts = known.get(job.key) or _added_up(job, fresh.get(job.key, {}))
            found[job.key] = counts
            # Of adopted jobs, what one had is known only when the last of them is over.
            if job.state in FINISHED and job.key not in known and not is_adopted(job):
                with self._lock:
                    self._counted[marks[job.key]] = counts
        return found

    def step_counts(self, run_id: str) -> dict[str, dict[str, int]]:
        """What came of everything that a run asked, by step; rows of which no request could be made count too."""
        query = (
            select(SET.c.step, REQUEST.c.state, func.count())
            .join(REQUEST, REQUEST.c.set_key == SET.c.key)
            .where(SET.c.run_id == run_id)
            .group_by(SET.c.step, REQUEST.c.state)
        )
        found: dict[str, dict[str, int]] = {}
        with self._store.ledger.database.read() as connection:
            for step, state, count in connection.execute(query):
                found.setdefault(step, dict.fromkeys(OUTCOMES, 0))[state] = count
        return found

    def _counted_now(self, keys: Sequence[str]) -> dict[str, dict[str, int]]:
        query = (
            select(REQUEST.c.job_key, REQUEST.c.state, func.count())
            .where(REQUEST.c.job_key.in_(keys))
            .group_by(REQUEST.c.job_key, REQUEST.c.state)
        )
        found: dict[str, dict[str, int]] = {}
        with self._store.ledger.database.read() as connection:
            for key, state, count in connection.execute(query):
                found.setdefault(key, {})[state] = count
        return found

    def _siblings(self, set_keys: set[str]) -> dict[str, int]:
        query = select(JOB.c.set_key, func.count()).where(JOB.c.set_key.in_(set_keys)).group_by(JOB.c.set_key)
        with self._store.ledger.database.read() as connection:
            return {row.set_key: row[1] for row in connection.execute(query)}

    def _sets(self, keys: set[str]) -> dict[str, BatchSet]:
        with self._store.ledger.database.read() as connection:
            rows = connection.execute(select(SET).where(SET.c.key.in_(keys))).mappings()
            return {row["key"]: BatchSet(**row) for row in rows}

    def _run(self, batch: BatchSet) -> tuple[str | None, str | None]:
        query = select(RUN.c.name, RUN.c.state).where(RUN.c.id == batch.run_id)
        with self._store.ledger.database.read() as connection:
            row = connection.execute(query).first()
        return (row.name, row.state) if row else (None, None)

    def _held_back(self, jobs: Sequence[BatchJob]) -> dict[str, str]:
        """The jobs that wait for somebody to continue a run, and why."""
        idle = [job for job in jobs if job.state != JobState.BLOCKED and can_be_held_back(job)]
        why = self._store.held_back({job.set_key for job in idle}) if idle else {}
        return {job.key: why[job.set_key] for job in idle if job.set_key in why}

    def _line(
        self,
        job: BatchJob,
        batch: BatchSet,
        counts: dict[str, int],
        run_name: str | None,
        run_state: str | None,
        held_back: str,
    ) -> Facts:
        terms = self._terms.of(batch)
        without_answer = sum(counts[state] for state in WITHOUT_ANSWER)
        is_late = _is_late(job, terms)
        warning = _retention_warning(job)
        return {
            "key": job.key,
            "provider": provider_title(batch.account, job),
            "provider_id": job.remote_id or "",
            "is_local": is_on_this_machine(batch.account, job),
            "run_id": batch.run_id if run_name is not None else None,
            "run_name": run_name,
            "run_state": run_state,
            "step": batch.step,
            "model": batch.model,
            "state": job.state,
            "status": job.status,
            "outcome": job.outcome,
            "message": " ".join(filter(None, [held_back or job.message or (LATE_SENTENCE * is_late), warning])),
            "is_held_back": bool(held_back),
            "needs_person": job.state in WITH_PERSON or is_late or bool(warning) or needs_script(job),
            "attempt": job.attempt,
            "n": sum(counts.values()) if is_adopted(job) else job.n,
            "bytes": job.bytes,
            "counts": counts,
            "progress": _progress(job),
            "created_at": moment(job.created_at),
            "submitted_at": moment(job.submitted_at),
            "ended_at": moment(job.ended_at),
            "expires_at": moment(job.expires_at),
            "results_until": moment(job.results_expire_at),
            "results_end_soon": bool(warning),
            "next_look_at": moment(job.next_poll_at) if _is_waiting(job) and not held_back else None,
            "cancel_requested_at": moment(job.cancel_requested_at),
            **_money(job, counts, terms, without_answer),
            "can": _can(job, counts, terms),
        }

    def _orphans(self) -> list[Facts]:
        with self._store.ledger.database.read() as connection:
            known = set(connection.execute(select(JOB.c.key)).scalars())
        return [_orphan(lost) for lost in self.journal.missing(known)]


def _added_up(job: BatchJob, found: dict[str, int]) -> dict[str, int]:
    counts = {state: found.get(state, 0) for state in OUTCOMES}
    if is_adopted(job):
        # Rows of adopted jobs stand under the first of them until a result says in which they are.
        counts["inflight"] = 0
        counts["missing" if job.state in FINISHED else "inflight"] += max(0, job.n - sum(counts.values()))
        return counts | {"resent": 0}
    return counts | {"resent": max(0, job.n - sum(counts.values()))}


def _is_waiting(job: BatchJob) -> bool:
    return job.state not in FINISHED and job.state != JobState.BLOCKED and job.next_poll_at > 0


def _is_late(job: BatchJob, terms: Terms | None) -> bool:
    if job.state not in (JobState.SUBMITTED, JobState.RUNNING) or job.submitted_at is None:
        return False
    if is_on_this_machine("", job):
        return False
    hours = (terms.caps.worst_hours if terms else None) or PATIENCE_HOURS
    return time.time() > max(job.submitted_at + hours * 3600, job.expires_at or 0.0) + 3600


def _retention_warning(job: BatchJob) -> str:
    """What to tell where results are about to be deleted that are not here yet; empty while there is time."""
    if job.state in FINISHED or not job.remote_id or job.results_expire_at is None:
        return ""
    left = job.results_expire_at - time.time()
    if left <= 0:
        return DELETED_SENTENCE
    if left > WARN_SECONDS:
        return ""
    hours = max(1, round(left / 3600))
    return (
        f"The provider deletes its results in {hours} hour{'s' if hours > 1 else ''}, and they are not collected yet."
    )


def _progress(job: BatchJob) -> dict[str, int]:
    counts = json.loads(job.counts)
    return {name: int(counts[name]) for name in ("total", "completed", "failed") if counts.get(name) is not None}


def _money(job: BatchJob, counts: dict[str, int], terms: Terms | None, without_answer: int) -> Facts:
    """Prices are known once the key is there; what nobody knows is None, never 0."""
    is_known = terms is not None and terms.price is not None
    most = job.estimate
    if most is None and terms is not None:
        most = terms.most(job.bytes, job.n)
    spent = job.cost if is_known and job.state in FINISHED else None
    each = job.cost / counts["ok"] if counts["ok"] and job.cost else (most or 0.0) / max(1, job.n)
    again = each * without_answer if is_known else None
    online = again / (1 - terms.discount) if terms and again is not None and terms.discount < 1 else again
    return {
        "estimate": most,
        "cost": spent,
        "cost_known": is_known,
        "is_free": terms is not None and terms.is_free,
        "discount": terms.discount if terms is not None else None,
        "saving": terms.saving(job.cost) if terms is not None and spent is not None else None,
        "retry": {
            "n": without_answer if job.state in FINISHED else 0,
            "price": again,
            "online_price": online,
        },
    }


def _can(job: BatchJob, counts: dict[str, int], terms: Terms | None) -> list[str]:
    """What a person may do now; the page shows just these buttons."""
    without_answer = sum(counts[state] for state in WITHOUT_ANSWER)
    if job.state in FINISHED:
        able = ["retry", "errors"] if without_answer else []
        return [*able, "adopt"] if job.state == JobState.LOST else able
    able = ["refresh", "collect"]
    may_cancel = job.cancel_requested_at is None and (terms is None or terms.caps.can_cancel or not job.remote_id)
    able += ["cancel"] if may_cancel else []
    if not job.remote_id:
        able.append("adopt")
        able += ["resubmit"] if job.intent_at is not None else []
    return able


def _limits(terms: Terms) -> Facts:
    caps = terms.caps
    return {
        "max_requests": caps.max_requests,
        "max_bytes": caps.max_bytes,
        "worst_hours": caps.worst_hours,
        "results_days": caps.results_days,
        "discount": terms.discount,
        "looked_up": caps.looked_up,
        "source": caps.source,
    }


def _orphan(lost: Journaled) -> Facts:
    return {
        "key": lost.key,
        "provider": provider_title(lost.batch["account"]),
        "provider_id": lost.remote_id,
        "run_id": None,
        "run_name": None,
        "step": lost.batch["step"],
        "model": lost.batch["model"],
        "state": ORPHANED,
        "status": lost.state,
        "message": LOST_ID_SENTENCE,
        "needs_person": True,
        "n": lost.n,
        "counts": {**dict.fromkeys(OUTCOMES, 0), "inflight": lost.n, "resent": 0},
        "created_at": moment(lost.at),
        "can": ["recover"],
    }
