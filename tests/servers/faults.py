"""What can go wrong with a call, and the plans that say which call it happens to."""

import hashlib
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from tests.servers.journal import Received


class Fault(StrEnum):
    """The comment says what the client meets."""

    RATE_LIMIT = "rate_limit"  # 429, Retry-After in seconds
    RATE_LIMIT_MS = "rate_limit_ms"  # 429, retry-after-ms
    RATE_LIMIT_BARE = "rate_limit_bare"  # 429, no word of when
    INSUFFICIENT_QUOTA = "insufficient_quota"  # 429 that no waiting helps
    FLEX_UNAVAILABLE = "flex_unavailable"  # 429 resource_unavailable, not charged
    SERVER_ERROR = "server_error"  # 500, OpenAI's error shape
    HTML_503 = "html_503"  # 503, a proxy's HTML page
    TIMEOUT = "timeout"  # the connection is held, nothing is ever sent
    MALFORMED = "malformed"  # 200, JSON that breaks off, whole by Content-Length
    DROPPED = "dropped"  # connection reset before a byte of the answer
    CUT = "cut"  # connection closed in the middle of the body
    BAD_KEY = "bad_key"  # 401
    UNKNOWN_MODEL = "unknown_model"  # 404 model_not_found
    CONTEXT_TOO_LONG = "context_too_long"  # 400 context_length_exceeded
    CONTENT_POLICY = "content_policy"  # 400 content_filter: the prompt was refused
    UNSUPPORTED_PARAMETER = "unsupported_parameter"  # 400 about max_tokens
    FILTERED = "filtered"  # 200, finish_reason content_filter
    REFUSAL = "refusal"  # 200, refusal set and content null
    EMPTY_CHOICES = "empty_choices"  # 200, choices []
    NULL_CONTENT = "null_content"  # 200, content null and no refusal
    TOOL_CALLS = "tool_calls"  # 200, tool calls in place of content
    HTML_200 = "html_200"  # 200, an HTML page
    ERROR_IN_200 = "error_in_200"  # 200, an error object as body
    HUGE = "huge"  # 200, ten megabytes of content
    TRUNCATED = "truncated"  # 200, half the answer, finish_reason length
    SLOW = "slow"  # the right answer after `slow_s`


RETRYABLE = (
    Fault.RATE_LIMIT_MS,
    Fault.RATE_LIMIT_BARE,
    Fault.SERVER_ERROR,
    Fault.TIMEOUT,
    Fault.MALFORMED,
    Fault.DROPPED,
)

# Charged for as a provider would: the model answered and the whole answer, with its usage, was sent.
BILLED = frozenset(
    {
        Fault.FILTERED,
        Fault.REFUSAL,
        Fault.EMPTY_CHOICES,
        Fault.NULL_CONTENT,
        Fault.TOOL_CALLS,
        Fault.HUGE,
        Fault.TRUNCATED,
        Fault.SLOW,
    }
)


class Plan(Protocol):
    """Says what happens to a request; None lets it through."""

    def __call__(self, request: Received, content: str) -> Fault | None: ...


@dataclass
class Faults:
    """Asked in this order: the row's own list, the script, the rate. All three repeat exactly from run to run.

    `rows` maps a tag to the faults of its attempts 1, 2, …, after which it succeeds; a single fault means every
    attempt. `script` is used up request by request, in order of arrival. `rate` is drawn from `seed`, the request's
    content and its attempt number, so neither order nor timing changes it.
    """

    rate: float = 0.0
    kinds: Sequence[Fault] = RETRYABLE
    seed: int = 0
    script: Sequence[Fault | None] = ()
    rows: Mapping[str, Fault | Sequence[Fault | None]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._script_at = 0

    def __call__(self, request: Received, content: str) -> Fault | None:
        if request.tag in self.rows:
            planned = self.rows[request.tag]
            if isinstance(planned, Fault):
                return planned
            return planned[request.attempt - 1] if request.attempt <= len(planned) else None
        with self._lock:
            at, self._script_at = self._script_at, self._script_at + 1
        if at < len(self.script):
            return self.script[at]
        return self._drawn(content, request.attempt)

    def _drawn(self, content: str, attempt: int) -> Fault | None:
        if not self.rate:
            return None
        digest = hashlib.blake2b(f"{self.seed}|{content}|{attempt}".encode(), digest_size=16).digest()
        if int.from_bytes(digest[:8]) / 2**64 >= self.rate:
            return None
        return self.kinds[int.from_bytes(digest[8:]) % len(self.kinds)]
