"""Get a job to its provider just once, whatever happens on the way."""

from pathlib import Path

from components.errors import BatchGone, BatchOutcomeUnknown, ProviderError
from components.llms.batch.protocol import LineError, Reconcile, Remote
from components.llms.batch.refusals import LinesRefused
from components.pipeline.batch.in_hand import CANCELED, InHand
from components.pipeline.batch.lease import LeaseLost
from components.pipeline.batch.pace import FIRST_POLL, jittered
from components.pipeline.batch.queueing import has_room
from components.pipeline.batch.reading import LET_GO
from components.pipeline.batch.reconcile import reconcile
from components.pipeline.batch.refused_files import UPLOADS_AT_MOST, leave_out, reject, upload_again
from components.pipeline.batch.states import JobState, Unsure
from components.pipeline.batch.store import Closing
from components.pipeline.ledger.tables import BatchJob

FIRST_LOOK = 5.0
LATER_LOOK = 300.0
HELD_BACK_LOOK = 60.0
WORST_HOURS = 26
ASK = (
    "The provider did not say whether it made this job, and it cannot be looked up for sure. Look at the provider's "
    "own page: re-attach the job by its id if it is there, or resubmit it if it is not."
)
RIGHT_ONE = "Re-attach the right one, or resubmit the job."
MAY_EXIST = "Canceled. Nobody can tell whether it was made: look at the provider's own page, and cancel it there too."
LOOKING = "Looking for the job at the provider; it is not made twice."


def is_held_back(hand: InHand) -> bool:
    """Whether somebody halted the run that the job is for, so that nothing is sent now; it waits and says so."""
    job = hand.job
    why = "" if job.cancel_requested_at else hand.store.held_back([job.set_key]).get(job.set_key, "")
    if why and (job.state, job.message) != (JobState.HELD, why):
        hand.change(JobState.HELD, why, message=why)
    if why:
        hand.change(next_poll_at=hand.clock() + jittered(HELD_BACK_LOOK))
    return bool(why)


def upload(hand: InHand) -> bool:
    """Send the input file. True when there is more to do at once."""
    job = hand.job
    if job.cancel_requested_at:
        hand.close(CANCELED)
        return False
    file = Path(job.input_file)
    if not file.exists():
        reject(hand, "The file with its requests is no longer on this machine, so they were not sent.")
        return False
    hand.reached("before_upload")
    try:
        reference = hand.provider.upload(file, f"stillroom-{job.key}.jsonl")
    except LinesRefused as error:
        leave_out(hand, _numbered(error), str(error))
        return False
    hand.reached("after_upload")
    hand.change(JobState.UPLOADED, input_ref=reference or None, uploads=job.uploads + 1, message="")
    hand.reached("uploaded")
    return True


def create(hand: InHand) -> bool:
    """Make the job with exactly one request. True when there is more to do at once."""
    if hand.job.cancel_requested_at:
        hand.close(CANCELED)
        return False
    if not has_room(hand):
        return False
    hand.change(JobState.CREATING, intent_at=hand.clock(), lookups=0, message="")
    hand.reached("intent")
    job = hand.job
    try:
        remote = hand.provider.create(
            job.input_ref or "", file=Path(job.input_file), tag=job.key, model=hand.batch.model, path=job.path, n=job.n,
            window=job.window,
        )  # fmt: skip
    except BatchOutcomeUnknown as error:
        hand.change(note=str(error), next_poll_at=hand.clock() + FIRST_LOOK, message=LOOKING)
        return False
    except ProviderError as error:
        # A clear refusal made nothing, so there is nothing to look for.
        hand.change(JobState.UPLOADED, intent_at=None)
        if isinstance(error, BatchGone) and job.uploads < UPLOADS_AT_MOST:
            upload_again(hand)
            return True
        if isinstance(error, LinesRefused):
            leave_out(hand, _numbered(error), str(error))
            return False
        raise
    hand.reached("created")
    submitted(hand, remote)
    hand.reached("submitted")
    return False


