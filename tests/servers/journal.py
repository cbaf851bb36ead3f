"""What a server received and what it charged for: kept in memory, and as JSON lines on disk when asked."""

import json
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Received:
    """One request, its header names in lower case, and how it ended: `status` is None while and if it has no answer."""

    seq: int
    method: str
    path: str
    headers: dict[str, str]
    body: Any
    tag: str = ""
    attempt: int = 1
    received_at: float = field(default_factory=time.time)
    fault: str | None = None
    status: int | None = None
    billed: bool = False
    client_left: bool = False

    @property
    def model(self) -> str:
        return str(self.body.get("model", "")) if isinstance(self.body, dict) else ""

    @property
    def key(self) -> str:
        """The key of its Authorization header, or an empty string."""
        return self.headers.get("authorization", "").removeprefix("Bearer ").strip()


class Journal:
    """Thread-safe. With `log`, each finished request is one line, written at once and before the answer leaves."""

    def __init__(self, log: str | Path | None = None) -> None:
        self._lock = threading.Condition()
        self._received: list[Received] = []
        self._attempts: Counter[str] = Counter()
        self._in_flight = 0
        self._max_in_flight = 0
        self._log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600) if log else None

    def open(
        self, method: str, path: str, headers: Mapping[str, str], body: Any, *, tag: str = "", content: str = ""
    ) -> Received:
        """Note a request; `content` names what is asked, so that a repeated question is a further attempt."""
        with self._lock:
            self._attempts[content] += 1
            record = Received(
                seq=len(self._received) + 1,
                method=method,
                path=path,
                headers={name.lower(): value for name, value in headers.items()},
                body=body,
                tag=tag,
                attempt=self._attempts[content] if content else 1,
            )
            self._received.append(record)
            self._in_flight += 1
            self._max_in_flight = max(self._max_in_flight, self._in_flight)
            self._lock.notify_all()
            return record

    def answer(self, record: Received, status: int | None, *, billed: bool = False) -> None:
        """Settle how a request was answered; logged before a byte of the answer is sent."""
        with self._lock:
            record.status = status
            record.billed = billed
            self._lock.notify_all()
        if self._log is not None:
            os.write(self._log, (json.dumps(asdict(record), ensure_ascii=False) + "\n").encode())

    def leave(self, record: Received, *, client_left: bool = False) -> None:
        """The connection is free again, or gone."""
        with self._lock:
            self._in_flight -= 1
            record.client_left = client_left
            self._lock.notify_all()

    def wait_until(self, fact: Callable[["Journal"], bool], timeout: float = 30.0) -> None:
        """Return once the fact holds, e.g. `lambda journal: journal.in_flight == 4`; TimeoutError if it never does."""
        with self._lock:
            if not self._lock.wait_for(lambda: fact(self), timeout):
                raise TimeoutError(f"not so after {timeout:g} s and {len(self._received)} requests")

    @property
    def requests(self) -> list[Received]:
        with self._lock:
            return list(self._received)

    @property
    def in_flight(self) -> int:
        with self._lock:
            return self._in_flight

    @property
    def max_in_flight(self) -> int:
        with self._lock:
            return self._max_in_flight

    def paid(self, tag: str, model: str | None = None) -> int:
        """How many whole answers were charged for a row, for one model or all."""
        return sum(r.billed and r.tag == tag and model in (None, r.model) for r in self.requests)

    def paid_by_tag(self) -> Counter[str]:
        return Counter(r.tag for r in self.requests if r.billed)

    def clear(self) -> None:
        """Forget requests and attempts; what is in flight stays counted."""
        with self._lock:
            self._received.clear()
            self._attempts.clear()
            self._max_in_flight = self._in_flight

    def as_json(self) -> dict[str, Any]:
        return {
            "requests": [asdict(record) for record in self.requests],
            "in_flight": self.in_flight,
            "max_in_flight": self.max_in_flight,
            "paid": dict(self.paid_by_tag()),
        }


def read_log(log: str | Path) -> list[dict[str, Any]]:
    """The lines of a `--log` file, oldest first; readable after the server was killed."""
    return [json.loads(line) for line in Path(log).read_text(encoding="utf-8").splitlines()]
