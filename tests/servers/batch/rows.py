"""One row of a batch: what was asked, and how it came out, before a provider puts it into its own words."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from tests.servers.batch.behavior import Fate
from tests.servers.refusals import Refusal


@dataclass(frozen=True)
class Asked:
    """A request of a batch; `body` is in the shape of OpenAI's chat completions or embeddings.

    `refusal` is what the provider has against it before anything is asked of a model.
    """

    custom_id: str | None
    body: dict[str, Any]
    refusal: Refusal | None = None


class Ending(StrEnum):
    ANSWERED = "answered"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


@dataclass(frozen=True)
class Outcome:
    """`body` is an answer when `status` is 200, else OpenAI's error object; rows that did not run have neither."""

    custom_id: str | None
    number: int  # its place in the input, from 0
    ending: Ending
    status: int = 0
    body: dict[str, Any] | None = None
    body_as_string: bool = False

    @property
    def ok(self) -> bool:
        return self.ending is Ending.ANSWERED and self.status == 200

    @property
    def error(self) -> dict[str, Any]:
        """message, type, param and code, also for a row that did not run."""
        if self.ending is Ending.EXPIRED:
            return _error("This request could not be executed before the completion window expired.", "batch_expired")
        if self.ending is Ending.CANCELLED:
            return _error("This request was not executed because the batch was cancelled.", "batch_cancelled")
        found: dict[str, Any] = (self.body or {}).get("error") or _error("No answer.", "no_answer")
        return found


REFUSALS = {
    Fate.BAD_REQUEST: Refusal(
        400,
        "Invalid 'temperature': decimal above maximum value. Expected a value <= 2, but got 5 instead.",
        param="temperature",
        code="decimal_above_max_value",
    ),
    Fate.CONFLICT: Refusal(409, "The request conflicts with another one. Please try again.", "conflict_error"),
    Fate.RATE_LIMIT: Refusal(429, "Rate limit reached for requests.", "requests", code="rate_limit_exceeded"),
    Fate.SERVER_ERROR: Refusal(500, "The server had an error while processing your request.", "server_error"),
    Fate.OVERLOADED: Refusal(503, "The engine is currently overloaded, please try again later.", "overloaded_error"),
    Fate.NO_CREDIT: Refusal(
        429,
        "You exceeded your current quota, please check your plan and billing details.",
        "insufficient_quota",
        code="insufficient_quota",
    ),
}


class Lines:
    """The lines of a file in any order, with next to nothing held in memory; blank lines are left out."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.offsets: list[int] = []
        with path.open("rb") as file:
            at = 0
            for line in file:
                if line.strip():
                    self.offsets.append(at)
                at += len(line)

    def __len__(self) -> int:
        return len(self.offsets)

    def read(self, order: list[int]) -> Iterator[tuple[int, dict[str, Any]]]:
        """The numbers and objects of these lines, in this order."""
        with self.path.open("rb") as file:
            for number in order:
                file.seek(self.offsets[number])
                yield number, json.loads(file.readline())


def _error(message: str, code: str) -> dict[str, Any]:
    return {"message": message, "type": "batch_error", "param": None, "code": code}
