"""The app's own tables, beside those of the engine in the same database."""

from pathlib import Path

from sqlalchemy import Index, LargeBinary, Text
from sqlmodel import Field, MetaData, SQLModel

from components.pipeline.ledger import Ledger, Run
from components.pipeline.ledger.migrate import upgrade

metadata = MetaData()
# A label goes when its run goes, so the engine's table has to be known here too.
Run.__table__.to_metadata(metadata)  # type: ignore[attr-defined]

MIGRATIONS = Path(__file__).parent / "migrations"
HEAD = "0002"
"""The newest revision in `migrations/versions`."""


class AppTable(SQLModel):
    """A table of the app."""

    metadata = metadata


class Pipeline(AppTable, table=True):
    """A pipeline that somebody works on, finished or not."""

    id: str = Field(primary_key=True)
    name: str
    spec: str = Field(sa_type=Text)
    """The pipeline as JSON; it never holds a key."""
    revision: int = 1
    """Counts the times it was saved, so that two windows cannot overwrite each other unseen."""
    owner: str = Field(default="", index=True)
    created_at: float
    updated_at: float


class Dataset(AppTable, table=True):
    """A data file that was added, copied to a folder of its own."""

    id: str = Field(primary_key=True)
    name: str
    """What the person calls it."""
    file: str
    """The file's name in its folder."""
    filetype: str
    encoding: str | None = None
    delimiter: str | None = None
    columns: str = Field(sa_type=Text)
    """The names of the columns as a JSON list."""
    warnings: str = Field(default="[]", sa_type=Text)
    """What the person should know about the file, as a JSON list of sentences."""
    n_rows: int
    bytes: int
    sha256: str
    owner: str = Field(default="", index=True)
    created_at: float


class Connection(AppTable, table=True):
    """An account at a provider. Its key is here encrypted, or not at all."""

    id: str = Field(primary_key=True)
    name: str = Field(unique=True)
    """What pipelines call it."""
    provider: str
    base_url: str | None = None
    variable: str | None = None
    """The environment variable that holds its key, in place of a stored one."""
    secret: bytes | None = Field(default=None, sa_type=LargeBinary)
    key_hint: str = ""
    """The last few signs of the key, to tell keys apart."""
    owner: str = Field(default="", index=True)
    created_at: float


class Label(AppTable, table=True):
    """What a person said about one value; added to, never changed."""

    __table_args__ = (Index("label_row", "run_id", "step", "row"),)

    id: int | None = Field(default=None, primary_key=True)
    run_id: str = Field(foreign_key="run.id", ondelete="CASCADE")
    step: str
    row: str
    column: str
    value: str = Field(sa_type=Text)
    """As JSON."""
    was: str = Field(sa_type=Text)
    """What stood there before, as JSON."""
    state: str
    note: str = Field(default="", sa_type=Text)
    reviewer: str = ""
    at: float


class Webhook(AppTable, table=True):
    """Whom to tell when a run has ended."""

    run_id: str = Field(primary_key=True, foreign_key="run.id", ondelete="CASCADE")
    host: str
    """The server; the rest of the address may be as good as a key."""
    secret: bytes | None = Field(default=None, sa_type=LargeBinary)
    """The address, encrypted; empty where it is kept only in memory."""
    told: str = ""
    """The state of the run that was told last, or given up on."""
    attempts: int = 0
    next_at: float = 0.0
    message: str = ""
    """Why it could not be told; empty while all is well."""
    created_at: float


PIPELINE = Pipeline.__table__  # type: ignore[attr-defined]
DATASET = Dataset.__table__  # type: ignore[attr-defined]
CONNECTION = Connection.__table__  # type: ignore[attr-defined]
LABEL = Label.__table__  # type: ignore[attr-defined]
WEBHOOK = Webhook.__table__  # type: ignore[attr-defined]


def prepare(ledger: Ledger) -> None:
    """Bring the app's tables to their newest form."""
    upgrade(ledger.database, MIGRATIONS, HEAD, "alembic_version_app")
