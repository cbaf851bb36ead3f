"""The words for what happened, used alike by the ledger, the table, exports, the API and the CLI."""

from enum import StrEnum


class CellState(StrEnum):
    """Where one row of one step stands."""

    PENDING = "pending"
    RUNNING = "running"
    OK = "ok"
    FAILED = "failed"
    NEEDS_REVIEW = "needs_review"
    EXPIRED = "expired"
    SKIPPED = "skipped"


class LabelState(StrEnum):
    """How far a person has vouched for a value."""

    LLM_ONLY = "llm_only"
    CONFIRMED = "confirmed"
    CORRECTED = "corrected"
    HUMAN_ONLY = "human_only"
    UNSURE = "unsure"


class RunState(StrEnum):
    """Where a run stands."""

    DRAFT = "draft"
    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    STOPPED = "stopped"
    WAITING_BATCH = "waiting_batch"
    COLLECTING = "collecting"
    DONE = "done"
    DONE_WITH_FAILURES = "done_with_failures"
    CAPPED = "capped"

    @property
    def is_live(self) -> bool:
        """Whether somebody is, or soon will be, working on it."""
        return self in LIVE_STATES


LIVE_STATES = frozenset({RunState.QUEUED, RunState.RUNNING, RunState.WAITING_BATCH, RunState.COLLECTING})


class Reason(StrEnum):
    """Why a cell failed, or why a person should look at it."""

    BAD_KEY = "bad_key"
    RATE_LIMIT = "rate_limit"
    CONTEXT_TOO_LONG = "context_too_long"
    REFUSED = "refused"
    UNPARSEABLE = "unparseable"
    CUT_OFF = "cut_off"
    NOT_IN_LABELS = "not_in_labels"
    PROVIDER_ERROR = "provider_error"
    TIMEOUT = "timeout"
    EXPIRED = "expired"
    CAPPED = "capped"

    @property
    def sentence(self) -> str:
        """What happened, for the person at the screen."""
        return _SENTENCES[self][0]

    @property
    def button(self) -> str:
        """The one thing to do about it."""
        return _SENTENCES[self][1]


_SENTENCES = {
    Reason.BAD_KEY: ("The provider did not accept the key.", "Check the key"),
    Reason.RATE_LIMIT: ("The provider was too busy for this account.", "Retry these rows"),
    Reason.CONTEXT_TOO_LONG: ("The row is longer than the model can read.", "See the rows"),
    Reason.REFUSED: ("The model or its provider declined to answer.", "See the rows"),
    Reason.UNPARSEABLE: ("The answer came in the wrong form.", "Retry these rows"),
    Reason.CUT_OFF: ("The answer was cut off at its token limit.", "See the rows"),
    Reason.NOT_IN_LABELS: ("The answer is not one of your labels.", "Review these rows"),
    Reason.PROVIDER_ERROR: ("The provider or the step had an error.", "Retry these rows"),
    Reason.TIMEOUT: ("The provider took too long.", "Retry these rows"),
    Reason.EXPIRED: ("The batch ended before this row was done.", "Retry these rows"),
    Reason.CAPPED: ("The spending cap was reached before this row.", "Raise the cap"),
}
