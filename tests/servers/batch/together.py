"""Together: an envelope around what is created, states in capitals, a bare list, no counts and no metadata."""

import json
import uuid
from pathlib import Path
from typing import Any

from aiohttp import web

from tests.servers.batch.batches import json_body
from tests.servers.batch.behavior import NoErrors
from tests.servers.batch.openai_provider import OpenAIProvider
from tests.servers.batch.provider import Checked, Refused, iso
from tests.servers.batch.rows import Asked, Ending, Outcome
from tests.servers.batch.store import Batch, Flaw, State, StoredFile
from tests.servers.refusals import Refusal

LONGEST_LINE = 10_000_000
STATES = {
    State.VALIDATING: "VALIDATING",
    State.IN_PROGRESS: "IN_PROGRESS",
    State.FINALIZING: "IN_PROGRESS",
    State.COMPLETED: "COMPLETED",
    State.PARTIAL: "COMPLETED",
    State.FAILED: "FAILED",
    State.EXPIRED: "EXPIRED",
    State.CANCELLING: "CANCELING",  # which the documentation does not know
    State.CANCELLED: "CANCELLED",
}


class TogetherProvider(OpenAIProvider):
    upload_path = "/files/upload"
    max_bytes = 100_000_000
    no_errors = NoErrors.NULL
    endpoints = ("/v1/chat/completions",)

    def file_id(self) -> str:
        return f"file-{uuid.uuid4()}"

    def batch_id(self) -> str:
        return str(uuid.uuid4())

    def file_object(self, stored: StoredFile) -> dict[str, Any]:
        return {
            "id": stored.id,
            "object": "file",
            "purpose": stored.purpose,
            "filename": stored.filename,
            "bytes": stored.bytes,
            "created_at": int(stored.created_at),
            "LineCount": stored.lines or 0,
            "Processed": True,
            "FileType": "jsonl",
            "processing_status": "COMPLETED",
        }

    def read_upload(self, path: Path) -> int:
        with path.open("rb") as file:
            return sum(bool(line.strip()) for line in file)

    def files_page(self, page: list[StoredFile], *, has_more: bool) -> dict[str, Any]:
        return {"data": [self.file_object(stored) for stored in page]}

    def check_upload(self, form: dict[str, str]) -> None:
        for name in ("purpose", "file_name"):
            if name not in form:
                raise Refused(400, f"Missing required field: {name}", param=name)

    async def create(self, request: web.Request) -> web.StreamResponse:
        body = await json_body(request)
        for name in ("input_file_id", "endpoint"):
            if not body.get(name):
                raise Refused(400, f"{name} is required")
        if body["endpoint"] not in self.endpoints:
            raise Refused(400, f"Invalid endpoint: {body['endpoint']}")
        kept = {name: value for name, value in body.items() if name != "metadata"}
        batch = self.new_batch(self.account(request), kept, body["input_file_id"], body["endpoint"])
        return web.json_response({"job": self.batch_object(batch)}, status=201)

    async def list_batches(self, request: web.Request) -> web.StreamResponse:
        mine = self.visible(self.account(request))
        await self.look_at_all(mine)
        return web.json_response([self.batch_object(batch) for batch in mine])

    async def cancel(self, request: web.Request) -> web.StreamResponse:
        batch = self.find(request)
        if batch.ended:
            raise Refused(409, f"Cannot cancel job - already in terminal state: {STATES[batch.state]}")
        await self.works.cancel(batch)
        return web.json_response(self.batch_object(batch))

    async def delete_file(self, request: web.Request) -> web.Response:
        stored = self.file_of(request)
        self.store.drop(stored.id)
        return web.json_response({"id": stored.id, "deleted": True})

    def no_batch(self, batch_id: str) -> Refused:
        return Refused(404, "Job not found")

    def no_file(self, file_id: str) -> Refused:
        return Refused(404, f"File {file_id} not found", "not_found")

    def error_body(self, refusal: Refusal) -> Any:
        if refusal.status in (404, 409) and refusal.type != "not_found":
            return {"error": refusal.message, "request_id": uuid.uuid4().hex}
        return {"error": {"message": refusal.message, "type": refusal.type, "param": None, "code": refusal.code}}

    def batch_object(self, batch: Batch) -> dict[str, Any]:
        stored = self.store.files.get(batch.input_file_id)
        job: dict[str, Any] = {
            "id": batch.id,
            "user_id": "loopback",
            "input_file_id": batch.input_file_id,
            "file_size_bytes": stored.bytes if stored else 0,
            "status": self.status(batch),
            "job_deadline": iso(batch.created_at + 86_400),
            "created_at": iso(batch.created_at),
            "endpoint": batch.endpoint,
            "progress": 100 if batch.ended else 100 * self.progress(batch) / max(1, batch.total),
        }
        known = {
            "model_id": batch.model,
            "output_file_id": batch.output_file_id,
            "error_file_id": batch.error_file_id,
            "completed_at": iso(batch.at.get("completed")),
            "error": self.error_of(batch),
        }
        return job | {name: value for name, value in known.items() if value}

    def error_of(self, batch: Batch) -> str | None:
        if not batch.flaws:
            return None
        if batch.flaws[0].param == "file_id":
            return f"Failed to download input file: status 404: File {batch.input_file_id} not found"
        return batch.flaws[0].message

    def status(self, batch: Batch) -> str:
        if batch.state is State.IN_PROGRESS and self.batch.odd_status is not None:
            return self.batch.odd_status
        return STATES[batch.state]

    def row(self, outcome: Outcome, batch: Batch) -> dict[str, Any] | None:
        head = {"id": f"br_{uuid.uuid4().hex}", "custom_id": outcome.custom_id}
        if outcome.ending is not Ending.ANSWERED:
            return None
        if not outcome.ok:
            return {**head, "error": {"code": "batch_client_error", "message": outcome.error["message"]}}
        body = json.dumps(outcome.body) if outcome.body_as_string else outcome.body
        return {**head, "response": {"status_code": outcome.status, "body": body}}

    def asked(self, line: dict[str, Any], batch: Batch) -> Asked:
        return Asked(line.get("custom_id"), line["body"])

    def check(self, path: Path, batch: Batch) -> Checked:
        """Only the JSON and the limits; parameters fail row by row."""
        total, model = 0, batch.model
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if not line.strip():
                    continue
                total += 1
                problem = self.problem(line, number, total)
                if problem:
                    return Checked(0, model, Flaw("input_error", f"Failed to calculate tokens: {problem}"))
                model = model or str(json.loads(line)["body"].get("model") or "")
        if self.online.models is not None and model not in self.online.models:
            message = f"Invalid model ID: Unable to access non-serverless model {model}."
            return Checked(0, model, Flaw("invalid_model", message))
        return Checked(total, model)

    def problem(self, line: bytes, number: int, total: int) -> str | None:
        start = f"input format error: Line {number} (within chunk): "
        if len(line) > LONGEST_LINE:
            return f"{start}longer than 10 MB"
        if total > self.request_limit:
            return f"more than {self.request_limit} requests"
        try:
            request = json.loads(line)
        except ValueError as error:
            return f"{start}Invalid JSON format - {error}"
        if not isinstance(request, dict) or not isinstance(request.get("body"), dict):
            return f"{start}missing 'body' field"
        return None
