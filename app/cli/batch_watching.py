"""`stillroom batches watch`: look after jobs until all are over, beside the app or without it."""

import threading
from pathlib import Path
from typing import Any

from app.cli.batch_screen import OVER, batch_command, jobs_table, name_of, needing, outcomes, state_in_words
from app.cli.batches import MOST, Job, code_of
from app.cli.home import SHORT, command, opened
from app.cli.program import DONE, DONE_WITH_FAILURES, FAILED
from app.cli.screen import Screen, count, in_words
from app.cli.working import ENDS, kill_as_interrupt
from app.studio import Studio
from app.worker import Worker

LOOK_SECONDS = 1.0


class Watch:
    """What there was to look after, and what was said of it."""

    def __init__(self, studio: Studio, screen: Screen) -> None:
        self._studio, self._screen = studio, screen
        self._said: dict[str, str] = {}
        self._begun = {job["key"] for job in self._all() if job["state"] in OVER}
        self._runs = dict.fromkeys(studio.batches.runs_under_way())

    def jobs(self) -> list[Job]:
        """The jobs that were not over when the watch began, and those sent since."""
        return [job for job in self._all() if job["key"] not in self._begun]

    def runs(self) -> list[dict[str, Any]]:
        """The runs of these jobs, and those that went on with what came back before."""
        ids = [*(job["run_id"] for job in self.jobs()), *self._runs]
        return [self._studio.runs.progress(run_id) for run_id in dict.fromkeys(ids) if run_id]

    def tell(self) -> list[Job]:
        """Say what changed since the last time; returns the jobs."""
        jobs = self.jobs()
        for job in jobs:
            words = f"{state_in_words(job)}, {outcomes(job['counts'])}"
            words += f". {job['message']}" if job["needs_person"] and job["message"] else ""
            if self._said.get(job["key"]) != words:
                self._said[job["key"]] = words
                self._screen.note(f"{name_of(job)}: {words}")
        return jobs

    def _all(self) -> list[Job]:
        return [job for job in self._studio.batches.list(limit=MOST) if "recover" not in job["can"]]


def watch(screen: Screen, home: Path | None) -> int:
    """Look after jobs, and go on with their runs, until nothing is out any more."""
    with opened(home) as studio:
        seen = Watch(studio, screen)
        studio.batches.keys_changed()
        worker = Worker(studio, only_batches=True)
        is_cut_short = False
        with kill_as_interrupt():
            try:
                worker.start()
                _look_on(studio, seen)
            except KeyboardInterrupt:
                is_cut_short = True
                screen.note("Stopping. This waits a few seconds for what is on its way.")
            finally:
                worker.stop()
        jobs = seen.tell()
        runs = seen.runs()
    lines = [jobs_table(jobs), *needing(jobs)] if jobs else ["No job is out."]
    lines += [f"Run {run['id'][:SHORT]} is {in_words(run['state'])}. {_next(run, home)}" for run in runs]
    if is_cut_short:
        out = sum(job["state"] not in OVER for job in jobs)
        lines.append(f"Nothing is lost: {count(out, 'job')} still out. Go on with: {batch_command('watch', home=home)}")
    screen.answer({"jobs": jobs, "runs": runs, "is_cut_short": is_cut_short}, "\n".join(lines))
    return FAILED if is_cut_short else _code(jobs, runs)


def _look_on(studio: Studio, seen: Watch) -> None:
    pause = threading.Event()
    while studio.batches.is_under_way():
        seen.tell()
        pause.wait(LOOK_SECONDS)


def _next(run: dict[str, Any], home: Path | None) -> str:
    if run["state"] in ENDS:
        return f"The results: {command('export', run['id'], home, '--out results.csv')}"
    if not run["portable"]:
        return "Run its script again: what came back is taken over."
    return f"Go on with: {command('continue', run['id'], home)}"


def _code(jobs: list[Job], runs: list[dict[str, Any]]) -> int:
    codes = {code_of(jobs), *(ENDS.get(run["state"], FAILED) for run in runs)}
    return next((code for code in (FAILED, DONE_WITH_FAILURES) if code in codes), DONE)
