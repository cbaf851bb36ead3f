"""Turn requests into input files no larger than the provider takes, and write down what is in each."""

import hashlib
import os
import secrets
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import orjson

from components.errors import RequestRefused
from components.llms.batch.protocol import BatchProvider, Reconcile
from components.pipeline.batch.journal import keep_names
from components.pipeline.batch.states import JobState

KEY_LENGTH = 12
BYTES_PER_TOKEN = 3
TOO_LARGE = "too_large"
UNSENDABLE = "unsendable"


@dataclass(frozen=True)
class Request:
    """One request to put into a batch."""

    idx: int
    path: str
    body: Mapping[str, Any]
    part: int = 0
    row: str = ""
    cell_key: str = ""
    attempt: int = 1
    tokens: int = 0
    """About how many it puts into the queue; told by its size where this is 0."""
    cost: float | None = None
    """US dollars it costs at most."""
    old_job: str = ""
    """The job that it was in before."""


@dataclass(frozen=True)
class Unsendable:
    """A row of which no request can be made, and why."""

    idx: int
    row: str
    cell_key: str
    message: str


class Entry(NamedTuple):
    """What is written down of a request; one with a message is in no job."""

    idx: int
    part: int
    row: str
    cell_key: str
    job_key: str
    attempt: int = 1
    old_job: str = ""
    code: str = ""
    message: str = ""


@dataclass(frozen=True)
class Limits:
    """What one file may hold, where that is less than the provider takes."""

    requests: int | None = None
    bytes: int | None = None
    tokens: int | None = None


@dataclass
class Shard:
    """One input file in the making."""

    key: str
    path: str
    file: Path
    handle: BinaryIO
    attempt: int
    number: int
    n: int = 0
    bytes: int = 0
    tokens: int = 0
    cost: float | None = 0.0
    digest: Any = field(default_factory=hashlib.sha256)


@dataclass(frozen=True)
class Plan:
    """Input files on disk, and the records that go with them."""

    set_key: str
    jobs: list[dict[str, Any]]
    entries: list[Entry]

    @property
    def estimate(self) -> float | None:
        """US dollars that all jobs cost at most; None where nobody knows."""
        costs = [job["estimate"] for job in self.jobs]
        return None if None in costs else sum(costs)

    def discard(self) -> None:
        """Remove the files of a plan that is not carried out."""
        for job in self.jobs:
            if job["input_file"]:
                Path(job["input_file"]).unlink(missing_ok=True)


def custom_id(job_key: str, idx: int, part: int) -> str:
    """The name of a request at the provider: whose job it is, and which row, never a bare number."""
    return f"b{job_key[:KEY_LENGTH]}-{idx}" + (f"-{part}" if part else "")


def read_custom_id(name: str, job_key: str) -> tuple[int, int] | None:
    """Index and part in a name; None where it is of another job or of nobody's."""
    prefix = f"b{job_key[:KEY_LENGTH]}-"
    if not name.startswith(prefix):
        return None
    parts = name[len(prefix) :].split("-")
    if len(parts) > 2 or not all(part.isascii() and part.isdigit() for part in parts):
        return None
    return int(parts[0]), int(parts[1]) if len(parts) == 2 else 0


def plan_files(
    provider: BatchProvider,
    requests: Iterable[Request | Unsendable],
    folder: Path,
    set_key: str,
    *,
    window: str = "24h",
    limits: Limits = Limits(),
) -> Plan:
    """Write requests into as few files as the provider allows, each on disk when this returns.

    A request that is larger than the provider takes is written down as such, and is in no file.
    """
    files = _Files(provider, folder, limits)
    try:
        entries = [_written(files, request) for request in requests]
        files.drop_empty()
        jobs = [_finished(shard, set_key, window) for shard in files.shards]
    except BaseException:
        files.discard()
        raise
    if jobs:
        keep_names(folder)
    return Plan(set_key, jobs, entries)


def lines_of(provider: BatchProvider, file: Path, job_key: str) -> Iterator[tuple[tuple[int, int], dict[str, Any]]]:
    """Index, part and body of every request in an input file, streamed."""
    with open(file, "rb") as handle:
        for line in handle:
            name, body = provider.read_line(line)
            place = read_custom_id(name, job_key)
            if place is not None:
                yield place, body


def remove_orphans(folder: Path, known: Iterable[str], older_than: float = 3600.0) -> None:
    """Remove input files that a crash left before they were written down; `known`: keys of jobs."""
    names = {*known, "journal"}
    for file in folder.glob("*.jsonl"):
        if file.stem not in names and time.time() - file.stat().st_mtime > older_than:
            file.unlink()


