"""OpenAI's Files and Batches."""

import json
import re
import secrets
from pathlib import Path
from typing import Any, ClassVar

from aiohttp import web

from tests.servers.batch.batches import BatchesProvider, json_body, page_of
from tests.servers.batch.files import FilesProvider
from tests.servers.batch.provider import Checked, Refused, seconds, whole
from tests.servers.batch.rows import Asked, Ending, Outcome
from tests.servers.batch.store import Batch, State
from tests.servers.batch.troubles import guarded
from tests.servers.batch.validation import Validation

STAMPS = ("in_progress", "finalizing", "completed", "failed", "expired", "cancelling", "cancelled")


class OpenAIProvider(FilesProvider, BatchesProvider):
    endpoints: tuple[str, ...] = ("/v1/chat/completions", "/v1/embeddings", "/v1/completions")
    windows = "24h"  # a pattern
    codes: ClassVar[dict[str, str]] = {}  # this provider's own names of validation codes

    def table(self) -> list[web.RouteDef]:
        return [*self.chat.table(self.prefix), *self.files_table(self.prefix), *self.batches_table(self.prefix)]

    def batches_table(self, prefix: str) -> list[web.RouteDef]:
        return [
            web.post(f"{prefix}/batches", guarded(self.batch, "create", self.create)),
            web.get(f"{prefix}/batches", guarded(self.batch, "list", self.list_batches)),
            web.get(f"{prefix}/batches/{{id}}", guarded(self.batch, "poll", self.retrieve)),
            web.post(f"{prefix}/batches/{{id}}/cancel", guarded(self.batch, "cancel", self.cancel)),
        ]

    def file_id(self) -> str:
        return f"file-{secrets.token_hex(11)}"

    async def create(self, request: web.Request) -> web.StreamResponse:
        body = await json_body(request)
        self.check_create(body)
        batch = self.new_batch(self.account(request), body, body["input_file_id"], body["endpoint"])
        return web.json_response(self.batch_object(batch))

    def check_create(self, body: dict[str, Any]) -> None:
        for name in ("input_file_id", "endpoint", "completion_window"):
            if not isinstance(body.get(name), str) or not body[name]:
                message = f"Missing required parameter: '{name}'."
                raise Refused(400, message, param=name, code="missing_required_parameter")
        if body["endpoint"] not in self.endpoints:
            values = ", ".join(f"'{name}'" for name in self.endpoints)
            message = f"Invalid value: '{body['endpoint']}'. Supported values are: {values}."
            raise Refused(400, message, param="endpoint", code="invalid_value")
        if not re.fullmatch(self.windows, body["completion_window"]):
            message = f"Invalid value: '{body['completion_window']}'. Supported values are: '24h'."
            raise Refused(400, message, param="completion_window", code="invalid_value")
        check_metadata(body.get("metadata"))

    async def retrieve(self, request: web.Request) -> web.StreamResponse:
        batch = self.find(request)
        await self.works.look(batch)
        return web.json_response(self.batch_object(batch))

    async def list_batches(self, request: web.Request) -> web.StreamResponse:
        limit = whole(request.query.get("limit"), "limit", 1, 100, 20)
        page, has_more = page_of(self.visible(self.account(request)), request.query.get("after"), limit)
        await self.look_at_all(page)
        return web.json_response(
            {
                "object": "list",
                "data": [self.batch_object(batch) for batch in page],
                "first_id": page[0].id if page else None,
                "last_id": page[-1].id if page else None,
                "has_more": has_more,
            }
        )

    async def cancel(self, request: web.Request) -> web.StreamResponse:
        batch = self.find(request)
        if batch.ended:
            raise Refused(409, f"Cannot cancel a batch with status '{self.status(batch)}'.")
        await self.works.cancel(batch)
        return web.json_response(self.batch_object(batch))

    def batch_object(self, batch: Batch) -> dict[str, Any]:
        flaws = [vars(flaw) for flaw in batch.flaws]
        return {
            "id": batch.id,
            "object": "batch",
            "endpoint": batch.endpoint,
            "model": batch.model or None,
            "errors": {"object": "list", "data": flaws} if flaws else None,
            "input_file_id": batch.input_file_id,
            "completion_window": batch.window,
            "status": self.status(batch),
            "output_file_id": batch.output_file_id,
            "error_file_id": batch.error_file_id,
            "created_at": seconds(batch.created_at),
            "expires_at": seconds(batch.created_at + 86_400),
            **{f"{name}_at": seconds(batch.at.get(name)) for name in STAMPS},
            "request_counts": self.counts(batch),
            "usage": usage(batch),
            "metadata": batch.metadata,
        }

    def status(self, batch: Batch) -> str:
        if batch.state is State.IN_PROGRESS and self.batch.odd_status is not None:
            return self.batch.odd_status
        return "completed" if batch.state is State.PARTIAL else batch.state.value

    def counts(self, batch: Batch) -> dict[str, Any]:
        done, failed = self.progress(batch), 0
        if batch.state is State.CANCELLED and self.batch.resets_counts:
            done = 0
        elif batch.ended:
            done, failed = batch.succeeded, batch.errors
        elif batch.state is State.CANCELLING:
            done = self.batch.done_when_stopped
        return {"total": batch.total, "completed": done, "failed": failed}

    def asked(self, line: dict[str, Any], batch: Batch) -> Asked:
        return Asked(line["custom_id"], line["body"])

    def row(self, outcome: Outcome, batch: Batch) -> dict[str, Any] | None:
        head = {"id": f"batch_req_{secrets.token_hex(12)}", "custom_id": outcome.custom_id}
        if outcome.ending is not Ending.ANSWERED:
            error = {"code": outcome.error["code"], "message": outcome.error["message"]}
            return {**head, "response": None, "error": error}
        body = json.dumps(outcome.body, ensure_ascii=False) if outcome.body_as_string else outcome.body
        response = {"status_code": outcome.status, "request_id": secrets.token_hex(16), "body": body}
        return {**head, "response": response, "error": None}

    def check(self, path: Path, batch: Batch) -> Checked:
        return Validation(batch.endpoint, self.online, self.request_limit, self.codes).check(path)


def check_metadata(metadata: Any) -> None:
    if metadata is None:
        return
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise Refused(400, "Invalid type for 'metadata': expected strings.", param="metadata", code="invalid_type")
    if len(metadata) > 16:
        message = f"Invalid 'metadata': too many properties. Expected at most 16, but got {len(metadata)}."
        raise Refused(400, message, param="metadata", code="object_above_max_properties")
    if any(len(name) > 64 or len(value) > 512 for name, value in metadata.items()):
        message = "Invalid 'metadata': a name may have 64 characters, a value 512."
        raise Refused(400, message, param="metadata", code="string_above_max_length")


def usage(batch: Batch) -> dict[str, Any]:
    given, taken = batch.usage.get("input", 0), batch.usage.get("output", 0)
    return {
        "input_tokens": given,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": taken,
        "output_tokens_details": {"reasoning_tokens": batch.usage.get("reasoning", 0)},
        "total_tokens": given + taken,
    }
