"""What tells one batch API from another; the rest is shared."""

import datetime
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web

from tests.servers.batch.behavior import BatchBehavior, NoErrors
from tests.servers.batch.rows import Asked, Outcome
from tests.servers.batch.store import Batch, Flaw, Store
from tests.servers.behavior import Behavior
from tests.servers.chat_routes import ChatRoutes
from tests.servers.refusals import Refusal


class Refused(Exception):
    """A request that is answered with an error, in the provider's own shape."""

    def __init__(self, status: int, message: str, kind: str = "invalid_request_error", **more: Any) -> None:
        super().__init__(message)
        self.refusal = Refusal(status, message, kind, **more)


@dataclass(frozen=True)
class Checked:
    """What validation found: how many requests, for which model, and the first flaw."""

    total: int
    model: str = ""
    flaw: Flaw | None = None


class Provider(ABC):
    """A dialect: its routes, its lines, its rows and its errors."""

    prefix = "/v1"
    max_requests = 50_000
    max_bytes = 200_000_000
    no_errors = NoErrors.NULL
    in_order = False  # results come in the order of the input
    is_jsonl = True  # results are a file of lines, which may have blank or broken ones
    can_fail = True  # as a whole
    one_file = False  # failed rows stand among the others
    file_days = 30

    def __init__(self, batch: BatchBehavior, store: Store, chat: ChatRoutes) -> None:
        self.batch = batch
        self.store = store
        self.chat = chat

    @property
    def online(self) -> Behavior:
        return self.chat.behavior

    @property
    def request_limit(self) -> int:
        return self.max_requests if self.batch.max_requests is None else self.batch.max_requests

    @property
    def byte_limit(self) -> int:
        return self.max_bytes if self.batch.max_bytes is None else self.batch.max_bytes

    @abstractmethod
    def table(self) -> list[web.RouteDef]: ...

    @abstractmethod
    def asked(self, line: dict[str, Any], batch: Batch) -> Asked:
        """A line of the input."""

    @abstractmethod
    def row(self, outcome: Outcome, batch: Batch) -> dict[str, Any] | None:
        """A line of the results; None where the provider says nothing of such a row."""

    @abstractmethod
    def file_id(self) -> str: ...

    def check(self, path: Path, batch: Batch) -> Checked:
        """Validation, once the batch is created."""
        with path.open("rb") as file:
            return Checked(sum(bool(line.strip()) for line in file), batch.model)

    def error_body(self, refusal: Refusal) -> Any:
        return refusal.body()

    def bad_key(self, refusal: Refusal) -> Refusal:
        return refusal

    def is_upload(self, request: web.Request) -> bool:
        """Its body is the bytes of a file, whatever its type says, and its address serves as the key."""
        return False

    def account(self, request: web.Request) -> str:
        """Whose the request is; each key is an account unless told otherwise."""
        key = self.key(request.headers, request.query)
        return self.batch.accounts.get(key, key)

    def key(self, headers: Mapping[str, str], query: Mapping[str, str]) -> str:
        return headers.get("Authorization", "").removeprefix("Bearer ").strip()


def iso(at: float | None) -> str | None:
    """RFC 3339 in UTC, with microseconds."""
    if at is None:
        return None
    return datetime.datetime.fromtimestamp(at, datetime.UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def seconds(at: float | None) -> int | None:
    return None if at is None else int(at)


def whole(text: str | None, name: str, least: int, most: int, default: int) -> int:
    """A whole number of the query. Raises: Refused when it is out of bounds."""
    if text is None:
        return default
    if not text.isdigit() or not least <= int(text) <= most:
        raise Refused(
            400, f"Invalid '{name}': expected an integer from {least} to {most}, but got {text!r}.", param=name
        )
    return int(text)


def age(batch: Batch) -> float:
    return time.time() - batch.created_at