class _Files:
    """The files being filled, one for each model, path and attempt; and form of answer where that may not differ."""

    def __init__(self, provider: BatchProvider, folder: Path, limits: Limits) -> None:
        caps = provider.caps
        self.provider, self.folder = provider, folder
        self.most_requests = min(caps.max_requests, limits.requests or caps.max_requests)
        self.most_bytes = min(caps.max_bytes, limits.bytes or caps.max_bytes)
        self.most_tokens = limits.tokens
        # Found again by their size where there is no tag, so no two may be alike.
        self.shrinks = caps.reconcile is Reconcile.GUESS
        self.shards: list[Shard] = []
        self._open: dict[tuple[Any, ...], Shard] = {}

    def open_for(self, request: Request) -> Shard:
        """The file that such a request goes into."""
        return self._open.get(self._kind(request)) or self.new_for(request)

    def new_for(self, request: Request) -> Shard:
        """The next file for such requests."""
        key = secrets.token_hex(16)
        file = self.folder / f"{key}.jsonl"
        handle = open(file, "xb")  # noqa: SIM115 - closed in _finished
        shard = self._open[self._kind(request)] = Shard(
            key, request.path, file, handle, request.attempt, len(self.shards)
        )
        self.shards.append(shard)
        return shard

    def is_full(self, shard: Shard, size: int, tokens: int) -> bool:
        """Whether a further request must go into another file."""
        most_requests = max(1, self.most_requests - shard.number) if self.shrinks else self.most_requests
        too_many_tokens = self.most_tokens is not None and shard.tokens + tokens > self.most_tokens
        return shard.n > 0 and (shard.n >= most_requests or shard.bytes + size > self.most_bytes or too_many_tokens)

    def drop_empty(self) -> None:
        """Leave out the files that nothing was written to."""
        self._remove([shard for shard in self.shards if not shard.n])
        self.shards = [shard for shard in self.shards if shard.n]

    def discard(self) -> None:
        """Leave nothing behind."""
        self._remove(self.shards)

    def _kind(self, request: Request) -> tuple[Any, ...]:
        model = request.body.get("model")
        is_one_form = isinstance(model, str) and model.startswith(self.provider.caps.one_form_models)
        form = orjson.dumps(request.body.get("response_format"), option=orjson.OPT_SORT_KEYS) if is_one_form else None
        return request.path, request.attempt, model, form

    def _remove(self, shards: Iterable[Shard]) -> None:
        for shard in shards:
            shard.handle.close()
            shard.file.unlink(missing_ok=True)


def _written(files: _Files, request: Request | Unsendable) -> Entry:
    if isinstance(request, Unsendable):
        return Entry(request.idx, 0, request.row, request.cell_key, "", code=UNSENDABLE, message=request.message)
    about = (request.idx, request.part, request.row, request.cell_key)
    again = (request.attempt, request.old_job)
    caps, line_of = files.provider.caps, files.provider.line
    shard = files.open_for(request)
    try:
        line = line_of(custom_id(shard.key, request.idx, request.part), request.path, request.body)
    except RequestRefused as error:
        return Entry(*about, "", *again, UNSENDABLE, f"Row {request.row}: {error}" if request.row else str(error))
    if len(line) > min(caps.max_line_bytes or caps.max_bytes, caps.max_bytes):
        return Entry(
            *about, "", *again, TOO_LARGE, f"Its request has {len(line):,} bytes, more than the provider takes."
        )
    tokens = request.tokens or len(line) // BYTES_PER_TOKEN
    if files.is_full(shard, len(line), tokens):
        shard = files.new_for(request)
        line = line_of(custom_id(shard.key, request.idx, request.part), request.path, request.body)
    shard.handle.write(line)
    shard.digest.update(line)
    shard.n += 1
    shard.bytes += len(line)
    shard.tokens += tokens
    shard.cost = None if shard.cost is None or request.cost is None else shard.cost + request.cost
    return Entry(*about, shard.key, *again)


def _finished(shard: Shard, set_key: str, window: str) -> dict[str, Any]:
    shard.handle.flush()
    os.fsync(shard.handle.fileno())
    shard.handle.close()
    return {
        "key": shard.key,
        "set_key": set_key,
        "attempt": shard.attempt,
        "state": JobState.PLANNED,
        "n": shard.n,
        "bytes": shard.bytes,
        "tokens": shard.tokens,
        "sha256": shard.digest.hexdigest(),
        "path": shard.path,
        "input_file": str(shard.file),
        "window": window,
        "estimate": shard.cost,
        "created_at": time.time(),
    }
