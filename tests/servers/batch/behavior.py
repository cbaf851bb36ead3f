"""How a batch API behaves: how long a batch takes, how it ends, which rows and which calls go wrong."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, get_type_hints

from pydantic import TypeAdapter


class Final(StrEnum):
    COMPLETED = "completed"
    FAILED = "failed"  # nothing ran, no files
    EXPIRED = "expired"
    CANCELLED = "cancelled"  # though nobody asked for it
    PARTIAL = "partial"  # Gemini's PARTIALLY_SUCCEEDED; elsewhere completed with rows missing


class Failure(StrEnum):
    """Why a good file fails validation."""

    TOKEN_LIMIT = "token_limit_exceeded"
    CANNOT_FIND_FILE = "cannot_find_file"  # although it is there
    SERVER_ERROR = "server_error"


class Trouble(StrEnum):
    """What happens to a call. The three that land have done what was asked; only the reply is lost."""

    LAND_HANG = "land_hang"  # done, then the connection is held and nothing is ever sent
    LAND_500 = "land_500"
    LAND_DROP = "land_drop"  # done, then the connection is reset
    HANG = "hang"
    DROP = "drop"
    CUT = "cut"  # of a download: half of it, then the connection is closed
    SERVER_ERROR = "500"
    HTML_503 = "html_503"
    BAD_REQUEST = "400"
    BAD_KEY = "401"
    FORBIDDEN = "403"
    NOT_FOUND = "404"  # of a create: the model; else what was asked for
    CONFLICT = "409"
    TOO_LARGE = "413"
    UNPROCESSABLE = "422"
    RATE_LIMIT = "429"  # with Retry-After
    QUEUE_FULL = "queue_full"  # 429 token_limit_exceeded
    NO_CREDIT = "no_credit"  # 429 insufficient_quota, which no waiting helps


class Fate(StrEnum):
    """What becomes of a row. Numbers are HTTP statuses of its answer, in the error file, with `error: null`."""

    BAD_REQUEST = "400"
    CONFLICT = "409"
    RATE_LIMIT = "429"
    SERVER_ERROR = "500"
    OVERLOADED = "503"
    STATUS_0 = "0"
    NO_CREDIT = "no_credit"
    EXPIRED = "expired"  # batch_expired, not run
    CANCELLED = "cancelled"  # batch_cancelled, not run
    MISSING = "missing"  # not run, in no file
    TWICE = "twice"  # in the output two times, the second with another text
    GARBLED = "garbled"  # run and charged for, but its line is cut
    BODY_AS_STRING = "body_as_string"  # response.body is JSON inside a string


class NoErrors(StrEnum):
    """How a batch without an error row says so."""

    NULL = "null"
    EMPTY_ID = "empty_id"  # error_file_id is ""
    EMPTY_FILE = "empty_file"  # a file of 0 bytes, as on Azure


Calls = Trouble | list[Trouble | None] | None


@dataclass
class BatchBehavior:
    """Every field may be changed while the server runs. A batch ends when both its polls and its seconds are up.

    `on_…`: a single trouble means every such call; a list is used up call by call, None letting one through.
    `rows` is asked by custom_id, then by tag (`tag_pattern` of the online behavior), then `"*"`; a list gives the
    fates of a row's attempts 1, 2, … after which it succeeds.
    """

    polls_until_done: int = 2  # each batch in a list counts as polled
    seconds_until_done: float = 0.0
    cancel_polls: int = 1  # how many polls a cancel takes
    final: Final = Final.COMPLETED
    done_when_stopped: int = 0  # rows finished before the batch expired or was cancelled
    resets_counts: bool = True  # the counters of a cancelled batch forget what was done
    failures: Failure | list[Failure | None] | None = None  # of validation, batch by batch

    on_upload: Calls = None
    on_create: Calls = None
    on_poll: Calls = None
    on_list: Calls = None
    on_cancel: Calls = None
    on_download: Calls = None
    trouble_retry_after_s: float = 1.0
    poll_retry_after_s: float | None = None  # Retry-After on good polls too

    list_lag_s: float = 0.0  # how long a new batch stays out of the list
    list_lag_calls: int = 0
    unseen_polls: int = 0  # polls answered with 404 right after the create

    rows: Mapping[str, Fate | list[Fate | None]] = field(default_factory=dict)
    shuffled: bool = True
    seed: int = 0
    foreign_rows: int = 0  # rows nobody asked for
    blank_lines: int = 0
    undecodable_lines: int = 0
    output_bytes: int | None = None  # the output file is filled up to this while it is sent
    no_errors: NoErrors | None = None  # None: as the provider does
    odd_status: str | None = None  # said in place of in_progress

    max_requests: int | None = None  # None: the provider's own limit
    max_bytes: int | None = None
    accounts: Mapping[str, str] = field(default_factory=dict)  # key to account; other keys are an account each
    tag_key: str | None = None  # the metadata key that tells batches apart; see Batch.tag

    def change(self, **settings: Any) -> None:
        """Set fields from plain values, e.g. of JSON. Raises: ValueError or TypeError for what does not fit."""
        hints = get_type_hints(type(self))
        for name, value in settings.items():
            if name not in hints:
                raise ValueError(f"BatchBehavior has no field {name!r}")
            setattr(self, name, TypeAdapter(hints[name]).validate_python(value))

    def trouble(self, call: str) -> Trouble | None:
        """What happens to this call of a kind, e.g. `create`."""
        planned: Calls = getattr(self, f"on_{call}")
        if isinstance(planned, list):
            return planned.pop(0) if planned else None
        return planned

    def failure(self) -> Failure | None:
        if isinstance(self.failures, list):
            return self.failures.pop(0) if self.failures else None
        return self.failures

    def fate(self, custom_id: str | None, tag: str, attempt: int) -> Fate | None:
        for name in (custom_id or "", tag, "*"):
            if name in self.rows:
                planned = self.rows[name]
                if isinstance(planned, Fate):
                    return planned
                return planned[attempt - 1] if attempt <= len(planned) else None
        return None
