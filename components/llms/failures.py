"""Turns what a provider answered into one of our errors, once, for every provider."""

import math
import re
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

import orjson

from components.errors import (
    ContentRefused,
    ContextTooLong,
    CredentialError,
    ProviderDown,
    ProviderError,
    ProviderTimeout,
    QuotaExhausted,
    RateLimited,
    RequestRefused,
    UnknownModel,
    WrongAddress,
)

SECRET_HEADERS = frozenset(
    {"authorization", "proxy-authorization", "api-key", "x-api-key", "x-goog-api-key", "cookie", "x-auth-token"}
)
LONGEST_SENTENCE = 300
KEY_SHAPE = re.compile(r"\b(?:sk|pk|hf|gsk|xai|key|csk|fw|r8|nvapi|AIza|AQ)[-_.]?[A-Za-z0-9*•._-]{8,}")

CREDIT = re.compile(
    r"insufficient_quota|insufficient[ _]balance|insufficient[ _]credit|insufficient funds|credit balance|credit limit"
    r"|exceeded your current quota|exceeded your monthly|billing[ _]hard[ _]limit|billing_not_active|billing is not"
    r"|payment required|out of credits|no credits|spending limit|negative balance",
    re.IGNORECASE,
)
KEY_REFUSED = re.compile(
    r"incorrect api key|invalid api key|api key not valid|api_key_invalid|invalid x-api-key|invalid_api_key"
    r"|api key (?:is )?(?:missing|expired)|invalid (?:username or password|token|credentials)|unauthorized",
    re.IGNORECASE,
)
NO_MODEL = re.compile(
    r"model_not_found|not_found_error model:|deploymentnotfound|no endpoints found|unable to access model"
    r"|is not a valid model|invalid model|unknown model|no such model|model_not_supported"
    r"|model[^.]{0,120}(?:does not exist|doesn't exist|not found|not exist|is not supported by any|not available"
    r"|decommissioned|deprecated)",
    re.IGNORECASE,
)
TOO_LONG = re.compile(
    r"context[_ ]length|context[_ ]window|context size|maximum context|maximum prompt length|context[a-z ]{0,9}overflow"
    r"|too many (?:input )?tokens|prompt is too long|input (?:is )?too long|string_above_max_length|request too large"
    r"|exceed_context_size|exceeds the (?:maximum|limit)[^.]{0,40}tokens|tokens[^.]{0,40}must be <="
    r"|input token count|reduce the length|reduce your prompt|request_too_large",
    re.IGNORECASE,
)
UNPROCESSABLE = re.compile(r"too large to process", re.IGNORECASE)
"""What llama.cpp says with status 500 of a text to embed that will never fit, so that trying again is no use."""
FILTERED = re.compile(
    r"content[_ ]filter|content[_ ]policy|content management|usage polic|safety|moderation|flagged|prohibited_content"
    r"|responsibleai|data_inspection_failed|sensitive content",
    re.IGNORECASE,
)


# The first that fits: statuses, words that must be among what was said, and what it is to the person.
RULES: tuple[tuple[frozenset[int], re.Pattern[str] | None, type[ProviderError], str], ...] = tuple(
    (frozenset(statuses), words, kind, sentence)
    for statuses, words, kind, sentence in (
        ((402,), None, QuotaExhausted, "{0} has no credit left for this key. Add credit there, then continue."),
        ((400, 403, 412, 429), CREDIT, QuotaExhausted, "{0} has no credit left for this key. Add credit there."),
        ((429,), TOO_LONG, ContextTooLong, "This row is longer than {0} takes at once."),
        ((429, 498, 529), None, RateLimited, "{0} asks for fewer calls."),
        ((401, 407), None, CredentialError, "{0} did not accept the key. Check it."),
        ((400, 403), KEY_REFUSED, CredentialError, "{0} did not accept the key. Check it."),
        ((400, 403, 404, 422), NO_MODEL, UnknownModel, "{0} has no such model for this key. Check its name."),
        ((400, 403, 422, 451), FILTERED, ContentRefused, "{0} declined to answer this row."),
        ((403,), None, CredentialError, "{0} does not let this key do that. Check the key and its rights."),
        ((413,), None, ContextTooLong, "This row is longer than {0} takes at once."),
        ((400, 422), TOO_LONG, ContextTooLong, "This row is longer than the model can read."),
        ((500,), UNPROCESSABLE, ContextTooLong, "This row is longer than {0} takes at once."),
        ((404, 405), None, WrongAddress, "{0} has nothing at this address. Check base_url and the model's name."),
        ((408, 504), None, ProviderTimeout, "{0} took too long."),
        ((409, 425), None, ProviderDown, "{0} had an error."),
    )
)


