"""The tables of the engine."""

from sqlalchemy import Index, LargeBinary, Text
from sqlmodel import Field, MetaData, SQLModel

metadata = MetaData()


class LedgerTable(SQLModel):
    """A table of the ledger."""

    metadata = metadata


class Run(LedgerTable, table=True):
    """One run of a pipeline."""

    id: str = Field(primary_key=True)
    name: str = Field(index=True)
    kind: str = "run"
    """`run`, `preview` or `dry_run`."""
    origin: str = "script"
    """Who started it: `script`, `cli` or `app`."""
    owner: str = ""
    pipeline_id: str | None = Field(default=None, index=True)
    state: str = Field(index=True)
    state_reason: str = ""
    command: str = ""
    """What somebody asked of the process that works on it: `pause` or `stop`."""
    spec: str = Field(sa_type=Text)
    """The pipeline as JSON, without keys and with the run's parameters in it."""
    spec_hash: str = ""
    is_portable: bool = True
    """Whether the catalog can build it again; not so with steps that exist only in somebody's script."""
    is_rehearsal: bool = False
    use_cache: bool = True
    cap: float | None = None
    spent: float = 0.0
    cost_known: bool = True
    concurrency: int = 64
    row_limit: int | None = None
    in_flight: int = 0
    created_at: float = Field(index=True)
    started_at: float | None = None
    finished_at: float | None = None
    lease_owner: str = ""
    lease_beat: float = 0.0


class StepRun(LedgerTable, table=True):
    """One step of a run, with running totals kept in the same commit as its cells."""

    __tablename__ = "step_run"

    run_id: str = Field(primary_key=True, foreign_key="run.id", ondelete="CASCADE")
    step: str = Field(primary_key=True)
    position: int
    component: str
    kind: str = "step"
    """`source`, `step`, `task` or `global`."""
    is_leaf: bool = False
    signature: str = ""
    is_complete: bool = False
    """Whether all its rows are known; an interrupted source or global step is never taken for a finished one."""
    total: int | None = None
    ok: int = 0
    failed: int = 0
    needs_review: int = 0
    skipped: int = 0
    expired: int = 0
    fanned_out: int = 0
    """Cells that made other than one row."""
    tokens_in: int = 0
    tokens_out: int = 0
    cost: float = 0.0
    cost_known: bool = True
    attempts: int = 0
    seconds: float = 0.0


class Cell(LedgerTable, table=True):
    """One row of one step: what came out, or why nothing did."""

    __table_args__ = (
        Index("cell_state", "run_id", "step", "state", "row"),
        Index("cell_key", "key"),
    )

    run_id: str = Field(primary_key=True, foreign_key="run.id", ondelete="CASCADE")
    step: str = Field(primary_key=True)
    row: str = Field(primary_key=True)
    """Position of the source row, eight digits; a dot and four more for each row made of one."""
    state: str
    key: str = ""
    """Hash of the inputs and of the step as configured."""
    output: bytes | None = Field(default=None, sa_type=LargeBinary)
    """The rows it made, as a JSON list."""
    n_out: int = 0
    reason: str = ""
    message: str = ""
    model: str = ""
    prompt: bytes | None = Field(default=None, sa_type=LargeBinary)
    raw: bytes | None = Field(default=None, sa_type=LargeBinary)
    tokens_in: int = 0
    tokens_out: int = 0
    cost: float = 0.0
    cost_known: bool = True
    seconds: float = 0.0
    attempts: int = 0
    is_reused: bool = False
    is_rehearsal: bool = False
    finished_at: float = 0.0


class Route(LedgerTable, table=True):
    """Which steps a batch of rows was sent to."""

    run_id: str = Field(primary_key=True, foreign_key="run.id", ondelete="CASCADE")
    step: str = Field(primary_key=True)
    batch: int = Field(primary_key=True)
    targets: str


class Event(LedgerTable, table=True):
    """Something that happened to a run, for its timeline."""

    id: int | None = Field(default=None, primary_key=True)
    run_id: str = Field(index=True, foreign_key="run.id", ondelete="CASCADE")
    at: float
    kind: str
    message: str = ""


