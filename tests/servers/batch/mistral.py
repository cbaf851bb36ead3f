"""Mistral: jobs of its own shape, a check of every row at the upload, a list that filters by metadata."""

import datetime
import json
import uuid
from pathlib import Path
from typing import Any

from aiohttp import web
from multidict import MultiMapping

from tests.servers.batch.batches import BatchesProvider, json_body
from tests.servers.batch.files import FilesProvider
from tests.servers.batch.provider import Checked, Refused, seconds, whole
from tests.servers.batch.rows import Asked, Ending, Outcome
from tests.servers.batch.store import Batch, State, StoredFile
from tests.servers.batch.troubles import guarded
from tests.servers.refusals import Refusal

STATES = {
    State.VALIDATING: "QUEUED",
    State.IN_PROGRESS: "RUNNING",
    State.FINALIZING: "RUNNING",
    State.COMPLETED: "SUCCESS",
    State.PARTIAL: "SUCCESS",
    State.FAILED: "FAILED",
    State.EXPIRED: "TIMEOUT_EXCEEDED",
    State.CANCELLING: "CANCELLATION_REQUESTED",
    State.CANCELLED: "CANCELLED",
}
FILTERS = ("page", "page_size", "model", "agent_id", "created_after", "created_by_me", "status", "order_by")


class MistralProvider(FilesProvider, BatchesProvider):
    max_requests = 1_000_000
    max_bytes = 512_000_000
    endpoints = ("/v1/chat/completions", "/v1/embeddings")

    def table(self) -> list[web.RouteDef]:
        jobs = f"{self.prefix}/batch/jobs"
        return [
            *self.chat.table(self.prefix),
            *self.files_table(self.prefix),
            web.post(jobs, guarded(self.batch, "create", self.create)),
            web.get(jobs, guarded(self.batch, "list", self.list_jobs)),
            web.get(f"{jobs}/{{id}}", guarded(self.batch, "poll", self.retrieve)),
            web.delete(f"{jobs}/{{id}}", self.delete_job),
            web.post(f"{jobs}/{{id}}/cancel", guarded(self.batch, "cancel", self.cancel)),
        ]

    def file_id(self) -> str:
        return str(uuid.uuid4())

    def batch_id(self) -> str:
        return str(uuid.uuid4())

    def file_object(self, stored: StoredFile) -> dict[str, Any]:
        is_result = stored.purpose == "batch_output"
        return {
            "id": stored.id,
            "object": "file",
            "bytes": stored.bytes,
            "created_at": int(stored.created_at),
            "filename": stored.filename,
            "purpose": "batch",
            "sample_type": "batch_result" if is_result else "batch_request",
            "source": "mistral" if is_result else "upload",
            "num_lines": stored.lines,
            "mimetype": "application/jsonl",
            "signature": None,
            "expires_at": None,
            "deleted": False,
        }

    def files_page(self, page: list[StoredFile], *, has_more: bool) -> dict[str, Any]:
        return {"object": "list", "data": [self.file_object(stored) for stored in page], "total": len(page)}

    def check_size(self, size: int) -> None:
        if size > self.byte_limit:
            raise Refused(413, "File too large.")

    def read_upload(self, path: Path) -> int:
        total = 0
        with path.open("rb") as file:
            for number, line in enumerate(file):
                if line.strip():
                    total += 1
                    check_row(line, number)
        return total

    async def create(self, request: web.Request) -> web.StreamResponse:
        body = await json_body(request)
        inputs, account = body.get("input_files") or [], self.account(request)
        if body.get("endpoint") not in self.endpoints:
            raise Refused(422, f"Input should be one of {', '.join(self.endpoints)}", param="endpoint")
        if not 1 <= int(body.get("timeout_hours") or 24) <= 168 or body.get("timeout_hours") == 0:
            raise Refused(422, "Input should be greater than or equal to 1", param="timeout_hours")
        if self.online.models is not None and body.get("model") not in self.online.models:
            raise Refused(422, f"Invalid model: {body.get('model')}", param="model")
        if bool(inputs) == bool(body.get("requests")):
            raise Refused(422, "One of input_files and requests is needed", param="input_files")
        for file_id in inputs:
            if file_id not in self.store.files or self.store.files[file_id].account != account:
                raise Refused(404, f"File {file_id} not found.")
        input_id = inputs[0] if inputs else self.keep_input(account, body["requests"]).id
        return web.json_response(self.job(self.new_batch(account, body, input_id, body["endpoint"])))

    async def retrieve(self, request: web.Request) -> web.StreamResponse:
        batch = self.find(request)
        await self.works.look(batch)
        job = self.job(batch)
        if request.query.get("inline") == "true" and batch.output_file_id:
            text = self.store.blob(batch.output_file_id).read_text(encoding="utf-8")
            job["outputs"] = [json.loads(line) for line in text.splitlines()]
        return web.json_response(job)

    async def list_jobs(self, request: web.Request) -> web.StreamResponse:
        query = request.query
        page = whole(query.get("page"), "page", 0, 10_000, 0)
        size = whole(query.get("page_size"), "page_size", 1, 1000, 100)
        mine = [batch for batch in self.visible(self.account(request)) if matches(batch, query)]
        if query.get("order_by") == "created":
            mine.reverse()
        shown = mine[page * size : (page + 1) * size]
        await self.look_at_all(shown)
        return web.json_response({"object": "list", "data": [self.job(batch) for batch in shown], "total": len(mine)})

    async def cancel(self, request: web.Request) -> web.StreamResponse:
        batch = self.find(request)
        if batch.ended:
            raise Refused(400, f"Job {batch.id} is already in a final state: {STATES[batch.state]}")
        await self.works.cancel(batch)
        return web.json_response(self.job(batch))

    async def delete_job(self, request: web.Request) -> web.Response:
        batch = self.find(request)
        self.store.forget(batch.id)
        return web.json_response({"id": batch.id, "object": "batch", "deleted": True})

    def no_batch(self, batch_id: str) -> Refused:
        return Refused(404, f"Job {batch_id} not found.")

    def error_body(self, refusal: Refusal) -> Any:
        if refusal.status == 422:
            return {"detail": [{"type": "value_error", "loc": ["body", refusal.param], "msg": refusal.message}]}
        return {"detail": refusal.message}

    def bad_key(self, refusal: Refusal) -> Refusal:
        return Refusal(401, "Invalid API Key")

    def job(self, batch: Batch) -> dict[str, Any]:
        ended = batch.ended
        done = batch.succeeded + batch.errors if ended else self.progress(batch)
        failed = [{"message": "HTTP Error, status code: 400", "count": batch.errors}] if batch.errors else []
        return {
            "id": batch.id,
            "object": "batch",
            "input_files": [batch.input_file_id],
            "metadata": batch.metadata,
            "endpoint": batch.endpoint,
            "model": batch.model,
            "agent_id": None,
            "output_file": batch.output_file_id,
            "error_file": batch.error_file_id,
            "errors": failed + [{"message": flaw.message, "count": 1} for flaw in batch.flaws],
            "outputs": None,
            "status": self.status(batch),
            "created_at": seconds(batch.created_at),
            "started_at": seconds(batch.at.get("in_progress")),
            "completed_at": seconds(batch.at.get(batch.state.value)) if ended else None,
            "total_requests": batch.total,
            "completed_requests": done,
            "succeeded_requests": batch.succeeded if ended else done,
            "failed_requests": batch.errors,
        }

    def status(self, batch: Batch) -> str:
        if batch.state is State.IN_PROGRESS and self.batch.odd_status is not None:
            return self.batch.odd_status
        return STATES[batch.state]

    def asked(self, line: dict[str, Any], batch: Batch) -> Asked:
        return Asked(line.get("custom_id"), {"model": batch.model, **line["body"]})

    def check(self, path: Path, batch: Batch) -> Checked:
        return Checked(super().check(path, batch).total, batch.model)

    def row(self, outcome: Outcome, batch: Batch) -> dict[str, Any] | None:
        if outcome.ending is not Ending.ANSWERED:
            return None
        body: Any = outcome.body
        if not outcome.ok:
            body = error_text(outcome)
        elif outcome.body_as_string:
            body = json.dumps(body)
        return {
            "id": f"batch-{batch.id[:8]}-{batch.id[-8:]}-{outcome.number}",
            "custom_id": outcome.custom_id,
            "response": {"status_code": outcome.status, "body": body},
            "error": None,
        }