def error_for(
    status: int, headers: Mapping[str, str], data: Any, provider: str, secrets: Mapping[str, str] | None = None
) -> ProviderError:
    """The error of a reply with this status; `data` is its body as JSON, or as text when it is none.

    `secrets` are the headers that were sent: a key in them is never repeated in the message.
    """
    told = _told(data)
    said = f"{told.code} {told.type} {told.sentence}"
    if status < 400:
        status = _status_in_body(told)
    kind: type[ProviderError] = ProviderDown if status >= 500 else RequestRefused
    text = f"{provider} had an error." if status >= 500 else f"{provider} refused the request."
    wait = retry_after(headers, data)
    for statuses, words, candidate, sentence in RULES:
        if candidate is UnknownModel and told.parameter not in ("", "model"):
            continue
        if candidate is QuotaExhausted and wait is not None and "insufficient_quota" not in said:
            continue  # a quota that comes back by itself, as Gemini's does every minute
        if status in statuses and (words is None or words.search(said)):
            kind, text = candidate, sentence.format(provider)
            break
    if told.sentence:
        text = f"{text} It says: {redacted(told.sentence, secrets or {})}"
    return kind(text, provider=provider, status=status, retry_after=wait, parameter=told.parameter)


def retry_after(headers: Mapping[str, str], data: Any = None) -> float | None:
    """Seconds the provider asks to wait, where it says: milliseconds, seconds, a date, or Gemini's RetryInfo."""
    lower = {name.lower(): value for name, value in headers.items()}
    if (seconds := _number(lower.get("retry-after-ms"))) is not None:
        return seconds / 1000
    text = lower.get("retry-after")
    if text:
        if (seconds := _number(text)) is not None:
            return seconds
        try:
            return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
        except (ValueError, TypeError, OverflowError):
            return None
    return _retry_info(data)


def redacted(text: str, headers: Mapping[str, str]) -> str:
    """The text without the keys that were sent, and without anything that looks like one."""
    for name, value in headers.items():
        if name.lower() in SECRET_HEADERS:
            key = value.removeprefix("Bearer ").strip()
            if len(key) > 3:
                text = text.replace(key, "[key]")
    return KEY_SHAPE.sub("[key]", text)


class _Told:
    def __init__(self, sentence: str = "", code: str = "", type: str = "", parameter: str = "") -> None:
        self.sentence = sentence
        self.code = code
        self.type = type
        self.parameter = parameter


def _told(data: Any) -> _Told:
    """Message, code, type and parameter, from any of the shapes that providers use."""
    if isinstance(data, list):
        data = data[0] if data else {}
    if isinstance(data, (str, bytes)):
        text = data.decode(errors="replace") if isinstance(data, bytes) else data
        return _Told() if text.lstrip().startswith("<") else _Told(_one_line(text))
    if not isinstance(data, dict):
        return _Told()
    inner = data.get("error", data)
    if isinstance(inner, str):
        return _Told(_one_line(inner), str(data.get("error_type") or data.get("code") or ""))
    if not isinstance(inner, dict):
        return _Told()
    detail = inner.get("detail")
    if isinstance(detail, list) and detail and isinstance(detail[0], dict):
        where = ".".join(str(part) for part in detail[0].get("loc", []) if part != "body")
        return _Told(_one_line(f"{where}: {detail[0].get('msg', '')}"), str(detail[0].get("type", "")), "", where)
    message = inner.get("message") or detail or ""
    raw = (inner.get("metadata") or {}).get("raw") if isinstance(inner.get("metadata"), dict) else None
    if isinstance(raw, str) and raw:
        message = f"{message} {raw}"
    if not isinstance(message, str):
        message = orjson.dumps(message, default=str).decode()
    kind = inner.get("type") or inner.get("status") or ""
    return _Told(_one_line(message), str(inner.get("code") or ""), str(kind), str(inner.get("param") or ""))


def _one_line(text: str) -> str:
    line = " ".join("".join(c if c.isprintable() else " " for c in text[:4000]).split())
    return line if len(line) <= LONGEST_SENTENCE else line[: LONGEST_SENTENCE - 1] + "…"


def _status_in_body(told: _Told) -> int:
    """The status of an error that came with HTTP 200."""
    if told.code.isdigit() and 400 <= int(told.code) <= 599:
        return int(told.code)
    said = f"{told.code} {told.type}"
    for words, status in (("rate_limit overloaded", 429), ("authentication", 401), ("invalid_request", 400)):
        if any(word in said for word in words.split()):
            return status
    return 502


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return max(0.0, value) if math.isfinite(value) else None


def _retry_info(data: Any) -> float | None:
    if isinstance(data, list) and data:
        data = data[0]
    error = data.get("error") if isinstance(data, dict) else None
    details = error.get("details") if isinstance(error, dict) else None
    for detail in details if isinstance(details, list) else []:
        if isinstance(detail, dict) and isinstance(detail.get("retryDelay"), str):
            return _number(detail["retryDelay"].rstrip("s"))
    return None
