"""Runs the rows of a batch and writes its result files, with whatever is planned to be wrong in them."""

import copy
import json
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.servers.batch.answering import Answering, malformed
from tests.servers.batch.behavior import Fate
from tests.servers.batch.provider import Provider
from tests.servers.batch.rows import REFUSALS, Asked, Ending, Lines, Outcome
from tests.servers.batch.store import Batch, State
from tests.servers.journal import Journal, Received
from tests.servers.refusals import Refusal

PADDING = "%PADDING%"  # stands in a text where bytes are put in on the way out
UNDECODABLE = b'{"id": "batch_req_0", "custom_id": "\xff\xfe\x00'
STOPPED = {State.EXPIRED: Ending.EXPIRED, State.CANCELLED: Ending.CANCELLED}


@dataclass
class Written:
    """The drafts of the result files, and what is to be said of the batch."""

    output: "Sheet"
    errors: "Sheet"
    ok: int = 0
    failed: int = 0
    expired: int = 0
    cancelled: int = 0
    missing: int = 0
    billed: int = 0
    usage: Counter[str] = field(default_factory=Counter)


class Sheet:
    """A file of JSON lines being written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines = 0
        self.marks = 0
        self._file = path.open("wb")

    def write(self, row: dict[str, Any]) -> None:
        self.write_line(json.dumps(row, ensure_ascii=False).encode())
        self.lines += 1

    def write_line(self, line: bytes) -> None:
        self.marks += line.count(PADDING.encode())
        self._file.write(line + b"\n")

    @property
    def size(self) -> int:
        return self.path.stat().st_size

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


class Results:
    """Made for one batch that ends in `state`; `write` is called once, outside the event loop."""

    def __init__(self, provider: Provider, answering: Answering, journal: Journal, batch: Batch, state: State) -> None:
        self.provider = provider
        self.behavior = provider.batch
        self.answering = answering
        self.journal = journal
        self.batch = batch
        self.state = state
        self.sample: dict[str, Any] | None = None

    def write(self) -> Written:
        store = self.provider.store
        with Sheet(store.draft()) as output, Sheet(store.draft()) as errors:
            written = Written(output, errors)
            for outcome, fate in self.outcomes(written):
                self.put(written, outcome, fate)
            self.put_strays(written)
        return written

    def outcomes(self, written: Written) -> Iterator[tuple[Outcome, Fate | None]]:
        lines = Lines(self.provider.store.blob(self.batch.input_file_id))
        order = list(range(len(lines)))
        if self.behavior.shuffled and not self.provider.in_order:
            random.Random(f"{self.behavior.seed}:{self.batch.seq}").shuffle(order)
        runs_out = self.state is State.PARTIAL or self.state in STOPPED
        reached = self.behavior.done_when_stopped if runs_out else len(order)
        for place, (number, line) in enumerate(lines.read(order)):
            asked = self.provider.asked(line, self.batch)
            yield self.outcome(asked, number, stopped=place >= reached, written=written)

    def outcome(self, asked: Asked, number: int, *, stopped: bool, written: Written) -> tuple[Outcome, Fate | None]:
        chat, batch = self.provider.chat, self.batch
        tag = "" if malformed(asked.body) else chat.tag(asked.body)
        record = self.journal.open(
            "BATCH",
            f"/{batch.id}",
            {"authorization": f"Bearer {batch.account}"},
            {"custom_id": asked.custom_id, "batch": batch.id, "model": asked.body.get("model") or batch.model},
            tag=tag,
            content=chat.content(f"batch {batch.endpoint}", asked.body),
        )
        fate = self.behavior.fate(asked.custom_id, tag, record.attempt)
        if stopped and fate is not Fate.MISSING:
            fate = {State.EXPIRED: Fate.EXPIRED, State.CANCELLED: Fate.CANCELLED}.get(self.state, Fate.MISSING)
        outcome = self.run(asked, number, fate, record)
        self.journal.answer(record, outcome.status or None, billed=outcome.ok)
        self.journal.leave(record)
        count(written, outcome, fate)
        return outcome, fate

    def run(self, asked: Asked, number: int, fate: Fate | None, record: Received) -> Outcome:
        if fate in (Fate.EXPIRED, Fate.CANCELLED, Fate.MISSING):
            ending = Ending.CANCELLED if fate is Fate.CANCELLED else Ending.EXPIRED
            return Outcome(asked.custom_id, number, ending)
        if fate is Fate.STATUS_0:
            return Outcome(asked.custom_id, number, Ending.ANSWERED)
        answer: dict[str, Any] | Refusal | None = REFUSALS.get(fate) if fate is not None else asked.refusal
        if answer is None:
            answer = self.answering(asked.body, record, self.batch.endpoint)
        as_string = fate is Fate.BODY_AS_STRING
        if isinstance(answer, Refusal):
            return Outcome(asked.custom_id, number, Ending.ANSWERED, answer.status, answer.body(), as_string)
        if self.behavior.output_bytes is not None:
            answer = retold(answer, lambda text: text + PADDING)
        self.sample = answer
        return Outcome(asked.custom_id, number, Ending.ANSWERED, 200, answer, as_string)

    def put(self, written: Written, outcome: Outcome, fate: Fate | None) -> None:
        row = None if fate is Fate.MISSING else self.provider.row(outcome, self.batch)
        if row is None:
            return
        sheet = written.output if outcome.ok or self.provider.one_file else written.errors
        if fate is Fate.GARBLED:
            line = json.dumps(row).encode()
            sheet.write_line(line[: len(line) // 2])
            return
        sheet.write(row)
        if fate is Fate.TWICE:
            again = retold(outcome.body or {}, lambda text: f"again: {text}")
            sheet.write(self.provider.row(replace(outcome, body=again), self.batch) or {})

    def put_strays(self, written: Written) -> None:
        """Rows of somebody else's, and lines that are no rows; the last of them ends without a newline."""
        for number in range(self.behavior.foreign_rows):
            if self.sample is not None:
                stray = Outcome(f"foreign-{number}", number, Ending.ANSWERED, 200, self.sample)
                written.output.write(self.provider.row(stray, self.batch) or {})
        if not self.provider.is_jsonl:
            return
        for _ in range(self.behavior.blank_lines):
            written.output.write_line(b"")
        for _ in range(self.behavior.undecodable_lines):
            written.output.write_line(UNDECODABLE)


def count(written: Written, outcome: Outcome, fate: Fate | None) -> None:
    if fate is Fate.MISSING:
        written.missing += 1
    elif outcome.ok:
        written.ok += 1
        written.billed += 1
        written.usage.update(tokens_of(outcome.body or {}))
    elif outcome.ending is Ending.ANSWERED:
        written.failed += 1
    elif outcome.ending is Ending.EXPIRED:
        written.expired += 1
    else:
        written.cancelled += 1


def retold(completion: dict[str, Any], tell: Any) -> dict[str, Any]:
    """The completion with its texts changed."""
    changed = copy.deepcopy(completion)
    for choice in changed.get("choices", []):
        message = choice.get("message", choice)
        name = "content" if "content" in message else "text"
        message[name] = tell(message.get(name) or "")
    return changed


def tokens_of(body: dict[str, Any]) -> dict[str, int]:
    usage = body.get("usage") or {}
    return {
        "input": usage.get("prompt_tokens", 0),
        "output": usage.get("completion_tokens", 0),
        "reasoning": (usage.get("completion_tokens_details") or {}).get("reasoning_tokens", 0),
    }
