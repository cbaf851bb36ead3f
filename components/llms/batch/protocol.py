"""What a provider of batch jobs does: a few calls, each made once, with nothing remembered between them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal, Protocol

Outcome = Literal["completed", "failed", "expired", "cancelled"]


class Reconcile(StrEnum):
    """How a batch whose creation had an unknown outcome is found again, strongest first."""

    TAG = "tag"
    """By our tag, in its metadata or name."""
    INPUT = "input"
    """By the file it was made from, whose id is known before."""
    GUESS = "guess"
    """By when it was made and how many requests it has; proven by the first result."""
    NONE = "none"


@dataclass(frozen=True)
class Caps:
    """What a provider takes and promises. The figures are in `caps.toml`, with the day each was looked up."""

    max_requests: int
    max_bytes: int
    max_line_bytes: int | None = None
    windows: tuple[str, ...] = ("24h",)
    discount: float = 0.5
    """Share of the price that is saved."""
    discounted_models: tuple[str, ...] | None = None
    """The only models with a discount; None where all have it."""
    one_form_models: tuple[str, ...] = ()
    """How the names of models begin of which a batch takes one form of answer only, the same for all its requests."""
    has_embeddings: bool = False
    """Takes requests for embeddings too."""
    reconcile: Reconcile = Reconcile.TAG
    can_cancel: bool = True
    can_list: bool = True
    has_status: bool = True
    """Says whether a batch has ended; else that is told by its counters, which stand still once all requests are in."""
    results_days: int | None = 30
    """How long results are kept after the batch was made; None where nobody says."""
    worst_hours: int | None = 24
    """When a batch that is not done expires; None where it never does."""
    looked_up: str = ""
    source: str = ""


@dataclass(frozen=True)
class LineError:
    """Why a provider refused a whole file: what it said of one of its lines."""

    message: str
    code: str = ""
    line: int | None = None
    """Counts from 1."""


@dataclass(frozen=True)
class Remote:
    """A batch as its provider describes it now."""

    id: str
    status: str
    """The provider's own word."""
    outcome: Outcome | None = None
    """None while more rows may appear; a status nobody knows is no end."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """For progress only: `total`, `completed`, `failed`."""
    handles: Mapping[str, str] = field(default_factory=dict)
    """What its results are fetched by, such as file ids."""
    errors: Sequence[LineError] = ()
    created_at: float | None = None
    expires_at: float | None = None
    results_expire_at: float | None = None
    retry_after: float | None = None
    tag: str = ""
    input_ref: str = ""

    @property
    def has_ended(self) -> bool:
        return self.outcome is not None


@dataclass(frozen=True)
class BatchLine:
    """One line of results."""

    custom_id: str
    """Empty where the provider gave none."""
    body: Mapping[str, Any] | None = None
    """The reply, just as the online API would give it; None where there is none."""
    status: int | None = None
    code: str = ""
    message: str = ""
    is_retryable: bool = False
    """Worth sending again: expired, canceled, too busy; not a bad request."""
    is_account: bool = False
    """The account, not the row, is why: no credit, no access."""

    @property
    def is_ok(self) -> bool:
        return self.body is not None


@dataclass(frozen=True)
class UnreadableLine:
    """A line of results that cannot be read; its row stays missing until another line has it."""

    text: str


class BatchProvider(Protocol):
    """Batch jobs at one account of one provider. Every method makes its calls once and raises ProviderError."""

    @property
    def caps(self) -> Caps: ...

    @property
    def account(self) -> str:
        """The address and a fingerprint of the key, never the key."""
        ...

    def line(self, custom_id: str, path: str, body: Mapping[str, Any]) -> bytes:
        """One line of the input file, with its newline; `path` and `body` are those of the online call."""
        ...

    def read_line(self, line: bytes) -> tuple[str, dict[str, Any]]:
        """The name and the body in a line that `line` made, to send the same request again."""
        ...

    def upload(self, file: Path, name: str) -> str:
        """Send the input file, streamed; returns what `create` needs. Providers that take requests inline return ''."""
        ...

    def create(self, input_ref: str, *, file: Path, tag: str, model: str, path: str, n: int, window: str) -> Remote:
        """Make the batch with exactly one request.

        Raises: BatchOutcomeUnknown when it may or may not exist; another ProviderError when it surely does not.
        """
        ...

    def get(self, batch_id: str) -> Remote: ...

    def recent(self, since: float) -> Iterator[Remote]:
        """Batches of the account made since a moment, newest first, a page at a time."""
        ...

    def cancel(self, batch_id: str) -> Remote: ...

    def results(self, remote: Remote, folder: Path) -> Iterator[BatchLine | UnreadableLine]:
        """Every line of every result file, output and errors alike, streamed through files in `folder`."""
        ...