def error_text(outcome: Outcome) -> str:
    """A failed row's body is JSON inside a string."""
    error = {
        "object": "error",
        "message": outcome.error["message"],
        "type": "invalid_request_file" if outcome.status == 400 else outcome.error["type"],
        "param": None,
        "code": "3310",
        "raw_status_code": outcome.status,
    }
    return json.dumps(error)


def check_row(line: bytes, number: int) -> None:
    """Raises: Refused with 422 for a row that breaks the schema; the whole file is rejected."""
    try:
        row = json.loads(line)
        body = row["body"]
        roles = [message["role"] for message in body.get("messages", [])]
        fits = (
            set(roles) <= {"system", "user", "assistant", "tool"}
            and (body.get("temperature") or 0) <= 1.5
            and (body.get("max_tokens") is None or body["max_tokens"] >= 0)
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        fits = False
    if not fits:
        raise Refused(422, f"Invalid file format. Line {number + 1}: Input should be a valid request", param="file")


def matches(batch: Batch, query: MultiMapping[str]) -> bool:
    """The server's own filters; a name that is none of its own is one of the metadata, as its SDK sends them."""
    if "status" in query and STATES[batch.state] not in query.getall("status"):
        return False
    if "model" in query and batch.model != query["model"]:
        return False
    if "created_after" in query:
        after = datetime.datetime.fromisoformat(query["created_after"].replace("Z", "+00:00"))
        if batch.created_at <= after.timestamp():
            return False
    wanted = {name: value for name, value in query.items() if name not in FILTERS}
    return all((batch.metadata or {}).get(name) == value for name, value in wanted.items())
