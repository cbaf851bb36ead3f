"""What a batch API keeps: files and batches, in a folder, so that they outlive the server when asked."""

import json
import os
import secrets
import shutil
import tempfile
import time
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any


class State(StrEnum):
    """OpenAI's names; each provider says them in its own words."""

    VALIDATING = "validating"
    FAILED = "failed"
    IN_PROGRESS = "in_progress"
    FINALIZING = "finalizing"
    COMPLETED = "completed"
    PARTIAL = "partial"
    EXPIRED = "expired"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"


ENDED = frozenset({State.FAILED, State.COMPLETED, State.PARTIAL, State.EXPIRED, State.CANCELLED})


@dataclass
class StoredFile:
    id: str
    account: str
    filename: str
    purpose: str
    bytes: int  # as the provider says it; with `padding`, more than lies on disk
    created_at: float
    lines: int | None = None
    padding: int | None = None  # how many bytes stand in for each padding mark
    expires_at: float | None = None


@dataclass
class Flaw:
    """Why a batch failed validation."""

    code: str
    message: str
    param: str | None = None
    line: int | None = None


@dataclass
class Batch:
    """`tag` tells batches apart: metadata[tag_key], or the name, or the first custom_id up to its last dash."""

    id: str
    seq: int
    account: str
    endpoint: str
    input_file_id: str
    created_at: float
    tag: str = ""
    model: str = ""
    metadata: dict[str, Any] | None = None
    name: str = ""
    window: str = "24h"
    inline: bool = False  # its requests came without a file of the client's
    state: State = State.VALIDATING
    at: dict[str, float] = field(default_factory=dict)  # when it reached each state
    polls: int = 0
    lists: int = 0
    cancelled_at_poll: int | None = None
    total: int = 0
    ok: int = 0
    errors: int = 0
    expired: int = 0
    cancelled: int = 0
    missing: int = 0  # in no file
    billed: int = 0
    usage: dict[str, int] = field(default_factory=dict)
    output_file_id: str | None = None
    error_file_id: str | None = None
    flaws: list[Flaw] = field(default_factory=list)

    @property
    def ended(self) -> bool:
        return self.state in ENDED

    @property
    def succeeded(self) -> int:
        """What its counters say: a row that got lost counts as done."""
        return self.ok + self.missing

    @property
    def on_the_bill(self) -> bool:
        """It has cost money, or will if it is left alone."""
        if self.state is State.CANCELLING:
            return False
        return self.billed > 0 if self.ended else True

    def reach(self, state: State) -> None:
        self.state = state
        self.at[state.value] = time.time()


class Store:
    """Without a folder it uses a temporary one and removes it when closed."""

    def __init__(self, folder: str | Path | None = None) -> None:
        self.lasting = folder is not None
        self.folder = Path(folder) if folder is not None else Path(tempfile.mkdtemp(prefix="batches-"))
        self.files: dict[str, StoredFile] = {}
        self.batches: dict[str, Batch] = {}
        for name in ("files", "batches", "blobs"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        for path in sorted((self.folder / "files").glob("*.json")):
            stored = StoredFile(**json.loads(path.read_text(encoding="utf-8")))
            self.files[stored.id] = stored
        found = [json.loads(path.read_text(encoding="utf-8")) for path in (self.folder / "batches").glob("*.json")]
        for fields in sorted(found, key=lambda fields: fields["seq"]):
            fields |= {"state": State(fields["state"]), "flaws": [Flaw(**flaw) for flaw in fields["flaws"]]}
            self.batches[fields["id"]] = Batch(**fields)

    def close(self) -> None:
        if not self.lasting:
            shutil.rmtree(self.folder, ignore_errors=True)

    def blob(self, file_id: str) -> Path:
        return self.folder / "blobs" / _file_name(file_id)

    def draft(self) -> Path:
        """A path for bytes that no file owns yet."""
        return self.folder / "blobs" / f"draft-{secrets.token_hex(8)}"

    def keep(self, stored: StoredFile, draft: Path) -> StoredFile:
        """Give the draft's bytes to a file."""
        os.replace(draft, self.blob(stored.id))
        _write(self.folder / "files" / f"{_file_name(stored.id)}.json", asdict(stored))
        self.files[stored.id] = stored
        return stored

    def drop(self, file_id: str) -> None:
        self.files.pop(file_id, None)
        self.blob(file_id).unlink(missing_ok=True)
        (self.folder / "files" / f"{_file_name(file_id)}.json").unlink(missing_ok=True)

    def save(self, batch: Batch) -> Batch:
        _write(self.folder / "batches" / f"{_file_name(batch.id)}.json", asdict(batch))
        self.batches[batch.id] = batch
        return batch

    def forget(self, batch_id: str) -> None:
        self.batches.pop(batch_id, None)
        (self.folder / "batches" / f"{_file_name(batch_id)}.json").unlink(missing_ok=True)

    def next_seq(self) -> int:
        return max((batch.seq for batch in self.batches.values()), default=0) + 1


def _file_name(identifier: str) -> str:
    return identifier.replace("/", "~")


def _write(path: Path, fields: dict[str, Any]) -> None:
    draft = path.with_suffix(".part")
    draft.write_text(json.dumps(fields, ensure_ascii=False), encoding="utf-8")
    os.replace(draft, path)
