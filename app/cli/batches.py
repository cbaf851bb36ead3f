"""What the commands about batch jobs do: list, show, cancel, collect, retry, adopt and recover."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import typer

from app.cli.batch_screen import (
    OVER,
    SHORT,
    batch_command,
    jobs_table,
    name_of,
    needing,
    outcomes,
    page,
    rows_and_price,
    state_in_words,
)  # fmt: skip
from app.cli.home import command, find, opened
from app.cli.program import DONE, DONE_WITH_FAILURES, FAILED
from app.cli.screen import Screen, WrongUse, count
from app.studio import NotFound, Studio
from components.errors import RunConflict, did_you_mean
from components.states import RunState

MOST = 10_000
Job = dict[str, Any]


@dataclass(frozen=True)
class Whose:
    """Which job a batch is to be attached to, as far as that is said."""

    job: str | None = None
    run: str | None = None
    step: str | None = None


def list_jobs(every: bool, run: str | None, screen: Screen, home: Path | None) -> int:
    """Jobs of which something is left to do, or all."""
    with opened(home) as studio:
        run_id = find(studio, run).id if run is not None else None
        found = studio.batches.list(run_id=run_id, limit=MOST)
    shown = found if every else [job for job in found if job["can"]]
    lines = [jobs_table(shown)] if shown else ["There are no batch jobs." if not found else "Nothing is left to do."]
    lines += needing(shown)
    if hidden := len(found) - len(shown):
        lines.append(
            f"{count(hidden, 'job')} more with nothing left to do: {batch_command('list', '--all', home=home)}"
        )
    if any("recover" in job["can"] for job in shown):
        lines.append(f"Bring back what the database lost with: {batch_command('recover', home=home)}")
    screen.answer({"jobs": shown}, "\n".join(lines))
    return DONE


def show(name: str, screen: Screen, home: Path | None) -> int:
    """Everything about a job."""
    with opened(home) as studio:
        job = found_job(studio, name)
    screen.answer(job, "\n".join(page(job, home)))
    return DONE


def cancel(name: str, yes: bool, screen: Screen, home: Path | None) -> int:
    """End a job early, once a person has said that it is meant."""
    with opened(home) as studio:
        job = found_job(studio, name)
        screen.note(f"{name_of(job)}: {state_in_words(job)}, {count(job['n'], 'row')}.")
        screen.note("Rows that are done by now are kept and collected, as they are paid for; the others are not asked.")
        if not yes and not _is_meant():
            raise RunConflict("Nothing was canceled. Say yes when asked, or add --yes.")
        job = studio.batches.cancel(job["key"])
    how = batch_command("watch", home=home)
    sentence = f"{name_of(job)} is over." if job["state"] in OVER else f"{name_of(job)} is being canceled."
    screen.answer(job, f"{sentence} Take up what is done with: {how}" if job["provider_id"] else sentence)
    return DONE


def collect(names: Sequence[str], screen: Screen, home: Path | None) -> int:
    """Ask about jobs right now, and take up what is there."""
    with opened(home) as studio:
        every = [job for job in studio.batches.list(limit=MOST) if "collect" in job["can"]]
        asked = [found_job(studio, name) for name in names] if names else every
        found = [studio.batches.collect(job["key"]) for job in asked]
    lines = [jobs_table(found), *needing(found)] if found else ["No job is out."]
    screen.answer({"jobs": found}, "\n".join([*lines, *_next(found, home)]))
    return code_of(found)


def retry(name: str, screen: Screen, home: Path | None) -> int:
    """Send the rows of a job that have no answer once more."""
    with opened(home) as studio:
        job = found_job(studio, name)
        if "retry" in job["can"]:
            again = rows_and_price(job["retry"]["n"], job["retry"]["price"], job["is_free"])
            screen.note(f"Sending again from {name_of(job)}: {again}.")
        before = {one["key"] for one in studio.batches.list(run_id=job["run_id"], limit=MOST)}
        sent = studio.batches.retry(job["key"])
        # Nobody else may be awake to send them.
        studio.batches.look()
        jobs = [one for one in studio.batches.list(run_id=job["run_id"], limit=MOST) if one["key"] not in before]
    lines = [f"Sent again: {count(sent, 'row')}.", jobs_table(jobs), *needing(jobs), *_next(jobs, home)]
    screen.answer({"count": sent, "jobs": jobs}, "\n".join(lines))
    return DONE


def adopt(ids: Sequence[str], whose: Whose, screen: Screen, home: Path | None) -> int:
    """Attach jobs to batches of a provider."""
    if whose.job is not None and len(ids) > 1:
        raise WrongUse(f"--job {whose.job}: a job is one batch, and {len(ids)} ids are given.")
    if whose.step is not None and whose.run is None:
        raise WrongUse(f"--step {whose.step}: say of which run with --run.")
    with opened(home) as studio:
        run_id = find(studio, whose.run).id if whose.run is not None else None
        key = found_job(studio, whose.job)["key"] if whose.job is not None else None
        jobs = [
            studio.batches.adopt(key, one) if key else studio.batches.adopt_any(one, run_id=run_id, step=whose.step)
            for one in ids
        ]
    lines = [f"Job {job['key'][:SHORT]} is {job['provider_id']}: {count(job['n'], 'row')}." for job in jobs]
    screen.answer({"jobs": jobs}, "\n".join([*lines, *_next(jobs, home)]))
    return DONE


def recover(journal: Path | None, screen: Screen, home: Path | None) -> int:
    """Rebuild jobs from a journal, and say what was in it."""
    with opened(home) as studio:
        path = journal or studio.batches.store.journal.path
        if not path.exists():
            raise WrongUse(f"There is no journal at {path}. Name the file to read.")
        back = studio.batches.recover(path)
        jobs = [job for job in studio.batches.list(limit=MOST) if "collect" in job["can"]]
    lines = [f"{count(back.jobs, 'job')} brought back, {back.already_there:,} here already."]
    if back.without_input:
        lines.append(f"{count(back.without_input, 'job')} cannot be: never sent, and the requests are gone.")
    lines += [jobs_table(jobs)] if jobs else []
    if back.jobs:
        lines.append(f"Take up the answers with: {batch_command('watch', home=home)}")
        lines.append("Then run the same pipelines again: what is answered is taken over and not paid for twice.")
    screen.answer({**asdict(back), "open": jobs}, "\n".join(lines))
    return DONE_WITH_FAILURES if back.without_input else DONE


def found_job(studio: Studio, name: str) -> Job:
    """The job of that id, here or at its provider, or the start of one. Raises: WrongUse."""
    try:
        return studio.batches.get(name)
    except NotFound as error:
        jobs = studio.batches.list(limit=MOST)
        lost = [job for job in jobs if "recover" in job["can"] and name in (job["provider_id"], job["key"][:SHORT])]
        if lost:
            raise WrongUse(f"{name} is in the journal alone. `stillroom batches recover` brings it back.") from None
        names = [name for job in jobs for name in (job["provider_id"], job["key"][:SHORT]) if name]
        near = did_you_mean(name, names)
        raise WrongUse(f"{error}{near} `stillroom batches list --all` lists them.") from None


def code_of(jobs: Sequence[Job]) -> int:
    """The exit code for jobs that were to come to their ends."""
    if any(job["state"] not in OVER or job["needs_person"] for job in jobs):
        return FAILED
    return DONE_WITH_FAILURES if any("retry" in job["can"] for job in jobs) else DONE


def _next(jobs: Sequence[Job], home: Path | None) -> list[str]:
    if any(job["state"] not in OVER for job in jobs):
        stays_on = " This machine does the work, so it has to stay on." if any(job["is_local"] for job in jobs) else ""
        return [f"Wait for the rest with: {batch_command('watch', home=home)}{stays_on}"]
    lines = [
        f"{name_of(job)}: {outcomes(job['counts'])}. Send what is left again with: "
        f"{batch_command('retry', job['key'][:SHORT], home=home)}"
        for job in jobs
        if "retry" in job["can"]
    ]
    runs = dict.fromkeys(job["run_id"] for job in jobs if job["run_state"] == RunState.WAITING_BATCH)
    return [*lines, *(f"Go on with its run: {command('continue', run_id, home)}" for run_id in runs)]


def _is_meant() -> bool:
    try:
        return typer.confirm("Cancel it?", err=True)
    except typer.Abort:
        return False
