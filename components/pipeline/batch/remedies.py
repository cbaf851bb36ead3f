"""What to do about a file that the provider refused as a whole."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum

from components.llms.batch.protocol import LineError
from components.llms.batch.refusals import QUEUE
from components.llms.failures import CREDIT, KEY_REFUSED

LIMIT = re.compile(r"limit:?\s*(?:of\s*)?(\d[\d,_ ]*)\s*(?:enqueued\s+)?tokens|limit:?\s*(\d[\d,_]*)", re.IGNORECASE)
NOT_FOUND = re.compile(r"(?:cannot|could not|can't) find file|no such file|file not found", re.IGNORECASE)
PASSING = re.compile(r"server[_ ]error|had an error while|internal error|overloaded|try again", re.IGNORECASE)
NOT_ABOUT_THE_ROW = re.compile(r"model|endpoint|url|method|too_many", re.IGNORECASE)


class Remedy(Enum):
    """What may help."""

    HOLD = "hold"
    """The queue is full: try again when there is room."""
    UPLOAD = "upload"
    """The file is not there: send it once more."""
    LEAVE_OUT = "leave_out"
    """Some rows are bad: send the others without them."""
    LATER = "later"
    """The provider had a bad moment."""
    PERSON = "person"
    """The account is why: no credit, or a key that is no longer taken."""
    NONE = "none"


@dataclass(frozen=True)
class Verdict:
    """Why a file was refused."""

    remedy: Remedy
    said: str = ""
    limit: int | None = None
    """Tokens that the queue takes, where that is told."""
    lines: dict[int, LineError] = field(default_factory=dict)
    """The bad lines by number, from 1."""


def verdict(errors: Sequence[LineError]) -> Verdict:
    """What the errors of a whole file call for."""
    said = "; ".join(error.message for error in errors if error.message)[:500]
    everything = " ".join(f"{error.code} {error.message}" for error in errors)
    if CREDIT.search(everything) or KEY_REFUSED.search(everything):
        return Verdict(Remedy.PERSON, said)
    if QUEUE.search(everything):
        return Verdict(Remedy.HOLD, said, queue_limit(everything))
    if NOT_FOUND.search(everything):
        return Verdict(Remedy.UPLOAD, said)
    lines = {error.line: error for error in errors if error.line is not None}
    # Of a model that batches do not have, or an endpoint, each line would be refused in its turn.
    if lines and not any(NOT_ABOUT_THE_ROW.search(error.code) for error in errors):
        return Verdict(Remedy.LEAVE_OUT, said, lines=lines)
    if not lines and PASSING.search(everything):
        return Verdict(Remedy.LATER, said)
    return Verdict(Remedy.NONE, said)


def queue_limit(text: str) -> int | None:
    """The number of tokens that a queue takes, where a refusal tells it."""
    found = LIMIT.search(text)
    digits = re.sub(r"\D", "", next(filter(None, found.groups()), "")) if found else ""
    return int(digits) if digits else None
