"""What the commands about runs do: runs, show, continue, stop, retry and export."""

import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.cli.home import SHORT, command, find, opened
from app.cli.pipelines import checked_cap
from app.cli.program import DONE, FAILED
from app.cli.screen import Screen, WrongUse, count, in_words, money, table
from app.cli.working import checked_out, report, work
from components.errors import ConfigError
from components.states import LIVE_STATES, Reason, RunState

STOP_SECONDS = 20.0
LOOK_SECONDS = 0.2


@dataclass(frozen=True)
class Again:
    """How to go on with a run."""

    out: Path | None = None
    cap: float | None = None
    concurrency: int | None = None
    reason: str | None = None
    step: str | None = None


def list_runs(limit: int, screen: Screen, home: Path | None) -> int:
    """The newest runs, whoever started them."""
    with opened(home) as studio:
        found = list(studio.runs.recent(limit))
    head = ["run", "state", "rows", "failed", "spent", "by", "started", "pipeline"]
    lines = [head, *([*_line(run)] for run in found)]
    screen.answer({"runs": found}, table(lines) if found else "There are no runs yet.")
    return DONE


def show(start_of_id: str, screen: Screen, home: Path | None) -> int:
    """How far a run has come, step by step, and what failed."""
    with opened(home) as studio:
        run = find(studio, start_of_id)
        progress, events = studio.runs.progress(run.id), studio.runs.events(run.id)
    screen.answer({**progress, "events": events}, "\n".join(_page(progress)))
    return DONE


def go_on(start_of_id: str, again: Again, screen: Screen, home: Path | None) -> int:
    """Go on with a run that rests, in this process."""
    out, cap = checked_out(again.out), checked_cap(again.cap)
    with opened(home) as studio:
        run = find(studio, start_of_id)
        if run.state != RunState.WAITING_BATCH:
            studio.runs.go_on(run.id, cap=cap, concurrency=again.concurrency)
        elif cap is not None:
            studio.runs.raise_cap(run.id, cap)
        work(studio, run.id, screen)
        return report(studio, run.id, screen, home, out)


def retry(start_of_id: str, again: Again, screen: Screen, home: Path | None) -> int:
    """Work again on the failed rows of a run, in this process."""
    out = checked_out(again.out)
    if again.reason is not None and again.reason not in list(Reason):
        raise WrongUse(f"--reason {again.reason}: use one of {', '.join(Reason)}.")
    with opened(home) as studio:
        run = find(studio, start_of_id)
        try:
            rows = studio.runs.retry(run.id, reason=again.reason, step=again.step)
        except ConfigError as error:
            raise WrongUse(f"--step {again.step}: {error}" if again.step else str(error)) from None
        screen.note(f"Working again on {count(rows, 'row')}.")
        work(studio, run.id, screen)
        return report(studio, run.id, screen, home, out)


def stop(start_of_id: str, screen: Screen, home: Path | None) -> int:
    """Ask whoever works on a run to stop, and wait until it rests."""
    with opened(home) as studio:
        run_id = find(studio, start_of_id).id
        studio.runs.stop(run_id)
        deadline, pause = time.monotonic() + STOP_SECONDS, threading.Event()
        while studio.runs.get(run_id).state in LIVE_STATES and time.monotonic() < deadline:
            pause.wait(LOOK_SECONDS)
        progress = studio.runs.progress(run_id)
    is_at_rest = progress["state"] not in LIVE_STATES
    sentence = f"Run {run_id[:SHORT]} is {in_words(progress['state'])}."
    if not is_at_rest:
        sentence = f"Run {run_id[:SHORT]} was asked to stop, and has not done so yet."
    elif progress["state"] == RunState.STOPPED:
        sentence += f" Go on with: {command('continue', run_id, home)}"
    screen.answer(progress, sentence)
    return DONE if is_at_rest else FAILED


def export(
    start_of_id: str, out: Path, step: str | None, states: Sequence[str], screen: Screen, home: Path | None
) -> int:
    """Write the results of a run to a file, also of one that is not done."""
    checked_out(out)
    with opened(home) as studio:
        run = find(studio, start_of_id)
        try:
            studio.exports.write(run.id, out, step=step or "", states=states)
        except ConfigError as error:
            raise WrongUse(str(error)) from None
        state = studio.runs.get(run.id).state
    sentence = f"The results are in {out}."
    if state not in (RunState.DONE, RunState.DONE_WITH_FAILURES):
        sentence = f"What is there so far is in {out}; the run is {in_words(state)}."
    screen.answer({"run": run.id, "state": state, "out": str(out)}, sentence)
    return DONE


def _line(run: dict[str, Any]) -> Iterator[str]:
    yield run["id"][:SHORT]
    yield in_words(run["state"])
    total = run["rows_total"]
    yield f"{run['rows_done']:,} {'so far' if total is None else f'of {total:,}'}"
    yield f"{run['failed']:,}"
    yield "rehearsal" if run["rehearsal"] else money(run["spent"], run["cost_known"])
    yield run["origin"]
    yield (run["started_at"] or run["created_at"] or "").replace("T", " ").removesuffix("+00:00")
    yield run["name"]


def _page(progress: dict[str, Any]) -> Iterator[str]:
    yield f"{progress['name']}, run {progress['id']}"
    reason = f": {progress['state_reason']}" if progress["state_reason"] else ""
    yield f"{in_words(progress['state'])}{reason}"
    if progress["rehearsal"]:
        yield "Rehearsal: no model was asked, the answers are made up."
    cap = f", cap {money(progress['cap'])}" if progress["cap"] is not None else ""
    yield f"spent {money(progress['spent'], progress['cost_known'])}{cap}"
    yield ""
    head = ["step", "component", "rows", "ok", "failed", "to review", "waiting", "spent"]
    yield table([head, *([*_step(step)] for step in progress["steps"])])
    for group in progress["errors"]:
        where = f"{group['step']}: " if group["step"] else ""
        yield f"{where}{count(group['count'], 'row')}. {group['sentence']} ({group['reason']})"


def _step(step: dict[str, Any]) -> Iterator[str]:
    yield step["name"]
    yield step["component"]
    yield f"{step['total']:,}"
    yield f"{step['ok']:,}"
    yield f"{step['failed'] + step['expired']:,}"
    yield f"{step['needs_review']:,}"
    yield f"{step['pending'] + step['in_flight']:,}"
    yield money(step["cost"], step["cost_known"])
