"""xAI: a batch is a container with counters and no status, its results come in pages of JSON."""

import base64
import json
import secrets
import time
import uuid
from pathlib import Path
from typing import Any

from aiohttp import web

from tests.servers.batch.batches import BatchesProvider, json_body, page_of
from tests.servers.batch.files import FilesProvider
from tests.servers.batch.provider import Checked, Refused, seconds, whole
from tests.servers.batch.results import PADDING
from tests.servers.batch.rows import Asked, Ending, Lines, Outcome
from tests.servers.batch.store import Batch, Flaw, State, StoredFile
from tests.servers.batch.troubles import guarded
from tests.servers.batch.validation import Validation
from tests.servers.refusals import Refusal

TICKS_PER_TOKEN = 8_000  # 1e-10 USD each


class XAIProvider(FilesProvider, BatchesProvider):
    field_needed = ""
    is_jsonl = False
    one_file = True

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.by_id: dict[str, list[int]] = {}  # the lines of a result file, in the order of their ids

    def table(self) -> list[web.RouteDef]:
        batches = f"{self.prefix}/batches"
        return [
            *self.chat.table(self.prefix),
            *self.files_table(self.prefix),
            web.post(batches, guarded(self.batch, "create", self.create)),
            web.get(batches, guarded(self.batch, "list", self.list_batches)),
            web.post(f"{batches}/{{id}}:cancel", guarded(self.batch, "cancel", self.cancel)),
            web.get(f"{batches}/{{id}}", guarded(self.batch, "poll", self.retrieve)),
            web.post(f"{batches}/{{id}}/requests", guarded(self.batch, "upload", self.add)),
            web.get(f"{batches}/{{id}}/results", guarded(self.batch, "download", self.results)),
        ]

    def file_id(self) -> str:
        return f"file_{uuid.uuid4()}"

    def batch_id(self) -> str:
        return f"batch_{uuid.uuid4()}"

    def file_object(self, stored: StoredFile) -> dict[str, Any]:
        return {
            "id": stored.id,
            "object": "file",
            "bytes": stored.bytes,
            "created_at": int(stored.created_at),
            "expires_at": seconds(stored.expires_at),
            "filename": stored.filename,
            "purpose": stored.purpose,
        }

    async def create(self, request: web.Request) -> web.StreamResponse:
        body = await json_body(request)
        if not body.get("name"):
            raise Refused(422, "Failed to deserialize the JSON body: missing field `name`")
        account, file_id = self.account(request), body.get("input_file_id")
        if file_id and (file_id not in self.store.files or self.store.files[file_id].account != account):
            raise Refused(404, f"File {file_id} not found.")
        input_id = file_id or self.keep_input(account, []).id
        batch = self.new_batch(account, body, input_id, "/v1/chat/completions")
        batch.inline = not file_id
        self.store.save(batch)
        return web.json_response(self.batch_object(batch))

    async def add(self, request: web.Request) -> web.StreamResponse:
        """Requests for a batch without a file; the same again changes nothing, another under the same id is refused."""
        batch = self.find(request)
        if not batch.inline:
            raise Refused(412, "Cannot add inline requests to a file-based batch")
        if batch.cancelled_at_poll is not None:
            raise Refused(403, "Cannot add requests to a cancelled batch")
        path = self.store.blob(batch.input_file_id)
        lines = Lines(path)
        known = {line["custom_id"]: line["body"] for _, line in lines.read(list(range(len(lines))))}
        added: dict[str, Any] = {}
        for one in (await json_body(request)).get("batch_requests") or []:
            custom_id = one.get("batch_request_id") or f"batch_request_{uuid.uuid4()}"
            body = one["batch_request"]["chat_get_completion"]
            model = body.get("model")
            if self.online.models is not None and model not in self.online.models:
                raise Refused(400, f"Model {model} is not supported for batch processing.")
            if (known | added).get(custom_id, body) != body:
                raise Refused(412, f"batch_request_id '{custom_id}' content differs from originally submitted")
            added[custom_id] = body
        with path.open("ab") as file:
            for custom_id, body in added.items():
                if custom_id not in known:
                    file.write(json.dumps({"custom_id": custom_id, "body": body}).encode() + b"\n")
        return web.json_response({})

    async def retrieve(self, request: web.Request) -> web.StreamResponse:
        batch = self.find(request)
        await self.works.look(batch)
        return web.json_response(self.batch_object(batch))

    async def list_batches(self, request: web.Request) -> web.StreamResponse:
        limit = whole(request.query.get("limit"), "limit", 1, 1000, 100)
        page, has_more = page_of(self.visible(self.account(request)), token_of(request), limit)
        await self.look_at_all(page)
        following = token(page[-1].id) if has_more else None
        return web.json_response({"batches": [self.batch_object(one) for one in page], "pagination_token": following})

    async def cancel(self, request: web.Request) -> web.StreamResponse:
        batch = self.find(request)
        if not batch.ended:
            await self.works.cancel(batch)
        return web.json_response(self.batch_object(batch))

    async def results(self, request: web.Request) -> web.StreamResponse:
        batch = self.find(request)
        limit = whole(request.query.get("limit"), "limit", 1, 1000, 100)
        if batch.output_file_id is None:
            return web.json_response({"results": [], "pagination_token": None})
        stored = self.store.files[batch.output_file_id]
        lines = Lines(self.store.blob(stored.id))
        if stored.id not in self.by_id:
            rows = sorted((row["batch_request_id"], number) for number, row in lines.read(list(range(len(lines)))))
            self.by_id[stored.id] = [number for _, number in rows]
        numbers = self.by_id[stored.id]
        start = int(token_of(request) or 0)
        page = [json.dumps(row) for _, row in lines.read(numbers[start : start + limit])]
        following = json.dumps(token(str(start + limit)) if start + limit < len(numbers) else None)
        text = f'{{"results": [{", ".join(page)}], "pagination_token": {following}}}'
        return web.json_response(text=text.replace(PADDING, "x" * (stored.padding or 0)))

    def no_batch(self, batch_id: str) -> Refused:
        return Refused(404, f"Batch {batch_id} not found.")

    def no_file(self, file_id: str) -> Refused:
        return Refused(404, f"File {file_id} not found.")

    def error_body(self, refusal: Refusal) -> Any:
        names = {400: "Client specified an invalid argument", 404: "Some requested entity was not found"}
        return {"code": names.get(refusal.status, refusal.type), "error": refusal.message}

    def bad_key(self, refusal: Refusal) -> Refusal:
        return Refusal(400, "Incorrect API key provided. You can obtain an API key from https://console.x.ai.")

    def batch_object(self, batch: Batch) -> dict[str, Any]:
        by_xai = batch.flaws[0].message if batch.flaws else None
        cancelled = batch.at.get("failed") or batch.at.get("cancelling") or batch.at.get("cancelled")
        found = {
            "batch_id": batch.id,
            "name": batch.name,
            "create_time": date(batch.created_at),
            "expire_time": date(batch.created_at + 30 * 86_400),
            "create_api_key_id": "loopback",
            "cancel_time": date(cancelled) if cancelled else None,
            "cancel_by_xai_message": by_xai,
            "state": {f"num_{name}": count for name, count in self.counts(batch).items()},
        }
        return found if batch.inline else found | {"input_file_id": batch.input_file_id}

    def counts(self, batch: Batch) -> dict[str, int]:
        """Just cancelled, all that is left counts as cancelled, though rows that were under way may still succeed."""
        total, success, error, cancelled = batch.total, 0, 0, 0
        if batch.ended:
            success, error, cancelled = batch.succeeded, batch.errors, batch.expired + batch.cancelled
        elif batch.state is State.CANCELLING:
            cancelled = total
        else:
            success = self.progress(batch)
        pending = 0 if batch.ended else total - success - error - cancelled
        return {
            "requests": total,
            "pending": pending,
            "success": success,
            "error": error,
            "cancelled": cancelled,
        }

    def asked(self, line: dict[str, Any], batch: Batch) -> Asked:
        return Asked(line["custom_id"], line["body"])

    def row(self, outcome: Outcome, batch: Batch) -> dict[str, Any] | None:
        result: dict[str, Any]
        if outcome.ending is not Ending.ANSWERED:
            result = {"error": "Batch cancelled"}
        elif not outcome.ok:
            result = {"error": outcome.error["message"]}
        else:
            result = {"response": {"chat_get_completion": priced(outcome.body or {})}}
        return {"batch_request_id": outcome.custom_id, "batch_result": result}

    def check(self, path: Path, batch: Batch) -> Checked:
        if batch.inline:
            return Checked(super().check(path, batch).total)
        return XAIValidation("/v1/chat/completions", self.online, self.request_limit).check(path)


