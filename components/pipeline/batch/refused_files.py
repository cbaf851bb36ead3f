"""What becomes of a job whose file the provider refused as a whole."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from components.llms.batch.protocol import LineError
from components.pipeline.batch.in_hand import InHand
from components.pipeline.batch.planning import Limits, lines_of
from components.pipeline.batch.queueing import hold
from components.pipeline.batch.reading import TRIED_LATER
from components.pipeline.batch.remedies import Remedy, verdict
from components.pipeline.batch.states import JobState, RequestState
from components.pipeline.batch.store import Closing, Settled

UPLOADS_AT_MOST = 2
LATER_SECONDS = (10.0, 60.0)
"""How long a batch that failed for no fault of its rows rests before it is made again, each time."""
ROUNDS_AT_MOST = 6
"""A provider's check stops at the first bad row, so each round finds but one; the rest is then left to a person."""
ROUNDS_IN_ONE = 3
"""After so many rounds the file is halved with each, so that one bad row holds up fewer good ones."""


def refused_file(hand: InHand, errors: Sequence[LineError]) -> None:
    """Go the way that may help, else end the job with all its rows failed."""
    found = verdict(errors)
    if found.remedy is Remedy.PERSON:
        message = f"The provider refused the whole batch: {found.said} Refresh this job once that is put right."
        hand.restart(JobState.BLOCKED, message, intent_at=None)
    elif found.remedy is Remedy.HOLD:
        hold(hand, " ".join(error.message for error in errors))
    elif found.remedy is Remedy.UPLOAD and hand.job.uploads < UPLOADS_AT_MOST:
        upload_again(hand)
    elif found.remedy is Remedy.LEAVE_OUT and hand.job.attempt < ROUNDS_AT_MOST:
        leave_out(hand, found.lines, found.said)
    elif found.remedy is Remedy.LATER and (tries := hand.times(TRIED_LATER)) < len(LATER_SECONDS):
        message = f"The provider could not take the file: {found.said} It is tried again by itself."
        hand.store.note(hand.job.key, TRIED_LATER, found.said)
        # Counted as an error, so that it rests for as long also when another job ends and leaves room.
        rest = {"next_poll_at": hand.clock() + LATER_SECONDS[tries], "poll_errors": tries + 1}
        hand.restart(JobState.HELD, message, intent_at=None, **rest)
    else:
        _name(hand, found.lines)
        reject(hand, found.said or "The provider failed the whole batch and did not say why.")


def upload_again(hand: InHand) -> None:
    """Send the file once more."""
    message = "The provider did not find the file, so it is sent again."
    hand.restart(JobState.PLANNED, message, intent_at=None, input_ref=None, next_poll_at=0.0)


def leave_out(hand: InHand, lines: Mapping[int, LineError], said: str) -> None:
    """Send all rows but the bad ones, in a new job."""
    _name(hand, lines)
    hand.reached("named")
    rest = hand.store.unsettled(hand.job.key)
    closing = Closing(RequestState.FAILED, said, False, JobState.REJECTED, f"The provider refused the file: {said}")
    if not rest or len(rest) == hand.job.n:
        hand.close(closing)
        return
    limits = Limits(requests=-(-len(rest) // 2)) if hand.job.attempt >= ROUNDS_IN_ONE else Limits()
    hand.resend(rest, closing, limits=limits)


def halve(hand: InHand, said: str) -> None:
    """Send the rows in two files, as one is too large."""
    job = hand.job
    if job.n == 1 or job.attempt >= ROUNDS_AT_MOST:
        reject(hand, said)
        return
    closing = Closing(RequestState.FAILED, said, False, JobState.REJECTED, f"Parted in two: {said}")
    hand.resend(hand.store.unsettled(job.key), closing, limits=Limits(bytes=-(-job.bytes // 2)))


def reject(hand: InHand, said: str) -> None:
    """End the job; a person may retry its rows, or finish them online."""
    note = f"The provider refused the file: {said}"
    hand.close(Closing(RequestState.FAILED, said, False, JobState.REJECTED, note))


def _name(hand: InHand, lines: Mapping[int, LineError]) -> None:
    """Write down what was said of single rows."""
    if not lines:
        return
    requests = lines_of(hand.provider, Path(hand.job.input_file), hand.job.key)
    hand.store.settle(
        hand.job,
        [
            Settled(*place, RequestState.FAILED, code=lines[number].code, message=lines[number].message)
            for number, (place, _) in enumerate(requests, start=1)
            if number in lines
        ],
    )
