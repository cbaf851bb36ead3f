"""What a refusal means when it is about a batch job and not about one row, where the two differ."""

import re
from collections.abc import Sequence
from typing import Any

from components.errors import (
    BatchGone,
    BatchOutcomeUnknown,
    ContextTooLong,
    ProviderError,
    RateLimited,
    RequestRefused,
    WrongAddress,
)
from components.llms.batch.protocol import LineError

QUEUE = re.compile(
    r"token_limit_exceeded|enqueued|queue[a-z ]*(?:limit|full)|too many (?:batch|concurrent)", re.IGNORECASE
)
ABOUT_FILE = re.compile(r"\bfiles?\b", re.IGNORECASE)
UNSURE = "Whether the batch was made is not known."
GONE = frozenset({404, 410})
UNDECIDED = frozenset({408, 499})
"""Statuses that come from something on the way, after which the provider may have done its work all the same."""


class LinesRefused(RequestRefused):
    """A file that is refused for what stands in some of its lines."""

    def __init__(self, message: str, lines: Sequence[LineError], **more: Any) -> None:
        super().__init__(message, **more)
        self.lines = tuple(lines)


def refusal(error: ProviderError, *, makes: bool = False, sends: bool = False, finds: bool = False) -> ProviderError:
    """The error of a call that makes a batch, sends its file, or asks for one thing by its id."""
    status = error.status or 0
    if makes and (status >= 500 or status in UNDECIDED):
        return _as(BatchOutcomeUnknown, error, f"{error} {UNSURE}")
    if finds and status in GONE:
        return _as(BatchGone, error, f"{error.provider} knows no such batch job or file under this key.")
    if (makes or sends) and 400 <= status < 500:
        if QUEUE.search(str(error)):
            return _as(RateLimited, error, f"The queue at {error.provider} is full. {_said(error)}".strip())
        if isinstance(error, ContextTooLong):
            return _as(RequestRefused, error, f"{error.provider} takes no file this large. {_said(error)}".strip())
        if isinstance(error, WrongAddress) and ABOUT_FILE.search(_said(error)):
            return _as(BatchGone, error, f"{error.provider} does not have the file. {_said(error)}".strip())
        if isinstance(error, WrongAddress) and status == 404 and not _said(error):
            return _as(WrongAddress, error, f"{error.provider} has no batch API at this address. Check base_url.")
    return error


def _said(error: ProviderError) -> str:
    text = str(error)
    at = text.find("It says: ")
    return text[at:] if at >= 0 else ""


def _as(kind: type[ProviderError], error: ProviderError, text: str) -> ProviderError:
    return kind(
        text, provider=error.provider, status=error.status, retry_after=error.retry_after, parameter=error.parameter
    )
