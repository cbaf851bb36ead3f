"""Offline batch jobs: what a person sees of them and can do about them, whichever process sent them."""

import builtins
import threading
from collections.abc import Iterator
from pathlib import Path

from app.studio.batch_errors import error_lines
from app.studio.batch_facts import Facts, JobFacts
from app.studio.batch_hold import BatchHold
from app.studio.batch_receipt import receipt
from app.studio.batch_remainder import Remainder
from app.studio.batch_terms import KnownTerms
from app.studio.batch_watch import BatchWatch
from app.studio.connections import Connections
from app.studio.dispatch import Dispatch
from app.studio.runs import Runs
from components.errors import ConfigError, RunConflict
from components.pipeline.batch import BatchStore, actions
from components.pipeline.batch.actions import Recovered
from components.pipeline.batch.machine import can_be_held_back, needs_script
from components.pipeline.batch.poller import Poller
from components.pipeline.batch.states import FINISHED, OPEN_STATES, JobState
from components.pipeline.ledger import Ledger
from components.pipeline.ledger.tables import BatchJob

LONGEST_ID = 500


class Batches:
    """Lists jobs, acts on them, and looks after them."""

    def __init__(self, ledger: Ledger, connections: Connections, runs: Runs, dispatch: Dispatch) -> None:
        self._runs, self._dispatch = runs, dispatch
        self.store = BatchStore(ledger)
        self.poller = Poller(self.store, connections.vault, on_close=lambda _job, _batch: dispatch.wake())
        self._hold = BatchHold(self.store, self.poller, connections)
        terms = KnownTerms(self.poller, connections)
        self._facts = JobFacts(self.store, terms)
        self._watch = BatchWatch(self.store, self.poller, terms, connections)
        self._remainder = Remainder(self._hold, runs, self._watch)
        connections.on_change = self._watch.keys_changed

    # Reading

    def list(self, *, run_id: str | None = None, limit: int = 500) -> builtins.list[Facts]:
        """All jobs, or those of a run: those that need somebody, then open ones, then the newest."""
        return self._facts.all(run_id=run_id, limit=limit)

    def get(self, name: str) -> Facts:
        """Everything about the job of that key, start of a key, or provider's id. Raises: NotFound."""
        return self._facts.one(self._hold.find(name))

    def errors(self, name: str) -> Iterator[bytes]:
        """What was said of each row without an answer, a line each. Raises: NotFound."""
        return error_lines(self.store, self._hold.find(name))

    def receipt(self, run_id: str) -> Facts:
        """What was sent to batch APIs for a run, and what came back. Raises: NotFound."""
        jobs, counts = self._facts.all(run_id=run_id), self._facts.step_counts(run_id)
        return receipt(self._runs.get(run_id), jobs, counts, self._facts.journal)

    def is_open(self) -> bool:
        """Whether a job is still to be heard of without anybody's help."""
        open_jobs = self.store.jobs(states=[state for state in OPEN_STATES if state is not JobState.BLOCKED])
        jobs = [job for job in open_jobs if not needs_script(job)]
        held_back = self.store.held_back({job.set_key for job in jobs}) if jobs else {}
        return any(not (can_be_held_back(job) and job.set_key in held_back) for job in jobs)

    def is_under_way(self) -> bool:
        """Whether a job is out, or a run that sent jobs is at work and may send more."""
        watch = self._watch
        # A run may go to work between two of these questions, so the first is asked once more.
        return bool(watch.runs_at_work() or self.is_open() or watch.runs_with_news() or watch.runs_at_work())

    def runs_under_way(self) -> builtins.list[str]:
        """The runs that sent jobs and are at work, or will be in a moment since a job came back."""
        return [*self._watch.runs_at_work(), *self._watch.runs_with_news()]

    # Acting on a job

    def refresh(self, name: str) -> Facts:
        """Have the provider asked about a job at once. Raises: NotFound; RunConflict for one that is over."""
        job = self._hold.find(name)
        actions.refresh(self.store, job)
        return self._after(job)

    def collect(self, name: str) -> Facts:
        """Ask the provider now, in this thread, and take up what is there. Raises: NotFound; RunConflict."""
        job = self._hold.find(name)
        actions.refresh(self.store, job)
        self.poller.advance(job.key)
        return self._after(job)

    def collect_run(self, run_id: str) -> int:
        """Have the provider asked about every open job of a run at once; returns how many there are."""
        self._runs.get(run_id)
        jobs = [job for job in self._hold.jobs_of(run_id) if job.state not in FINISHED]
        for job in jobs:
            actions.refresh(self.store, job)
        self._watch.nudge()
        return len(jobs)

    def cancel(self, name: str) -> Facts:
        """End a job early; what is done by then is collected. Raises: NotFound; RunConflict; ProviderError."""
        with self._hold.held(self._hold.find(name)) as job, self._hold.lent():
            provider = self._hold.provider(job)
            if job.remote_id and not provider.caps.can_cancel:
                raise ConfigError("This provider cannot cancel a batch job. It ends by itself.")
            actions.cancel(self.store, job, provider)
        return self._after(job)

    def retry(self, name: str) -> int:
        """Send the rows of a job that have no answer again, in a new one; returns how many.

        Raises: NotFound; RunConflict while the job is out, or when there are none; ConfigError; CredentialError.
        """
        job = self._hold.find(name)
        if job.state not in FINISHED:
            raise RunConflict("This job is still out. Wait until it ended, or cancel it first.")
        count = self._remainder.send_again(job)
        if not count:
            raise RunConflict("Every row has an answer, or was sent again already.")
        self._watch.nudge()
        return count

    def adopt(self, name: str, remote_id: str) -> Facts:
        """Attach a job to the provider's batch of that id.

        Raises: NotFound; ConfigError when it is another batch; BatchGone when the provider knows none.
        """
        remote_id = _checked_id(remote_id)
        with self._hold.held(self._hold.find(name)) as job, self._hold.lent():
            if job.remote_id and job.state != JobState.LOST:
                raise RunConflict(f"This job has its id already: {job.remote_id}.")
            if any(other.remote_id == remote_id and other.key != job.key for other in self.store.jobs()):
                raise ConfigError(f"'{remote_id}' belongs to another job here.")
            provider, lost = self._hold.provider(job), self.store.without_answer(job_key=job.key)

            def attach() -> int:
                actions.adopt(self.store, job, provider, remote_id)
                return job.n

            self._remainder.while_reopened(job, lost, attach)
        return self._after(job)

    def adopt_any(self, remote_id: str, *, run_id: str | None = None, step: str | None = None) -> Facts:
        """Attach the one job without an id, of all or of a run's step, to a batch.

        Raises: ConfigError when several have none, or all have one.
        """
        jobs = self.store.jobs(states=OPEN_STATES) if run_id is None else self._hold.jobs_of(run_id, step)
        waiting = [job for job in jobs if not job.remote_id and job.state not in FINISHED]
        if len(waiting) != 1:
            named = ", ".join(job.key[:8] for job in waiting)
            known = f"Several have no id yet: {named}. Name one of them." if waiting else "Every open job has its id."
            raise ConfigError(f"Which job is '{remote_id}'? {known}")
        return self.adopt(waiting[0].key, remote_id)

    def resubmit(self, name: str) -> Facts:
        """Make a job anew although it may exist; a person has looked and decided. Raises: NotFound; RunConflict."""
        with self._hold.held(self._hold.find(name)) as job:
            actions.resubmit(self.store, job)
        return self._after(job)

    def finish_online(self, run_id: str, step: str) -> int:
        """Have the rest of a step's rows done now, at the full price; returns how many rows that are.

        Raises: NotFound; RunConflict while jobs are out, the run is under way, or answers are not in it yet.
        """
        count = self._remainder.finish_online(run_id, step)
        self._dispatch.wake()
        return count

    def finish_job_online(self, name: str) -> int:
        """`finish_online` for the step of a job. Raises: NotFound; RunConflict, also for the job of a script."""
        batch = self.store.set(self._hold.find(name).set_key)
        if batch is None or not batch.run_id:
            raise RunConflict("This job belongs to no run. The script that sent it can ask for the rest.")
        return self.finish_online(batch.run_id, batch.step)

    def recover(self, journal: Path | None = None) -> Recovered:
        """Rebuild jobs from a journal after the database was lost. Raises: DataFileError; CredentialError."""
        with self._hold.lent():
            recovered = actions.recover(self.store, journal or self.store.journal.path, self.poller.open_provider)
        self._watch.nudge()
        return recovered

    # Looking after jobs

    def watch(self, stop: threading.Event) -> None:
        """Look after jobs until told to stop; `nudge` ends a pause."""
        self._watch.watch(stop)

    def look(self) -> None:
        """Ask about everything that is due, once."""
        self._watch.look()

    def nudge(self) -> None:
        """Look now, not in a moment."""
        self._watch.nudge()

    def keys_changed(self) -> None:
        """Go on with the jobs that waited for a key which is here now."""
        self._watch.keys_changed()

    def wake_runs(self, origin: str = "app") -> builtins.list[str]:
        """Queue the runs of which a job came back since they were last at work; returns their ids."""
        return self._watch.wake_runs(origin)

    def _after(self, job: BatchJob) -> Facts:
        self._watch.nudge()
        self._dispatch.wake()
        return self.get(job.key)


def _checked_id(remote_id: str) -> str:
    remote_id = remote_id.strip()
    if not remote_id or len(remote_id) > LONGEST_ID or not remote_id.isprintable():
        raise ConfigError("Paste the id of the batch as its provider shows it.")
    return remote_id