class XAIValidation(Validation):
    def unknown_model(self, model: str) -> str:
        return f"Model {model} is not supported for batch processing."

    def flawed(self, flaw: Flaw) -> Checked:
        where = f"line {flaw.line}: " if flaw.line and flaw.code != "model_not_found" else ""
        message = f"JSONL file validation failed: {where}{flaw.message}"
        if flaw.code == "invalid_json_line":
            message = f"JSONL file validation failed: {where}invalid JSON: {flaw.message}"
        return Checked(0, self.model, Flaw(flaw.code, message, flaw.param, flaw.line))


def priced(body: dict[str, Any]) -> dict[str, Any]:
    """Reasoning tokens stand beside completion_tokens here, not in them, and the cost is said."""
    usage = dict(body.get("usage") or {})
    unseen = (usage.get("completion_tokens_details") or {}).get("reasoning_tokens", 0)
    cost = TICKS_PER_TOKEN * usage.get("total_tokens", 0)
    usage |= {"completion_tokens": usage.get("completion_tokens", 0) - unseen, "cost_in_usd_ticks": cost}
    return {**body, "usage": usage}


def date(at: float) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(at))


def token(text: str) -> str:
    return base64.urlsafe_b64encode(f"{text}|{secrets.token_hex(2)}".encode()).decode()


def token_of(request: web.Request) -> str | None:
    given = request.query.get("pagination_token")
    try:
        return base64.urlsafe_b64decode(given).decode().rpartition("|")[0] if given else None
    except ValueError:
        raise Refused(400, "Invalid pagination token.") from None
