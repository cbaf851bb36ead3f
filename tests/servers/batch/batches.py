"""What every batch API does with batches: make one, find one, list them."""

import asyncio
import json
import secrets
import time
from collections.abc import Iterable
from typing import Any

from aiohttp import web

from tests.servers.batch.provider import Provider, Refused, age
from tests.servers.batch.store import Batch, StoredFile
from tests.servers.batch.works import Works


class BatchesProvider(Provider):
    works: Works

    def batch_id(self) -> str:
        return f"batch_{secrets.token_hex(16)}"

    def new_batch(self, account: str, body: dict[str, Any], input_file_id: str, endpoint: str) -> Batch:
        """From here on it exists and will be paid for; nothing is awaited in between."""
        batch = Batch(
            self.batch_id(),
            self.store.next_seq(),
            account,
            endpoint,
            input_file_id,
            time.time(),
            metadata=body.get("metadata"),
            name=str(body.get("name") or ""),
            model=str(body.get("model") or ""),
            window=str(body.get("completion_window") or "24h"),
        )
        batch.tag = self.tag(batch)
        return self.store.save(batch)

    def tag(self, batch: Batch) -> str:
        if self.batch.tag_key and self.batch.tag_key in (batch.metadata or {}):
            return str((batch.metadata or {})[self.batch.tag_key])
        if batch.name:
            return batch.name
        if batch.input_file_id not in self.store.files:
            return ""
        with self.store.blob(batch.input_file_id).open("rb") as file:
            try:
                custom_id = str(self.asked(json.loads(file.readline()), batch).custom_id or "")
            except (ValueError, KeyError, TypeError, AttributeError):
                return ""
        return custom_id.rpartition("-")[0] or custom_id

    def keep_input(self, account: str, lines: Iterable[Any]) -> StoredFile:
        """The requests that came inside a create, as a file of lines."""
        draft = self.store.draft()
        with draft.open("wb") as file:
            for line in lines:
                file.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")
        now = time.time()
        stored = StoredFile(f"input-{secrets.token_hex(12)}", account, "inline", "batch", draft.stat().st_size, now)
        return self.store.keep(stored, draft)

    def batch_of(self, account: str, batch_id: str) -> Batch:
        batch = self.store.batches.get(batch_id)
        if batch is None or batch.account != account:
            raise self.no_batch(batch_id)
        if batch.polls < self.batch.unseen_polls:
            batch.polls += 1
            raise self.no_batch(batch_id)
        return batch

    def find(self, request: web.Request) -> Batch:
        return self.batch_of(self.account(request), request.match_info["id"])

    def no_batch(self, batch_id: str) -> Refused:
        return Refused(404, f"No batch found with id '{batch_id}'.")

    def visible(self, account: str) -> list[Batch]:
        """The account's batches that a list shows by now, newest first; counts as one list call."""
        mine = [batch for batch in self.store.batches.values() if batch.account == account]
        calls, seconds = self.batch.list_lag_calls, self.batch.list_lag_s
        seen = [batch for batch in mine if batch.lists >= calls and age(batch) >= seconds]
        for batch in mine:
            batch.lists += 1
        return sorted(seen, key=lambda batch: batch.seq, reverse=True)

    async def look_at_all(self, batches: list[Batch]) -> None:
        await asyncio.gather(*(self.works.look(batch) for batch in batches))

    def progress(self, batch: Batch) -> int:
        """How many rows are said to be done before the batch is."""
        until = max(1, self.batch.polls_until_done)
        return batch.total * min(batch.polls, until) // (until + 1)


def page_of(batches: list[Batch], after: str | None, limit: int) -> tuple[list[Batch], bool]:
    """What follows the batch `after`, and whether more follows that."""
    start = next((place + 1 for place, batch in enumerate(batches) if batch.id == after), 0)
    return batches[start : start + limit], start + limit < len(batches)


async def json_body(request: web.Request) -> dict[str, Any]:
    try:
        body = json.loads(await request.read())
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise Refused(400, "We could not parse the JSON body of your request.")
    return body