def look_up(hand: InHand) -> bool:
    """Find out what became of a request to make the job. True when there is more to do at once."""
    job = hand.job
    others = {id for id, key in hand.store.remote_ids().items() if key != job.key}
    others |= {event.message for event in hand.store.events(job.key, LET_GO)}
    found = reconcile(job, hand.provider, others, hand.clock(), hand.grace)
    if found.remote is not None and _may_be_of_another(hand, found.remote):
        hand.change(next_poll_at=hand.clock() + jittered(FIRST_LOOK), message=LOOKING)
        return False
    for extra in found.extras:
        hand.provider.cancel(extra.id)
        hand.change(note=f"A second copy, {extra.id}, was canceled.")
        hand.reached("extra_canceled")
    if found.remote is not None:
        submitted(hand, found.remote, "Found at the provider.")
        hand.reached("adopted")
        return True
    if found.is_unsure:
        return _unsure(hand)
    if found.is_absent and job.cancel_requested_at:
        hand.close(CANCELED)
        return False
    if found.is_absent:
        hand.change(JobState.UPLOADED, "The provider has no such job.", intent_at=None, message="")
        hand.reached("absent")
        return True
    values = {"state": JobState.CREATING} if job.state != JobState.CREATING else {}
    hand.change(**values, lookups=found.lookups, next_poll_at=found.next_at, message=LOOKING)
    return False


def submitted(hand: InHand, remote: Remote, note: str = "") -> None:
    """The job is at the provider under this id."""
    now = hand.clock()
    try:
        hand.change(
            JobState.SUBMITTED, note, remote_id=remote.id, status=remote.status, counts=remote.counts,
            handles=remote.handles, submitted_at=now, expires_at=remote.expires_at,
            results_expire_at=remote.results_expire_at, message="", polls=0, poll_errors=0, outcome="",
            next_poll_at=now + jittered(remote.retry_after or FIRST_POLL),
        )  # fmt: skip
    except LeaseLost:
        # Whoever took the job over meanwhile has made it too, or found this one; that one counts.
        if hand.store.job(hand.job.key).remote_id not in (None, remote.id):
            hand.provider.cancel(remote.id)
            hand.store.note(hand.job.key, "note", f"A second copy, {remote.id}, was canceled.")
        raise


def needs_decision(job: BatchJob) -> bool:
    """Whether a person has to say what becomes of a job that may or may not be at its provider."""
    return job.state == JobState.BLOCKED and (job.message == ASK or job.message.endswith(RIGHT_ONE))


def _may_be_of_another(hand: InHand, remote: Remote) -> bool:
    """Whether a batch that is only guessed to be the job's is one that somebody makes for another job this moment."""
    job, store = hand.job, hand.store
    if hand.provider.caps.reconcile is not Reconcile.GUESS:
        return False
    # Asked after the list: a job that had no id when that came may have it now.
    being_made = [one for one in store.jobs(states=[JobState.CREATING]) if one.key != job.key and not one.message]
    accounts = [store.set(one.set_key) for one in being_made if one.n == job.n]
    is_near = any(batch is not None and batch.account == hand.batch.account for batch in accounts)
    return is_near or store.remote_ids().get(remote.id, job.key) != job.key


def _numbered(error: LinesRefused) -> dict[int, LineError]:
    return {line.line: line for line in error.lines if line.line is not None}


def _unsure(hand: InHand) -> bool:
    job, now = hand.job, hand.clock()
    if job.cancel_requested_at:
        hand.close(Closing(CANCELED.left_over, CANCELED.message, note=MAY_EXIST))
        return False
    if hand.unsure is Unsure.RESUBMIT:
        hand.change(JobState.UPLOADED, "Nobody can tell whether it was made; it is made again.", intent_at=None)
        return True
    until = (job.intent_at or now) + (hand.provider.caps.worst_hours or WORST_HOURS) * 3600
    if hand.unsure is Unsure.WAIT and now < until:
        hand.change(next_poll_at=now + LATER_LOOK, message=f"{LOOKING} It is looked for until it would have ended.")
        return False
    hand.block(ASK)
    return False