class BatchSet(LedgerTable, table=True):
    """Rows that were sent to a provider's batch API together: one step of a run, or one call from a script."""

    __tablename__ = "batch_set"

    key: str = Field(primary_key=True)
    """Hash of the model as configured and of every prompt, so that the same work is found again."""
    run_id: str | None = Field(default=None, index=True)
    step: str = ""
    model: str = ""
    provider: str = ""
    account: str = ""
    """Address and fingerprint of the key that made it; never the key."""
    llm: str = Field(sa_type=Text)
    """The model as JSON, without keys, to collect with in another process."""
    n: int = 0
    num_generations: int = 1
    state: str = "open"
    estimate: float | None = None
    created_at: float = 0.0


class BatchUse(LedgerTable, table=True):
    """A step of a run that takes its answers from the set of another run."""

    __tablename__ = "batch_use"

    set_key: str = Field(primary_key=True, foreign_key="batch_set.key", ondelete="CASCADE")
    run_id: str = Field(primary_key=True, foreign_key="run.id", ondelete="CASCADE", index=True)
    step: str = Field(primary_key=True)


class BatchJob(LedgerTable, table=True):
    """One batch job at a provider: a shard of a set."""

    __tablename__ = "batch_job"

    key: str = Field(primary_key=True)
    """128 random bits; also the tag by which the job is found again at the provider."""
    set_key: str = Field(index=True, foreign_key="batch_set.key", ondelete="CASCADE")
    attempt: int = 1
    state: str = Field(index=True)
    message: str = ""
    """What a person should know or do; empty while all is well."""
    n: int = 0
    bytes: int = 0
    tokens: int = 0
    """About how many tokens its requests put into the provider's queue."""
    sha256: str = ""
    path: str = ""
    """The API path that its requests go to."""
    input_file: str = ""
    input_ref: str | None = Field(default=None, unique=True)
    remote_id: str | None = Field(default=None, unique=True)
    status: str = ""
    """The provider's own word."""
    outcome: str = ""
    counts: str = "{}"
    handles: str = "{}"
    window: str = "24h"
    estimate: float | None = None
    cost: float = 0.0
    cost_known: bool = True
    created_at: float = 0.0
    intent_at: float | None = None
    submitted_at: float | None = None
    ended_at: float | None = None
    expires_at: float | None = None
    results_expire_at: float | None = None
    cancel_requested_at: float | None = None
    next_poll_at: float = Field(default=0.0, index=True)
    polls: int = 0
    poll_errors: int = 0
    lookups: int = 0
    """Empty listings while looking for a batch whose creation had an unknown outcome."""
    uploads: int = 0
    lease_owner: str = ""
    lease_until: float = 0.0


class BatchRequest(LedgerTable, table=True):
    """One request of a set, and what came of it."""

    __tablename__ = "batch_request"
    __table_args__ = (
        Index("batch_request_job", "job_key", "state"),
        Index("batch_request_row", "set_key", "row"),
        Index("batch_request_cell", "cell_key"),
    )

    set_key: str = Field(primary_key=True, foreign_key="batch_set.key", ondelete="CASCADE")
    idx: int = Field(primary_key=True)
    part: int = Field(default=0, primary_key=True)
    """Which generation, where the provider gives one for each request."""
    row: str = ""
    """The row of the run it belongs to."""
    cell_key: str = ""
    """The identity of what it asks, by which another run finds the answer."""
    state: str = "inflight"
    """`inflight`, `ok`, `failed`, `expired` or `missing`."""
    attempt: int = 1
    job_key: str = ""
    reply: bytes | None = Field(default=None, sa_type=LargeBinary)
    http_status: int | None = None
    code: str = ""
    message: str = ""
    is_retryable: bool = False
    tokens_in: int = 0
    tokens_out: int = 0
    cost: float = 0.0


class BatchEvent(LedgerTable, table=True):
    """Something that happened to a batch job, for its timeline."""

    __tablename__ = "batch_event"

    id: int | None = Field(default=None, primary_key=True)
    job_key: str = Field(index=True)
    at: float
    kind: str
    message: str = ""
