"""Work on a run in this process until it rests, then say what came of it and how to go on."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from app.cli.batch_screen import batch_command
from app.cli.home import SHORT, command
from app.cli.program import DONE, DONE_WITH_FAILURES, FAILED
from app.cli.screen import Screen, WrongUse, count, in_words, money, shortened
from app.cli.watching import watching
from app.studio import Studio
from app.studio.progress import done_of
from components.errors import RunConflict, StillroomError, did_you_mean
from components.pipeline.engine import Engine
from components.pipeline.running import engine_for
from components.states import LIVE_STATES, RunState
from components.steps.tasks.task import as_text
from components.steps.typing import Row

ENDS = {RunState.DONE: DONE, RunState.DONE_WITH_FAILURES: DONE_WITH_FAILURES}
FORMATS = {".csv": "csv", ".jsonl": "jsonl", ".parquet": "parquet"}
LOOK_SECONDS = 0.5


def checked_out(out: Path | None) -> Path | None:
    """A file to write results to, looked at before anything is paid for. Raises: WrongUse."""
    if out is None:
        return None
    if out.suffix.lower() not in FORMATS:
        hint = did_you_mean(out.suffix.lower(), FORMATS) or f" Use one of {', '.join(FORMATS)}."
        raise WrongUse(f"--out {out}: there is no format '{out.suffix}'.{hint}")
    if not out.absolute().parent.is_dir():
        raise WrongUse(f"--out {out}: there is no folder {out.parent}. Make it first.")
    if out.is_dir():
        raise WrongUse(f"--out {out}: this is a folder. Name a file in it.")
    return out


def work(studio: Studio, run_id: str, screen: Screen) -> None:
    """Work on a run until it rests; where somebody else has taken it up, look on. Ctrl-C stops it cleanly."""
    engine = engine_for(studio.ledger, studio.runs.get(run_id), vault=studio.connections.vault())
    try:
        with watching(lambda: studio.runs.progress(run_id), screen), kill_as_interrupt():
            _work(engine, screen)
    except KeyboardInterrupt:
        screen.note("Left at once. Only answers that were on their way may be lost.")
    except RunConflict:
        _look_on(studio, run_id)
    except StillroomError:
        # What it was is the reason for which the run rests.
        if studio.runs.get(run_id).state in LIVE_STATES:
            raise


def report(
    studio: Studio,
    run_id: str,
    screen: Screen,
    home: Path | None,
    out: Path | None = None,
    results: dict[str, list[Row]] | None = None,
) -> int:
    """Write the results of a run that is done, and say how it ended; returns the exit code.

    `results` are rows to show, by step.
    """
    progress = studio.runs.progress(run_id)
    code = ENDS.get(RunState(progress["state"]), FAILED)
    written = out if out is not None and code != FAILED else None
    if written is not None:
        studio.exports.write(run_id, written)
    document = {**progress, "out": str(written) if written else None}
    lines = [*_rows(results or {}), *_story(progress, home, out, written)]
    screen.answer(document if results is None else {**document, "results": results}, "\n".join(lines))
    return code


def _look_on(studio: Studio, run_id: str) -> None:
    pause = threading.Event()
    while (run := studio.runs.get(run_id)).state in LIVE_STATES and not studio.runs.is_abandoned(run):
        pause.wait(LOOK_SECONDS)


def _work(engine: Engine, screen: Screen) -> None:
    over = threading.Event()
    failures: list[BaseException] = []

    def toil() -> None:
        try:
            engine.work()
        except BaseException as error:
            failures.append(error)
        finally:
            over.set()

    # In a thread of its own, as the main thread alone hears signals and may be torn out of a wait at any moment.
    threading.Thread(target=toil, name="stillroom-work", daemon=True).start()
    try:
        over.wait()
    except KeyboardInterrupt:
        screen.note("Stopping. This waits a few seconds for answers that are on their way.")
        engine.stop("Stopped from the keyboard.")
        over.wait()
    if failures:
        raise failures[0]


@contextmanager
def kill_as_interrupt() -> Iterator[None]:
    """Lets a polite kill do what Ctrl-C does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _rows(results: dict[str, list[Row]]) -> Iterator[str]:
    for step, rows in results.items():
        for number, row in enumerate(rows, start=1):
            yield f"{step}, row {number}{'' if row['state'] == 'ok' else ' ' + row['state']}"
            yield from (f"  {name}: {shortened(as_text(value))}" for name, value in row["values"].items())
            if row["message"]:
                yield f"  {row['message']}"
    if results:
        yield ""


def _story(progress: dict[str, Any], home: Path | None, out: Path | None, written: Path | None) -> Iterator[str]:
    state, run_id = RunState(progress["state"]), progress["id"]
    if progress["rehearsal"]:
        yield "Rehearsal: no model was asked, the answers are made up."
    yield _first_sentence(progress, state)
    for group in progress["errors"]:
        where = f"{group['step']}: " if group["step"] else ""
        yield f"  {where}{count(group['count'], 'row')}. {group['sentence']} ({group['reason']})"
    if state is RunState.DONE_WITH_FAILURES:
        yield f"Retry the failed rows with: {command('retry', run_id, home)}"
    elif state in (RunState.WAITING_BATCH, RunState.COLLECTING):
        yield f"Wait for its answers here with: {batch_command('watch', home=home)}"
        yield f"Look for its answers later with: {command('continue', run_id, home)}"
    elif state not in ENDS:
        yield f"Go on with: {command('continue', run_id, home, '--cap AMOUNT' if state is RunState.CAPPED else '')}"
    if written is not None:
        yield f"The results are in {written}."
    elif out is not None or state in ENDS:
        name = str(out) if out else "results.csv"
        what = "The results" if state in ENDS else "What is there so far"
        yield f"{what}: {command('export', run_id, home, f'--out {name}')}"


def _first_sentence(progress: dict[str, Any], state: RunState) -> str:
    last = progress["steps"][-1]
    total, done = progress["rows_total"], done_of(last)
    failed = last["failed"] + last["expired"]
    rows = count(done, "row") if total is None or done >= total else f"{done:,} of {count(total, 'row')}"
    rows += " so far" if total is None else ""
    parts = [rows, *([f"{failed:,} failed"] if failed else [])]
    parts += [f"{last['needs_review']:,} to review"] if last["needs_review"] else []
    if not progress["rehearsal"]:
        parts.append(f"{money(progress['spent'], progress['cost_known'])}")
    reason = f" {progress['state_reason']}" if progress["state_reason"] else ""
    word = "done" if state in ENDS else in_words(state)
    return f"Run {progress['id'][:SHORT]} is {word}: {', '.join(parts)}.{reason}"
