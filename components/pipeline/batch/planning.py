"""Turn requests into input files no larger than the provider takes, and write down what is in each."""

import hashlib
import os
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from components.errors import ConfigError
from components.llms.batch.protocol import BatchProvider
from components.pipeline.batch.states import JobState

KEY_LENGTH = 12
BYTES_PER_TOKEN = 3


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


@dataclass
class Shard:
    """One input file in the making."""

    key: str
    path: str
    file: Path
    handle: BinaryIO
    attempt: int
    n: int = 0
    bytes: int = 0
    digest: Any = field(default_factory=hashlib.sha256)


@dataclass(frozen=True)
class Plan:
    """Input files on disk, and the records that go with them."""

    jobs: list[dict[str, Any]]
    requests: list[dict[str, Any]]


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
    requests: Iterable[Request],
    folder: Path,
    set_key: str,
    *,
    window: str = "24h",
    cost: Callable[[int], float | None] = lambda _bytes: None,
    most_requests: int | None = None,
    most_bytes: int | None = None,
) -> Plan:
    """Write requests into as few files as the provider allows, each on disk when this returns.

    Raises: ConfigError for a request that is larger than the provider takes.
    """
    caps = provider.caps
    request_limit = min(caps.max_requests, most_requests or caps.max_requests)
    byte_limit = min(caps.max_bytes, most_bytes or caps.max_bytes)
    shards: list[Shard] = []
    open_shards: dict[tuple[str, int], Shard] = {}
    records: list[dict[str, Any]] = []
    for request in requests:
        place = (request.path, request.attempt)
        shard = open_shards.get(place)
        if shard is None:
            shard = open_shards[place] = _new_shard(folder, request, shards)
        line = provider.line(custom_id(shard.key, request.idx, request.part), request.path, request.body)
        if len(line) > min(caps.max_line_bytes or byte_limit, byte_limit):
            raise ConfigError(
                f"Row {request.idx + 1} makes a request of {len(line):,} bytes, which the provider refuses."
            )
        if shard.n >= request_limit or shard.bytes + len(line) > byte_limit:
            shard = open_shards[place] = _new_shard(folder, request, shards)
            line = provider.line(custom_id(shard.key, request.idx, request.part), request.path, request.body)
        shard.handle.write(line)
        shard.digest.update(line)
        shard.n += 1
        shard.bytes += len(line)
        records.append(
            {
                "set_key": set_key,
                "idx": request.idx,
                "part": request.part,
                "row": request.row,
                "cell_key": request.cell_key,
                "job_key": shard.key,
                "attempt": request.attempt,
            }
        )
    return Plan([_finished(shard, set_key, window, cost) for shard in shards], records)


def lines_of(provider: BatchProvider, file: Path, job_key: str) -> Iterator[tuple[tuple[int, int], dict[str, Any]]]:
    """Index, part and body of every request in an input file, streamed."""
    with open(file, "rb") as handle:
        for line in handle:
            name, body = provider.read_line(line)
            place = read_custom_id(name, job_key)
            if place is not None:
                yield place, body


def remove_orphans(folder: Path, known: Iterable[str], older_than: float = 3600.0) -> None:
    """Remove input files that a crash left before they were written down."""
    names = set(known)
    for file in folder.glob("*.jsonl"):
        if file.stem not in names and file.name != "journal.jsonl" and time.time() - file.stat().st_mtime > older_than:
            file.unlink()


def _new_shard(folder: Path, request: Request, shards: list[Shard]) -> Shard:
    key = secrets.token_hex(16)
    file = folder / f"{key}.jsonl"
    shard = Shard(key, request.path, file, open(file, "xb"), request.attempt)  # noqa: SIM115 - closed in _finished
    shards.append(shard)
    return shard


def _finished(shard: Shard, set_key: str, window: str, cost: Callable[[int], float | None]) -> dict[str, Any]:
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
        "sha256": shard.digest.hexdigest(),
        "path": shard.path,
        "input_file": str(shard.file),
        "window": window,
        "estimate": cost(shard.bytes),
        "created_at": time.time(),
    }
