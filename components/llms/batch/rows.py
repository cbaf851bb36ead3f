"""One line of results, from whatever a provider writes there to what it means."""

import re
from collections.abc import Mapping
from typing import Any

import orjson

from components.errors import CredentialError, QuotaExhausted
from components.llms.batch.protocol import BatchLine
from components.llms.failures import error_for

NOT_RUN = re.compile(r"^(?:batch_)?(?:expired|cancell?ed)$|^batch cancell?ed$|cancell?ed by user", re.IGNORECASE)
EXPIRED = re.compile("expire", re.IGNORECASE)
PASSING = re.compile(
    r"overloaded|unavailable|time[d ]?[- ]?out|timeout|internal|server[_ ]error|rate[_ ]?limit|too many requests"
    r"|try again|capacity|temporar|had an error",
    re.IGNORECASE,
)
STATUS_OF = {
    "invalid_request_error": 400, "authentication_error": 401, "billing_error": 402, "permission_error": 403,
    "not_found_error": 404, "request_too_large": 413, "rate_limit_error": 429, "api_error": 500, "server_error": 500,
    "timeout_error": 504, "overloaded_error": 529, "batch_server_error": 500,
}  # fmt: skip
"""Where a provider names the kind of an error in place of an HTTP status."""
RPC_STATUS = {
    1: 499, 3: 400, 4: 504, 5: 404, 7: 403, 8: 429, 9: 400, 10: 409, 11: 400, 12: 501, 13: 500, 14: 503, 16: 401,
}  # fmt: skip
"""Google's numbers of errors."""


def reply_line(custom_id: Any, status: Any, body: Any, error: Any, provider: str) -> BatchLine:
    """A line in OpenAI's shape: a status and a body, or an error. A failure may hide in either."""
    name = "" if custom_id is None else str(custom_id)
    status = status if isinstance(status, int) and not isinstance(status, bool) else None
    if isinstance(body, str):
        body = _parsed(body)
    if error:
        return failed_line(name, status if status and status >= 400 else None, error, provider)
    if status is not None and not 200 <= status < 300:
        return failed_line(name, status, body, provider)
    if not isinstance(body, dict):
        return BatchLine(name, None, status, "no_body", f"{provider} sent a result without an answer.", True)
    if body.get("error") and not body.get("choices"):
        return failed_line(name, None, body, provider)
    return BatchLine(name, body, status)


def failed_line(custom_id: str, status: int | None, said: Any, provider: str) -> BatchLine:
    """The line of a row that failed, by its status, else by what is said of it."""
    code = _code(said)
    text = said if isinstance(said, str) else str(_inner(said).get("message") or "")
    if NOT_RUN.search(code) or (status is None and NOT_RUN.search(text.strip())):
        is_late = bool(EXPIRED.search(code or text))
        if not is_late:
            told = "The batch was canceled before this row was done."
            return BatchLine(custom_id, None, status, "batch_cancelled", told, True)
        told = text or "The batch expired before this row was done."
        return BatchLine(custom_id, None, status, "batch_expired", told, True)
    if status is None:
        status = _status(code)
    if status == 0:
        return BatchLine(custom_id, None, status, code, text or f"{provider} gave no answer to this row.", True)
    guess = status or (503 if PASSING.search(f"{code} {text}") else 400)
    # 499 says that somebody hung up on the way, which is no fault of the row.
    body = {"error": said} if isinstance(said, str) else said
    error = error_for(408 if guess == 499 else guess, {}, body, provider)
    is_account = isinstance(error, (CredentialError, QuotaExhausted))
    return BatchLine(custom_id, None, status, code or str(status or ""), str(error), error.is_retryable, is_account)


def _inner(said: Any) -> Mapping[str, Any]:
    if not isinstance(said, Mapping):
        return {}
    error = said.get("error", said)
    return error if isinstance(error, Mapping) else {"message": error}


def _code(said: Any) -> str:
    error = _inner(said)
    for name in ("code", "type", "status"):
        value = error.get(name)
        # Mistral and OpenRouter put numbers there, which say less than the kind.
        if isinstance(value, str) and value and not value.isdigit():
            return value
    return str(error.get("code") or "")


def _status(code: str) -> int | None:
    """The HTTP status that goes with the name or number of an error; None where it has none."""
    if code.isdigit() and int(code) < 600:
        return RPC_STATUS.get(int(code), int(code))
    return STATUS_OF.get(code)


def _parsed(text: str) -> Any:
    try:
        return orjson.loads(text)
    except ValueError:
        return text
