"""Follow a job at its provider, and bring home what came of it."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from components.errors import ConfigError, ProviderError
from components.llms.batch.protocol import LineError, Reconcile, Remote
from components.llms.batch.result_files import result_file
from components.pipeline.batch.in_hand import InHand
from components.pipeline.batch.ingest import Tally, ingest
from components.pipeline.batch.pace import jittered, poll_seconds
from components.pipeline.batch.reading import ATTACHED
from components.pipeline.batch.refused_files import refused_file
from components.pipeline.batch.resend import MOST_ATTEMPTS
from components.pipeline.batch.states import FINISHED, JobState, RequestState
from components.pipeline.batch.store import Closing
from components.pipeline.batch.submitting import RIGHT_ONE
from components.pipeline.batch.writing import is_adopted
from components.pipeline.ledger.tables import BatchRequest

STRANGE_AFTER = 20
"""After so many polls a status that nobody knows is pointed out."""
KNOWN_WORDS = (
    "valid", "progress", "final", "queue", "run", "pend", "cancel", "process", "schedul", "submit", "creat", "updat",
    "paus", "start",
)  # fmt: skip
MANY = 10
LEFT_OVER = {
    "completed": (RequestState.MISSING, "The provider gave no result for this row."),
    "failed": (RequestState.FAILED, "The provider refused the whole file."),
    "expired": (RequestState.EXPIRED, "The batch ended before this row was done."),
    "cancelled": (RequestState.MISSING, "The batch was canceled before this row was done."),
}


def poll(hand: InHand) -> bool:
    """Ask the provider about the job. True when there is more to do at once."""
    hand.reached("poll")
    job = hand.job
    assert job.remote_id is not None
    remote = _canceled(hand, job.remote_id) if job.cancel_requested_at and "cancel" not in job.status.lower() else None
    return seen(hand, remote or hand.provider.get(job.remote_id))


def seen(hand: InHand, remote: Remote) -> bool:
    """Take in what the provider says of the job. True when there is more to do at once."""
    job, now = hand.job, hand.clock()
    if remote.outcome == "completed" and not hand.provider.caps.has_status and remote.counts != json.loads(job.counts):
        # The first requests of a file may be done before the others are counted at all.
        remote = replace(remote, outcome=None, status="in_progress")
    values: dict[str, Any] = {
        "status": remote.status, "counts": remote.counts, "handles": remote.handles, "polls": job.polls + 1,
        "poll_errors": 0, "expires_at": remote.expires_at or job.expires_at,
        "results_expire_at": remote.results_expire_at or job.results_expire_at,
    }  # fmt: skip
    if remote.has_ended:
        errors = [{"message": error.message, "code": error.code, "line": error.line} for error in remote.errors]
        message = "; ".join(error.message for error in remote.errors if error.message)[:500]
        values["handles"] = {**remote.handles, **({"errors": json.dumps(errors)} if errors else {})}
        values |= {"outcome": remote.outcome, "ended_at": now, "message": message, "next_poll_at": 0.0}
        hand.change(JobState.ENDED, **values)
        hand.reached("ended")
        return True
    wait = remote.retry_after or poll_seconds(job.polls, now - (job.submitted_at or now))
    state = JobState.RUNNING if job.state != JobState.RUNNING else None
    hand.change(state, next_poll_at=now + jittered(wait), message=_strange(remote, job.polls), **values)
    return False


def collect(hand: InHand) -> bool:
    """Bring the results into the ledger and end the job. True when there is more to do at once."""
    was_refused = hand.job.outcome == "failed" and not is_adopted(hand.job)
    if was_refused and not _has_files(hand):
        return _refused(hand)
    if hand.job.state != JobState.INGESTING:
        hand.change(JobState.INGESTING)
    hand.reached("ingesting")
    tally = ingest(hand.job, hand.batch, hand.provider, hand.llm, hand.store, hand.reached)
    if tally.is_anothers and _may_be_anothers(hand):
        return _let_go(hand)
    if was_refused and not tally.matched:
        # Azure names an error file for a batch that never ran, with nothing in it.
        return _refused(hand)
    hand.reached("ingested")
    _end(hand, tally)
    hand.reached("closed")
    _tidy(hand, tally)
    hand.reached("tidied")
    return False


def _refused(hand: InHand) -> bool:
    refused_file(hand, _errors(hand))
    return hand.job.state not in (*FINISHED, JobState.BLOCKED) and hand.job.next_poll_at <= hand.clock()


def _may_be_anothers(hand: InHand) -> bool:
    is_guess = hand.provider.caps.reconcile is Reconcile.GUESS
    return not is_adopted(hand.job) and (is_guess or hand.times(ATTACHED) > 0)


def _let_go(hand: InHand) -> bool:
    message = f"The results of {hand.job.remote_id} are of other requests, so it is not this job."
    if hand.times(ATTACHED):
        hand.restart(JobState.BLOCKED, f"{message} {RIGHT_ONE}")
        return False
    hand.restart(JobState.CREATING, message, lookups=0, next_poll_at=0.0)
    return True


def _end(hand: InHand, tally: Tally) -> None:
    job = hand.job
    left_over, message = LEFT_OVER.get(job.outcome, LEFT_OVER["completed"])
    if job.outcome == "failed" and job.message:
        message = job.message
    said = " ".join(filter(None, [job.message, _complaint(hand), _oddities(tally)]))
    closing = Closing(left_over, message, note=said)
    # Refused for want of room, not for what it is: sent again by itself, as nothing was paid for it.
    again: list[BatchRequest] = []
    trouble = ""
    if tally.account and job.outcome != "cancelled" and not is_adopted(job):
        again, trouble = _refused_for_the_account(hand, tally)
    elif job.outcome == "completed" and not is_adopted(job) and not _complaint(hand):
        again = hand.store.without_answer(job_key=job.key, most_attempts=MOST_ATTEMPTS)
    if again:
        try:
            hand.resend(again, closing, is_new_attempt=not trouble, waits_for=trouble)
        except ConfigError:
            # Without their file they stay failed, and a person may finish them online.
            again = []
    if not again:
        hand.close(closing)


def _refused_for_the_account(hand: InHand, tally: Tally) -> tuple[list[BatchRequest], str]:
    """The rows that a person can have sent again once the account is put right, and what is said of it."""
    mine = hand.store.without_answer(job_key=hand.job.key)
    rows = [request for request in mine if (request.idx, request.part) in tally.account]
    count = "1 row was" if len(rows) == 1 else f"{len(rows):,} rows were"
    return rows, (
        f"{tally.account_trouble} {count} refused for it and cost nothing; refresh this job to send "
        f"{'it' if len(rows) == 1 else 'them'} again."
    )


def _has_files(hand: InHand) -> bool:
    """Whether a batch that failed as a whole has results all the same."""
    handles = json.loads(hand.job.handles)
    return any(name != "errors" and value for name, value in handles.items())


def _complaint(hand: InHand) -> str:
    """What most rows failed for, as it will be no better when they are sent again."""
    text, count = hand.store.main_complaint(hand.job.key)
    if hand.job.n < MANY or count * 2 <= hand.job.n:
        return ""
    return f"{count:,} of {hand.job.n:,} rows failed for the same reason: {text}"


def _oddities(tally: Tally) -> str:
    parts = [
        (tally.strange, f"of the results belong{'s' if tally.strange == 1 else ''} to no row of this job"),
        (tally.unreadable, "of the results could not be read"),
    ]
    return " ".join(f"{count:,} line{'s' if count != 1 else ''} {what}." for count, what in parts if count)


def _tidy(hand: InHand, tally: Tally) -> None:
    """Remove the files whose content is in the ledger; what may be needed again is kept."""
    job = hand.job
    if tally.is_clean and job.remote_id:
        result_file(hand.store.folder, job.remote_id, "output").unlink(missing_ok=True)
    counts = hand.store.counts(job_key=job.key)
    if not is_adopted(job) and counts[RequestState.OK] == job.n:
        Path(job.input_file).unlink(missing_ok=True)


def _canceled(hand: InHand, remote_id: str) -> Remote | None:
    if not hand.provider.caps.can_cancel:
        return None
    hand.reached("before_cancel")
    try:
        remote = hand.provider.cancel(remote_id)
    except ProviderError as error:
        # It may have ended by itself, or another try may go better.
        hand.change(note=f"It could not be canceled: {error}")
        return None
    hand.reached("canceled")
    return remote


def _strange(remote: Remote, polls: int) -> str:
    if polls < STRANGE_AFTER or any(word in remote.status.lower() for word in KNOWN_WORDS):
        return ""
    return f"The provider says '{remote.status}', which Stillroom does not know. It goes on asking."


def _errors(hand: InHand) -> list[LineError]:
    handles = json.loads(hand.job.handles)
    found = json.loads(handles.get("errors", "[]"))
    if isinstance(found, list):
        return [LineError(error["message"], error["code"], error["line"]) for error in found]
    return []
